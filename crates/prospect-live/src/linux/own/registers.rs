//! Registers of the calling thread.
#![expect(unsafe_code, reason = "a signal frame is known by its address only")]

use std::ffi::c_void;

use prospect_process::Registers;

use super::super::arch;

/// The registers of the calling function at the place of this call: program counter, stack pointer and all that
/// a function keeps for its caller. Others are unknown.
///
/// They are of use for as long as the calling function has not returned: then its part of the stack is
/// somebody else's. Safe in a signal handler.
#[inline(always)]
#[must_use]
pub fn current_registers() -> Registers {
    arch::current()
}

/// The registers of what a signal has interrupted. Safe in a signal handler.
///
/// # Safety
/// `context` is the third argument of the calling signal handler, which was installed with `SA_SIGINFO`
/// (`man 2 sigaction`).
#[must_use]
pub unsafe fn interrupted_registers(context: *const c_void) -> Registers {
    let mut registers = Registers::unknown(arch::ARCH);
    // SAFETY: the caller vouches for the same.
    unsafe { arch::interrupted(context, &mut registers) };
    registers
}
