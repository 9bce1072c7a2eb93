//! A dump of a process that runs on: the way that suits, and no longer a stop than is permitted.

use std::{
    fmt,
    ops::Range,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use prospect_dump::elf_core::{self, Output, Stillness, WriteError, WriteOptions, Written};
use prospect_live::{LiveError, LiveProcess, SnapshotError, SnapshotPlan, Stopped};
use prospect_process::{Addr, Process, ProcessInfo, Thread};

/// How a process is kept still for its dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DumpMode {
    /// It is copied in a moment and runs on while the copy is written ([`LiveProcess::snapshot`]).
    Snapshot,
    /// It stands until all of its memory was read ([`LiveProcess::stop_for_core`]).
    Stop,
    /// Its registers and stacks are copied in a moment, and nothing else of it ([`LiveProcess::freeze`]): a minidump needs no more.
    Freeze,
}

impl DumpMode {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Stop => "stop",
            Self::Freeze => "freeze",
        }
    }
}

/// How a dump of a live process is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpPlan {
    /// Only so; else a snapshot where one can be made, and a stop where not.
    pub mode: Option<DumpMode>,
    /// The longest time that the process may stand still. Where it is known beforehand that it would be longer, nothing is
    /// stopped; when it turns out, the process goes on and there is no dump.
    pub max_pause: Option<Duration>,
    /// How long threads are waited for that do not stop.
    pub timeout: Duration,
}

impl DumpPlan {
    /// A snapshot or a stop, for as long as it takes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same in this way only.
    #[must_use]
    pub fn with_mode(mut self, mode: Option<DumpMode>) -> Self {
        self.mode = mode;
        self
    }

    /// The same with another limit on how long the process may stand still.
    #[must_use]
    pub fn with_max_pause(mut self, most: Option<Duration>) -> Self {
        self.max_pause = most;
        self
    }

    /// The same with another time for threads to stop.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.max_pause.map_or(self.timeout, |most| self.timeout.min(most))
    }
}

impl Default for DumpPlan {
    fn default() -> Self {
        Self { mode: None, max_pause: None, timeout: Duration::from_secs(5) }
    }
}

/// A dump that was made; `W` is what its format says of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dumped<W = Written> {
    /// What the process was.
    pub process: ProcessInfo,
    /// Its threads, with why those did not stop that did not.
    pub threads: Vec<Thread>,
    /// How it was kept still.
    pub mode: DumpMode,
    /// Why it was stopped although a snapshot was tried first.
    pub no_snapshot: Option<SnapshotError>,
    /// For how long it stood; `None` when no thread of it could be held.
    pub pause: Option<Duration>,
    /// What was written.
    pub written: W,
    /// Memory of a snapshot that is shared with others: the dump has what was there when it was read.
    pub live: Vec<Range<Addr>>,
    /// Memory that a snapshot does not have, and the dump neither.
    pub left_out: Vec<Range<Addr>>,
}

/// Why there is no dump. The process runs on, unless it has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// It cannot be looked at or stopped.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// No snapshot can be made, and nothing else was wanted.
    #[error("no snapshot: {0}")]
    Snapshot(#[source] SnapshotError),
    /// It was not stopped, since it would stand still for too long.
    #[error(
        "nothing was stopped: the process would stand still for about {estimate:?}, longer than {most:?}{}",
        Also(snapshot)
    )]
    TooLong {
        /// For how long, in an ordinary stop.
        estimate: Duration,
        /// How long it may.
        most: Duration,
        /// Why a snapshot is not the way, where one would have been permitted.
        snapshot: Option<SnapshotError>,
    },
    /// It goes on again, since it was about to stand still for too long.
    #[error("given up after {pause:?}: the process may not stand still for longer than {most:?}")]
    Late {
        /// For how long it stood.
        pause: Duration,
        /// How long it may.
        most: Duration,
    },
    /// It was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why there was no snapshot, as the end of a sentence.
struct Also<'a>(&'a Option<SnapshotError>);

impl fmt::Display for Also<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |why| write!(f, "; and no snapshot: {why}"))
    }
}

/// Writes a core of a process that runs, and goes on to. `options` say what belongs into it, show how far it is, and let it be
/// [cancelled](elf_core::Progress::cancel); how the process is kept still is decided here.
///
/// Whatever happens, the process goes on as it was, and nothing is left of a snapshot.
///
/// # Errors
/// When there is no way to do it, or it was not written to its end: then what was written is of no use.
pub fn dump_live(
    live: &LiveProcess,
    plan: &DumpPlan,
    options: WriteOptions<'_>,
    output: &mut dyn Output,
) -> Result<Dumped, DumpError> {
    keep_still(live, plan, options.limited_to(), |process, still| {
        let options = options.stillness(still.stillness).fallback(still.fallback).deadline(still.deadline);
        let options = options.not_of_the_moment(still.live, still.left_out);
        elf_core::write(process, &options, output)
    })
}

/// How a process is kept still while it is written.
#[derive(Clone, Copy)]
pub(crate) struct Still<'a> {
    stillness: Stillness,
    /// Why there is no snapshot where one was tried.
    fallback: Option<&'a str>,
    /// Until when it may stand.
    pub(crate) deadline: Option<Instant>,
    live: &'a [Range<Addr>],
    left_out: &'a [Range<Addr>],
}

/// Keeps a process still as `plan` says, and has it written: at most `limit` bytes of its memory.
pub(crate) fn keep_still<W>(
    live: &LiveProcess,
    plan: &DumpPlan,
    limit: Option<u64>,
    mut write: impl FnMut(&dyn Process, Still<'_>) -> Result<W, WriteError>,
) -> Result<Dumped<W>, DumpError> {
    let mut no_snapshot = None;
    if plan.mode != Some(DumpMode::Stop) {
        let wanted = SnapshotPlan::default().with_max_pause(plan.max_pause);
        match live.snapshot(&wanted, plan.timeout()) {
            Ok(snapshot) => {
                let still = Still {
                    stillness: Stillness::Snapshot { pause: snapshot.pause },
                    fallback: None,
                    deadline: None,
                    live: &snapshot.live,
                    left_out: &snapshot.left_out,
                };
                let written = write(&snapshot.process, still)?;
                return Ok(Dumped {
                    process: snapshot.process.info().clone(),
                    threads: snapshot.process.threads().to_vec(),
                    mode: DumpMode::Snapshot,
                    no_snapshot: None,
                    pause: Some(snapshot.pause),
                    written,
                    live: snapshot.live,
                    left_out: snapshot.left_out,
                });
            }
            Err(SnapshotError::Live(error)) => return Err(error.into()),
            Err(error) if plan.mode.is_some() => return Err(DumpError::Snapshot(error)),
            Err(error) => no_snapshot = Some(error),
        }
    }
    stop(live, plan, limit, write, no_snapshot)
}

fn stop<W>(
    live: &LiveProcess,
    plan: &DumpPlan,
    limit: Option<u64>,
    mut write: impl FnMut(&dyn Process, Still<'_>) -> Result<W, WriteError>,
    no_snapshot: Option<SnapshotError>,
) -> Result<Dumped<W>, DumpError> {
    if let Some(most) = plan.max_pause {
        let estimate = live.stop_estimate(limit)?;
        if estimate > most {
            return Err(DumpError::TooLong { estimate, most, snapshot: no_snapshot });
        }
    }
    let stopped = live.stop_for_core(plan.timeout())?;
    let why = no_snapshot.as_ref().map(ToString::to_string);
    let stillness = stopped.since().map_or(Stillness::Always, |since| Stillness::Stop { since });
    let still = Still { stillness, fallback: why.as_deref(), deadline: None, live: &[], left_out: &[] };
    let (written, pause) = match (plan.max_pause, stopped.since()) {
        (Some(most), Some(since)) => {
            let most_of_it = most.saturating_sub(letting_go(most, stopped.threads().len()));
            // A time beyond all clocks is no limit, and a day nearly none.
            let deadline = since + most_of_it.min(Duration::from_secs(24 * 60 * 60));
            let still = Still { deadline: Some(deadline), ..still };
            let (written, pause) = until(deadline, &stopped, || write(&stopped, still));
            let late = |pause| DumpError::Late { pause, most };
            let written = match (written, pause) {
                (Err(WriteError::Late), pause) => Err(late(pause.unwrap_or_else(|| since.elapsed()))),
                (Ok(_), Some(pause)) if pause > most => Err(late(pause)),
                (written, _) => written.map_err(DumpError::from),
            };
            (written?, pause)
        }
        _ => {
            let written = write(&stopped, still);
            let pause = stopped.let_go();
            (written?, pause)
        }
    };
    Ok(Dumped {
        process: stopped.info().clone(),
        threads: stopped.threads().to_vec(),
        mode: DumpMode::Stop,
        no_snapshot,
        pause,
        written,
        live: Vec::new(),
        left_out: Vec::new(),
    })
}

/// How long before its time the letting go must begin, for so many threads.
fn letting_go(most: Duration, threads: usize) -> Duration {
    const EACH: Duration = Duration::from_micros(10);
    let each = EACH.saturating_mul(u32::try_from(threads).unwrap_or(u32::MAX));
    (most / 8).saturating_add(each).min(most / 2)
}

/// Does `work`, and lets the process go after it or at `deadline`, whichever comes first: also while the work waits for
/// something, as a reader of a pipe that takes nothing. Says for how long it was held.
fn until<T>(deadline: Instant, stopped: &Stopped, work: impl FnOnce() -> T) -> (T, Option<Duration>) {
    thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        let watch = move || {
            let left = deadline.saturating_duration_since(Instant::now());
            match wait.recv_timeout(left) {
                Err(RecvTimeoutError::Timeout) => stopped.let_go(),
                _ => None,
            }
        };
        let watcher = thread::Builder::new().name("deadline".into()).spawn_scoped(scope, watch);
        let result = work();
        let pause = stopped.let_go();
        drop(done);
        let cut = watcher.ok().and_then(|watcher| watcher.join().ok()).flatten();
        (result, pause.or(cut))
    })
}
