//! Where thread-local variables are: by the data that glibc keeps for debuggers, by the numbers that musl gives to
//! modules, or, of the program itself, by the layout that the platform prescribes (Ulrich Drepper, "ELF Handling For
//! Thread-Local Storage").

mod glibc;
mod layout;
mod musl;
#[cfg(test)]
mod tests;

use prospect_process::{Addr, Module, ThreadId, module::ElfImage, thread_pointer};

use crate::frame_view::Scene;
use glibc::Glibc;
use layout::Layout;

/// Where a variable at this offset of a module's block is in a thread.
pub(crate) fn find(scene: Scene<'_>, thread: ThreadId, module: &Module, offset: u64) -> Option<Addr> {
    let offset = within_block(scene, module, offset)?;
    let pointer = thread_pointer(scene.process, thread)?;
    let block = Glibc::of(scene).and_then(|glibc| glibc.block(pointer, module));
    let block = block.or_else(|| musl::block(scene, pointer, module));
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
