//! What one session looks at.

use crate::{
    Process, ProcessId,
    control::{Control, Recording},
};

/// What could not be had from a target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The target has no process of that number.
    #[error("no process {0} in this target")]
    NoSuchProcess(ProcessId),
}

/// What one session looks at: a live process, a dump, the far end of a wire.
///
/// A view of a stopped process borrows its target, so that it cannot be used after the process ran.
pub trait Target {
    /// Its processes.
    fn processes(&self) -> &[ProcessId];

    /// One of them.
    ///
    /// # Errors
    /// When there is none of that number.
    fn process(&self, id: ProcessId) -> Result<&dyn Process, TargetError>;

    /// What makes it run and stop; `None` where there is nothing to run, as in a dump.
    fn control(&mut self) -> Option<&mut dyn Control> {
        None
    }

    /// What goes to and fro in its time; `None` where it has no past.
    fn recording(&mut self) -> Option<&mut dyn Recording> {
        None
    }
}
