//! Where the dynamic linker tells debuggers of what it loads: the protocol of `<link.h>`, `struct r_debug`.

use super::{ElfImage, Module, Modules};
use crate::{Addr, Arch, Memory};

/// The dynamic section's tag of the entry that points to the `struct r_debug` (ELF gABI, "Dynamic Section").
const DT_DEBUG: u64 = 21;
/// A dynamic section has some 30 entries.
const MOST_ENTRIES: usize = 1024;
/// More modules than any process has: a list that leads back to itself ends.
const MOST_MODULES: usize = 1 << 13;

/// What the dynamic linker knows of a file that it has loaded: `struct link_map`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadedFile {
    /// What to add to an address as linked, wrapping (`l_addr`).
    pub bias: u64,
    /// The path that it was opened by; empty for the program (`l_name`).
    pub path: Vec<u8>,
    /// Its dynamic section in memory (`l_ld`).
    pub dynamic: Addr,
}

/// A path is no longer (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

impl Modules {
    /// The files that the dynamic linker has loaded, as it says itself. None of a static program.
    #[must_use]
    pub fn loaded_files(&self, arch: Arch, memory: &dyn Memory) -> Vec<LoadedFile> {
        let file = |(_, LinkMap { bias, name, dynamic, .. }): (Addr, LinkMap)| {
            let path = memory.read_c_string(name, LONGEST_PATH).unwrap_or_default();
            LoadedFile { bias, path, dynamic }
        };
        self.link_map_words(arch, memory).map(file).collect()
    }

    /// The address at which the dynamic linker can be trapped: it calls the function there before and after it changes
    /// what is loaded (`r_debug.r_brk`). `None` for a static program, and before the linker has begun.
    #[must_use]
    pub fn loader_trap(&self, arch: Arch, memory: &dyn Memory) -> Option<Addr> {
        let debug = self.loader_debug(arch, memory)?;
        let word = u64::from(arch.info().word_bytes);
        // Behind the version, which is padded to a word, and the head of the list.
        let trap = Addr(memory.read_word(arch, debug.wrapping_add(2 * word)).ok()?);
        Some(trap).filter(|trap| self.at(*trap).is_some())
    }

    /// What the dynamic linker keeps of a module: its `struct link_map`. `None` for a static program, and for what it
    /// has not loaded.
    #[must_use]
    pub fn link_map(&self, module: &Module, arch: Arch, memory: &dyn Memory) -> Option<Addr> {
        let mut maps = self.link_maps(arch, memory);
        maps.find(|(_, dynamic)| module.range.contains(dynamic)).map(|(map, _)| map)
    }

    /// The modules in the order in which the dynamic linker loaded them, which is where it looks for symbols first. Those that
    /// it does not know are at the end, by address; but the program comes first in any case.
    #[must_use]
    pub fn in_load_order(&self, arch: Arch, memory: &dyn Memory) -> Vec<&Module> {
        let known = self.link_maps(arch, memory).filter_map(|(_, dynamic)| self.at(dynamic));
        let mut order: Vec<&Module> = Vec::new();
        for module in self.executable().into_iter().chain(known).chain(self.iter()) {
            if !order.iter().any(|one| one.range == module.range) {
                order.push(module);
            }
        }
        order
    }

    /// Where each `struct link_map` of the dynamic linker's list is, and the dynamic section that it is of, in the order in
    /// which they were loaded.
    fn link_maps(&self, arch: Arch, memory: &dyn Memory) -> impl Iterator<Item = (Addr, Addr)> {
        self.link_map_words(arch, memory).map(|(map, words)| (map, words.dynamic))
    }

    /// The same, with the first words of each.
    fn link_map_words(&self, arch: Arch, memory: &dyn Memory) -> impl Iterator<Item = (Addr, LinkMap)> {
        let word = u64::from(arch.info().word_bytes);
        // `r_debug.r_map`.
        let first = |debug: Addr| memory.read_word(arch, debug.wrapping_add(word)).ok().map(Addr);
        let mut next = self.loader_debug(arch, memory).and_then(first);
        let maps = std::iter::from_fn(move || {
            let map = next.take().filter(|map| *map != Addr(0))?;
            let words = LinkMap::read(arch, map, memory)?;
            next = Some(words.next);
            Some((map, words))
        });
        maps.take(MOST_MODULES)
    }

    /// The `struct r_debug` of the dynamic linker.
    fn loader_debug(&self, arch: Arch, memory: &dyn Memory) -> Option<Addr> {
        let program = self.executable()?;
        let image = ElfImage::read(program.first_mapping.start, memory)?;
        let dynamic = image.dynamic?;
        let (info, word) = (arch.info(), usize::from(arch.info().word_bytes));
        let length = usize::try_from(dynamic.end.0.saturating_sub(dynamic.start.0)).ok()?;
        let mut section = vec![0; length.min(MOST_ENTRIES * 2 * word)];
        let read = memory.read_available(dynamic.start.to_addr(image.bias), &mut section);
        for entry in section[..read].chunks_exact(2 * word) {
            match info.word(&entry[..word])? {
                0 => return None,
                DT_DEBUG => {
                    let debug = Addr(info.word(&entry[word..])?);
                    return Some(debug).filter(|debug| *debug != Addr(0));
                }
                _ => {}
            }
        }
        None
    }
}

/// What a `struct link_map` begins with.
struct LinkMap {
    bias: u64,
    name: Addr,
    dynamic: Addr,
    next: Addr,
}

impl LinkMap {
    fn read(arch: Arch, at: Addr, memory: &dyn Memory) -> Option<Self> {
        let info = arch.info();
        let width = usize::from(info.word_bytes);
        let mut bytes = [0; 4 * 8];
        let bytes = &mut bytes[..4 * width];
        memory.read(at, bytes).ok()?;
        let word = |index: usize| info.word(&bytes[index * width..(index + 1) * width]);
        Some(Self { bias: word(0)?, name: Addr(word(1)?), dynamic: Addr(word(2)?), next: Addr(word(3)?) })
    }
}
