//! The thread that holds a process still.
//!
//! Linux ties a tracee to the *thread* that traces it: only that one can read registers or let the tracee
//! go, and when it ends, all its tracees are free. So each stop has a thread of its own, and whoever asked
//! for the stop may be any thread, or several.

use std::{
    io,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use prospect_process::{FrozenThread, Mappings, ProcessId, ThreadId};

use super::{LiveError, attachment::Attachment, procfs::RepeatedMap, ptrace};

/// What a stop found.
pub(crate) struct Stop {
    pub(crate) threads: Vec<FrozenThread>,
    pub(crate) mappings: Mappings,
}

/// Holds a process still until it is dropped.
#[derive(Debug)]
pub(crate) struct Tracer {
    /// Closing it lets the process go.
    release: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Option<Duration>>>,
}

impl Tracer {
    /// Stops a process, or one of its threads, and holds it.
    pub(crate) fn hold(
        process: ProcessId,
        only: Option<ThreadId>,
        deadline: Instant,
    ) -> Result<(Self, Vec<FrozenThread>), LiveError> {
        let (release, released) = mpsc::channel();
        let (report, reported) = mpsc::sync_channel(1);
        let thread = spawn(move || match stop(process, only, deadline) {
            Err(error) => {
                let _ = report.send(Err(error));
                None
            }
            Ok(mut attachment) => {
                if report.send(Ok(attachment.take_threads())).is_ok() {
                    // Nothing is ever sent: this ends when the other half is dropped.
                    let _ = released.recv();
                }
                attachment.release()
            }
        })?;
        let tracer = Self { release: Some(release), thread: Some(thread) };
        let threads = reported.recv().map_err(|_| LiveError::Tracer(io::ErrorKind::Other.into()))??;
        Ok((tracer, threads))
    }

    /// Lets the process go, and says for how long it was held; `None` when no thread of it was.
    pub(crate) fn release(mut self) -> Option<Duration> {
        self.end()
    }

    fn end(&mut self) -> Option<Duration> {
        drop(self.release.take());
        self.thread.take()?.join().ok()?
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Stops a process, gives it to `look`, and lets it go. Says what `look` returned and how long the process
/// was held.
pub(crate) fn stopped_while<T: Send>(
    process: ProcessId,
    deadline: Instant,
    look: impl FnOnce(Stop) -> T + Send,
) -> Result<(T, Option<Duration>), LiveError> {
    thread::scope(|scope| {
        let work = || {
            let map = RepeatedMap::new(process);
            let mut attachment = stop(process, None, deadline)?;
            let mappings = map.now(process);
            let result = look(Stop { threads: attachment.take_threads(), mappings });
            Ok((result, attachment.release()))
        };
        let thread = thread::Builder::new().name("tracer".into()).spawn_scoped(scope, work);
        let thread = thread.map_err(LiveError::Tracer)?;
        thread.join().unwrap_or_else(|_| Err(LiveError::Tracer(io::ErrorKind::Other.into())))
    })
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, LiveError> {
    thread::Builder::new().name("tracer".into()).spawn(work).map_err(LiveError::Tracer)
}

fn stop(process: ProcessId, only: Option<ThreadId>, deadline: Instant) -> Result<Attachment, LiveError> {
    ptrace::hurry();
    Attachment::stop(process, only, deadline)
}
