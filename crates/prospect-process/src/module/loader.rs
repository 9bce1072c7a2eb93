//! Where the dynamic linker tells debuggers of what it loads: the protocol of `<link.h>`, `struct r_debug`.

use super::{ElfImage, Modules};
use crate::{Addr, Arch, Memory};

/// The dynamic section's tag of the entry that points to the `struct r_debug` (ELF gABI, "Dynamic Section").
const DT_DEBUG: u64 = 21;
/// A dynamic section has some 30 entries.
const MOST_ENTRIES: u64 = 1024;

impl Modules {
    /// The address at which the dynamic linker can be trapped: it calls the function there before and after it changes
    /// what is loaded (`r_debug.r_brk`). `None` for a static program, and before the linker has begun.
    #[must_use]
    pub fn loader_trap(&self, arch: Arch, memory: &dyn Memory) -> Option<Addr> {
        let program = self.executable()?;
        let image = ElfImage::read(program.first_mapping.start, memory)?;
        let dynamic = image.dynamic?;
        let word = u64::from(arch.info().word_bytes);
        let read = |at: Addr| memory.read_word(arch, at).ok();
        let start = dynamic.start.to_addr(image.bias);
        let most = (dynamic.end.0.saturating_sub(dynamic.start.0) / (2 * word)).min(MOST_ENTRIES);
        for index in 0..most {
            let entry = start.wrapping_add(index * 2 * word);
            match read(entry)? {
                0 => return None,
                DT_DEBUG => {
                    let debug = Addr(read(entry.wrapping_add(word))?);
                    // Behind the version, which is padded to a word, and the head of the list.
                    let trap = Addr(read(debug.wrapping_add(2 * word)).filter(|_| debug != Addr(0))?);
                    return Some(trap).filter(|trap| self.at(*trap).is_some());
                }
                _ => {}
            }
        }
        None
    }
}
