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
    /// A program cannot stop itself: the thread that would look stands still too.
    #[error("process {0} is this program itself, which cannot stop itself")]
    Itself(ProcessId),
    /// Another stop by this program holds one thread of it.
    #[error("one thread of process {0} is held by another stop of this program")]
    PartlyHeld(ProcessId),
    /// A thread has not stopped in time.
    #[error("thread {0} has not stopped in time")]
    NotStopped(ThreadId),
    /// What `/proc` says of it cannot be read.
    #[error(transparent)]
    Proc(ProcError),
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
