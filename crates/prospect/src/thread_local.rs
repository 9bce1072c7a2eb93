//! Where thread-local variables are: by the data that glibc keeps for debuggers, or, of the program itself, by the layout that
//! the platform prescribes (Ulrich Drepper, "ELF Handling For Thread-Local Storage").

use prospect_process::{Addr, Arch, Module, RegisterSet, ThreadId, module::ElfImage};

use crate::frame_view::Scene;

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

/// What the thread finds its own variables by.
fn thread_pointer(scene: Scene<'_>, thread: ThreadId) -> Option<Addr> {
    let registers = scene.process.registers(thread)?;
    let info = registers.arch().info();
    match registers.arch() {
        Arch::X86_64 => registers.get(info.by_name("fs_base")?).map(Addr),
        Arch::I386 => {
            // The selector says which of the descriptors, each of which is a `struct user_desc` (<asm/ldt.h>).
            let index = registers.get(info.by_name("gs")?)? >> 3;
            let segments = scene.process.register_set(thread, RegisterSet::X86_SEGMENTS)?;
            let segment = segments.chunks_exact(16).find(|one| info.unsigned(&one[..4]) == Some(index))?;
            info.unsigned(&segment[4..8]).map(Addr)
        }
        _ => None,
    }
}

/// The block of the program itself. It lies just below the thread pointer on x86 ("variant II").
fn block_of_program(scene: Scene<'_>, pointer: Addr, module: &Module) -> Option<Addr> {
    if !module.is_executable {
        return None;
    }
    let image = ElfImage::read(module.first_mapping.start, scene.process.memory())?;
    let (range, align) = image.thread_local?;
    let align = align.max(1).checked_next_power_of_two()?;
    // It begins as far from a multiple of its alignment as it does in the file.
    let first = range.start.0.wrapping_neg() & (align - 1);
    let size = range.end.0.saturating_sub(range.start.0);
    let below = size.saturating_sub(first).checked_next_multiple_of(align)?.checked_add(first)?;
    Some(word(scene, Addr(pointer.0.wrapping_sub(below))))
}

/// What glibc tells debuggers of its structures: `nptl_db`, `structs.def`.
struct Glibc<'a> {
    scene: Scene<'a>,
    library: &'a Module,
}

/// A field of one of its structures.
struct Field {
    /// The bytes of one element.
    size: u64,
    /// Where the first is, in bytes.
    offset: u64,
}

impl<'a> Glibc<'a> {
    fn of(scene: Scene<'a>) -> Option<Self> {
        // Since 2.34 it is the C library that has them, also where an older program still loads an empty libpthread.
        let modules = scene.process.modules();
        let has_them =
            |library: &&Module| scene.binary(library).exported(b"_thread_db_pthread_dtvp").is_some();
        let library = modules.thread_library().into_iter().chain(modules.c_library()).find(has_them)?;
        Some(Self { scene, library })
    }

    /// `_thread_db_STRUCT_FIELD`: the bits of an element, how many there are, and the offset in bytes.
    fn field(&self, name: &str) -> Option<Field> {
        let binary = self.scene.binary(self.library);
        let at = binary.exported(format!("_thread_db_{name}").as_bytes())?.to_addr(self.library.bias);
        let mut bytes = [0; 12];
        self.scene.process.memory().read(at, &mut bytes).ok()?;
        let number = |index: usize| self.scene.process.info().arch.info().unsigned(&bytes[index..index + 4]);
        Some(Field { size: number(0)? / 8, offset: number(8)? })
    }

    fn read(&self, at: Addr) -> Option<u64> {
        self.scene.process.memory().read_word(self.scene.process.info().arch, at).ok()
    }

    /// Where the thread's block of a module is. `None` where the thread did not use it yet.
    fn block(&self, pointer: Addr, module: &Module) -> Option<Addr> {
        let process = self.scene.process;
        let (arch, memory) = (process.info().arch, process.memory());
        let map = process.modules().link_map(module, arch, memory)?;
        let id = self.read(map.wrapping_add(self.field("link_map_l_tls_modid")?.offset))?;
        if id == 0 {
            return None;
        }
        // On x86 the thread pointer is the address of the thread's `struct pthread`.
        let vector = Addr(self.read(pointer.wrapping_add(self.field("pthread_dtvp")?.offset))?);
        let (entries, value) = (self.field("dtv_dtv")?, self.field("dtv_t_pointer_val")?);
        let entry = vector.wrapping_add(entries.offset).wrapping_add(id.checked_mul(entries.size)?);
        // The vector's length stands before it.
        let counter = self.field("dtv_t_counter")?;
        let length = self.read(Addr(vector.0.wrapping_sub(entries.size)).wrapping_add(counter.offset))?;
        let unused = arch.info().word_mask();
        if id <= length
            && let Some(block) =
                self.read(entry.wrapping_add(value.offset)).filter(|&at| at != unused && at != 0)
        {
            return Some(Addr(block));
        }
        // A block that every thread has from the start is known by its distance; the vector is filled when it is used.
        let offset = self.read(map.wrapping_add(self.field("link_map_l_tls_offset")?.offset))?;
        let is_static = offset != 0 && offset < unused - 1;
        is_static.then(|| Addr(pointer.0.wrapping_sub(offset)))
    }
}
