//! What happens to processes that nobody is attached to.

use std::{
    collections::HashMap,
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prospect_process::ProcessId;

use super::{
    LiveError, LiveProcess,
    epoll::{Bell, Epoll},
    identity::Identity,
    interrupt,
};

/// The key of the bell: no process has the number 0.
const BELL: u64 = 0;

/// The ends of processes, waited for at one place, without being attached to them: they run as if nobody was there.
///
/// It has one descriptor for all of them ([`AsFd`]), which is readable when there is something to handle, and may be
/// waited for with `poll`, `select` or another epoll; [`handle_events`](Self::handle_events) then says what. It may be used
/// from several threads; each event is given to one of them.
///
/// ```no_run
/// # fn main() -> Result<(), prospect_live::LiveError> {
/// use std::time::Duration;
/// use prospect_live::{Events, LiveProcess, Wait};
///
/// let process = LiveProcess::open(prospect_process::ProcessId(1234))?;
/// let events = Events::new()?;
/// events.add(&process)?;
/// while !events.is_empty() {
///     for event in events.handle_events(Wait::AtMost(Duration::from_secs(5)))? {
///         println!("{event}");
///     }
///     // Look at the process here.
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    epoll: Epoll,
    bell: Arc<Bell>,
    watched: Mutex<HashMap<ProcessId, Arc<Identity>>>,
}

/// How long [`Events::handle_events`] waits when there is nothing to handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Not at all.
    No,
    /// For so long.
    AtMost(Duration),
    /// Until there is something.
    Forever,
}

/// Something that has happened to a process.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It has ended, and is watched no more.
    Ended {
        /// The process.
        process: ProcessId,
        /// How.
        ending: Ending,
    },
    /// Somebody [woke](Waker::wake) who waits.
    Woken,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal.
    Killed {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
    /// The system does not say: its parent has waited for it, and the kernel is older than Linux 6.15; or it belongs to
    /// somebody else.
    Unknown,
}

/// Wakes who waits in [`Events::handle_events`], from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Bell>);

impl Events {
    /// A set without processes.
    ///
    /// # Errors
    /// When the system has no room for more descriptors.
    pub fn new() -> Result<Self, LiveError> {
        let make = || {
            let (epoll, bell) = (Epoll::new()?, Bell::new()?);
            epoll.add(bell.as_fd(), BELL)?;
            Ok(Self { epoll, bell: Arc::new(bell), watched: Mutex::default() })
        };
        make().map_err(LiveError::Events)
    }

    /// Waits for the end of this process too, also when it has come already. Adding it twice is as adding it once.
    ///
    /// # Errors
    /// When the system cannot watch it: see [`LiveError::NoDescriptor`].
    pub fn add(&self, process: &LiveProcess) -> Result<(), LiveError> {
        let (identity, id) = (process.identity(), process.info().id);
        let mut watched = self.watched();
        match watched.get(&id) {
            Some(known) if Arc::ptr_eq(known, identity) => return Ok(()),
            // The same number, opened again: maybe another process.
            Some(known) => self.forget(known),
            None => {}
        }
        watched.remove(&id);
        let descriptor = identity.descriptor().map_err(|error| LiveError::NoDescriptor {
            process: id,
            source: error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error),
        })?;
        self.epoll.add(descriptor, id.0.into()).map_err(LiveError::Events)?;
        watched.insert(id, identity.clone());
        Ok(())
    }

    /// Waits for the end of this process no more. Says whether it was waited for.
    pub fn remove(&self, process: ProcessId) -> bool {
        let removed = self.watched().remove(&process);
        removed.iter().for_each(|identity| self.forget(identity));
        removed.is_some()
    }

    /// The processes that are watched: none of them has been reported to have ended.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessId> {
        let mut processes: Vec<ProcessId> = self.watched().keys().copied().collect();
        processes.sort_unstable();
        processes
    }

    /// Whether no process is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watched().is_empty()
    }

    /// What has happened since this was called last, waiting for it as `wait` says. Nothing when the time is over.
    ///
    /// # Errors
    /// When the system fails us.
    pub fn handle_events(&self, wait: Wait) -> Result<Vec<Event>, LiveError> {
        let until = match wait {
            Wait::No => Some(Instant::now()),
            // A time that no clock reaches is for ever.
            Wait::AtMost(timeout) => Instant::now().checked_add(timeout),
            Wait::Forever => None,
        };
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let ready = self.epoll.wait(left).map_err(LiveError::Events)?;
            let woken = ready.contains(&BELL) && self.bell.answer();
            let ended = ready.iter().filter_map(|key| self.take_ended(ProcessId(u32::try_from(*key).ok()?)));
            let ended = ended.map(|identity| Event::ended(&identity));
            let events: Vec<Event> = ended.chain(woken.then_some(Event::Woken)).collect();
            if !events.is_empty() || left.is_some_and(|left| left.is_zero()) {
                return Ok(events);
            }
        }
    }

    /// What wakes who waits here. Woken when nobody waits, the next one to wait returns at once.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(self.bell.clone())
    }

    fn take_ended(&self, process: ProcessId) -> Option<Arc<Identity>> {
        let mut watched = self.watched();
        // Another thread may have taken it; and there may be another one of that number already.
        watched.get(&process).filter(|identity| identity.has_ended())?;
        let identity = watched.remove(&process)?;
        self.forget(&identity);
        Some(identity)
    }

    fn forget(&self, identity: &Identity) {
        if let Ok(descriptor) = identity.descriptor() {
            // It is there, or was never.
            let _ = self.epoll.remove(descriptor);
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<ProcessId, Arc<Identity>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Waker {
    /// Makes [`Events::handle_events`] return, with [`Event::Woken`].
    pub fn wake(&self) {
        self.0.ring();
    }

    /// From now on, the first `SIGINT` (Ctrl-C) or `SIGTERM` of this program [wakes](Self::wake), and only the second one
    /// ends it. This is for the program as a whole; of several wakers, the last one has it.
    ///
    /// # Errors
    /// When the system fails us.
    pub fn wake_on_interrupt(&self) -> Result<(), LiveError> {
        interrupt::ring_on_interrupt(self.0.clone()).map_err(LiveError::Events)
    }
}

impl Event {
    /// The process that it happened to, where it happened to one.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        match self {
            Self::Ended { process, .. } => Some(*process),
            Self::Woken => None,
        }
    }

    fn ended(identity: &Identity) -> Self {
        Self::Ended { process: identity.process(), ending: identity.ending() }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { process, ending: Ending::Unknown } => write!(f, "process {process} has ended"),
            Self::Ended { process, ending } => write!(f, "process {process} has ended {ending}"),
            Self::Woken => f.write_str("woken"),
        }
    }
}

impl Ending {
    /// From what `wait` reports of a process that has ended (`man 2 wait`).
    pub(crate) fn from_status(status: i32) -> Self {
        if libc::WIFEXITED(status) {
            Self::Exited(libc::WEXITSTATUS(status))
        } else if libc::WIFSIGNALED(status) {
            Self::Killed { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "with exit code {code}"),
            Self::Killed { signal, core_dumped: false } => write!(f, "by signal {signal}"),
            Self::Killed { signal, core_dumped: true } => write!(f, "by signal {signal}, with a core dump"),
            Self::Unknown => f.write_str("in a way that is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_as_the_manual_says() {
        assert_eq!(Ending::from_status(3 << 8), Ending::Exited(3));
        assert_eq!(Ending::from_status(9), Ending::Killed { signal: 9, core_dumped: false });
        assert_eq!(Ending::from_status(0x80 | 11), Ending::Killed { signal: 11, core_dumped: true });
        assert_eq!(Ending::from_status(0x137f), Ending::Unknown);
        assert_eq!(Ending::from_status(3 << 8).to_string(), "with exit code 3");
    }
}
