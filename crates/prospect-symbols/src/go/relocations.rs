//! Words that the dynamic linker writes: in the file of a program that is loaded anywhere, other linkers than Go's leave them
//! empty.

use prospect_process::{Arch, LinkAddr};

use super::fields::Fields;
use crate::binary::Headers;

/// Tags of the dynamic section (ELF gABI, "Dynamic Section").
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const MOST_DYNAMIC_ENTRIES: usize = 1024;

/// The size of an `Elf64_Rela`.
const ENTRY_BYTES: usize = 24;

/// What is written where, counted from where the program is loaded (`R_*_RELATIVE`). Only machines with 64 bits tell it
/// apart from the word itself.
pub(super) fn relative(headers: &Headers) -> impl Iterator<Item = (LinkAddr, u64)> + '_ {
    let kind = match headers.arch {
        Some(Arch::X86_64) => 8,
        Some(Arch::Aarch64) => 1027,
        _ => u64::MAX,
    };
    let big_endian = headers.endian == gimli::RunTimeEndian::Big;
    let entries = table(headers).unwrap_or_default().chunks_exact(ENTRY_BYTES);
    entries.filter_map(move |bytes| {
        let fields = Fields { bytes, word_bytes: 8, big_endian };
        let is_relative = fields.word(8)? == kind;
        is_relative.then_some((LinkAddr(fields.word(0)?), fields.word(16)?))
    })
}

fn table(headers: &Headers) -> Option<&[u8]> {
    let dynamic = headers.dynamic.clone().filter(|_| headers.address_bytes == 8)?;
    let big_endian = headers.endian == gimli::RunTimeEndian::Big;
    let (mut start, mut length) = (None, None);
    for bytes in headers.loaded(dynamic.start).chunks_exact(16).take(MOST_DYNAMIC_ENTRIES) {
        let fields = Fields { bytes, word_bytes: 8, big_endian };
        match fields.word(0)? {
            0 => break,
            DT_RELA => start = fields.word(8),
            DT_RELASZ => length = usize::try_from(fields.word(8)?).ok(),
            _ => {}
        }
    }
    let bytes = headers.loaded(LinkAddr(start?));
    Some(&bytes[..bytes.len().min(length?)])
}
