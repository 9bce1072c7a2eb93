//! What can go wrong with a live process as a whole.

use std::{fmt, io};

use prospect_process::{ProcessId, ThreadId};

use super::{
    permission::{self, Obstacle},
    procfs::ProcError,
};

/// Why a live process cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// There is none of that number.
    #[error("there is no process {0}")]
    NoSuchProcess(ProcessId),
    /// It has ended since it was opened. Its number may belong to another one by now.
    #[error("process {0} has ended")]
    Ended(ProcessId),
    /// It has no thread of that number.
    #[error("there is no thread {0}")]
    NoSuchThread(ThreadId),
    /// The system does not let us trace it.
    #[error("{}", Refusal { process: *process, obstacles })]
    Refused {
        /// The process.
        process: ProcessId,
        /// What stands in the way, as far as that can be found out.
        obstacles: Vec<Obstacle>,
        /// What the system said.
        source: io::Error,
    },
    /// A program cannot hold itself: the thread that would look stands still too.
    #[error("process {0} is this program itself, which cannot hold itself still")]
    Itself(ProcessId),
    /// The system does not let us send it a signal.
    #[error("cannot send process {process} a signal: {source}")]
    NotSignalled {
        /// The process.
        process: ProcessId,
        /// What the system said.
        source: io::Error,
    },
    /// Its end cannot be waited for: on kernels before Linux 5.3, and where a number is that of a thread.
    #[error("process {process} cannot be waited for (pidfd_open, Linux 5.3): {source}")]
    NoDescriptor {
        /// The process.
        process: ProcessId,
        /// What the system said.
        source: io::Error,
    },
    /// Events of processes cannot be waited for at all.
    #[error("cannot wait for events: {0}")]
    Events(#[source] io::Error),
    /// A thread has not stopped in time.
    #[error("thread {0} has not stopped in time")]
    NotStopped(ThreadId),
    /// What `/proc` says of it cannot be read.
    #[error(transparent)]
    Proc(ProcError),
    /// A signal that was to ask this program's threads has a handler already, which is not replaced.
    #[error("signal {0} has a handler already, which is not replaced")]
    SignalTaken(i32),
    /// Every real-time signal has a handler already.
    #[error("every real-time signal has a handler already, so that there is none to ask threads with")]
    NoFreeSignal,
    /// A signal cannot be handled.
    #[error("signal {signal} cannot be handled: {source}")]
    Signal {
        /// Its number.
        signal: i32,
        /// What the system said.
        source: io::Error,
    },
    /// Another thread of this program was looking at all of its threads until the deadline.
    #[error(
        "this program is being frozen by another thread of its own, which did not end before the deadline"
    )]
    OwnTurn,
    /// There is no memory to copy stacks into.
    #[error("no memory to copy stacks into: {0}")]
    NoMemory(#[source] io::Error),
    /// No thread could be started to hold it from.
    #[error("cannot start a tracer thread: {0}")]
    Tracer(#[source] io::Error),
}

struct Refusal<'a> {
    process: ProcessId,
    obstacles: &'a [Obstacle],
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} may not be traced", self.process)?;
        self.obstacles
            .iter()
            .enumerate()
            .try_for_each(|(index, obstacle)| write!(f, "{} {obstacle}", if index == 0 { ":" } else { ";" }))
    }
}

impl LiveError {
    /// The refusal of a request to trace a process, with what stands in the way.
    pub(crate) fn refused(process: ProcessId, source: io::Error) -> Self {
        Self::Refused { process, obstacles: permission::diagnose(process), source }
    }
}

impl From<ProcError> for LiveError {
    fn from(error: ProcError) -> Self {
        match error {
            ProcError::NoSuchProcess(process) => Self::NoSuchProcess(process),
            ProcError::NoSuchThread(thread) => Self::NoSuchThread(thread),
            other => Self::Proc(other),
        }
    }
}
