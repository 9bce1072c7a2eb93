//! The capabilities that looking into processes can need (`man 7 capabilities`).

use std::fmt;

/// One capability that matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Capability {
    /// `CAP_SYS_PTRACE`: trace any process, and read its memory.
    SysPtrace,
    /// `CAP_SYS_ADMIN`: among much else, what the next two are for on older kernels.
    SysAdmin,
    /// `CAP_PERFMON`: count and sample events of any process (since Linux 5.8).
    Perfmon,
    /// `CAP_CHECKPOINT_RESTORE`: open mapped files through `map_files` (since Linux 5.9).
    CheckpointRestore,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SysPtrace, Self::SysAdmin, Self::Perfmon, Self::CheckpointRestore];

    /// The kernel's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::CheckpointRestore => "CAP_CHECKPOINT_RESTORE",
        }
    }

    /// Its bit (`include/uapi/linux/capability.h`).
    fn bit(self) -> u32 {
        match self {
            Self::SysPtrace => 19,
            Self::SysAdmin => 21,
            Self::Perfmon => 38,
            Self::CheckpointRestore => 40,
        }
    }
}

/// A set of capabilities as `/proc/PID/status` writes it: a bit for each, also for those that have no name
/// here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Whether one is in the set.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        self.0 >> capability.bit() & 1 == 1
    }

    /// Those that are in this set and not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Capabilities {
    /// As `/proc/PID/status` writes them, for `capsh --decode`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
