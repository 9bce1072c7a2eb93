//! Where glibc says that the blocks of modules are.

use prospect_process::{Addr, Module};

use super::Layout;
use crate::frame_view::Scene;

/// What glibc tells debuggers of its structures: `nptl_db`, `structs.def`.
pub(super) struct Glibc<'a> {
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
    pub(super) fn of(scene: Scene<'a>) -> Option<Self> {
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
    pub(super) fn block(&self, pointer: Addr, module: &Module) -> Option<Addr> {
        let process = self.scene.process;
        let (arch, memory) = (process.info().arch, process.memory());
        let map = process.modules().link_map(module, arch, memory)?;
        let id = self.read(map.wrapping_add(self.field("link_map_l_tls_modid")?.offset))?;
        if id == 0 {
            return None;
        }
        let layout = Layout::of(arch)?;
        let from_pthread = || Some(self.field("pthread_dtvp")?.offset);
        let vector = Addr(self.read(layout.vector(pointer, from_pthread)?)?);
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
        is_static.then(|| layout.module_block(pointer, offset))
    }
}
