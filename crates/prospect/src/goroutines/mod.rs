//! The goroutines of a Go program: what runs in it, whether or not a thread runs it.
//!
//! The list is the runtime's own (`runtime.allgs`). Where its fields are depends on the release, and is in a table for those
//! that are known; where it lies is found by what it leads to, so that programs may be stripped.

mod layout;
mod read;
mod runtime;
mod walk;

use std::{fmt, time::Duration};

use prospect_process::{Addr, ThreadId};
use prospect_stack::Stack;
use prospect_symbols::GoRelease;

pub(crate) use read::RawGoroutines;
pub(crate) use runtime::GoRuntime;
pub(crate) use walk::goroutines;

use crate::{Call, FrameName, Names, stacks::calls};

/// Why there is no list of goroutines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoroutinesError {
    /// Nothing of it was made by Go, as far as its files tell.
    #[error("goroutines: no Go program is in the process, or its file cannot be had")]
    NotGo,
    /// The program does not say what it was built with.
    #[error("goroutines are unsupported: the program does not say which release of Go built it")]
    NoRelease,
    /// It was built with a release, or for a machine, whose runtime is not known.
    #[error("goroutines are unsupported: the program was built with {release}; they are known for {known}")]
    Unsupported {
        /// What it was built with.
        release: GoRelease,
        /// What is known.
        known: &'static str,
    },
    /// The runtime's data about the program were not found in its file.
    #[error(
        "goroutines are unsupported: the module data of the Go runtime are not where they were looked for"
    )]
    NoModuleData,
    /// None of the runtime's variables is a list of goroutines.
    #[error("goroutines: the runtime's list of them was not found; the program may not have started yet")]
    NoList,
}

/// The goroutines of a process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Goroutines {
    /// The release of Go that the program was built with.
    pub release: GoRelease,
    /// All that are alive, in the order in which the runtime has them; those that are dead wait to be used again.
    pub all: Vec<Goroutine>,
    /// How many could not be read.
    pub unread: u64,
}

/// A goroutine and its stack.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Goroutine {
    /// Its number, which no other gets while the program runs.
    pub id: u64,
    /// What it does.
    pub state: GoroutineState,
    /// What it waits for, in the runtime's own words; `None` where it does not wait, or for no known reason.
    pub wait_reason: Option<&'static str>,
    /// For how long it has waited at least: since the garbage collector first came by. `None` where it has not yet.
    pub waiting: Option<Duration>,
    /// The thread that runs it or is its own.
    pub thread: Option<ThreadId>,
    /// Whether it belongs to the runtime, and `runtime.Stack` does not show it.
    pub is_system: bool,
    /// The goroutine that made it; `None` of the first one, and up to Go 1.20.
    pub parent: Option<u64>,
    /// Where it was made: the address behind the `go` statement's call.
    pub created_at: Option<Addr>,
    /// Its frames, and why there are no more of them.
    pub stack: Stack,
    /// What is known of each frame's address, in the order of the frames.
    pub names: Vec<FrameName>,
    /// What is known of where it was made.
    pub created_by: FrameName,
}

/// What a goroutine does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum GoroutineState {
    /// It is being made.
    Idle,
    /// It could run, and waits for a thread.
    Runnable,
    /// It runs.
    Running,
    /// It is in a system call, or in C.
    SystemCall,
    /// It waits for something.
    Waiting,
    /// Its stack is being moved.
    CopyingStack,
    /// It was stopped for the garbage collector or the like.
    Preempted,
    /// It waits for what nobody can do any more, the garbage collector says.
    Leaked,
    /// It is in a state that is not known.
    Unknown,
}

impl GoroutineState {
    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Runnable => "runnable",
            Self::Running => "running",
            Self::SystemCall => "syscall",
            Self::Waiting => "waiting",
            Self::CopyingStack => "copystack",
            Self::Preempted => "preempted",
            Self::Leaked => "leaked",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for GoroutineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Goroutine {
    /// Its calls, inlined ones too, the innermost one first.
    pub fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        calls(&self.stack.frames, &self.names, &self.stack.explanations)
    }

    /// The function that made it, and its place in the source.
    #[must_use]
    pub fn creator(&self) -> Option<(&str, Option<&str>, Option<u32>)> {
        let frame = self.created_by.resolved.frames.first()?;
        Some((frame.function.as_deref()?, frame.file.as_deref(), frame.line))
    }

    /// The addresses that it wants names for.
    pub fn addresses(&self) -> impl Iterator<Item = Addr> {
        let frames = self.stack.frames.iter().map(|frame| frame.for_lookup());
        frames.chain(self.created_at.map(before))
    }

    /// Gives its frames the names of their addresses, where there are any.
    pub fn take_names(&mut self, names: &Names) {
        for (frame, name) in self.stack.frames.iter().zip(&mut self.names) {
            name.take(names, frame.for_lookup());
        }
        if let Some(at) = self.created_at {
            self.created_by.take(names, before(at));
        }
    }
}

/// An address within the call that returns to `at`.
fn before(at: Addr) -> Addr {
    Addr(at.0.wrapping_sub(1))
}
