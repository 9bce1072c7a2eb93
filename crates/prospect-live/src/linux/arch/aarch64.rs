//! AArch64. Signal frame: `struct sigcontext` in the kernel's `arch/arm64/include/uapi/asm/sigcontext.h`.
#![expect(unsafe_code, reason = "registers can be read in assembler only")]

use std::{arch::asm, ffi::c_void};

use prospect_process::{Arch, RegisterId, Registers};

pub(crate) const ARCH: Arch = Arch::Aarch64;

const SP: RegisterId = RegisterId(31);
const PC: RegisterId = RegisterId(32);
const PSTATE: RegisterId = RegisterId(33);

/// What a function keeps for its caller, the link register, the stack pointer and the program counter, as they are
/// at this place of the function that this is written into.
#[inline(always)]
pub(crate) fn current() -> Registers {
    // x19…x30, sp, pc.
    let mut values = [0u64; 14];
    // SAFETY: fourteen words are written into an array of fourteen.
    unsafe {
        asm!(
            "stp x19, x20, [{at}]",
            "stp x21, x22, [{at}, #16]",
            "stp x23, x24, [{at}, #32]",
            "stp x25, x26, [{at}, #48]",
            "stp x27, x28, [{at}, #64]",
            "stp x29, x30, [{at}, #80]",
            "mov {scratch}, sp",
            "str {scratch}, [{at}, #96]",
            "adr {scratch}, .",
            "str {scratch}, [{at}, #104]",
            at = in(reg) values.as_mut_ptr(),
            scratch = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
    let mut registers = Registers::unknown(ARCH);
    for (id, value) in (19..=PC.0).zip(values) {
        registers.set(RegisterId(id), value);
    }
    registers
}

/// Adds the registers that the kernel saved in a signal frame to `registers`.
///
/// # Safety
/// `context` is the third argument of a `SA_SIGINFO` handler that has not returned.
pub(crate) unsafe fn interrupted(context: *const c_void, registers: &mut Registers) {
    // SAFETY: as the caller vouches.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    for (id, value) in (0..).zip(machine.regs) {
        registers.set(RegisterId(id), value);
    }
    registers.set(SP, machine.sp);
    registers.set(PC, machine.pc);
    registers.set(PSTATE, machine.pstate);
}

/// What the parts of an extended register set are; nothing on this processor.
pub(crate) fn extended_part(_part: u32) -> Option<(u32, u32)> {
    None
}
