//! Processes that are looked at again and again.

use std::{
    collections::{HashMap, hash_map::Entry},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prospect_live::{Event, Events, LiveError, LiveProcess, Wait, Waker};
use prospect_process::ProcessId;
use prospect_symbols::Binaries;

use crate::{OpenError, OpenOptions, Session, memo::Memo};

/// Looks at the same processes again and again, without stalling them: between two looks nobody is attached to them.
///
/// Files, names and unwind rules that one look has needed are there for the next one, which opens no file of a process
/// that has loaded nothing new. Its descriptor ([`AsFd`]) is readable when there is something to
/// [handle](Self::handle_events), so that it can be waited for along with others.
///
/// ```no_run
/// use std::time::Duration;
/// use prospect::{OpenOptions, Watch, live::Wait};
///
/// fn main() -> Result<(), prospect::OpenError> {
///     let watch = Watch::new(OpenOptions::new())?;
///     watch.add(1234)?;
///     while !watch.is_empty() {
///         for process in watch.processes() {
///             let session = watch.look(process)?;
///             println!("{} threads", session.stacks(|_| true).len());
///         }
///         for event in watch.handle_events(Wait::AtMost(Duration::from_secs(5)))? {
///             println!("{event}");
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Watch {
    options: OpenOptions,
    binaries: Arc<Binaries>,
    events: Events,
    watched: Mutex<HashMap<ProcessId, Arc<Watched>>>,
}

/// One process, and what is remembered of it.
#[derive(Debug)]
struct Watched {
    live: Mutex<LiveProcess>,
    memo: Arc<Memo>,
}

impl Watch {
    /// Looks as `options` say, at no process yet.
    ///
    /// # Errors
    /// When the system has no room for more descriptors.
    pub fn new(options: OpenOptions) -> Result<Self, OpenError> {
        let (binaries, events) = (options.binaries(), Events::new()?);
        Ok(Self { options, binaries, events, watched: Mutex::default() })
    }

    /// Adds a process. One that is there already stays what it is.
    ///
    /// # Errors
    /// When there is no such process, or its end cannot be waited for.
    pub fn add(&self, process: impl Into<ProcessId>) -> Result<ProcessId, OpenError> {
        let id = process.into();
        if let Entry::Vacant(place) = self.watched().entry(id) {
            let live = LiveProcess::open(id)?;
            self.events.add(&live)?;
            place.insert(Arc::new(Watched { live: Mutex::new(live), memo: Arc::default() }));
        }
        Ok(id)
    }

    /// Looks at this process no more. Says whether it was looked at.
    pub fn remove(&self, process: ProcessId) -> bool {
        self.events.remove(process);
        self.watched().remove(&process).is_some()
    }

    /// The processes that have not been reported to have ended.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessId> {
        let mut processes: Vec<ProcessId> = self.watched().keys().copied().collect();
        processes.sort_unstable();
        processes
    }

    /// Whether there is no process to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watched().is_empty()
    }

    /// Looks at a process as it is now. When it runs [another program](LiveProcess::has_executed) than before, that is
    /// what is seen.
    ///
    /// # Errors
    /// When it is not [watched](Self::add), has ended, or the system does not let us look at it.
    pub fn look(&self, process: ProcessId) -> Result<Session, OpenError> {
        let watched = self.watched().get(&process).cloned();
        let watched = watched.ok_or(LiveError::NoSuchProcess(process))?;
        let mut live = watched.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.has_executed()?;
        self.options.look(&live, &self.binaries, &watched.memo)
    }

    /// Whether a process has ended, or is not watched. [`handle_events`](Self::handle_events) tells it, whether this was
    /// asked or not.
    #[must_use]
    pub fn has_ended(&self, process: ProcessId) -> bool {
        let watched = self.watched().get(&process).cloned();
        watched.is_none_or(|watched| watched.live.lock().unwrap_or_else(PoisonError::into_inner).has_ended())
    }

    /// What has happened to the processes, waiting for it as `wait` says: see [`Events::handle_events`]. Those that have
    /// ended are looked at no more.
    ///
    /// # Errors
    /// When the system fails us.
    pub fn handle_events(&self, wait: Wait) -> Result<Vec<Event>, OpenError> {
        let events = self.events.handle_events(wait)?;
        for event in &events {
            if let Event::Ended { process, .. } = event {
                self.watched().remove(process);
            }
        }
        Ok(events)
    }

    /// What wakes who waits in [`handle_events`](Self::handle_events).
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.events.waker()
    }

    /// The files of all modules that were needed so far.
    #[must_use]
    pub fn binaries(&self) -> &Arc<Binaries> {
        &self.binaries
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<ProcessId, Arc<Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.events.as_raw_fd()
    }
}
