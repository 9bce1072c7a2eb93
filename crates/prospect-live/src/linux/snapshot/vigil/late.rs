//! Threads that were asked to stop, and did not in time.

use prospect_process::ThreadId;

/// A few threads, by number.
#[derive(Default)]
pub(super) struct Late {
    threads: [u32; 32],
}

impl Late {
    fn slot(&mut self, number: u32) -> Option<&mut u32> {
        self.threads.iter_mut().find(|one| **one == number)
    }

    pub(super) fn has_room(&mut self) -> bool {
        self.slot(0).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.threads.iter().all(|one| *one == 0)
    }

    pub(super) fn add(&mut self, thread: ThreadId) {
        if let Some(slot) = self.slot(0) {
            *slot = thread.0;
        }
    }

    /// Whether it was one of them; now it is not.
    pub(super) fn remove(&mut self, thread: ThreadId) -> bool {
        self.slot(thread.0).map(|slot| *slot = 0).is_some()
    }
}
