//! Ctrl-C ends a dump in good order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use prospect::{
    dump::elf_core::Progress,
    live::{self, LiveError},
};

/// Whether the user wants it to end.
pub(crate) struct Interrupted(&'static AtomicBool);

impl Interrupted {
    /// From now on, the first Ctrl-C cancels what is being written, and the second one ends the program.
    pub(crate) fn watch() -> Result<Self, LiveError> {
        live::interrupts().map(Self)
    }

    /// What is to be written next.
    pub(crate) fn next(&self) -> Arc<Progress> {
        Arc::new(Progress::new().cancelled_by(self.0))
    }

    /// Whether there was a Ctrl-C.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
