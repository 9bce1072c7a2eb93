//! The DWARF sections of one file, or what a package holds of them for one unit.

use std::ops::Range;

use gimli::{
    DebugAddr, DebugAddrBase, DebugAddrIndex, DebugRanges, DebugRngLists, DebugStrOffsets,
    DebugStrOffsetsBase, DebugStrOffsetsIndex, EndianSlice, Format, RangeLists, RunTimeEndian,
};

use crate::{
    Binary,
    binary::{Section, SectionFile},
};

/// Bytes that are read lazily.
pub(super) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// How much of a packed section is unpacked beyond where a string begins.
const STRING_STEP: usize = 4096;

/// A string that is longer than this is none: its end would be sought again and again.
const LONGEST_STRING: usize = 1 << 20;

/// A part of a section; without one, it is empty.
#[derive(Clone, Copy, Default)]
pub(super) struct Part<'a> {
    section: Option<&'a Section>,
    start: usize,
    length: usize,
}

impl<'a> Part<'a> {
    fn whole(section: Option<&'a Section>) -> Self {
        Self { section, start: 0, length: section.map_or(0, Section::len) }
    }

    /// The bytes `start..start + length` of it, as far as there are so many.
    pub(super) fn part(self, start: usize, length: usize) -> Self {
        let start_within = start.min(self.length);
        Self {
            section: self.section,
            start: self.start + start_within,
            length: length.min(self.length - start_within),
        }
    }

    pub(super) fn len(self) -> usize {
        self.length
    }

    /// Whether it is packed in the file.
    pub(super) fn is_packed(self) -> bool {
        self.section.is_some_and(|section| section.packed_lengths().is_some())
    }

    /// Whether reading what is before `end` costs unpacking.
    pub(super) fn needs_unpacking(self, end: usize) -> bool {
        self.section.is_some_and(|section| section.needs_unpacking(self.start.saturating_add(end)))
    }

    /// The bytes from `range.start` on, at least to `range.end`, where there are so many.
    pub(super) fn at_least(self, range: Range<usize>) -> &'a [u8] {
        let Some(section) = self.section else { return &[] };
        let all_end = self.start + self.length;
        let within = |offset: usize| self.start.saturating_add(offset).min(all_end);
        let (start, end) = (within(range.start), within(range.end));
        let bytes = section.at_least(start..end);
        bytes.get(..all_end - start).unwrap_or(bytes)
    }

    pub(super) fn all(self) -> &'a [u8] {
        self.at_least(0..self.length)
    }

    /// The string at `offset`, without its NUL.
    pub(super) fn text(self, offset: usize) -> Option<&'a [u8]> {
        let mut end = offset.checked_add(STRING_STEP)?;
        loop {
            let rest = self.at_least(offset..end);
            let rest = rest.get(..LONGEST_STRING).unwrap_or(rest);
            if let Some(length) = memchr::memchr(0, rest) {
                return rest.get(..length);
            }
            if end >= self.length || rest.len() == LONGEST_STRING {
                return None;
            }
            end = end.saturating_mul(2);
        }
    }

    /// The file that it lies in, and where in the section of that it begins. `None` where that cannot be read.
    pub(super) fn reopen(self) -> Option<(SectionFile, usize)> {
        Some((self.section?.reopen()?, self.start))
    }

    /// Gives the pages of `range` back.
    pub(super) fn release(self, range: Range<usize>) {
        if let Some(section) = self.section {
            let within = |offset: usize| self.start + offset.min(self.length);
            section.release(within(range.start)..within(range.end));
        }
    }
}

/// The sections.
#[derive(Clone, Copy)]
pub(super) struct Sections<'a> {
    pub(super) endian: RunTimeEndian,
    /// They are those of split DWARF.
    pub(super) split: bool,
    pub(super) info: Part<'a>,
    /// `.debug_types`: the type units of version 4.
    pub(super) types: Part<'a>,
    /// `info` is `.debug_types`.
    pub(super) are_types: bool,
    pub(super) abbrev: Part<'a>,
    pub(super) line: Part<'a>,
    pub(super) line_str: Part<'a>,
    pub(super) str: Part<'a>,
    pub(super) str_offsets: Part<'a>,
    pub(super) addr: Part<'a>,
    pub(super) ranges: Part<'a>,
    pub(super) rnglists: Part<'a>,
    pub(super) loc: Part<'a>,
    pub(super) loclists: Part<'a>,
    pub(super) aranges: Part<'a>,
}

/// Where the sections of a file are in its list of sections: finding them by their names takes long.
#[derive(Clone, Copy)]
pub(super) struct SectionPlaces {
    split: bool,
    /// In the order of [`NAMES`].
    places: [Option<usize>; NAMES.len()],
}

/// The names of the sections, and those in split files; some are not in those.
const NAMES: [(&str, Option<&str>); 13] = [
    (".debug_info", Some(".debug_info.dwo")),
    (".debug_types", Some(".debug_types.dwo")),
    (".debug_abbrev", Some(".debug_abbrev.dwo")),
    (".debug_line", Some(".debug_line.dwo")),
    (".debug_line_str", None),
    (".debug_str", Some(".debug_str.dwo")),
    (".debug_str_offsets", Some(".debug_str_offsets.dwo")),
    (".debug_addr", None),
    (".debug_ranges", None),
    (".debug_rnglists", Some(".debug_rnglists.dwo")),
    (".debug_loc", Some(".debug_loc.dwo")),
    (".debug_loclists", Some(".debug_loclists.dwo")),
    (".debug_aranges", None),
];

impl SectionPlaces {
    /// Those of a file; of a split one those whose names end in `.dwo`.
    pub(super) fn of(binary: &Binary, split: bool) -> Self {
        let place = |(name, split_name)| binary.section_place(if split { split_name? } else { name });
        Self { split, places: NAMES.map(place) }
    }

    /// The sections of the file.
    pub(super) fn sections<'a>(&self, binary: &'a Binary) -> Sections<'a> {
        let mut places = self.places.into_iter();
        let mut next = || Part::whole(places.next().flatten().and_then(|place| binary.section_at(place)));
        // In the order of the names.
        Sections {
            endian: binary.endian(),
            split: self.split,
            are_types: false,
            info: next(),
            types: next(),
            abbrev: next(),
            line: next(),
            line_str: next(),
            str: next(),
            str_offsets: next(),
            addr: next(),
            ranges: next(),
            rnglists: next(),
            loc: next(),
            loclists: next(),
            aranges: next(),
        }
    }
}

impl<'a> Sections<'a> {
    /// Those of a file; of a split one those whose names end in `.dwo`.
    pub(super) fn of(binary: &'a Binary, split: bool) -> Self {
        SectionPlaces::of(binary, split).sections(binary)
    }

    /// The same with the type units of version 4 as the units.
    pub(super) fn of_types(self) -> Self {
        Self { info: self.types, are_types: true, ..self }
    }

    /// How many bytes there are, for a measure of the work that is reasonable.
    pub(super) fn size(&self) -> usize {
        [self.info, self.line, self.ranges, self.rnglists, self.abbrev, self.aranges]
            .iter()
            .fold(0, |sum: usize, part| sum.saturating_add(part.len()))
    }

    pub(super) fn slice(&self, bytes: &'a [u8]) -> Slice<'a> {
        EndianSlice::new(bytes, self.endian)
    }

    pub(super) fn address(&self, base: usize, index: u64, size: u8) -> Option<u64> {
        let index = DebugAddrIndex(usize::try_from(index).ok()?);
        self.debug_addr().get_address(size, DebugAddrBase(base), index).ok()
    }

    pub(super) fn debug_addr(&self) -> DebugAddr<Slice<'a>> {
        DebugAddr::from(self.slice(self.addr.all()))
    }

    pub(super) fn range_lists(&self, version: u16) -> RangeLists<Slice<'a>> {
        let (ranges, rnglists): (&[u8], &[u8]) =
            if version < 5 { (self.ranges.all(), &[]) } else { (&[], self.rnglists.all()) };
        RangeLists::new(DebugRanges::new(ranges, self.endian), DebugRngLists::new(rnglists, self.endian))
    }

    pub(super) fn indexed_text(&self, base: usize, index: u64, format: Format) -> Option<&'a [u8]> {
        self.str.text(self.str_offset(base, index, format)?)
    }

    /// Where the string stands in `.debug_str` that `.debug_str_offsets` has at `index`.
    pub(super) fn str_offset(&self, base: usize, index: u64, format: Format) -> Option<usize> {
        let index = DebugStrOffsetsIndex(usize::try_from(index).ok()?);
        let end = index.0.checked_add(1)?.checked_mul(8)?.checked_add(base)?;
        let offsets = DebugStrOffsets::from(self.slice(self.str_offsets.at_least(0..end)));
        Some(offsets.get_str_offset(format, DebugStrOffsetsBase(base), index).ok()?.0)
    }
}
