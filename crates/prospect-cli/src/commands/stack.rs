//! `prospect stack`: every thread of a process.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use prospect::{
    Mode, Names, OpenOptions, ThreadStack,
    process::{ProcessId, ThreadId},
    stack::Frame,
    symbols::{Binaries, cache_directory},
};

use crate::{
    exit::{Failure, Outcome, Result, worse},
    report::{self, Layout, StackReport},
    target::{TargetArgs, Targets, seconds},
    watch::Watch,
};

/// How long the end of the program may be put off by writing to the cache.
const LONGEST_STORE: Duration = Duration::from_secs(2);

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

    /// Show how each frame was found, and why the steppers that were asked before did not find it.
    #[arg(long)]
    explain: bool,

    /// Open no symbol file: show modules and offsets, to be named later.
    #[arg(long)]
    no_names: bool,

    /// Keep nothing that was unpacked for later runs, and use nothing that was kept (docs/cache.md).
    #[arg(long)]
    no_cache: bool,

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

pub(crate) fn run(args: Args) -> Result {
    args.check_files()?;
    let targets = args.target.find()?;
    let processes = targets.processes.clone();
    let look = Look { args, targets: Mutex::new(Some(targets)), result: Mutex::new(Ok(Outcome::Complete)) };
    Arc::new(look).all(&processes)
}

/// Keeps what was unpacked for the next run. A disk that does not answer is not waited for.
fn store(binaries: &Arc<Binaries>) {
    if !binaries.has_news() {
        return;
    }
    let (done, stored) = mpsc::channel();
    let binaries = binaries.clone();
    let write = move || {
        binaries.store();
        let _ = done.send(());
    };
    if thread::Builder::new().name("store".into()).spawn(write).is_ok() {
        let _ = stored.recv_timeout(LONGEST_STORE);
    }
}

/// The work of one command: shared, since another thread carries it on when it gets stuck.
struct Look {
    args: Args,
    targets: Mutex<Option<Targets>>,
    result: Mutex<Result>,
}

impl Look {
    /// Looks at these processes, ends what was started for that, and says how all of it went.
    fn all(self: &Arc<Self>, processes: &[ProcessId]) -> Result {
        for (index, process) in processes.iter().enumerate() {
            let result = self.one(*process, &processes[index + 1..]);
            self.add(result);
        }
        if let Some(targets) = lock(&self.targets).take() {
            targets.end();
        }
        std::mem::replace(&mut *lock(&self.result), Ok(Outcome::Complete))
    }

    fn add(&self, result: Result) {
        let mut all = lock(&self.result);
        let before = std::mem::replace(&mut *all, Ok(Outcome::Complete));
        *all = worse(before, result);
    }

    /// Looks at one process. When the time is over, what there is of it is printed, and `others` are looked
    /// at, by another thread.
    fn one(self: &Arc<Self>, process: ProcessId, others: &[ProcessId]) -> Result {
        let is_last = others.is_empty();
        let (look, others) = (self.clone(), others.to_vec());
        let late = move |walked| {
            look.add(look.late(process, walked));
            look.all(&others)
        };
        let watch = Watch::start(Instant::now() + self.args.timeout, late).map_err(Failure::failed)?;
        let named = self.look(process, &watch);
        let walked = watch.finish();
        let (Named { names, warnings, pause, binaries }, Some(mut report)) = (named?, walked) else {
            return Ok(Outcome::Partial);
        };
        report.threads.iter_mut().for_each(|stack| stack.take_names(&names));
        report.warnings = warnings;
        report.pause = report.pause.or(pause);
        let result = self.print(&report);
        // Now nobody waits for this process any more.
        store(&binaries);
        if is_last {
            // Taking thousands of frames apart takes longer than the end of the program does.
            std::mem::forget((report, binaries));
        }
        result
    }

    /// Notes the stacks as soon as they are walked, and returns their names.
    fn look(&self, process: ProcessId, watch: &Watch<StackReport>) -> Result<Named> {
        let session = self.args.options().open(process)?;
        let wanted: Vec<ThreadId> = self.args.thread.iter().copied().map(ThreadId).collect();
        for thread in &wanted {
            if !session.process().threads().iter().any(|one| one.id == *thread) {
                return Err(Failure::not_found(format_args!("process {process} has no thread {thread}")));
            }
        }
        let threads = session.unnamed_stacks(|thread| wanted.is_empty() || wanted.contains(&thread.id));
        let addresses = threads.iter().flat_map(ThreadStack::frames).map(Frame::for_lookup).collect();
        watch.note(StackReport {
            target: session.process().info().clone(),
            mode: session.mode(),
            pause: session.pause(),
            threads,
            warnings: session.warnings(),
            late: false,
        });
        let names = session.names_of(addresses);
        let warnings = session.warnings();
        let binaries = session.binaries().clone();
        // Only now is a process that was held let go, and the time known that it was.
        Ok(Named { names, warnings, pause: session.close(), binaries })
    }

    fn late(&self, process: ProcessId, walked: Option<StackReport>) -> Result {
        let late = format!("not finished after {} s (--timeout)", self.args.timeout.as_secs_f64());
        let Some(mut report) = walked else {
            let why = "its memory map or memory could not be read in time";
            return Err(Failure::failed(format_args!("process {process}: {why}: {late}")));
        };
        report.late = true;
        report.warnings.push(format!("names are missing: {late}"));
        self.print(&report)
    }

    fn print(&self, report: &StackReport) -> Result {
        let Args { addresses, registers, merge, explain, json, .. } = self.args;
        let layout = Layout { addresses, registers, merge, explain };
        if json { report::stack_json(report, layout) } else { report::stack_text(report, layout) }?;
        Ok(if report.is_complete() { Outcome::Complete } else { Outcome::Partial })
    }
}

/// What comes after the walk.
struct Named {
    names: Names,
    warnings: Vec<String>,
    pause: Option<Duration>,
    binaries: Arc<Binaries>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            // The rest is for walking and naming.
            .timeout(self.timeout / 2)
            .frame_limit(self.limit)
            .explain(self.explain)
            .names(!self.no_names);
        if let Some(path) = &self.exe {
            options = options.executable(path);
        }
        if let Some(path) = &self.sysroot {
            options = options.sysroot(path);
        }
        if let Some(directory) = cache_directory().filter(|_| !self.no_cache) {
            options = options.cache(directory);
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
