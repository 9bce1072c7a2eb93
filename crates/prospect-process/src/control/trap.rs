//! Places where a target is to stop, or to tell something.

use crate::{Addr, RegisterId, ThreadId, agent::AgentExpression};

/// A trap that was set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrapId(pub u64);

/// What stops a thread, and what then comes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Trap {
    /// Where, or at what.
    pub place: TrapPlace,
    /// What is done there.
    pub filter: Filter,
}

/// Where, or at what, a thread stops.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TrapPlace {
    /// Before an instruction.
    Code {
        /// Where it begins.
        at: Addr,
        /// Whether by a debug register of the processor, without changing a byte of the code.
        hardware: bool,
    },
    /// Behind an instruction that accesses memory.
    Data {
        /// Where.
        at: Addr,
        /// How many bytes: 1, 2, 4 or 8, at a multiple of that.
        bytes: u8,
        /// How.
        access: DataAccess,
    },
    /// At a system call.
    Call {
        /// Which, as the architecture numbers them.
        numbers: Numbers,
        /// When.
        phase: CallPhase,
    },
    /// At a signal, before it is delivered.
    Signal(Numbers),
    /// At a new process.
    Fork,
    /// At the first instruction of another program.
    Exec,
    /// At a thread's first instruction.
    ThreadCreated,
    /// Where a thread ends.
    ThreadExited,
}

/// Which access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DataAccess {
    /// Writes.
    Write,
    /// Reads and writes.
    Any,
}

/// Which numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Numbers {
    /// All.
    All,
    /// These.
    Only(Vec<u32>),
}

impl Numbers {
    /// Whether a number is one of them.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        match self {
            Self::All => true,
            Self::Only(numbers) => numbers.contains(&number),
        }
    }
}

/// When at a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CallPhase {
    /// Before it is done.
    Entry,
    /// When it is done.
    Exit,
    /// Both.
    Both,
}

/// What is done at a trap, in this order, without anybody being asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Filter {
    /// Only this thread's hits count.
    pub thread: Option<ThreadId>,
    /// Only hits count where this is not 0. Where it has no value, the thread stops.
    pub condition: Option<AgentExpression>,
    /// So many hits that count are passed over first.
    pub ignore: u64,
    /// Traps with the same number are places of one thing: their hits are counted together, for [`ignore`](Self::ignore) and
    /// [`Then::StopAt`]. `None`: this one alone.
    pub together: Option<u32>,
    /// What is kept of a hit: [`Control::take_records`](super::Control::take_records).
    pub collect: Option<Collection>,
    /// And then.
    pub then: Then,
}

/// What comes of a hit in the end.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Then {
    /// All stop, and it is an event.
    #[default]
    Stop,
    /// The thread goes on.
    GoOn,
    /// The thread goes on, but for the hit with this number, counted as [`TrapCounts::taken`], from 1 on, over all places that are
    /// counted [together](Filter::together).
    StopAt(u64),
}

/// What is kept of a hit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Collection {
    /// These registers.
    pub registers: Vec<RegisterId>,
    /// The memory that this collects; its value is of no use.
    pub memory: Option<AgentExpression>,
}

/// What came of a trap.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrapCounts {
    /// How often a thread stopped there that counts.
    pub hits: u64,
    /// How often the condition was true, or there was none.
    pub matched: u64,
    /// How often it was not passed over.
    pub taken: u64,
    /// How often the condition, or what was to be collected, had no value.
    pub faults: u64,
}
