//! `prospect stack`: every thread of a process.

use std::{
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use prospect::{
    Mode, Names, OpenOptions,
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

    /// How long all of it may take; threads are waited for at most half of it.
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

/// Looks at a process, and gives up when the time is over: the kernel can make us wait where nothing wakes
/// us (a memory map whose lock is held, a file on a server that is gone). What there is by then is shown.
fn look(args: &Args, process: ProcessId) -> Result {
    let deadline = Instant::now() + args.timeout;
    let (sender, steps) = mpsc::channel();
    let work = args.work(process);
    thread::Builder::new().name("look".into()).spawn(move || work.run(&sender)).map_err(Failure::failed)?;
    let mut report: Option<StackReport> = None;
    loop {
        match steps.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Step::Failed(failure)) => return Err(failure),
            Ok(Step::Walked(walked)) => report = Some(walked),
            Ok(Step::Named { names, warnings, pause }) => {
                let Some(report) = &mut report else { continue };
                report.threads.iter_mut().for_each(|stack| stack.take_names(&names));
                report.warnings = warnings;
                report.pause = report.pause.or(pause);
                break;
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::failed(format_args!("looking at process {process} failed: this is a defect")));
            }
            Err(RecvTimeoutError::Timeout) => {
                let late = format!("not finished after {} s (--timeout)", args.timeout.as_secs_f64());
                let Some(report) = &mut report else {
                    let why = "its memory map or memory could not be read in time";
                    return Err(Failure::failed(format_args!("process {process}: {why}: {late}")));
                };
                report.late = true;
                report.warnings.push(format!("names are missing: {late}"));
                break;
            }
        }
    }
    let Some(report) = report else { return Ok(Outcome::Partial) };
    let layout = Layout { addresses: args.addresses, registers: args.registers, merge: args.merge };
    if args.json { report::stack_json(&report, layout) } else { report::stack_text(&report, layout) }?;
    Ok(if report.is_complete() { Outcome::Complete } else { Outcome::Partial })
}

/// What is done on a thread of its own, which may never come back.
struct Work {
    process: ProcessId,
    options: OpenOptions,
    wanted: Vec<ThreadId>,
}

/// What it sends.
enum Step {
    Failed(Failure),
    /// All but the names.
    Walked(StackReport),
    Named { names: Names, warnings: Vec<String>, pause: Option<Duration> },
}

impl Work {
    fn run(self, steps: &mpsc::Sender<Step>) {
        // Nobody listens any more once the time is over.
        if let Err(failure) = self.try_run(steps) {
            let _ = steps.send(Step::Failed(failure));
        }
    }

    fn try_run(self, steps: &mpsc::Sender<Step>) -> Result<()> {
        let Self { process, options, wanted } = self;
        let session = options.open(process)?;
        for thread in &wanted {
            if !session.process().threads().iter().any(|one| one.id == *thread) {
                return Err(Failure::not_found(format_args!("process {process} has no thread {thread}")));
            }
        }
        let threads = session.unnamed_stacks(|thread| wanted.is_empty() || wanted.contains(&thread.id));
        let frames = threads.iter().flat_map(|stack| &stack.frames);
        let addresses = frames.map(|frame| frame.frame.for_lookup()).collect();
        let _ = steps.send(Step::Walked(StackReport {
            target: session.process().info().clone(),
            mode: session.mode(),
            pause: session.pause(),
            threads,
            warnings: session.warnings(),
            late: false,
        }));
        let names = session.names_of(addresses);
        let warnings = session.warnings();
        // Only now is a process that was held let go, and the time known that it was.
        let pause = session.close();
        let _ = steps.send(Step::Named { names, warnings, pause });
        Ok(())
    }
}

impl Args {
    fn work(&self, process: ProcessId) -> Work {
        let wanted = self.thread.iter().copied().map(ThreadId).collect();
        Work { process, options: self.options(), wanted }
    }

    fn options(&self) -> OpenOptions {
        let mode = match (self.hold, self.no_stop) {
            (true, _) => Mode::Hold,
            (_, true) => Mode::NoStop,
            _ => Mode::Freeze,
        };
        let mut options = OpenOptions::new()
            .mode(mode)
            // The rest is for walking and naming.
            .timeout(self.timeout / 2)
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
