//! `prospect stack`: every thread of a process.

use std::{path::PathBuf, time::Duration};

use prospect::{
    Mode, OpenOptions,
    process::{ProcessId, ThreadId},
};

use crate::{
    exit::{Failure, Outcome, Result, worse},
    report::{self, Layout, StackReport},
    target::{TargetArgs, seconds},
};

/// Show the stacks of all threads.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,

    /// Keep the process stopped until its stacks are walked and named.
    #[arg(long, conflicts_with = "no_stop")]
    hold: bool,

    /// Do not stop the process: every thread is seen at another moment, running ones not at all.
    #[arg(long)]
    no_stop: bool,

    /// How long to wait for threads to stop.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,

    /// Show only this thread; may be given several times.
    #[arg(long, value_name = "TID")]
    thread: Vec<u32>,

    /// Show at most this many frames of a stack.
    #[arg(long, value_name = "FRAMES", default_value_t = 10_000)]
    limit: usize,

    /// Show equal stacks once, with their threads.
    #[arg(long)]
    merge: bool,

    /// Show the address of every frame.
    #[arg(long)]
    addresses: bool,

    /// Show registers.
    #[arg(long)]
    registers: bool,

    /// Open no symbol file: show modules and offsets, to be named later.
    #[arg(long)]
    no_names: bool,

    /// Take this file for the executable.
    #[arg(long, value_name = "FILE")]
    exe: Option<PathBuf>,

    /// Look for the process's files below this directory.
    #[arg(long, value_name = "DIR")]
    sysroot: Option<PathBuf>,

    /// Look for separate debug files here first; may be given several times.
    #[arg(long, value_name = "DIR")]
    debug_dir: Vec<PathBuf>,

    /// Print JSON: one object per process, each on a line (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    args.check_files()?;
    let targets = args.target.find()?;
    let mut result = Ok(Outcome::Complete);
    for process in &targets.processes {
        result = worse(result, look(args, *process));
    }
    targets.end();
    result
}

fn look(args: &Args, process: ProcessId) -> Result {
    let session = args.options().open(process)?;
    let wanted: Vec<ThreadId> = args.thread.iter().copied().map(ThreadId).collect();
    for thread in &wanted {
        if !session.process().threads().iter().any(|one| one.id == *thread) {
            return Err(Failure::not_found(format_args!("process {process} has no thread {thread}")));
        }
    }
    let threads = session.stacks(|thread| wanted.is_empty() || wanted.contains(&thread.id));
    let mode = session.mode();
    let warnings = session.warnings();
    let target = session.process().info().clone();
    // Only now is a process that was held let go, and the time known that it was.
    let pause = session.close();
    let report = StackReport { target, mode, pause, threads, warnings };
    let layout = Layout { addresses: args.addresses, registers: args.registers, merge: args.merge };
    if args.json { report::stack_json(&report, layout) } else { report::stack_text(&report, layout) }?;
    Ok(if report.is_complete() { Outcome::Complete } else { Outcome::Partial })
}

impl Args {
    fn options(&self) -> OpenOptions {
        let mode = match (self.hold, self.no_stop) {
            (true, _) => Mode::Hold,
            (_, true) => Mode::NoStop,
            _ => Mode::Freeze,
        };
        let mut options = OpenOptions::new()
            .mode(mode)
            .timeout(self.timeout)
            .frame_limit(self.limit)
            .names(!self.no_names);
        if let Some(path) = &self.exe {
            options = options.executable(path);
        }
        if let Some(path) = &self.sysroot {
            options = options.sysroot(path);
        }
        // The last one that is added is looked at first.
        self.debug_dir.iter().rev().fold(options, OpenOptions::debug_directory)
    }

    /// A wrong path in the arguments is better said at once than found out from missing names.
    fn check_files(&self) -> Result<()> {
        if let Some(path) = self.exe.as_ref().filter(|path| !path.exists()) {
            return Err(Failure::not_found(format_args!("there is no file {}", path.display())));
        }
        let directories = self.sysroot.iter().chain(&self.debug_dir);
        match directories.into_iter().find(|path| !path.is_dir()) {
            Some(path) => Err(Failure::not_found(format_args!("there is no directory {}", path.display()))),
            None => Ok(()),
        }
    }
}
