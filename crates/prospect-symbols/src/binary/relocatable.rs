//! Relocatable files: what compilers write (`.o`), and kernel modules.
//!
//! Nothing of them has an address yet, and their debug information is full of holes. Here the sections that are to be loaded get
//! addresses, one behind the other in the file's order, and the holes are filled (ELF gABI, "Relocation"), in a copy of the file.
//! What then reads it need not know that it was not linked.

use std::sync::Arc;

use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationKind, RelocationTarget,
    SectionIndex,
    elf::{self, FileHeader32, FileHeader64},
    read::elf::{ElfFile, FileHeader, SectionHeader as _},
};

use super::{elf::section_bytes, file::FileBytes, headers::MOST_SECTIONS, section::Section};

/// Where the first section is put: what lies at 0 is nowhere.
const FIRST_ADDRESS: u64 = 1 << 20;
/// No more is given addresses.
const LAST_ADDRESS: u64 = 1 << 47;
/// Larger files are not copied.
const LARGEST_FILE: usize = 1 << 30;

/// The file as it would be with addresses. `None` for one that has them, and one that is broken or too large.
pub(super) fn link(file: &Arc<FileBytes>) -> Option<Arc<FileBytes>> {
    let linked = match file.get(..5)? {
        [0x7f, b'E', b'L', b'F', 1] => Linker::<FileHeader32<Endianness>>::new(file)?.link(),
        [0x7f, b'E', b'L', b'F', 2] => Linker::<FileHeader64<Endianness>>::new(file)?.link(),
        _ => None,
    };
    linked.map(|bytes| Arc::new(FileBytes::Owned(bytes)))
}

struct Linker<'a, H: FileHeader<Endian = Endianness>> {
    file: &'a Arc<FileBytes>,
    elf: ElfFile<'a, H>,
    endian: Endianness,
    /// By the number of the section; 0 for those that are not loaded.
    addresses: Vec<u64>,
}

impl<'a, H: FileHeader<Endian = Endianness>> Linker<'a, H> {
    fn new(file: &'a Arc<FileBytes>) -> Option<Self> {
        let header = H::parse(&***file).ok()?;
        let endian = header.endian().ok()?;
        if header.e_type(endian) != elf::ET_REL || file.len() > LARGEST_FILE {
            return None;
        }
        let elf = ElfFile::<H>::parse(&***file).ok()?;
        let mut next = FIRST_ADDRESS;
        let mut addresses = Vec::new();
        for section in elf.elf_section_table().iter().take(MOST_SECTIONS) {
            let mut address = 0;
            if section.sh_flags(endian).0 & elf::SHF_ALLOC.0 != 0 {
                let alignment: u64 = section.sh_addralign(endian).into();
                address = next.checked_next_multiple_of(alignment.clamp(1, FIRST_ADDRESS))?;
                next =
                    address.checked_add(section.sh_size(endian).into()).filter(|end| *end < LAST_ADDRESS)?;
            }
            addresses.push(address);
        }
        Some(Self { file, elf, endian, addresses })
    }

    fn link(&self) -> Option<Vec<u8>> {
        let mut bytes = self.file.to_vec();
        // A file has no more relocations than it has bytes: one that says otherwise says the same ones again.
        let mut left = bytes.len() / 8;
        for section in self.elf.sections() {
            let header = section.elf_section_header();
            let number = section.index().0;
            let address = self.address(section.index());
            let field = self.section_header(number)?;
            self.put_word(&mut bytes, field.checked_add(self.pick(12, 16))?, address);
            let name = section.name_bytes().unwrap_or_default();
            if !name.starts_with(b".debug_") && name != b".eh_frame" {
                continue;
            }
            let Some((range, packed)) = section_bytes::<H>(header, name, self.endian, self.file) else {
                continue;
            };
            let mut start = range.start;
            let mut length = range.len();
            if packed.is_some() {
                if section.relocations().next().is_none() {
                    continue;
                }
                // Holes are in what was packed: it takes the place of the packed one, behind the file.
                let unpacked = Section::new(self.file.clone(), range, packed);
                (start, length) = (bytes.len(), unpacked.all().len());
                if start.checked_add(length)? > LARGEST_FILE {
                    return None;
                }
                bytes.extend_from_slice(unpacked.all());
                let flags = header.sh_flags(self.endian).0;
                self.put_word(&mut bytes, field.checked_add(8)?, flags & !elf::SHF_COMPRESSED.0);
                self.put_word(&mut bytes, field.checked_add(self.pick(16, 24))?, start as u64);
                self.put_word(&mut bytes, field.checked_add(self.pick(20, 32))?, length as u64);
            }
            for (at, relocation) in section.relocations() {
                left = left.checked_sub(1)?;
                let target = match relocation.target() {
                    RelocationTarget::Symbol(symbol) => self.elf.symbol_by_index(symbol).ok(),
                    _ => None,
                };
                let Some(symbol) = target else { continue };
                let base = symbol.section_index().map_or(0, |index| self.address(index));
                let size = usize::from(relocation.size() / 8);
                let Some(offset) = usize::try_from(at).ok().filter(|at| at.saturating_add(size) <= length)
                else {
                    continue;
                };
                let Some(hole) = bytes.get_mut(start + offset..start + offset + size) else { continue };
                let mut value = base.wrapping_add(symbol.address()).wrapping_add_signed(relocation.addend());
                if relocation.has_implicit_addend() {
                    value = value.wrapping_add(self.number(hole));
                }
                match relocation.kind() {
                    RelocationKind::Absolute => {}
                    RelocationKind::Relative => value = value.wrapping_sub(address).wrapping_sub(at),
                    _ => continue,
                }
                self.put(hole, value);
            }
        }
        self.move_symbols(&mut bytes)?;
        Some(bytes)
    }

    /// Gives symbols the addresses of what they name.
    fn move_symbols(&self, bytes: &mut [u8]) -> Option<()> {
        let table = self.elf.elf_symbol_table();
        if table.is_empty() {
            return Some(());
        }
        let section = self.elf.elf_section_table().section(table.section()).ok()?;
        let start = usize::try_from(section.sh_offset(self.endian).into()).ok()?;
        for symbol in self.elf.symbols() {
            let Some(base) = symbol.section_index().map(|index| self.address(index)) else { continue };
            let entry = symbol.index().0.checked_mul(self.pick(16, 24))?.checked_add(start)?;
            self.put_word(bytes, entry.checked_add(self.pick(4, 8))?, symbol.address().wrapping_add(base));
        }
        Some(())
    }

    fn address(&self, index: SectionIndex) -> u64 {
        self.addresses.get(index.0).copied().unwrap_or(0)
    }

    /// Where the header of a section stands in the file.
    fn section_header(&self, number: usize) -> Option<usize> {
        let table: u64 = self.elf.elf_header().e_shoff(self.endian).into();
        usize::try_from(table).ok()?.checked_add(number.checked_mul(self.pick(40, 64))?)
    }

    /// A number for the narrow form of ELF, or for the wide one.
    fn pick(&self, narrow: usize, wide: usize) -> usize {
        if self.elf.is_64() { wide } else { narrow }
    }

    /// Writes a number as wide as an address.
    fn put_word(&self, bytes: &mut [u8], at: usize, value: u64) {
        if let Some(place) = bytes.get_mut(at..at.saturating_add(self.pick(4, 8))) {
            self.put(place, value);
        }
    }

    fn put(&self, place: &mut [u8], value: u64) {
        let count = place.len().min(8);
        match self.endian {
            Endianness::Little => place[..count].copy_from_slice(&value.to_le_bytes()[..count]),
            Endianness::Big => place[..count].copy_from_slice(&value.to_be_bytes()[8 - count..]),
        }
    }

    fn number(&self, place: &[u8]) -> u64 {
        let (mut word, count) = ([0; 8], place.len().min(8));
        match self.endian {
            Endianness::Little => {
                word[..count].copy_from_slice(&place[..count]);
                u64::from_le_bytes(word)
            }
            Endianness::Big => {
                word[8 - count..].copy_from_slice(&place[..count]);
                u64::from_be_bytes(word)
            }
        }
    }
}
