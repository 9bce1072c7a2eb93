//! `runtime.pcHeader`: where each of the tables is.

use gimli::RunTimeEndian;
use prospect_process::LinkAddr;

use super::{fields::Fields, function::Function};
use crate::binary::Headers;

/// What linkers call the section that begins with the header: in programs that are loaded anywhere, its addresses
/// were relocated up to Go 1.25.
const NAMES: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];

/// Sections that no other program has.
const MARKS: [&[u8]; 2] = [b".note.go.buildid", b".go.buildinfo"];

/// How the tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// Go 1.2 to 1.15: one table.
    Go12,
    /// Go 1.16 and 1.17: a table for each purpose.
    Go116,
    /// Go 1.18 and 1.19: offsets instead of addresses.
    Go118,
    /// Since Go 1.20: inlined calls are told in another way.
    Go120,
}

impl Format {
    fn from_magic(magic: u32) -> Option<Self> {
        match magic {
            0xffff_fffb => Some(Self::Go12),
            0xffff_fffa => Some(Self::Go116),
            0xffff_fff0 => Some(Self::Go118),
            0xffff_fff1 => Some(Self::Go120),
            _ => None,
        }
    }
}

/// The header, and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) address: LinkAddr,
    pub(super) format: Format,
    /// Addresses are told in units of so many bytes.
    pub(super) quantum: u8,
    pub(super) word_bytes: usize,
    pub(super) big_endian: bool,
    function_count: usize,
    /// Where the offsets of functions count from, where it is here and not with the module data alone.
    pub(super) text_start: Option<u64>,
    /// Where the tables are, counted from the header.
    pub(super) names: usize,
    units: usize,
    files: usize,
    pub(super) pc_tables: usize,
    functions: usize,
}

/// The tables of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a> {
    pub(super) header: &'a Header,
    pub(super) bytes: &'a [u8],
    pub(super) text: u64,
}

impl Header {
    /// Finds it by the name of its section, or where no name says so by what it looks like.
    pub(super) fn find(headers: &Headers) -> Option<Self> {
        let is_one_of = |names: &[&[u8]], name: &[u8]| names.contains(&name);
        let by_name = headers.sections.iter().find(|one| is_one_of(&NAMES, &one.name));
        if let Some(found) = by_name.and_then(|one| Self::parse(headers, one.address)) {
            return Some(found);
        }
        // Linkers for other languages put it into a section of theirs. Of a file without sections nothing is known.
        let may_be_go =
            headers.code.is_empty() || headers.sections.iter().any(|one| is_one_of(&MARKS, &one.name));
        if !may_be_go {
            return None;
        }
        headers.segments.iter().filter(|segment| !segment.executable).find_map(|segment| {
            let step = usize::from(headers.address_bytes).max(4);
            let bytes = headers.loaded(segment.range.start);
            let looks_so = |window: &&[u8]| {
                matches!(
                    window,
                    [0xf0 | 0xf1 | 0xfa | 0xfb, 0xff, 0xff, 0xff, 0, 0, 1 | 2 | 4, 4 | 8]
                        | [0xff, 0xff, 0xff, 0xf0 | 0xf1 | 0xfa | 0xfb, 0, 0, 1 | 2 | 4, 4 | 8]
                )
            };
            let windows = (0..bytes.len()).step_by(step).filter_map(|at| Some((at, bytes.get(at..at + 8)?)));
            let mut found = windows.filter(|(_, window)| looks_so(window));
            found.find_map(|(at, _)| Self::parse(headers, LinkAddr(segment.range.start.0 + at as u64)))
        })
    }

    /// The header at an address, if there is one that makes sense.
    fn parse(headers: &Headers, address: LinkAddr) -> Option<Self> {
        let bytes = headers.loaded(address);
        let big_endian = headers.endian == RunTimeEndian::Big;
        let word_bytes = usize::from(*bytes.get(7)?);
        if word_bytes != usize::from(headers.address_bytes) || bytes.get(4..6)? != [0, 0] {
            return None;
        }
        let fields = Fields { bytes, word_bytes, big_endian };
        let format = Format::from_magic(fields.half(0)?)?;
        let quantum = bytes[6];
        if !matches!(quantum, 1 | 2 | 4) {
            return None;
        }
        let field = |index: usize| fields.offset(8 + index * word_bytes);
        let mut header = Self {
            address,
            format,
            quantum,
            word_bytes,
            big_endian,
            function_count: field(0)?,
            text_start: Some(0),
            names: 0,
            units: 0,
            files: 0,
            pc_tables: 0,
            functions: 8 + word_bytes,
        };
        if format >= Format::Go116 {
            let first = if format >= Format::Go118 {
                header.text_start = fields.word(8 + 2 * word_bytes).filter(|text| *text != 0);
                3
            } else {
                2
            };
            header.names = field(first)?;
            header.units = field(first + 1)?;
            header.files = field(first + 2)?;
            header.pc_tables = field(first + 3)?;
            header.functions = field(first + 4)?;
        }
        header.is_plausible(bytes).then_some(header)
    }

    /// Whether the tables lie where the bytes are, in their order, and functions follow each other.
    fn is_plausible(&self, bytes: &[u8]) -> bool {
        let tables = Tables { header: self, bytes, text: 0 };
        let starts = [self.names, self.units, self.files, self.pc_tables, self.functions];
        let last = self.function_count.checked_mul(2 * self.entry_bytes());
        let end = last.and_then(|length| self.functions.checked_add(length));
        let is_within = end.is_some_and(|end| end < bytes.len());
        let is_sorted = || {
            let mut before = None;
            (0..=self.function_count.min(64)).all(|index| {
                let entry = tables.entry(index).map(|(entry, _)| entry);
                let fits = entry.is_some() && entry >= before;
                before = entry;
                fits
            })
        };
        let is_ordered = self.format == Format::Go12 || starts.is_sorted();
        self.function_count > 0 && is_ordered && is_within && is_sorted()
    }

    /// The bytes from the header on.
    pub(super) fn bytes<'a>(&self, headers: &'a Headers) -> &'a [u8] {
        headers.loaded(self.address)
    }

    /// How wide an entry of the function table tells a number.
    pub(super) fn entry_bytes(&self) -> usize {
        if self.format >= Format::Go118 { 4 } else { self.word_bytes }
    }
}

impl<'a> Tables<'a> {
    pub(super) fn fields(&self) -> Fields<'a> {
        let Header { word_bytes, big_endian, .. } = *self.header;
        Fields { bytes: self.bytes, word_bytes, big_endian }
    }

    /// An entry of the function table: where the function begins, and where more is told of it. One behind the last
    /// says where that ends.
    fn entry(&self, index: usize) -> Option<(u64, u64)> {
        let width = self.header.entry_bytes();
        let at = self.header.functions.checked_add(index.checked_mul(2 * width)?)?;
        let start = self.fields().number(at, width)?;
        let start = if self.header.format >= Format::Go118 { start.checked_add(self.text)? } else { start };
        Some((start, self.fields().number(at + width, width).unwrap_or(0)))
    }

    /// The function that an address lies in.
    pub(super) fn function(self, at: u64) -> Option<Function<'a>> {
        let (mut low, mut high) = (0, self.header.function_count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.0 <= at { low = middle + 1 } else { high = middle }
        }
        let (function, end) = self.function_of(low.checked_sub(1)?)?;
        (function.start..end).contains(&at).then_some(function)
    }

    /// All functions, each with where it ends, in the order of their addresses.
    pub(super) fn functions(self) -> impl Iterator<Item = (Function<'a>, u64)> {
        (0..self.header.function_count).map_while(move |index| self.function_of(index))
    }

    fn function_of(self, index: usize) -> Option<(Function<'a>, u64)> {
        let (start, offset) = self.entry(index)?;
        let end = self.entry(index.checked_add(1)?)?.0;
        let base = if self.header.format == Format::Go12 { 0 } else { self.header.functions };
        let at = base.checked_add(usize::try_from(offset).ok()?)?;
        Some((Function { tables: self, start, at }, end))
    }

    /// The name at an offset among the names.
    pub(super) fn name(&self, offset: usize) -> Option<String> {
        super::fields::text(self.fields().from(self.header.names.checked_add(offset)?)?)
    }

    /// The path of a file of the unit whose files begin at `unit`.
    pub(super) fn file(&self, unit: usize, number: usize) -> Option<String> {
        let fields = self.fields();
        let at = if self.header.format == Format::Go12 {
            // The table of files is behind that of functions, and paths count from the header.
            let width = self.header.entry_bytes();
            let behind = self.header.functions + (2 * self.header.function_count + 1) * width;
            let table = usize::try_from(fields.half(behind)?).ok()?;
            usize::try_from(fields.half(table.checked_add(number.checked_mul(4)?)?)?).ok()?
        } else {
            let index = unit.checked_add(number)?.checked_mul(4)?.checked_add(self.header.units)?;
            let offset = fields.half(index).filter(|offset| *offset != u32::MAX)?;
            self.header.files.checked_add(usize::try_from(offset).ok()?)?
        };
        super::fields::text(fields.from(at)?)
    }
}
