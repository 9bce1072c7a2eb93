//! Looking at processes, each with its deadline.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use prospect::{
    Goroutine, Session, Source, ThreadStack,
    process::{ProcessId, ThreadId},
    stack::Frame,
    symbols::{Binaries, SearchOptions},
};

use super::{Args, Rounds, values};
use crate::{
    exit::{Failure, Outcome, Result, worse},
    report::{self, CoreReport, Layout, StackReport},
    target::Targets,
    watch::{Watch, not_finished},
};

/// How long the end of the program may be put off by writing to the cache.
const LONGEST_STORE: Duration = Duration::from_secs(2);

/// The deadline where nobody else can be in the way.
const NO_HURRY: Duration = Duration::from_secs(1 << 30);

/// The work of one command: shared, since another thread carries it on when it gets stuck.
pub(super) struct Look {
    args: Args,
    search: SearchOptions,
    targets: Mutex<Option<Targets>>,
    result: Mutex<Result>,
    /// With `--every`.
    rounds: Option<Rounds>,
    /// The processes that are being looked at, also by a thread that is stuck.
    busy: Mutex<HashSet<Source>>,
}

/// What is known when all was read.
struct End {
    warnings: Vec<String>,
    pause: Option<Duration>,
    core: Option<CoreReport>,
    binaries: Arc<Binaries>,
}

impl Look {
    pub(super) fn new(
        args: Args,
        search: SearchOptions,
        targets: Targets,
        rounds: Option<Rounds>,
    ) -> Arc<Self> {
        Arc::new(Self {
            args,
            search,
            targets: Mutex::new(Some(targets)),
            result: Mutex::new(Ok(Outcome::Complete)),
            rounds,
            busy: Mutex::default(),
        })
    }

    /// Looks at these processes, as often as that is wanted.
    pub(super) fn run_rounds(self: &Arc<Self>, processes: &[ProcessId]) -> Result {
        let mut sources = Vec::new();
        if let Some(rounds) = &self.rounds {
            processes.iter().for_each(|process| self.add(rounds.add(*process).map(|()| Outcome::Complete)));
            self.add(rounds.begin().map(|()| Outcome::Complete));
            sources = rounds.processes().into_iter().map(Source::Process).collect();
        }
        self.all(sources)
    }

    /// Looks at these, again as long as there are rounds, ends what was started for that, and says how all
    /// of it went.
    pub(super) fn all(self: &Arc<Self>, mut sources: Vec<Source>) -> Result {
        loop {
            for (index, source) in sources.iter().enumerate() {
                let result = self.one(source, &sources[index + 1..]);
                self.add(result);
            }
            match self.rounds.as_ref().map(Rounds::next) {
                Some(Ok(Some(again))) => sources = again.into_iter().map(Source::Process).collect(),
                Some(Err(failure)) => {
                    self.add(Err(failure));
                    break;
                }
                Some(Ok(None)) | None => break,
            }
        }
        if let Some(targets) = lock(&self.targets).take() {
            targets.end();
        }
        std::mem::replace(&mut *lock(&self.result), Ok(Outcome::Complete))
    }

    fn add(&self, result: Result) {
        let result = match (result, &self.rounds) {
            // Who watches wants to know now.
            (Err(failure), Some(rounds)) => {
                if failure.is_closed_pipe() {
                    rounds.end();
                }
                Err(failure.told())
            }
            (result, _) => result,
        };
        let mut all = lock(&self.result);
        let before = std::mem::replace(&mut *all, Ok(Outcome::Complete));
        *all = worse(before, result);
    }

    /// Looks at one process. When the time is over, what there is of it is printed, and `others` are looked
    /// at, by another thread.
    fn one(self: &Arc<Self>, source: &Source, others: &[Source]) -> Result {
        if let (Some(rounds), Source::Process(process)) = (&self.rounds, source)
            && !rounds.is_wanted(*process)?
        {
            return Ok(Outcome::Complete);
        }
        if !lock(&self.busy).insert(source.clone()) {
            return Err(Failure::failed(format_args!("{source}: the look before is not finished yet")));
        }
        let is_last = others.is_empty() && self.rounds.is_none();
        let (look, others, late_source) = (self.clone(), others.to_vec(), source.clone());
        let late = move |walked| {
            look.add(look.late(&late_source, walked));
            look.all(others)
        };
        let deadline = match source {
            Source::Process(_) => self.args.timeout(),
            _ => self.args.timeout.unwrap_or(NO_HURRY),
        };
        let watch = Watch::start(Instant::now() + deadline, late).map_err(Failure::failed)?;
        let end = self.look(source, &watch);
        lock(&self.busy).remove(source);
        let walked = watch.finish();
        let has_ended = || match (&self.rounds, source) {
            (Some(rounds), Source::Process(process)) => rounds.has_ended(*process),
            _ => false,
        };
        let end = match end {
            // It ended meanwhile, which is told as an event.
            Err(_) if has_ended() => return Ok(Outcome::Complete),
            end => end?,
        };
        let (End { warnings, pause, core, binaries }, Some(mut report)) = (end, walked) else {
            return Ok(Outcome::Partial);
        };
        report.warnings = warnings;
        report.pause = report.pause.or(pause);
        report.core = core;
        let result = self.print(source, &mut report);
        // Now nobody waits for this process any more.
        store(&binaries);
        if is_last {
            // Taking thousands of frames apart takes longer than the end of the program does.
            std::mem::forget((report, binaries));
        }
        match result {
            Ok(Outcome::Partial) if has_ended() => Ok(Outcome::Complete),
            result => result,
        }
    }

    fn open(&self, source: &Source) -> Result<Session> {
        match (&self.rounds, source) {
            (Some(rounds), Source::Process(process)) => rounds.look(*process),
            _ => Ok(self.args.options(&self.search).open(source.clone())?),
        }
    }

    /// Notes the stacks as soon as they are walked, and then what there is to say of them.
    fn look(&self, source: &Source, watch: &Watch<StackReport>) -> Result<End> {
        let session = self.open(source)?;
        let wanted: Vec<ThreadId> = self.args.thread.iter().copied().map(ThreadId).collect();
        for thread in &wanted {
            if !session.process().threads().iter().any(|one| one.id == *thread) {
                return Err(Failure::not_found(format_args!("{source} has no thread {thread}")));
            }
        }
        let mut threads = session.unnamed_stacks(|thread| {
            !self.args.goroutines && (wanted.is_empty() || wanted.contains(&thread.id))
        });
        let goroutines = match self.args.goroutines {
            true => Some(session.unnamed_goroutines().map_err(Failure::failed)?),
            false => None,
        };
        let of_threads = threads.iter().flat_map(ThreadStack::frames).map(Frame::for_lookup);
        let of_goroutines = goroutines.iter().flat_map(|one| &one.all).flat_map(Goroutine::addresses);
        let addresses = of_threads.chain(of_goroutines).collect();
        // Another thread prints what is noted, and this one goes on with what it has.
        let noted =
            if self.args.variables().is_some() { threads.clone() } else { std::mem::take(&mut threads) };
        watch.note(StackReport {
            target: session.process().info().clone(),
            mode: session.mode(),
            pause: session.pause(),
            core: None,
            threads: noted,
            goroutines,
            warnings: session.warnings(),
            values: HashMap::new(),
            named: false,
            late: false,
            look: None,
            unchanged: HashMap::new(),
        });
        let names = session.names_of(addresses);
        threads.iter_mut().for_each(|stack| stack.take_names(&names));
        watch.add(|report| {
            report.threads.iter_mut().for_each(|stack| stack.take_names(&names));
            report.goroutines.iter_mut().flat_map(|one| &mut one.all).for_each(|one| one.take_names(&names));
            report.named = true;
        });
        values::read(&session, &threads, &self.args, watch);
        let (warnings, core) = (session.warnings(), CoreReport::of(source, &session));
        let binaries = session.binaries().clone();
        // Only now is a process that was held let go, and the time known that it was.
        Ok(End { warnings, pause: session.close(), core, binaries })
    }

    fn late(&self, source: &Source, walked: Option<StackReport>) -> Result {
        let late = not_finished(self.args.timeout());
        let Some(mut report) = walked else {
            let why = match source {
                Source::Process(_) => "its memory map or memory could not be read in time",
                _ => "it could not be read in time",
            };
            return Err(Failure::failed(format_args!("{source}: {why}: {late}")));
        };
        report.late = true;
        let what = if report.named { "values" } else { "names" };
        report.warnings.push(format!("{what} are missing: {late}"));
        self.print(source, &mut report)
    }

    fn print(&self, source: &Source, report: &mut StackReport) -> Result {
        if let (Some(rounds), Source::Process(process)) = (&self.rounds, source) {
            rounds.note(*process, report);
        }
        let Args { addresses, registers, merge, explain, json, .. } = self.args;
        let variables = self.args.variables();
        let layout = Layout { addresses, registers, merge, explain, variables };
        if json { report::stack_json(report, layout) } else { report::stack_text(report, layout) }?;
        Ok(if report.is_complete() { Outcome::Complete } else { Outcome::Partial })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
