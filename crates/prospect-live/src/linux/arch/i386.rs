//! The 32-bit x86. Indices of the signal frame: `struct sigcontext_32` in the kernel's
//! `arch/x86/include/uapi/asm/sigcontext.h`, which `gregs` of libc's `mcontext_t` repeats.
#![expect(unsafe_code, reason = "registers can be read in assembler only")]

use std::{
    arch::{
        asm,
        x86::{__cpuid_count, __get_cpuid_max},
    },
    ffi::c_void,
};

use prospect_process::{Arch, RegisterId, Registers};

pub(crate) const ARCH: Arch = Arch::I386;

/// Pairs of a register and its index in `gregs`. Registers have their DWARF numbers: eax ecx edx ebx esp ebp esi
/// edi eip eflags.
static SAVED: [(RegisterId, usize); 10] = [
    (RegisterId(0), 11),
    (RegisterId(1), 10),
    (RegisterId(2), 9),
    (RegisterId(3), 8),
    (RegisterId(4), 7),
    (RegisterId(5), 6),
    (RegisterId(6), 5),
    (RegisterId(7), 4),
    (RegisterId(8), 14),
    (RegisterId(9), 16),
];

/// What a function keeps for its caller, the stack pointer and the program counter, as they are at this place of
/// the function that this is written into.
#[inline(always)]
pub(crate) fn current() -> Registers {
    const READ: [RegisterId; 6] =
        [RegisterId(3), RegisterId(4), RegisterId(5), RegisterId(6), RegisterId(7), RegisterId(8)];
    let mut values = [0u32; READ.len()];
    // SAFETY: six words are written into an array of six; the stack is as before behind it.
    unsafe {
        asm!(
            "mov [{at}], ebx",
            "mov [{at} + 4], esp",
            "mov [{at} + 8], ebp",
            "mov [{at} + 12], esi",
            "mov [{at} + 16], edi",
            "call 2f",
            "2:",
            "pop {pc}",
            "mov [{at} + 20], {pc}",
            at = in(reg) values.as_mut_ptr(),
            pc = out(reg) _,
            options(preserves_flags),
        );
    }
    let mut registers = Registers::unknown(ARCH);
    for (id, value) in READ.into_iter().zip(values) {
        registers.set(id, u64::from(value));
    }
    registers
}

/// Adds the registers that the kernel saved in a signal frame to `registers`.
///
/// # Safety
/// `context` is the third argument of a `SA_SIGINFO` handler that has not returned.
pub(crate) unsafe fn interrupted(context: *const c_void, registers: &mut Registers) {
    // SAFETY: as the caller vouches.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    for &(id, index) in &SAVED {
        registers.set(id, u64::from(context.uc_mcontext.gregs[index].cast_unsigned()));
    }
}

/// Size and offset of a part of what `XSAVE` writes in its standard form (Intel SDM volume 1, section 13.2); `None` where the
/// processor has no such part.
#[allow(unused_unsafe, reason = "newer compilers have these as safe functions")]
pub(crate) fn extended_part(part: u32) -> Option<(u32, u32)> {
    const LEAF: u32 = 13;
    // SAFETY: every processor of ours has the instruction.
    if unsafe { __get_cpuid_max(0) }.0 < LEAF {
        return None;
    }
    // SAFETY: the same.
    let found = unsafe { __cpuid_count(LEAF, part) };
    (found.eax != 0).then_some((found.eax, found.ebx))
}
