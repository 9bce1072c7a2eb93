//! What happens in a target.

use std::time::Duration;

use super::TrapId;
use crate::{Addr, ProcessId, Registers, ThreadId, agent::AgentFault};

/// Something that happened, for which all stand.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// In which process.
    pub process: ProcessId,
    /// In which of its threads; where it is of the process as a whole, its first.
    pub thread: ThreadId,
    /// What.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EventKind {
    /// Traps were hit whose filters say to stop. The thread stands before the instruction where the place is code, behind the one that
    /// accessed it where it is data.
    Trapped {
        /// Which, in the order in which they were set.
        traps: Vec<TrapId>,
        /// Conditions that had no value, and why. A trap whose condition has none stops.
        faults: Vec<(TrapId, AgentFault)>,
    },
    /// A breakpoint instruction that nobody here has set.
    ForeignTrap,
    /// A step is done ([`Action::Step`](super::Action::Step)), or has left its range.
    Stepped,
    /// A signal is about to be delivered. It is with the next resume, unless [`Action`](super::Action) says another.
    Signal {
        /// Its number.
        signal: i32,
        /// Its `siginfo_t`, 128 bytes in the form of the process's architecture.
        info: Box<[u8]>,
    },
    /// Job control has stopped the process.
    JobStopped(i32),
    /// A system call is about to be done.
    CallEntry {
        /// Its number, as this architecture numbers them.
        number: u64,
        /// Its arguments.
        arguments: [u64; 6],
    },
    /// A system call is done.
    CallExit {
        /// Its number; `None` where its beginning was not seen.
        number: Option<u64>,
        /// What it returns, errors as negative numbers.
        result: i64,
    },
    /// A new thread, at its first instruction.
    ThreadCreated(ThreadId),
    /// A thread is about to end, or has ended.
    ThreadExited,
    /// A new process, which stands at its first instruction; under control where [`Follow`](super::Follow) says so.
    Forked {
        /// Its number.
        child: ProcessId,
        /// How it was made.
        by: NewProcess,
    },
    /// Another program begins in the process. All its other threads have ended, and the one that did it has become the first.
    Executed {
        /// The number that the thread had before.
        former: ThreadId,
    },
    /// The process has ended.
    Ended(Ending),
    /// The interrupter was used.
    Interrupted,
    /// A recording has no more in that direction.
    HistoryEnd,
}

/// How a process was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NewProcess {
    /// `fork`, or `clone` with `SIGCHLD`.
    Fork,
    /// `vfork`: it uses its parent's memory until it executes a program or ends.
    Vfork,
    /// `clone` with another signal or none.
    Clone,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ending {
    /// It ended by itself, with this status.
    Exited(i32),
    /// A signal has ended it.
    Signalled(i32),
    /// It is not known, since somebody else was told.
    Unknown,
}

/// What a trap has collected at one hit.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record {
    /// Which trap.
    pub trap: TrapId,
    /// In which process.
    pub process: ProcessId,
    /// Which thread hit it.
    pub thread: ThreadId,
    /// When, by the clock that does not jump (`CLOCK_MONOTONIC`).
    pub time: Duration,
    /// Those registers that were asked for.
    pub registers: Registers,
    /// The memory that was asked for, in that order.
    pub memory: Vec<(Addr, Vec<u8>)>,
    /// Why what was to be collected is not all here.
    pub fault: Option<AgentFault>,
}
