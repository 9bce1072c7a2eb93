//! Where musl has the blocks of modules. It tells debuggers nothing; but its `struct dso` begins as `struct link_map`,
//! modules are numbered as they are loaded (`ldso/dynlink.c`), and where a thread's vector lies is part of its
//! interface (`struct pthread` in `src/internal/pthread_impl.h`).

use prospect_process::{Addr, Arch, Module, module::ElfImage};

use super::word;
use crate::frame_view::Scene;

/// A function of its dynamic linker that no other C library has.
const MARK: &[u8] = b"__dls3";

/// Where the thread's block of a module is.
pub(super) fn block(scene: Scene<'_>, pointer: Addr, module: &Module) -> Option<Addr> {
    let modules = scene.process.modules();
    scene.binary(modules.c_library()?).exported(MARK)?;
    let (arch, memory) = (scene.process.info().arch, scene.process.memory());
    let read = |at: Addr| memory.read_word(arch, word(scene, at)).ok();
    let has_variables = |module: &&Module| {
        ElfImage::read(module.first_mapping.start, memory).is_some_and(|image| image.thread_local.is_some())
    };
    let mut numbered = modules.in_load_order(arch, memory).into_iter().filter(has_variables);
    let number = 1 + numbered.position(|one| one.range == module.range)? as u64;
    let vector = Addr(read(vector_place(arch, pointer)?)?);
    // It begins with how many modules it knows.
    if number > read(vector)? {
        return None;
    }
    let block = read(vector.wrapping_add(number * word_bytes(arch)))?;
    Some(Addr(block)).filter(|_| block != 0)
}

/// Where the address of the thread's vector is: the second word of `struct pthread` where that begins at the thread
/// pointer, and else the last, where it ends there. Other machines keep biased addresses in the vector, or move the
/// pointer.
fn vector_place(arch: Arch, pointer: Addr) -> Option<Addr> {
    match arch {
        Arch::X86_64 | Arch::I386 | Arch::S390x => Some(pointer.wrapping_add(word_bytes(arch))),
        Arch::Aarch64 | Arch::Arm => Some(Addr(pointer.0.wrapping_sub(word_bytes(arch)))),
        _ => None,
    }
}

fn word_bytes(arch: Arch) -> u64 {
    arch.info().word_bytes.into()
}
