//! Why there is no snapshot.

use std::{io, time::Duration};

use prospect_process::{ProcessId, ThreadId};

use super::trouble::Trouble;
use crate::linux::{LiveError, procfs::ProcError};

/// Why a process has no snapshot. In each case it runs on as it did before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It cannot be looked at, or held still, in the first place.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// It has no memory of its own: a thread of the kernel, or a zombie.
    #[error("process {0} has no memory of its own")]
    NoMemory(ProcessId),
    /// The stop would take longer than was permitted; nothing was stopped, or it goes on already.
    #[error("the process would stand still for about {estimate:?}, longer than {most:?}")]
    TooLong {
        /// How long it would take.
        estimate: Duration,
        /// How long it may.
        most: Duration,
    },
    /// What the process writes while there is a snapshot takes memory, and there is little of that.
    #[error(
        "memory is short: {available} bytes are left, and a process with {own} bytes of its own may need {needed}"
    )]
    MemoryShort {
        /// How many bytes are left, to its memory cgroup or the system.
        available: u64,
        /// How many it has of its own.
        own: u64,
        /// How many are to be left.
        needed: u64,
    },
    /// Its control group is frozen, so that no thread of it runs.
    #[error("process {0} is frozen by its control group")]
    Frozen(ProcessId),
    /// No thread of it can be made to clone it.
    #[error("no thread can be made to clone the process{}", Tried(tried))]
    NoThread {
        /// Each thread that was tried, and why not.
        tried: Vec<(ThreadId, Untaken)>,
    },
    /// A thread was held, and has not come to the call.
    #[error("the thread that was to clone the process could not: {0}")]
    NoCall(Untaken),
    /// The kernel did not clone it: `EAGAIN` for a limit on processes (`RLIMIT_NPROC`, `pids.max`), `ENOMEM` for memory
    /// (`vm.overcommit_memory`).
    #[error("the kernel does not clone the process: {0}{hint}", hint = clone_hint(.0))]
    Clone(#[source] io::Error),
    /// This thread has not stopped in time or is traced by another, and would have written to the memory meanwhile.
    #[error("thread {0} cannot be stopped, or not in time")]
    NotStopped(ThreadId),
    /// No guardian could be started, or it does not answer.
    #[error("the process that guards the snapshot: {0}")]
    Guardian(#[source] io::Error),
}

impl From<ProcError> for SnapshotError {
    fn from(error: ProcError) -> Self {
        Self::Live(error.into())
    }
}

/// Why a thread was not made to do a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untaken {
    /// The system refuses, with this number.
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    Refused(i32),
    /// It has ended.
    #[error("it has ended")]
    Ended,
    /// It has not stopped, or not run, in time.
    #[error("it did not stop or run in time")]
    Late,
    /// seccomp filters its system calls, and we may not suspend that (`CAP_SYS_ADMIN`, Linux 4.3 with
    /// `CONFIG_CHECKPOINT_RESTORE`).
    #[error("it filters its system calls (seccomp), which may be suspended with CAP_SYS_ADMIN only")]
    Filter,
    /// It is in state `D`, or traced by somebody else.
    #[error("it waits where nothing wakes it, or is traced already")]
    Unusable,
    /// It runs code of a kind of which it is not known how it does system calls.
    #[error("how its code does system calls is not known")]
    Unknown,
    /// No instruction for system calls is in its reach.
    #[error("there is no instruction for system calls in its reach")]
    NoInstruction,
    /// Signals or stops came first, again and again.
    #[error("something else happened to it again and again")]
    Disturbed,
}

impl From<Trouble> for Untaken {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::System(number) => Self::Refused(number),
            Trouble::Ended => Self::Ended,
            Trouble::Late => Self::Late,
            Trouble::Filter => Self::Filter,
            Trouble::Unusable => Self::Unusable,
            Trouble::Unknown => Self::Unknown,
            Trouble::NoInstruction => Self::NoInstruction,
            Trouble::Disturbed => Self::Disturbed,
        }
    }
}

fn clone_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => " (a limit on processes: RLIMIT_NPROC, pids.max)",
        Some(libc::ENOMEM) => " (memory, or vm.overcommit_memory)",
        _ => "",
    }
}

/// The first few, which tell it all.
struct Tried<'a>(&'a [(ThreadId, Untaken)]);

impl std::fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 3;
        for (thread, why) in self.0.iter().take(SHOWN) {
            write!(f, "; thread {thread}: {why}")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, "; and {more} more"),
            _ => Ok(()),
        }
    }
}
