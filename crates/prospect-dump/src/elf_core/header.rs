//! The headers of a core: its machine, its segments, its notes (ELF gABI, "ELF Header", "Program Header").

use std::ops::Range;

use prospect_process::{Addr, Arch, ArchInfo, Permissions};

use super::{CoreError, CoreNotice, file::CoreFile};

const ET_CORE: u64 = 4;
const EM_X86_64: u64 = 62;
const PT_LOAD: u64 = 1;
const PT_NOTE: u64 = 4;
/// There are more program headers than the field has room for: the first section header says how many (`sh_info`).
const PN_XNUM: u64 = 0xffff;
/// More segments than a process has mappings, whatever `vm.max_map_count` is.
const MOST_SEGMENTS: u64 = 1 << 21;
/// So many program headers are read at once.
const BATCH: u64 = 4096;

/// One `PT_LOAD`: a range of memory, and where its bytes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    /// The addresses.
    pub(crate) range: Range<Addr>,
    /// What the process could do there.
    pub(crate) permissions: Permissions,
    /// Where its bytes begin in the file.
    pub(crate) offset: u64,
    /// How many bytes of the range were dumped, from its start on; what follows was left out.
    pub(crate) dumped: u64,
    /// How many of them the file has: fewer where it is truncated.
    pub(crate) present: u64,
}

/// What the headers say.
#[derive(Debug)]
pub(crate) struct Headers {
    pub(crate) arch: Arch,
    /// By address, without overlap.
    pub(crate) segments: Vec<Segment>,
    /// Where notes are in the file.
    pub(crate) notes: Vec<Range<u64>>,
    /// Where the file should end, as far as that is known.
    pub(crate) expected_length: u64,
}

/// Where fields lie in headers of the two classes.
struct Class {
    wide: bool,
    big_endian: bool,
}

impl Class {
    fn number(&self, bytes: &[u8], at: usize, length: usize) -> Option<u64> {
        let bytes = bytes.get(at..at + length)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    fn word(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// A word at a place that depends on the class.
    fn at(&self, bytes: &[u8], wide: usize, narrow: usize) -> Option<u64> {
        self.number(bytes, if self.wide { wide } else { narrow }, self.word())
    }

    /// Where the notes are that a program header tells of, where it tells of notes.
    fn notes(&self, entry: &[u8]) -> Option<Range<u64>> {
        let (kind, offset) = (self.number(entry, 0, 4)?, self.at(entry, 8, 4)?);
        let bytes = self.at(entry, 32, 16)?;
        (kind == PT_NOTE).then(|| offset..offset.saturating_add(bytes))
    }

    fn of(header: &[u8]) -> Option<Self> {
        match header.get(..6)? {
            [0x7f, b'E', b'L', b'F', class @ 1..=2, order @ 1..=2] => {
                Some(Self { wide: *class == 2, big_endian: *order == 2 })
            }
            _ => None,
        }
    }
}

/// How much of a core it takes to know what is said in the first program header: known from its first 64 bytes.
pub(crate) fn first_entry_end(header: &[u8]) -> Option<u64> {
    Class::of(header)?.at(header, 32, 28)?.checked_add(56)
}

/// Where the notes end that the first program header tells of. `None` where it does not, or not all of the table is before them.
pub(crate) fn first_notes_end(start: &[u8]) -> Option<u64> {
    let class = Class::of(start)?;
    let table = class.at(start, 32, 28)?;
    let notes = class.notes(start.get(usize::try_from(table).ok()?..)?)?;
    (notes.start > table).then_some(notes.end)
}

impl Headers {
    pub(crate) fn read(file: &CoreFile, notices: &mut Vec<CoreNotice>) -> Result<Self, CoreError> {
        let header = file.read(0, 64)?;
        let class = Class::of(&header).ok_or(CoreError::NotElf)?;
        let number = |at: usize, length: usize| class.number(&header, at, length).ok_or(CoreError::NotElf);
        let kind = number(16, 2)?;
        if kind != ET_CORE {
            return Err(CoreError::NotCore(kind as u16));
        }
        let machine = number(18, 2)?;
        if machine == EM_X86_64 && !class.wide {
            return Err(CoreError::X32);
        }
        let arch = Arch::from_elf_machine(machine as u16, class.wide, class.big_endian)
            .ok_or(CoreError::UnknownMachine(machine as u16))?;
        let table = class.at(&header, 32, 28).ok_or(CoreError::NotElf)?;
        let (entry_at, count_at) = if class.wide { (54, 56) } else { (42, 44) };
        let entry_bytes = number(entry_at, 2)?;
        let least = if class.wide { 56 } else { 32 };
        let entry_bytes = entry_bytes.max(least);
        let mut count = number(count_at, 2)?;
        if count == PN_XNUM {
            let sections = class.at(&header, 40, 32).ok_or(CoreError::NotElf)?;
            let section = file.read(sections, 64)?;
            let counted = class.number(&section, if class.wide { 44 } else { 28 }, 4);
            // The kernel writes that section last of all, and the first notes directly behind the table.
            let until_notes = || {
                let notes = class.notes(&file.read(table, least).ok()?)?;
                Some(notes.start.checked_sub(table)? / entry_bytes)
            };
            count = counted.or_else(until_notes).unwrap_or(count);
        }
        let mut headers = Self { arch, segments: Vec::new(), notes: Vec::new(), expected_length: 0 };
        let found = headers.read_table(&class, file, table, entry_bytes, count.min(MOST_SEGMENTS))?;
        if found == 0 && count > 0 {
            return Err(CoreError::NoHeaders { length: file.length(), headers: table });
        }
        if found < count {
            notices.push(CoreNotice::MissingSegments { expected: count, found });
        }
        headers.put_in_order();
        Ok(headers)
    }

    /// Reads program headers, as many as there are whole. Returns how many.
    fn read_table(
        &mut self,
        class: &Class,
        file: &CoreFile,
        table: u64,
        entry_bytes: u64,
        count: u64,
    ) -> Result<u64, CoreError> {
        let mut done = 0;
        while done < count {
            let batch = (count - done).min(BATCH);
            let Some(start) = done.checked_mul(entry_bytes).and_then(|at| at.checked_add(table)) else {
                break;
            };
            let bytes = file.read(start, batch * entry_bytes)?;
            let entries = bytes.chunks_exact(entry_bytes as usize);
            let whole = entries.len() as u64;
            entries.for_each(|entry| {
                self.add(class, file.length(), entry);
            });
            done += whole;
            if whole < batch {
                break;
            }
        }
        Ok(done)
    }

    fn add(&mut self, class: &Class, length: u64, entry: &[u8]) -> Option<()> {
        let kind = class.number(entry, 0, 4)?;
        let flags = class.number(entry, if class.wide { 4 } else { 24 }, 4)?;
        let offset = class.at(entry, 8, 4)?;
        let start = class.at(entry, 16, 8)?;
        let file_bytes = class.at(entry, 32, 16)?;
        let memory_bytes = class.at(entry, 40, 20)?;
        let end = offset.saturating_add(file_bytes);
        match kind {
            PT_NOTE => self.notes.push(offset..end),
            PT_LOAD => {
                let dumped = file_bytes.min(memory_bytes);
                self.segments.push(Segment {
                    range: Addr(start)..Addr(start.saturating_add(memory_bytes)),
                    permissions: Permissions {
                        read: flags & 4 != 0,
                        write: flags & 2 != 0,
                        execute: flags & 1 != 0,
                        shared: false,
                    },
                    offset,
                    dumped,
                    present: dumped.min(length.saturating_sub(offset)),
                });
            }
            _ => return None,
        }
        if file_bytes > 0 {
            self.expected_length = self.expected_length.max(end);
        }
        Some(())
    }

    /// Sorts the segments; of two that overlap, the later-starting one loses what the other has.
    fn put_in_order(&mut self) {
        self.segments.sort_by_key(|segment| (segment.range.start, std::cmp::Reverse(segment.range.end)));
        let mut end = Addr(0);
        self.segments.retain_mut(|segment| {
            let skip = end.0.saturating_sub(segment.range.start.0);
            segment.range.start = segment.range.start.max(end);
            if segment.range.start >= segment.range.end {
                return false;
            }
            segment.offset = segment.offset.saturating_add(skip);
            segment.dumped = segment.dumped.saturating_sub(skip);
            segment.present = segment.present.saturating_sub(skip);
            end = segment.range.end;
            true
        });
    }
}

impl Segment {
    /// The first address whose byte is not in the file.
    pub(crate) fn present_end(&self) -> Addr {
        Addr(self.range.start.0.saturating_add(self.present).min(self.range.end.0))
    }

    /// The first address that was left out of the dump.
    pub(crate) fn dumped_end(&self) -> Addr {
        Addr(self.range.start.0.saturating_add(self.dumped).min(self.range.end.0))
    }
}

/// One note (ELF gABI, "Note Section"): three numbers, a name and contents, each filled up to four bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Note<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: u32,
    /// As much as there is of it.
    pub(crate) contents: &'a [u8],
    /// Where that begins in what was read.
    pub(crate) at: usize,
    /// Whether the file ends within it.
    pub(crate) is_cut: bool,
}

/// The notes in `bytes`, up to one that does not fit.
pub(crate) fn notes<'a>(info: &'a ArchInfo, bytes: &'a [u8]) -> impl Iterator<Item = Note<'a>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let number = |index: usize| info.unsigned(bytes.get(at + 4 * index..at + 4 * index + 4)?);
        let (name_bytes, content_bytes, kind) = (number(0)?, number(1)?, number(2)? as u32);
        let name_at = at + 12;
        let name = bytes.get(name_at..name_at.checked_add(usize::try_from(name_bytes).ok()?)?)?;
        let contents_at = (name_at + name.len()).next_multiple_of(4);
        let rest = bytes.get(contents_at..)?;
        let length = usize::try_from(content_bytes).ok()?;
        let contents = &rest[..length.min(rest.len())];
        at = contents_at.saturating_add(length).checked_next_multiple_of(4).unwrap_or(bytes.len());
        at = at.min(bytes.len());
        let name = name.strip_suffix(&[0]).unwrap_or(name);
        Some(Note { name, kind, contents, at: contents_at, is_cut: contents.len() < length })
    })
}
