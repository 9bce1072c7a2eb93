//! Where a thread keeps what is its own.

use crate::{Addr, Arch, Process, RegisterSet, ThreadId};

/// What the thread finds its own variables by (the thread pointer of the architecture's ELF ABI). Not known where the system
/// keeps it apart from the registers that it shows: 32-bit ARM has it in a register of its coprocessor, which core files do
/// not have.
#[must_use]
pub fn thread_pointer(process: &dyn Process, thread: ThreadId) -> Option<Addr> {
    let registers = process.registers(thread)?;
    let info = registers.arch().info();
    let register = |name: &str| registers.get(info.by_name(name)?);
    match registers.arch() {
        Arch::X86_64 => register("fs_base").map(Addr),
        Arch::I386 => {
            // The selector says which of the descriptors, each of which is a `struct user_desc` (<asm/ldt.h>).
            let index = register("gs")? >> 3;
            let segments = process.register_set(thread, RegisterSet::X86_SEGMENTS)?;
            let segment = segments.chunks_exact(16).find(|one| info.unsigned(&one[..4]) == Some(index))?;
            info.unsigned(&segment[4..8]).map(Addr)
        }
        // `tpidr_el0` is the first of the set.
        Arch::Aarch64 => {
            let set = process.register_set(thread, RegisterSet::ARM_TLS)?;
            info.unsigned(set.get(..8)?).map(Addr)
        }
        Arch::Arm => {
            let set = process.register_set(thread, RegisterSet::ARM_TLS)?;
            info.unsigned(set.get(..4)?).map(Addr)
        }
        Arch::Riscv64 => register("tp").map(Addr),
        Arch::Ppc64 | Arch::Ppc64le => register("r13").map(Addr),
        Arch::Ppc => register("r2").map(Addr),
        Arch::S390x => Some(Addr(register("a0")? << 32 | register("a1")?)),
    }
}
