//! What cannot be done.

use crate::{MemoryError, ProcessId, ThreadId};

/// Why a target could not be made to do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No process of that number is under this control, or any more.
    #[error("process {0} is not under control: it was let go, or never taken")]
    NotControlled(ProcessId),
    /// The process has ended.
    #[error("process {0} has ended")]
    Exited(ProcessId),
    /// No process is left.
    #[error("there is no process left to run")]
    NothingLeft,
    /// The thread does not stand, has ended, or is of no process under this control.
    #[error("thread {0} is not stopped")]
    NotStopped(ThreadId),
    /// Memory could not be written or read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system refused something.
    #[error("cannot {doing}: {error}")]
    System {
        /// What was attempted, as it stands behind "cannot".
        doing: String,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// What holds the target has ended or does not answer.
    #[error("the tracer of the target has ended: {0}")]
    TracerGone(String),
    /// This target cannot do it.
    #[error("this target cannot {0}")]
    Unsupported(String),
}

/// Why a trap could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrapError {
    /// This target has no such traps.
    #[error("this target has no {0}")]
    Unsupported(String),
    /// All debug registers of the processor are taken.
    #[error("no debug register is left: {0} are there, and all are in use")]
    NoRegisterLeft(usize),
    /// A debug register watches 1, 2, 4 or 8 bytes at an address that is a multiple of that.
    #[error("{bytes} bytes at {at} cannot be watched: it must be 1, 2, 4 or 8, at a multiple of that")]
    Unaligned {
        /// Where.
        at: crate::Addr,
        /// How many.
        bytes: u8,
    },
    /// The memory there cannot be read or written.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The target itself cannot be made to do anything.
    #[error(transparent)]
    Control(#[from] ControlError),
}
