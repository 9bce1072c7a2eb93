//! `.sframe`: where the return address and the frame pointer are, and no more ("The SFrame Format", versions 1
//! and 2, of GNU binutils).

use std::ops::Range;

use prospect_process::{Arch, ArchInfo, LinkAddr, RegisterId};

use super::{
    CfaRule, PointerFormat, RegisterRule, UnwindInfoError, UnwindRow,
    fde_index::{FdeIndex, IndexedFde},
};

const MAGIC: u64 = 0xdee2;
/// Header flags: the functions are sorted; and their addresses are relative to the field that has them, not to
/// the section (version 2, errata 1).
const SORTED: u8 = 1;
const RELATIVE_TO_FIELD: u8 = 4;
/// The header's length without its auxiliary part.
const HEADER_BYTES: usize = 28;

/// Finding a row means to read those of its function before it. No function has so many bytes of them.
const LONGEST_FUNCTION: usize = 1 << 20;

/// What version 1 does not say: the size of an entry in AMD64's procedure linkage tables, the only blocks that
/// are described once for all of them.
const PLT_ENTRY_BYTES: u64 = 16;

/// The parsed head of `.sframe`.
#[derive(Debug)]
pub(super) struct SFrame {
    format: PointerFormat,
    /// Whether the return address is in the link register at the start of a function, and rows say where it is.
    tracks_return_address: bool,
    /// Where the return address and the frame pointer are from the canonical frame address, if always there.
    fixed_return_address: i64,
    fixed_fp: i64,
    version: u8,
    flags: u8,
    functions: Range<usize>,
    function_bytes: usize,
    rows: Range<usize>,
    /// Where the functions are not sorted.
    index: Option<FdeIndex>,
}

/// One function: `sframe_func_desc_entry`.
struct Function {
    start: u64,
    size: u64,
    first_row: usize,
    row_count: u64,
    info: u8,
    block_bytes: u64,
}

/// One row of a function: `sframe_frame_row_entry` and its offsets.
struct Row {
    start: u64,
    info: u8,
    offsets: [i64; 3],
    offset_count: usize,
}

impl SFrame {
    /// Reads the head of a section of a binary for `arch`. `None` for one of another architecture, or of a
    /// version that is not known.
    pub(super) fn parse(section: &[u8], format: PointerFormat, arch: Arch) -> Option<Self> {
        let head: &[u8; HEADER_BYTES] = section.first_chunk()?;
        let number = |at: usize| format.unsigned(&head[at..at + 4]) as usize;
        let (version, flags, abi) = (head[2], head[3], head[4]);
        // SFRAME_ABI_AARCH64_ENDIAN_LITTLE and SFRAME_ABI_AMD64_ENDIAN_LITTLE.
        let known_abi = matches!((abi, arch), (2, Arch::Aarch64) | (3, Arch::X86_64));
        let function_bytes = match version {
            1 => 17,
            2 => 20,
            _ => return None,
        };
        if format.unsigned(&head[..2]) != MAGIC || !known_abi {
            return None;
        }
        let body = HEADER_BYTES + usize::from(head[7]);
        let part = |offset: usize, bytes: usize| {
            let start = body.saturating_add(offset).min(section.len());
            start..start.saturating_add(bytes).min(section.len())
        };
        // Counts that the section has no room for are cut.
        let functions = part(number(20), number(8).saturating_mul(function_bytes));
        let mut sframe = Self {
            format,
            tracks_return_address: arch.info().link.is_some(),
            fixed_fp: i64::from(head[5] as i8),
            fixed_return_address: i64::from(head[6] as i8),
            version,
            flags,
            functions,
            function_bytes,
            rows: part(number(24), number(16)),
            index: None,
        };
        if flags & SORTED == 0 {
            sframe.index = Some(sframe.sort(section));
        }
        Some(sframe)
    }

    fn sort(&self, section: &[u8]) -> FdeIndex {
        let functions = (0..self.count()).filter_map(|index| {
            let one = self.function(section, index)?;
            Some(IndexedFde { start: one.start, end: one.start.saturating_add(one.size), offset: index })
        });
        FdeIndex::new(functions.collect())
    }

    fn count(&self) -> usize {
        self.functions.len() / self.function_bytes
    }

    fn function(&self, section: &[u8], index: usize) -> Option<Function> {
        let at = self.functions.start + index.checked_mul(self.function_bytes)?;
        let bytes = section.get(at..at.checked_add(self.function_bytes)?)?;
        let number = |at: usize| self.format.unsigned(&bytes[at..at + 4]);
        let base = if self.flags & RELATIVE_TO_FIELD != 0 { at as u64 } else { 0 };
        let base = self.format.section_address.wrapping_add(base);
        Some(Function {
            start: base.wrapping_add_signed(i64::from(number(0) as i32)),
            size: number(4),
            first_row: usize::try_from(number(8)).ok()?,
            row_count: number(12),
            info: bytes[16],
            block_bytes: if self.version == 1 { PLT_ENTRY_BYTES } else { u64::from(bytes[17]) },
        })
    }

    /// The last function that begins at or before `pc`, if `pc` is in it.
    fn function_at(&self, section: &[u8], pc: u64) -> Option<Function> {
        let index = match &self.index {
            Some(index) => index.search(pc)?,
            None => {
                let (mut low, mut high) = (0, self.count());
                while low < high {
                    let middle = low + (high - low) / 2;
                    if self.function(section, middle)?.start <= pc {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                low.checked_sub(1)?
            }
        };
        self.function(section, index).filter(|one| pc.wrapping_sub(one.start) < one.size)
    }

    /// The row for an address.
    pub(super) fn row(
        &self,
        section: &[u8],
        arch: &'static ArchInfo,
        pc: u64,
    ) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(function) = self.function_at(section, pc) else { return Ok(None) };
        let offset = pc - function.start;
        // Either each row begins so far behind the start of the function, or behind that of each of the blocks
        // of code that it consists of.
        let is_blocks = function.info >> 4 & 1 == 1;
        let block = if is_blocks { function.block_bytes } else { 0 };
        let block_start = offset - offset.checked_rem(block).unwrap_or(offset);
        let offset = offset - block_start;
        let mut at = function.first_row;
        let mut found: Option<Row> = None;
        let mut end = if block == 0 { function.size } else { block };
        for _ in 0..function.row_count {
            if at.saturating_sub(function.first_row) > LONGEST_FUNCTION {
                return Err(broken("a function has too many rows"));
            }
            let (row, next) = self.read_row(section, at, function.info & 0xf)?;
            if row.start > offset {
                end = row.start;
                break;
            }
            (found, at) = (Some(row), next);
        }
        let Some(row) = found else { return Ok(None) };
        let address = |offset: u64| function.start.wrapping_add(block_start).wrapping_add(offset);
        let last = function.start.wrapping_add(function.size);
        let range = LinkAddr(address(row.start))..LinkAddr(address(end).min(last));
        self.convert(&row, range, arch).map(Some)
    }

    /// The row at an offset among rows whose start is of that kind, and the offset of the next one.
    fn read_row(&self, section: &[u8], at: usize, kind: u8) -> Result<(Row, usize), UnwindInfoError> {
        let rows = &section[self.rows.clone()];
        let take = |at: &mut usize, size: usize| {
            let bytes = rows.get(*at..at.saturating_add(size)).ok_or_else(|| broken("it ends in a row"))?;
            *at += size;
            Ok(self.format.unsigned(bytes))
        };
        let mut next = at;
        let width = if kind <= 2 { 1 << kind } else { return Err(broken("a kind of row is not known")) };
        let start = take(&mut next, width)?;
        let info = take(&mut next, 1)? as u8;
        let (offset_count, size) = (usize::from(info >> 1 & 0xf), info >> 5 & 3);
        let size = if size <= 2 { 1 << size } else { return Err(broken("a size of offsets is not known")) };
        let mut row = Row { start, info, offsets: [0; 3], offset_count };
        for index in 0..offset_count {
            let value = take(&mut next, size)?;
            let unused = 64 - 8 * size as u32;
            if let Some(place) = row.offsets.get_mut(index) {
                *place = (value << unused) as i64 >> unused;
            }
        }
        Ok((row, next))
    }

    fn convert(
        &self,
        row: &Row,
        range: Range<LinkAddr>,
        arch: &'static ArchInfo,
    ) -> Result<UnwindRow, UnwindInfoError> {
        let most = if self.tracks_return_address { 3 } else { 2 };
        if row.offset_count == 0 || row.offset_count > most {
            return Err(broken("a row has no, or too many, offsets"));
        }
        let mut offsets = row.offsets[..row.offset_count].iter().copied();
        let base = if row.info & 1 == 0 { arch.fp } else { arch.sp };
        let cfa = CfaRule::Register(base, offsets.next().unwrap_or_default());
        let return_address = arch.link.unwrap_or(arch.pc);
        let fixed = |offset: i64| Some(offset).filter(|offset| *offset != 0);
        let saved_return =
            if self.tracks_return_address { offsets.next() } else { fixed(self.fixed_return_address) };
        let saved_fp = fixed(self.fixed_fp).or_else(|| offsets.next());
        // What else the function has saved it does not say: those registers are lost.
        let is_told = |id: &RegisterId| [arch.fp, arch.sp, return_address].contains(id);
        let mut rules: Vec<_> =
            arch.preserved().filter(|id| !is_told(id)).map(|id| (id, RegisterRule::Undefined)).collect();
        rules.push((arch.fp, saved_fp.map_or(RegisterRule::SameValue, RegisterRule::AtCfa)));
        rules.extend(saved_return.map(|offset| (return_address, RegisterRule::AtCfa(offset))));
        Ok(UnwindRow {
            range,
            cfa,
            return_address,
            rules,
            signal_frame: false,
            signed_return_address: row.info >> 7 == 1,
            only_at_calls: false,
        })
    }
}

fn broken(what: &str) -> UnwindInfoError {
    UnwindInfoError::Malformed(format!("SFrame: {what}"))
}

#[cfg(test)]
mod tests;
