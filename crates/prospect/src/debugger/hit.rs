//! What is told of a hit.

use std::time::Duration;

use prospect_debug::breakpoint::BreakpointId;
use prospect_process::{Addr, Process, ProcessId, ThreadId, control::Event};

use crate::Session;

/// A hit that counts.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Hit {
    /// Of which breakpoint.
    pub breakpoint: BreakpointId,
    /// In which process.
    pub process: ProcessId,
    /// By which thread.
    pub thread: ThreadId,
    /// When, by the clock that does not jump (`CLOCK_MONOTONIC`).
    pub time: Duration,
    /// Where the thread was; `None` at what has no place.
    pub at: Option<Addr>,
    /// The name of the system call or signal that it was.
    pub name: Option<String>,
    /// The log, the arguments, the values, what was thrown.
    pub text: Option<String>,
}

/// All stand.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Stop {
    /// What has happened.
    pub event: Event,
    /// The breakpoints that stop.
    pub hits: Vec<Hit>,
    /// Watched variables whose frame has ended: their breakpoints are gone.
    pub out_of_scope: Vec<BreakpointId>,
    /// What went wrong: conditions without a value.
    pub problems: Vec<String>,
}

/// Where a handler looks at a hit: all stand.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The process.
    pub process: &'a dyn Process,
    /// What names mean in it ([`Session::at_moment`]).
    pub session: &'a Session,
    /// The thread that hit.
    pub thread: ThreadId,
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// What a handler says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// All stop, and it is told.
    Stop,
    /// It goes on.
    GoOn,
}

/// Says what comes of a hit.
pub type Handler = Box<dyn FnMut(&Hit, Moment<'_>) -> Decision + Send>;
