//! AMD64. Indices of the signal frame: `struct sigcontext_64` in the kernel's
//! `arch/x86/include/uapi/asm/sigcontext.h`, which `gregs` of libc's `mcontext_t` repeats.
#![expect(unsafe_code, reason = "registers can be read in assembler only")]

use std::{
    arch::{
        asm,
        x86_64::{__cpuid_count, __get_cpuid_max},
    },
    ffi::c_void,
};

use prospect_process::{Arch, RegisterId, Registers};

pub(crate) const ARCH: Arch = Arch::X86_64;

/// Pairs of a register and its index in `gregs`. Registers have their DWARF numbers: rax rdx rcx rbx rsi rdi rbp
/// rsp r8…r15 rip eflags.
static SAVED: [(RegisterId, usize); 18] = [
    (RegisterId(0), 13),
    (RegisterId(1), 12),
    (RegisterId(2), 14),
    (RegisterId(3), 11),
    (RegisterId(4), 9),
    (RegisterId(5), 8),
    (RegisterId(6), 10),
    (RegisterId(7), 15),
    (RegisterId(8), 0),
    (RegisterId(9), 1),
    (RegisterId(10), 2),
    (RegisterId(11), 3),
    (RegisterId(12), 4),
    (RegisterId(13), 5),
    (RegisterId(14), 6),
    (RegisterId(15), 7),
    (RegisterId(16), 16),
    (RegisterId(17), 17),
];

/// What a function keeps for its caller, the stack pointer and the program counter, as they are at this place of
/// the function that this is written into.
#[inline(always)]
pub(crate) fn current() -> Registers {
    const READ: [RegisterId; 8] = [
        RegisterId(3),
        RegisterId(6),
        RegisterId(7),
        RegisterId(12),
        RegisterId(13),
        RegisterId(14),
        RegisterId(15),
        RegisterId(16),
    ];
    let mut values = [0u64; READ.len()];
    // SAFETY: eight words are written into an array of eight.
    unsafe {
        asm!(
            "mov [{at}], rbx",
            "mov [{at} + 8], rbp",
            "mov [{at} + 16], rsp",
            "mov [{at} + 24], r12",
            "mov [{at} + 32], r13",
            "mov [{at} + 40], r14",
            "mov [{at} + 48], r15",
            "lea {pc}, [rip]",
            "mov [{at} + 56], {pc}",
            at = in(reg) values.as_mut_ptr(),
            pc = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
    let mut registers = Registers::unknown(ARCH);
    for (id, value) in READ.into_iter().zip(values) {
        registers.set(id, value);
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
        registers.set(id, context.uc_mcontext.gregs[index].cast_unsigned());
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
