//! What the kernel saves of a thread when it delivers a signal to it.

use prospect_process::{Addr, Arch, Memory, Registers};

use crate::arch;

/// Where the saved registers are in a `ucontext_t`, as the kernel lays it out (`include/uapi/asm/ucontext.h` and `sigcontext.h` of
/// each architecture).
fn saved_at(arch: Arch) -> Option<u64> {
    Some(match arch {
        Arch::X86_64 => 40,
        Arch::I386 => 20,
        // `uc_mcontext` at 176, which has the address of a fault first.
        Arch::Aarch64 => 184,
        // `uc_mcontext` at 20, which has three words first.
        Arch::Arm => 32,
        Arch::Riscv64 => 176,
        _ => return None,
    })
}

/// The registers of what a signal interrupted: those that the kernel saved in the `ucontext_t` at `context`, the third argument of
/// the signal's handler. `None` where its layout is not known, or it cannot be read.
#[must_use]
pub fn signal_context(arch: Arch, memory: &dyn Memory, context: Addr) -> Option<Registers> {
    let saved = arch::patterns(arch)?.trampolines.first()?.saved;
    let start = context.wrapping_add(saved_at(arch)?);
    let mut registers = Registers::unknown(arch);
    for (id, offset, width) in saved {
        let mut bytes = [0; 8];
        let bytes = bytes.get_mut(..usize::from(*width))?;
        memory.read(start.wrapping_add(u64::from(*offset)), bytes).ok()?;
        registers.set(*id, arch.info().unsigned(bytes)?);
    }
    Some(registers)
}
