//! `prospect break`: what passes certain places of a program, while it runs.

mod points;
mod trace;

use std::{ffi::OsString, io::ErrorKind, time::Duration};

use prospect::{
    OpenOptions,
    debug::{breakpoint::BreakpointSpec, call, condition::Template},
    debugger::DebugError,
    live::{Controlled, Launch, LiveError, procfs},
    process::{Arch, ProcessId, control::ControlError},
    value::expression::Expression,
};

use crate::{
    downloads,
    exit::{Failure, Result},
    symbol_args::{Fetch, SymbolArgs},
    target::seconds,
};
use trace::{Trace, Traced};

/// Show each time that a program comes to a place, makes a system call, or changes a variable, live.
///
/// The program is stopped as little as that needs: conditions and logs are evaluated next to the stop, and it runs on. It is left as it was
/// at the end, also when this command is killed. A command that was started runs on to its own end.
#[derive(clap::Args)]
#[command(
    override_usage = "prospect break [OPTIONS] <--at SPEC|--syscall NAME|--watch EXPR|--catch WHAT>... <PID>\n       prospect break [OPTIONS] <--at SPEC|--syscall NAME|--watch EXPR|--catch WHAT>... -- <COMMAND>..."
)]
#[allow(clippy::struct_excessive_bools, reason = "they are the options of a command")]
pub(crate) struct Args {
    /// The number of a process.
    #[arg(value_name = "PID", required_unless_present = "command", conflicts_with = "command")]
    process: Option<u32>,

    /// At this place: `function`, `module!function`, `file:line` (all inlined copies), `/regex/`, `na*e`, `0xADDRESS`, `*EXPR`. One that is not
    /// found waits for a library that has it.
    #[arg(long, value_name = "SPEC")]
    at: Vec<String>,

    /// At system calls of this name or number, or all (`all`).
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    syscall: Vec<String>,

    /// When this variable is written, of 1, 2, 4 or 8 bytes.
    #[arg(long, value_name = "EXPR")]
    watch: Vec<String>,

    /// At what a language or the system does: `throw`, `catch`, `rethrow` (C++), `panic` (Rust), `signal:NAME`, `fork`, `exec`, `thread`.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    catch: Vec<String>,

    /// Only where this is true, in the frame of the place: `len > 4096 && fd == 3`.
    #[arg(long = "if", value_name = "COND")]
    condition: Option<String>,

    /// Write this at each hit: `'{id} {buf:s} {len:x}'`.
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "args")]
    log: Option<String>,

    /// Show the arguments of the function.
    #[arg(long)]
    args: bool,

    /// Show the stack of the thread.
    #[arg(long)]
    stack: bool,

    /// At the first instruction of functions, and not behind their prologue.
    #[arg(long)]
    entry: bool,

    /// By debug registers of the processor, of which there are four, without a byte of code being changed.
    #[arg(long)]
    hardware: bool,

    /// Only in this thread.
    #[arg(long, value_name = "TID")]
    thread: Option<u32>,

    /// Pass over so many hits of each breakpoint first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    ignore: u64,

    /// End after so many hits.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Show the totals alone.
    #[arg(long)]
    silent: bool,

    /// End after so long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// End the command that was started, and all that it has started, when this ends. System calls by name then cost the others nothing.
    #[arg(long, requires = "command")]
    kill_on_exit: bool,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// Print JSON lines: one object for each hit, and one for the totals (docs/break.md).
    #[arg(long)]
    json: bool,

    /// Start this command.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result {
    if args.at.is_empty() && args.syscall.is_empty() && args.watch.is_empty() && args.catch.is_empty() {
        return Err(Failure::usage(
            "nothing to wait for: give --at SPEC, --syscall NAME, --watch EXPR or --catch WHAT",
        ));
    }
    // Before anything is stopped.
    let specs = args.at.iter().map(|text| text.parse().map_err(Failure::usage));
    let specs = specs.collect::<Result<Vec<BreakpointSpec>>>()?;
    for text in args.condition.iter().chain(&args.watch) {
        Expression::parse(text, &|_| false)
            .map_err(|error| Failure::usage(format_args!("`{text}`: {error}")))?;
    }
    if let Some(log) = &args.log {
        Template::parse(log, &|_| false).map_err(Failure::usage)?;
    }
    let options = downloads::show_unpacking(OpenOptions::new())
        .search(args.symbols.search(Fetch::Within(Duration::from_secs(5)))?);
    let traced = match args.process {
        Some(number) => Traced::Process(existing(ProcessId(number))?),
        None => {
            let (program, arguments) =
                args.command.split_first().ok_or_else(|| Failure::usage("no command"))?;
            let mut launch = Launch::new(program, arguments);
            launch.random_addresses = true;
            launch.ends_with_us = args.kill_on_exit;
            launch.filtered_calls = args.filtered_calls();
            Traced::Program(launch)
        }
    };
    Trace::new(args, options, traced)?.run(specs)
}

impl Args {
    /// The system calls that can be stopped at without stopping at the others.
    fn filtered_calls(&self) -> Option<Vec<u32>> {
        if !self.kill_on_exit || self.syscall.is_empty() {
            return None;
        }
        // What is no name is told later; `all` has no number, and all are stopped at.
        self.syscall.iter().map(|name| call::number(Arch::X86_64, name)).collect()
    }
}

fn existing(process: ProcessId) -> Result<ProcessId> {
    match procfs::process_info(process) {
        Ok(_) => Ok(process),
        Err(_) => Err(Failure::not_found(format_args!("no process {process}"))),
    }
}

/// Takes a process.
pub(super) fn attach(process: ProcessId) -> Result<Controlled> {
    Controlled::attach(existing(process)?).map_err(|error| failure(&error))
}

fn debug_failure(error: &DebugError) -> Failure {
    match error {
        DebugError::Control(error) => failure(error),
        _ => Failure::failed(error),
    }
}

pub(super) fn failure(error: &ControlError) -> Failure {
    let ControlError::System { error: reason, .. } = error else { return Failure::failed(error) };
    if let Some(error) = reason.get_ref().and_then(|reason| reason.downcast_ref::<LiveError>()) {
        return Failure::of_process(error);
    }
    match reason.kind() {
        ErrorKind::PermissionDenied => Failure::denied(error).with_help("prospect doctor".into()),
        ErrorKind::NotFound => Failure::not_found(error),
        _ => Failure::failed(error),
    }
}
