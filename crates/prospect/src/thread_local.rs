//! Where thread-local variables are: by the data that glibc keeps for debuggers, or, of the program itself, by the layout that
//! the platform prescribes (Ulrich Drepper, "ELF Handling For Thread-Local Storage").

mod glibc;
mod layout;
#[cfg(test)]
mod tests;

use prospect_process::{Addr, Arch, Module, RegisterSet, ThreadId, module::ElfImage};

use crate::frame_view::Scene;
use glibc::Glibc;
use layout::Layout;

/// Where a variable at this offset of a module's block is in a thread.
pub(crate) fn find(scene: Scene<'_>, thread: ThreadId, module: &Module, offset: u64) -> Option<Addr> {
    let offset = within_block(scene, module, offset)?;
    let pointer = thread_pointer(scene, thread)?;
    let block = Glibc::of(scene).and_then(|glibc| glibc.block(pointer, module));
    let block = block.or_else(|| block_of_program(scene, pointer, module))?;
    Some(word(scene, block.wrapping_add(offset)))
}

/// The offset, where the module's block is so long. GCC's split debug information has, instead of it, the address of the
/// variable's first value: the assembler's directive for offsets is for that section not used.
fn within_block(scene: Scene<'_>, module: &Module, offset: u64) -> Option<u64> {
    let image = ElfImage::read(module.first_mapping.start, scene.process.memory());
    let Some((range, _)) = image.and_then(|image| image.thread_local) else { return Some(offset) };
    let size = range.end.0.saturating_sub(range.start.0);
    let is_within = |offset: &u64| *offset <= size;
    Some(offset).filter(is_within).or_else(|| offset.checked_sub(range.start.0).filter(is_within))
}

fn word(scene: Scene<'_>, at: Addr) -> Addr {
    Addr(at.0 & scene.process.info().arch.info().word_mask())
}

/// What the thread finds its own variables by. Not known where the system keeps it apart from the registers that it shows:
/// 32-bit ARM has it in a register of its coprocessor, which core files do not have.
fn thread_pointer(scene: Scene<'_>, thread: ThreadId) -> Option<Addr> {
    let registers = scene.process.registers(thread)?;
    let info = registers.arch().info();
    let register = |name: &str| registers.get(info.by_name(name)?);
    match registers.arch() {
        Arch::X86_64 => register("fs_base").map(Addr),
        Arch::I386 => {
            // The selector says which of the descriptors, each of which is a `struct user_desc` (<asm/ldt.h>).
            let index = register("gs")? >> 3;
            let segments = scene.process.register_set(thread, RegisterSet::X86_SEGMENTS)?;
            let segment = segments.chunks_exact(16).find(|one| info.unsigned(&one[..4]) == Some(index))?;
            info.unsigned(&segment[4..8]).map(Addr)
        }
        // `tpidr_el0` is the first of the set.
        Arch::Aarch64 => {
            let set = scene.process.register_set(thread, RegisterSet::ARM_TLS)?;
            info.unsigned(set.get(..8)?).map(Addr)
        }
        Arch::Arm => {
            let set = scene.process.register_set(thread, RegisterSet::ARM_TLS)?;
            info.unsigned(set.get(..4)?).map(Addr)
        }
        Arch::Riscv64 => register("tp").map(Addr),
        Arch::Ppc64 | Arch::Ppc64le => register("r13").map(Addr),
        Arch::Ppc => register("r2").map(Addr),
        Arch::S390x => Some(Addr(register("a0")? << 32 | register("a1")?)),
        _ => None,
    }
}

/// The block of the program itself, whose place linkers know.
fn block_of_program(scene: Scene<'_>, pointer: Addr, module: &Module) -> Option<Addr> {
    if !module.is_executable {
        return None;
    }
    let image = ElfImage::read(module.first_mapping.start, scene.process.memory())?;
    let (range, align) = image.thread_local?;
    let layout = Layout::of(scene.process.info().arch)?;
    layout.program_block(pointer, range, align).map(|block| word(scene, block))
}
