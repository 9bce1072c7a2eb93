//! The ELF header and the program headers of a core (System V gABI, chapters 4 and 5; `man 5 elf`).

use std::ops::Range;

use prospect_process::{Addr, Arch, ArchInfo, Permissions};

use super::encode::Record;

/// `PT_LOAD`, `PT_NOTE`.
const LOAD: u64 = 1;
const NOTE: u64 = 4;
/// `ET_CORE`.
const CORE_FILE: u64 = 4;
/// `PN_XNUM`: there are this many program headers, or more; then the section header says how many.
const MANY: u64 = 0xffff;

/// What one program header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) kind: SegmentKind,
    /// Where its bytes begin in the file.
    pub(super) offset: u64,
    /// How many the file has.
    pub(super) length: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SegmentKind {
    Notes,
    Memory { range: Range<Addr>, permissions: Permissions, page_bytes: u64 },
}

/// Sizes of the headers of a class.
#[derive(Clone, Copy)]
struct Sizes {
    file: u64,
    program: u64,
    section: u64,
}

fn sizes(info: &ArchInfo) -> Sizes {
    if info.word_bytes == 8 {
        Sizes { file: 64, program: 56, section: 64 }
    } else {
        Sizes { file: 52, program: 32, section: 40 }
    }
}

/// Where all headers end that a core with so many segments begins with.
pub(super) fn length(info: &ArchInfo, segments: u64) -> u64 {
    let sizes = sizes(info);
    let section = if segments >= MANY { sizes.section } else { 0 };
    sizes.file + segments * sizes.program + section
}

/// The file header; behind the program headers comes the section header that counts them where they are many.
pub(super) fn file_header(arch: Arch, segments: u64) -> Vec<u8> {
    let (info, sizes, many) = (arch.info(), sizes(arch.info()), segments >= MANY);
    let word = usize::from(info.word_bytes);
    let mut record = Record::new(info, 0);
    let class = if word == 8 { 2 } else { 1 };
    for byte in [0x7f, 0x45, 0x4c, 0x46, class, 1 + u64::from(info.big_endian), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    {
        record.push(1, byte);
    }
    record.push(2, CORE_FILE);
    record.push(2, info.elf_machine.into());
    record.push(4, 1);
    record.push(word, 0);
    record.push(word, sizes.file);
    record.push(word, if many { sizes.file + segments * sizes.program } else { 0 });
    // `ELF_CORE_EFLAGS`: the second ABI of 64-bit PowerPC.
    record.push(4, if arch == Arch::Ppc64le { 2 } else { 0 });
    record.push(2, sizes.file);
    record.push(2, sizes.program);
    record.push(2, segments.min(MANY));
    record.push(2, if many { sizes.section } else { 0 });
    record.push(2, many.into());
    record.push(2, 0);
    record.into_bytes()
}

/// A program header.
pub(super) fn program_header(info: &ArchInfo, segment: &Segment) -> Vec<u8> {
    let word = usize::from(info.word_bytes);
    let mut record = Record::new(info, 0);
    let (kind, flags, address, memory, align) = match &segment.kind {
        SegmentKind::Notes => (NOTE, 0, 0, 0, 4),
        SegmentKind::Memory { range, permissions, page_bytes } => {
            let flag = |set: bool, bit: u64| if set { bit } else { 0 };
            let flags = flag(permissions.execute, 1) | flag(permissions.write, 2) | flag(permissions.read, 4);
            // What begins within a page is aligned to nothing.
            let align = if range.start.0 % page_bytes == 0 { *page_bytes } else { 1 };
            (LOAD, flags, range.start.0, range.end.0 - range.start.0, align)
        }
    };
    record.push(4, kind);
    if word == 8 {
        record.push(4, flags);
    }
    for number in [segment.offset, address, 0, segment.length, memory] {
        record.push(word, number);
    }
    if word == 4 {
        record.push(4, flags);
    }
    record.push(word, align);
    record.into_bytes()
}

/// The section header that counts program headers where the file header has no room for it; nothing where it has.
pub(super) fn counting_section(info: &ArchInfo, segments: u64) -> Vec<u8> {
    if segments < MANY {
        return Vec::new();
    }
    let word = usize::from(info.word_bytes);
    let mut record = Record::new(info, 0);
    // `sh_name`, `sh_type`.
    record.push(4, 0);
    record.push(4, 0);
    // `sh_flags`, `sh_addr`, `sh_offset`; `sh_size`: there is one section header.
    for number in [0, 0, 0, 1] {
        record.push(word, number);
    }
    // `sh_link`; `sh_info`: how many.
    record.push(4, 0);
    record.push(4, segments);
    record.push(word, 0);
    record.push(word, 0);
    record.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_sizes_that_they_say() {
        for arch in Arch::ALL {
            let info = arch.info();
            let segment = Segment {
                kind: SegmentKind::Memory {
                    range: Addr(0x1000)..Addr(0x3000),
                    permissions: Permissions { read: true, ..Permissions::default() },
                    page_bytes: 0x1000,
                },
                offset: 0x2000,
                length: 0x1000,
            };
            for count in [1, MANY - 1, MANY, 70_000] {
                let all = file_header(arch, count).len() as u64
                    + program_header(info, &segment).len() as u64 * count
                    + counting_section(info, count).len() as u64;
                assert_eq!(all, length(info, count), "{arch:?} {count}");
            }
        }
    }
}
