//! `.ARM.exidx` and `.ARM.extab`: the unwind tables of 32-bit ARM ("Exception Handling ABI for the Arm
//! Architecture", sections 6 to 10).
//!
//! They are for exceptions: a function has one description, which is true where it has made a call.

mod opcodes;

use std::ops::Range;

use prospect_process::{ArchInfo, LinkAddr, RegisterId};

use super::{PointerFormat, RegisterRule, UnwindInfoError, UnwindRow};
use opcodes::Frame;

/// An entry of the index: where a function begins, and how it is unwound.
const ENTRY_BYTES: usize = 8;
/// The tables do not say where it ends, since functions that cannot be unwound through share an entry. That of glibc
/// has 52 bytes.
const LONGEST_FIRST_FUNCTION: u64 = 64;
/// The length of an entry of `.ARM.extab` up to the last of its instructions, at most: two words, and 255 more.
const LONGEST_DESCRIPTION: u64 = 4 * 257;
/// The second word of an entry of a function that cannot be unwound through.
const CANNOT_UNWIND: u32 = 1;

/// A part of the tables: bytes, and where they are linked.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) format: PointerFormat,
}

impl Part<'_> {
    fn word(&self, offset: usize) -> Option<u32> {
        let bytes = self.bytes.get(offset..offset.checked_add(4)?)?;
        Some(self.format.unsigned(bytes) as u32)
    }

    /// What a `prel31` at an offset points to: 31 bits, relative to themselves.
    fn pointee(&self, offset: usize) -> Option<u64> {
        let relative = (self.word(offset)? << 1) as i32 >> 1;
        let at = self.format.section_address.wrapping_add(offset as u64);
        Some(at.wrapping_add_signed(i64::from(relative)) & 0xffff_ffff)
    }

    /// Where an address is in it.
    fn offset_of(&self, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.format.section_address)?).ok()?;
        (offset < self.bytes.len()).then_some(offset)
    }
}

/// `.ARM.exidx`, `.ARM.extab`, and where the program begins.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    pub(super) index: Part<'a>,
    pub(super) table: Option<Part<'a>>,
    pub(super) program_entry: Option<LinkAddr>,
}

/// The row for an address, which lies in code that ends at `code_end`.
pub(super) fn row(
    tables: &Tables<'_>,
    arch: &'static ArchInfo,
    pc: u64,
    code_end: LinkAddr,
) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let index = tables.index;
    let count = index.bytes.len() / ENTRY_BYTES;
    let start = |entry: usize| index.pointee(entry * ENTRY_BYTES).unwrap_or(u64::MAX);
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if start(middle) <= pc {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let Some(entry) = low.checked_sub(1) else { return Ok(None) };
    let end = if low < count { start(low).min(code_end.0) } else { code_end.0 };
    if pc >= end {
        return Ok(None);
    }
    let at = entry * ENTRY_BYTES + 4;
    let word = index.word(at).ok_or_else(|| broken("it ends in an entry"))?;
    let range = LinkAddr(start(entry))..LinkAddr(end);
    if word == CANNOT_UNWIND {
        // So are many functions: no exception comes through them. Stacks end in one alone.
        return first_function(tables.program_entry, pc, arch, end);
    }
    let instructions = if word >> 31 == 1 {
        compact(word, |_| None)?
    } else {
        let table = tables.table.ok_or_else(|| broken("there is no table that it points into"))?;
        let offset = index.pointee(at).and_then(|address| table.offset_of(address));
        let offset = offset.ok_or_else(|| broken("it points to where its table is not"))?;
        described(table, offset)?
    };
    opcodes::run(&instructions)?.row(arch, range).map(Some)
}

/// The row of the function that a program begins with, which nobody called; `None` where `pc` is not in it.
fn first_function(
    program_entry: Option<LinkAddr>,
    pc: u64,
    arch: &'static ArchInfo,
    end: u64,
) -> Result<Option<UnwindRow>, UnwindInfoError> {
    // An odd address means Thumb code.
    let Some(start) = program_entry.map(|at| at.0 & !1) else { return Ok(None) };
    let end = start.saturating_add(LONGEST_FIRST_FUNCTION).min(end);
    if !(start..end).contains(&pc) {
        return Ok(None);
    }
    let mut row = Frame::default().row(arch, LinkAddr(start)..LinkAddr(end))?;
    row.rules = vec![(row.return_address, RegisterRule::Undefined)];
    Ok(Some(row))
}

/// The instructions of an entry of `.ARM.extab` (section 7).
fn described(table: Part<'_>, offset: usize) -> Result<Vec<u8>, UnwindInfoError> {
    let word = |index: usize| table.word(offset.checked_add(4 * index)?);
    let first = word(0).ok_or_else(|| broken("its table ends in an entry"))?;
    if first >> 31 == 1 {
        return compact(first, word);
    }
    // The generic model: the address of a personality routine, and what it likes. Those of GNU and of LLVM have
    // what the first byte of a word says are more words, and instructions, as the long compact model has them
    // (GNU, `__gnu_unwind_frame`).
    let head = word(1).ok_or_else(|| broken("its table ends in an entry"))?;
    collect(&head.to_be_bytes()[1..], head >> 24, |index| word(index + 1))
}

/// The instructions of a word that names its personality routine by number (section 6.3, and 10.2 for those).
fn compact(first: u32, word: impl Fn(usize) -> Option<u32>) -> Result<Vec<u8>, UnwindInfoError> {
    let bytes = first.to_be_bytes();
    match bytes[0] & 0x7f {
        0 => Ok(bytes[1..].to_vec()),
        1 | 2 => collect(&bytes[2..], u32::from(bytes[1]), word),
        _ => Err(broken("a personality routine is not known")),
    }
}

/// `first`, and the bytes of the words from the second on.
fn collect(first: &[u8], more: u32, word: impl Fn(usize) -> Option<u32>) -> Result<Vec<u8>, UnwindInfoError> {
    let mut instructions = first.to_vec();
    for index in 1..=more as usize {
        let word = word(index).ok_or_else(|| broken("its table ends in an entry"))?;
        instructions.extend(word.to_be_bytes());
    }
    Ok(instructions)
}

/// Where the table is that an index points into: from the first of its entries to the end of the last, however long
/// that is.
pub(crate) fn pointed_to(index: &[u8], format: PointerFormat) -> Option<Range<LinkAddr>> {
    let index = Part { bytes: index, format };
    let places = (4..index.bytes.len()).step_by(ENTRY_BYTES).filter_map(|at| {
        let word = index.word(at)?;
        (word != CANNOT_UNWIND && word >> 31 == 0).then(|| index.pointee(at)).flatten()
    });
    let (first, last) = places.fold((u64::MAX, 0), |(first, last), at| (first.min(at), last.max(at)));
    (first <= last).then_some(LinkAddr(first)..LinkAddr(last.saturating_add(LONGEST_DESCRIPTION)))
}

fn broken(what: &str) -> UnwindInfoError {
    UnwindInfoError::Malformed(format!("ARM exception tables: {what}"))
}

/// A core register by its number. The table of the architecture has them in this order.
fn core(register: u8) -> RegisterId {
    RegisterId(register)
}

#[cfg(test)]
mod tests;
