//! What depends on the processor that this is compiled for: one's own registers, and system calls that another
//! process is made to do.
//!
//! To add one: a file beside this one with `current`, `extended_part` and `interrupted`, and its lines here.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86")]
mod i386;
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86", target_arch = "x86_64")))]
mod unknown;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(not(target_arch = "x86_64"))]
mod no_calls;
#[cfg(target_arch = "x86_64")]
mod x86_64_calls;

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use no_calls::{
    CallRegisters, FIRST_ARGUMENT_OFFSET, SIGNAL_CONTEXT_WORDS, convention_of, debug_register, restart_call,
    restart_interrupted, set_debug_register,
};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64_calls::{
    CallRegisters, FIRST_ARGUMENT_OFFSET, SIGNAL_CONTEXT_WORDS, convention_of, debug_register, restart_call,
    restart_interrupted, set_debug_register,
};

use std::ops::RangeInclusive;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{ARCH, current, extended_part, interrupted};
#[cfg(target_arch = "x86")]
pub(crate) use i386::{ARCH, current, extended_part, interrupted};
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86", target_arch = "x86_64")))]
pub(crate) use unknown::{ARCH, current, extended_part, interrupted};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{ARCH, current, extended_part, interrupted};

/// Kernel-internal results of calls that did not begin, or are to begin again: `include/linux/errno.h`.
pub(crate) const RESTARTS: RangeInclusive<i64> = -516..=-512;

/// How a program of one kind does system calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallConvention {
    /// The instruction.
    pub(crate) instruction: [u8; 2],
    /// The numbers of the calls that are used.
    pub(crate) clone: u64,
    pub(crate) wait4: u64,
    pub(crate) mmap: u64,
    pub(crate) munmap: u64,
    pub(crate) close_range: u64,
    pub(crate) exit_group: u64,
    /// How many bytes its words have.
    pub(crate) word_bytes: usize,
    /// Code that ends a signal handler with `rt_sigreturn`, as it is spelled; none where a signal frame is not known.
    pub(crate) sigreturn: &'static [&'static [u8]],
}
