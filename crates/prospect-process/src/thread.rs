//! Threads and processes by number, and what is known of a thread besides its registers.

use std::{fmt, time::Duration};

use crate::{Arch, SignalInfo};

/// The number of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessId(pub u32);

/// The number of a thread: on Linux, the tid as the observer's pid namespace has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThreadId(pub u32);

/// What the scheduler says of a thread (`man 5 proc`, the third field of `/proc/PID/stat`), as it was
/// before it was stopped to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum ThreadState {
    /// `R`: on a processor, or waiting for one.
    Running,
    /// `S`: waiting, and a signal can wake it.
    Sleeping,
    /// `D`: waiting, and no signal can wake it (disk, `vfork`'s parent).
    Uninterruptible,
    /// `T`: stopped by job control.
    Stopped,
    /// `t`: stopped by a tracer.
    Traced,
    /// `Z`: ended, and not yet waited for.
    Zombie,
    /// `X`: ended.
    Dead,
    /// `I`: an idle kernel thread.
    Idle,
    /// `P`: a parked kernel thread.
    Parked,
    /// Something else, or not known.
    #[default]
    Unknown,
}

impl ThreadState {
    /// From Linux's letter.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        match code {
            b'R' => Self::Running,
            b'S' => Self::Sleeping,
            b'D' => Self::Uninterruptible,
            b'T' => Self::Stopped,
            b't' => Self::Traced,
            b'Z' => Self::Zombie,
            b'X' | b'x' => Self::Dead,
            b'I' => Self::Idle,
            b'P' => Self::Parked,
            _ => Self::Unknown,
        }
    }

    /// Linux's letter for it; `?` where there is none.
    #[must_use]
    pub fn code(self) -> u8 {
        b"RSDTtZXIP".iter().copied().find(|code| Self::from_code(*code) == self).unwrap_or(b'?')
    }

    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::Uninterruptible => "uninterruptible",
            Self::Stopped => "stopped",
            Self::Traced => "traced",
            Self::Zombie => "zombie",
            Self::Dead => "dead",
            Self::Idle => "idle",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a thread was not held still, so that its registers are missing or incomplete.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoRegisters {
    /// It waits in the kernel where nothing can wake it (`D`).
    #[error("waits in the kernel and cannot be stopped (state D)")]
    Uninterruptible,
    /// It ended before or while it was to be stopped.
    #[error("has ended")]
    Exited,
    /// It has ended, but its process lives on or its parent has not waited for it.
    #[error("is a zombie: it has ended and has no stack any more")]
    Zombie,
    /// It belongs to the kernel and has no user stack.
    #[error("is a kernel thread: it has no user stack")]
    KernelThread,
    /// It did not stop before the deadline.
    #[error("did not stop before the deadline")]
    Deadline,
    /// It belongs to this program itself, and blocks the signal that would ask it for its registers.
    #[error("blocks the signal that threads of this program are asked with")]
    SignalBlocked,
    /// It was on a processor, and was not to be stopped.
    #[error("was running and was not stopped, so that its registers are unknown")]
    Running,
    /// It is one of a dump that does not have them.
    #[error("its registers are not in the dump")]
    NotInDump,
    /// The system did not let us.
    #[error("cannot be stopped: {0}")]
    Refused(String),
}

/// What the kernel keeps of a thread's signals: `NT_PRSTATUS` and `NT_SIGINFO` have it in cores.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Signals {
    /// The signal that it was stopped by or died of; 0 for none.
    pub current: u8,
    /// Those that were sent to it and not delivered yet, a bit for each from 1 on.
    pub pending: u64,
    /// Those that are held back from it.
    pub blocked: u64,
    /// What is known of `current`: a `siginfo_t` of its architecture, 128 bytes.
    pub info: Option<Box<[u8]>>,
}

/// One thread of a process.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its number.
    pub id: ThreadId,
    /// Its name, with bytes that are not UTF-8 replaced.
    pub name: Option<String>,
    /// What it was doing, before it was stopped.
    pub state: ThreadState,
    /// Processor time it has used, in user mode and in the kernel.
    pub cpu_time: Option<Duration>,
    /// How much of that in the kernel.
    pub kernel_time: Option<Duration>,
    /// The kernel function that it waits in.
    pub wait_channel: Option<String>,
    /// The system call that it is in, as `/proc/PID/syscall` says it.
    pub syscall: Option<String>,
    /// What the kernel keeps of its signals, as far as that was asked for.
    pub signals: Signals,
    /// Why it was not held still; `None` when its registers are all there.
    pub not_stopped: Option<NoRegisters>,
}

impl Thread {
    /// A thread of which nothing but its number is known.
    #[must_use]
    pub fn new(id: ThreadId) -> Self {
        Self {
            id,
            name: None,
            state: ThreadState::Unknown,
            cpu_time: None,
            kernel_time: None,
            wait_channel: None,
            syscall: None,
            signals: Signals::default(),
            not_stopped: None,
        }
    }
}

impl Signals {
    /// What is known of the signal that it was stopped by or died of; `None` where there was none.
    #[must_use]
    pub fn decoded(&self, arch: Arch) -> Option<SignalInfo> {
        let info = self.info.as_deref().and_then(|bytes| SignalInfo::decode(arch, bytes));
        let number = i32::from(self.current);
        info.filter(|info| info.number != 0).or_else(|| (number != 0).then(|| SignalInfo::of_number(number)))
    }
}

impl From<u32> for ProcessId {
    fn from(id: u32) -> Self {
        Self(id)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.0)
    }
}
