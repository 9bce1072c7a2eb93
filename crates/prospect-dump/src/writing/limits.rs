//! What ends the writing of a dump before it is whole.

use std::{io, time::Instant};

use super::Progress;

/// Why no whole dump was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The process ended while it was written.
    #[error("the process has ended before all of its memory was read")]
    Gone,
    /// Where it was to be written to does not take it.
    #[error("cannot write: {0}")]
    Output(#[source] io::Error),
    /// It was [cancelled](Progress::cancel).
    #[error("cancelled")]
    Cancelled,
    /// It was not written when it [had to be](crate::elf_core::WriteOptions::deadline).
    #[error("it takes longer than the process may stand still")]
    Late,
    /// Cores are of Linux.
    #[error("a process of {0} cannot be in a core")]
    NotLinux(
        /// The system that it ran on.
        &'static str,
    ),
    /// The format has no form for registers of this architecture.
    #[error("minidumps have no place for the registers of {0}")]
    NoContext(
        /// Its name.
        &'static str,
    ),
    /// What must be within reach of 32 bits is not: streams of the user's, for one.
    #[error("streams of {0} bytes are too long for a minidump")]
    TooLong(
        /// How many.
        u64,
    ),
    /// A rule cannot be followed, and which.
    #[error("what is to be zeroed cannot be found: {0}")]
    Redaction(String),
    /// No thread could be started that reads.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// What may end the writing early.
pub(crate) struct Limits<'a> {
    pub(crate) progress: &'a Progress,
    pub(crate) deadline: Option<Instant>,
}

impl Limits<'_> {
    pub(crate) fn check(&self) -> Result<(), WriteError> {
        if self.progress.is_cancelled() {
            return Err(WriteError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(WriteError::Late),
            _ => Ok(()),
        }
    }
}
