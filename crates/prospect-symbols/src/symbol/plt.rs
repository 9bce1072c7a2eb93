//! Names the entries of the procedure linkage table, which have no symbols: `puts@plt`.
//!
//! An entry jumps through a slot of the global offset table, and a relocation says what the dynamic
//! linker puts there (System V psABI AMD64 and i386, "Procedure Linkage Table"). Reading the jump works
//! for the entries of every linker, in whatever order they are.

use prospect_process::{Arch, LinkAddr};

use super::table::dynamic_name;
use crate::binary::{Headers, NamedSection};

/// The sections of such entries.
const SECTIONS: [&[u8]; 4] = [b".plt", b".plt.sec", b".plt.got", b".plt.bnd"];

/// Entries are 8 or 16 bytes long and aligned to that.
const ENTRY_BYTES: u64 = 16;

/// The name of the entry that an address lies in.
pub(super) fn name(headers: &Headers, at: LinkAddr) -> Option<String> {
    let holds = |one: &&NamedSection| {
        SECTIONS.contains(&&*one.name) && at >= one.address && at.0 - one.address.0 < one.section.len() as u64
    };
    let section = headers.sections.iter().find(holds)?;
    let slot = slot(headers, section, at)?;
    let symbol = relocated_symbol(headers, slot)?;
    Some(format!("{}@plt", String::from_utf8_lossy(dynamic_name(headers, symbol)?)))
}

/// The slot that the entry at an address jumps through.
fn slot(headers: &Headers, section: &NamedSection, at: LinkAddr) -> Option<u64> {
    let bytes = section.section.all();
    let entry_bytes = if *section.name == *b".plt.got" { entry_bytes_of_got_plt(bytes) } else { ENTRY_BYTES };
    let offset = (at.0 - section.address.0) / entry_bytes * entry_bytes;
    let start = usize::try_from(offset).ok()?;
    let entry = bytes.get(start..start.checked_add(entry_bytes as usize)?.min(bytes.len()))?;
    let jump = entry.windows(2).position(|pair| matches!(pair, [0xff, 0x25 | 0xa3]))?;
    let operand: &[u8; 4] = entry.get(jump + 2..)?.first_chunk()?;
    let after = section.address.0.checked_add(offset)?.checked_add(jump as u64 + 6)?;
    match (headers.arch?, entry[jump + 1]) {
        // jmp *operand(%rip)
        (Arch::X86_64, 0x25) => Some(after.wrapping_add_signed(i32::from_le_bytes(*operand).into())),
        // jmp *operand
        (Arch::I386, 0x25) => Some(u32::from_le_bytes(*operand).into()),
        // jmp *operand(%ebx), and ebx is the address of the global offset table
        (Arch::I386, 0xa3) => {
            let named = |name: &[u8]| headers.sections.iter().find(|one| *one.name == *name);
            // Linked with `-z now`, a file has but one table.
            let table = named(b".got.plt").or_else(|| named(b".got"))?.address.0 as u32;
            Some(table.wrapping_add_signed(i32::from_le_bytes(*operand)).into())
        }
        _ => None,
    }
}

/// `.plt.got` has short entries, unless they begin with `endbr`.
fn entry_bytes_of_got_plt(bytes: &[u8]) -> u64 {
    if bytes.starts_with(&[0xf3, 0x0f, 0x1e]) { ENTRY_BYTES } else { 8 }
}

/// The number of the dynamic symbol whose address is put into a slot.
fn relocated_symbol(headers: &Headers, slot: u64) -> Option<u32> {
    let symbol = relocations(headers).find(|one| one.slot == slot)?.symbol;
    Some(symbol).filter(|symbol| *symbol != 0)
}

/// What the dynamic linker puts into a slot (ELF gABI, "Relocation").
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relocation {
    pub(crate) slot: u64,
    /// What the machine's psABI calls it by.
    pub(crate) kind: u32,
    /// The number of a dynamic symbol; 0 for none.
    pub(crate) symbol: u32,
    /// `None` where it lies in the slot before it is relocated.
    pub(crate) addend: Option<u64>,
}

/// All relocations, those of the linkage table first.
pub(crate) fn relocations(headers: &Headers) -> impl Iterator<Item = Relocation> + '_ {
    let numbers = headers.pointer_format(0);
    let word = usize::from(headers.address_bytes);
    let tables = [(".rela.plt", 3), (".rel.plt", 2), (".rela.dyn", 3), (".rel.dyn", 2)];
    tables.into_iter().flat_map(move |(name, words)| {
        let section = headers.sections.iter().find(|one| *one.name == *name.as_bytes());
        let entries = section.map_or(&[][..], |one| one.section.all()).chunks_exact(words * word);
        entries.map(move |entry| {
            let field = |index: usize| numbers.unsigned(&entry[index * word..(index + 1) * word]);
            let info = field(1);
            let (symbol, kind) =
                if word == 8 { (info >> 32, info as u32) } else { (info >> 8, info as u32 & 0xff) };
            let addend = (words == 3).then(|| field(2));
            Relocation { slot: field(0), kind, symbol: symbol as u32, addend }
        })
    })
}
