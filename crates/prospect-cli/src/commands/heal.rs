//! `prospect heal`: what other tools have left behind in a process.

use prospect::{
    OpenOptions,
    debug::heal::{self, Comparison},
    live::procfs,
    process::{
        ProcessId, Target as _, ThreadState,
        control::{Control as _, Leave},
    },
};
use serde::Serialize;

use super::breaks::{attach, failure};
use crate::{
    exit::{Failure, Outcome, Result},
    report,
    symbol_args::{Fetch, SymbolArgs},
};

/// Find what a killed debugger has left in a process: breakpoints in its code, a stop that nobody ends. Nothing is changed without
/// `--apply` and `--continue`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The number of a process.
    #[arg(value_name = "PID")]
    process: u32,

    /// Put back the bytes that breakpoints stand for.
    #[arg(long)]
    apply: bool,

    /// Let it run on if it is stopped (SIGCONT).
    #[arg(long = "continue")]
    goes_on: bool,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// Print JSON: one object (docs/break.md).
    #[arg(long)]
    json: bool,
}

/// What was found, and done.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    process: u32,
    stopped: bool,
    compared_bytes: u64,
    breakpoints: Vec<Breakpoint>,
    not_compared: Vec<NotCompared>,
    put_back: usize,
    continued: bool,
}

#[derive(Serialize)]
struct Breakpoint {
    address: String,
    module: String,
    function: Option<String>,
    original: u8,
}

#[derive(Serialize)]
struct NotCompared {
    module: String,
    why: String,
}

pub(crate) fn run(args: &Args) -> Result {
    let id = ProcessId(args.process);
    let status =
        procfs::process_status(id).map_err(|_| Failure::not_found(format_args!("no process {id}")))?;
    if status.tracer != 0 {
        let tracer = status.tracer;
        let what = "breakpoints that are in it are in use";
        return Err(Failure::failed(format_args!("process {id} is traced by process {tracer}: {what}")));
    }
    let stopped = status.state == ThreadState::Stopped;
    let controlled = attach(id)?;
    let view = controlled.process(id).map_err(Failure::failed)?;
    let options = OpenOptions::new().search(args.symbols.search(Fetch::Never)?);
    let binaries = options.new_binaries();
    let session = options.beside(view, &binaries);
    let Comparison { stale, compared, skipped } = heal::compare(view, &binaries);
    let breakpoints = stale.iter().map(|one| Breakpoint {
        address: one.at.to_string(),
        module: one.module.to_string(),
        function: session.resolve(one.at).frames.first().and_then(|frame| frame.function.clone()),
        original: one.original,
    });
    let mut report = Report {
        version: prospect::VERSION,
        process: id.0,
        stopped,
        compared_bytes: compared,
        breakpoints: breakpoints.collect(),
        not_compared: skipped
            .into_iter()
            .map(|(module, why)| NotCompared { module: module.to_string(), why })
            .collect(),
        put_back: 0,
        continued: false,
    };
    let mut controlled = controlled;
    if args.apply {
        report.put_back = heal::put_back(&mut controlled, id, &stale).map_err(|error| failure(&error))?;
    }
    controlled.detach(id, Leave::AsItWas).map_err(|error| failure(&error))?;
    drop(controlled);
    if args.goes_on && stopped {
        let target = i32::try_from(id.0).ok().and_then(rustix::process::Pid::from_raw);
        let target = target.ok_or_else(|| Failure::not_found(format_args!("no process {id}")))?;
        rustix::process::kill_process(target, rustix::process::Signal::CONT)
            .map_err(|error| Failure::failed(format_args!("cannot let process {id} run on: {error}")))?;
        report.continued = true;
    }
    if args.json { report::json_line(&report) } else { text(&report) }?;
    let is_healed = report.put_back == report.breakpoints.len() && (!stopped || report.continued);
    Ok(if is_healed { Outcome::Complete } else { Outcome::Partial })
}

fn text(report: &Report) -> std::io::Result<()> {
    use std::fmt::Write as _;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{words}");
    };
    line(format_args!("process {}: {} bytes of code compared", report.process, report.compared_bytes));
    if report.stopped {
        let done = if report.continued { "it runs on now" } else { "--continue lets it run on" };
        line(format_args!("  it is stopped by job control; {done}"));
    }
    for one in &report.breakpoints {
        let function = one.function.as_deref().unwrap_or("?");
        line(format_args!("  a breakpoint at {} in {function} ({})", one.address, one.module));
    }
    for one in &report.not_compared {
        line(format_args!("  not compared: {}: {}", one.module, one.why));
    }
    match (report.breakpoints.len(), report.put_back) {
        (0, _) => line(format_args!("  no breakpoints are in it")),
        (_, 0) => line(format_args!("  --apply puts back what was there")),
        (found, back) => line(format_args!("  {back} of {found} put back")),
    }
    report::print_plain(&text)
}
