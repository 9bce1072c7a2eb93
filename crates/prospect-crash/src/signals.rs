//! The signals of crashes.

use std::ops::BitOr;

/// All of them, each with its place in tables.
pub(crate) const NUMBERS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSYS, libc::SIGTRAP];

/// A set of the signals that a process crashes with (`man 7 signal`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signals(u8);

impl Signals {
    /// Memory that may not be used so.
    pub const SEGV: Self = Self(1);
    /// `abort`.
    pub const ABRT: Self = Self(1 << 1);
    /// Memory that is mapped and is not there, as behind the end of a file.
    pub const BUS: Self = Self(1 << 2);
    /// A division by zero, and such.
    pub const FPE: Self = Self(1 << 3);
    /// What is no instruction.
    pub const ILL: Self = Self(1 << 4);
    /// A system call that is not permitted.
    pub const SYS: Self = Self(1 << 5);
    /// A breakpoint that no debugger is there for.
    pub const TRAP: Self = Self(1 << 6);
    /// All of them.
    pub const ALL: Self = Self(0x7f);

    /// The places in [`NUMBERS`] of those that are in it.
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        (0..NUMBERS.len()).filter(move |place| self.0 >> place & 1 != 0)
    }
}

impl BitOr for Signals {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The place of a signal in [`NUMBERS`].
pub(crate) fn place(signal: i32) -> Option<usize> {
    NUMBERS.iter().position(|one| *one == signal)
}
