//! How threads go on.

use std::ops::Range;

use crate::{Addr, ProcessId, ThreadId};

/// What one thread is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Stand.
    Stay,
    /// Run. A signal that it was about to get, it gets.
    Continue,
    /// Run, with this signal in place of the one that it was about to get; 0 for none.
    ContinueWith(i32),
    /// Run one instruction. A system call is one; a signal's handler is entered and nothing of it run.
    Step,
    /// Run instruction by instruction until it stands outside of these, without an event in between but for what stops
    /// it otherwise. So a line is stepped through without asking anybody.
    StepWhileIn(Vec<Range<Addr>>),
}

/// What all threads are to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Resume {
    /// Those that are chosen.
    pub chosen: Vec<(ThreadId, Action)>,
    /// All the others, of all processes. New threads run.
    pub others: Action,
}

impl Resume {
    /// All run.
    #[must_use]
    pub fn all() -> Self {
        Self { chosen: Vec::new(), others: Action::Continue }
    }

    /// One does this, and all others run.
    #[must_use]
    pub fn thread(thread: ThreadId, action: Action) -> Self {
        Self { chosen: vec![(thread, action)], others: Action::Continue }
    }

    /// One does this, and all others stand.
    #[must_use]
    pub fn only(thread: ThreadId, action: Action) -> Self {
        Self { chosen: vec![(thread, action)], others: Action::Stay }
    }

    /// What a thread is to do.
    #[must_use]
    pub fn action(&self, thread: ThreadId) -> &Action {
        let chosen = self.chosen.iter().find(|(chosen, _)| *chosen == thread);
        chosen.map_or(&self.others, |(_, action)| action)
    }
}

/// Which of the two stays under control when a process makes another one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Follow {
    /// The one that made it; the new one runs, without any trap.
    #[default]
    Parent,
    /// The new one; the one that made it is let go.
    Child,
    /// Both.
    Both,
}

/// How a process is left that is let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Leave {
    /// As it would be without us: running, or stopped by job control.
    AsItWas,
    /// Stopped by job control (`SIGSTOP`).
    Stopped,
}

impl From<ProcessId> for ThreadId {
    /// The number of a process's first thread is that of the process.
    fn from(process: ProcessId) -> Self {
        Self(process.0)
    }
}
