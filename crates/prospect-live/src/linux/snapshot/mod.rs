//! A copy of a process that is made in a moment, and read at leisure.
//!
//! One thread of the process is made to do `clone`, as if it had wanted a copy of its process: the kernel copies page tables,
//! not memory, and marks pages so that whoever writes to one first gets a page of its own. All threads stand still for that,
//! and run on. The copy never runs. When it has been read it is ended, and a thread of the process is made to wait for it,
//! since a zombie would stay otherwise.
//!
//! - [`taking`] is the order of it; [`survey`] finds out what can be known before anything is stopped.
//! - [`vigil`] is what a second process does, the guardian: the thread and the copy are in its hands, so that the end of this
//!   program, at whatever moment, leaves nothing behind. [`guardian`] is our side of it, and they talk by [`channel`].
//! - [`borrowed`] makes a thread do a system call.
//! - Where both are killed in the middle of a call, the thread finds back by itself, and the copy ends ([`way`]): what is needed
//!   for that lies below the thread's stack.
//! - Where there is no room for it, the program outlives the guardian in turn: what a thread had before is known to both
//!   ([`replaced`]), and a thread whose guardian is killed waits where nothing can happen to it ([`parking`]) until the program
//!   has started another one.
//!
//! What the process can know of it: a child in its `children` and in the limits on processes while it lives; the
//! resources of it among those of its waited-for children (`getrusage`); `wait` with `__WALL` sees it. Time goes on while
//! it stands still.

pub(in crate::linux) mod borrowed;
mod channel;
mod error;
mod guardian;
mod headroom;
mod memory;
mod parking;
mod places;
mod raw;
mod register_copy;
pub(in crate::linux) mod replaced;
mod survey;
mod taking;
mod trouble;
mod vigil;
mod way;

use std::{ops::Range, sync::Arc, time::Duration};

use prospect_process::{Addr, FrozenProcess, ProcessId};

pub use error::{SnapshotError, Untaken};

/// What a snapshot is to have, and what it may cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotPlan {
    /// Whether floating point and vector registers are copied too.
    pub register_sets: bool,
    /// The longest time that the process may stand still. It is not stopped when it is known beforehand that it would be
    /// longer (see [`LiveProcess::snapshot_estimate`](crate::LiveProcess::snapshot_estimate)), and let go at once when its
    /// threads have taken longer to stop. The clone itself cannot be interrupted.
    pub max_pause: Option<Duration>,
    /// At most so many bytes are copied while the process stands still, of memory that a child does not get
    /// (`MADV_DONTFORK`, `MADV_WIPEONFORK`), and of [shared](Self::shared) memory. Each range is copied whole or not at all.
    pub copied_bytes: usize,
    /// Whether memory that is shared with others is copied while the process stands still. Else what is read of it is what it
    /// is when it is read.
    pub shared: bool,
    /// Go on also where there is little memory for what the process will write while the snapshot lives.
    pub even_if_memory_is_short: bool,
    /// Called with a name at each step, in this process and in the guardian, where nothing may be allocated.
    witness: vigil::Witness,
}

impl Default for SnapshotPlan {
    /// All registers, and what a child does not get up to 64 MiB.
    fn default() -> Self {
        Self {
            register_sets: true,
            max_pause: None,
            copied_bytes: 64 << 20,
            shared: false,
            even_if_memory_is_short: false,
            witness: None,
        }
    }
}

impl SnapshotPlan {
    /// The same, and whether floating point and vector registers are copied too.
    #[must_use]
    pub fn with_register_sets(mut self, copied: bool) -> Self {
        self.register_sets = copied;
        self
    }

    /// The same with another limit on how long the process may stand still.
    #[must_use]
    pub fn with_max_pause(mut self, most: Option<Duration>) -> Self {
        self.max_pause = most;
        self
    }

    /// The same with another limit on what is copied while the process stands still.
    #[must_use]
    pub fn with_copied_bytes(mut self, bytes: usize) -> Self {
        self.copied_bytes = bytes;
        self
    }

    /// The same, and whether shared memory is copied too.
    #[must_use]
    pub fn with_shared(mut self, copied: bool) -> Self {
        self.shared = copied;
        self
    }

    /// The same, and whether to go on where memory is short.
    #[must_use]
    pub fn even_if_memory_is_short(mut self, go_on: bool) -> Self {
        self.even_if_memory_is_short = go_on;
        self
    }

    /// For tests that end this program at each step of it.
    #[doc(hidden)]
    #[must_use]
    pub fn with_witness(mut self, witness: fn(&'static str)) -> Self {
        self.witness = Some(witness);
        self
    }

    fn pass(&self, point: &'static str) {
        if let Some(witness) = self.witness {
            witness(point);
        }
    }
}

/// A process as it was at one moment, all of its memory among it. It runs on.
#[derive(Debug)]
pub struct Snapshot {
    /// The process. Its memory can be read for as long as this or the rest of the snapshot lives.
    pub process: FrozenProcess,
    /// From when the first thread was asked to stop to when the last one was let go.
    pub pause: Duration,
    /// The copy, a child of the process.
    pub child: ProcessId,
    /// Memory that is shared with others and was not copied: what is read of it is what it is then.
    pub live: Vec<Range<Addr>>,
    /// Memory that is not in the snapshot: the child did not get it, and it was more than was to be copied.
    pub left_out: Vec<Range<Addr>>,
    _guardian: Arc<guardian::Guardian>,
}
