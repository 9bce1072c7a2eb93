//! A unit: its header and what its root entry says (DWARF 5, sections 7.5.1 and 3.1).

use std::sync::Arc;

use gimli::{DwAt, DwLang, DwTag, Encoding, RunTimeEndian, constants as dw};

use super::{
    abbreviations::{Abbreviation, Abbreviations, Specification},
    file::DwarfFile,
    fuel::Fuel,
    reader::Reader,
    sections::Sections,
    value::Value,
};

/// No header is longer: two 64-bit lengths, a version, a kind, a size, a signature and an offset.
const LONGEST_HEADER: usize = 48;

/// A unit's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitHeader {
    /// Where it begins and ends in `.debug_info`.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) encoding: Encoding,
    pub(super) endian: RunTimeEndian,
    pub(super) is_type_unit: bool,
    /// Of a type unit: its signature, and where its type is, from the unit's start.
    pub(super) signature: Option<(u64, usize)>,
    /// The identity of a skeleton or split unit, where the header has it.
    dwo_id: Option<u64>,
    pub(super) abbreviations_at: usize,
    /// The root entry, from the unit's start.
    pub(super) root: usize,
}

impl UnitHeader {
    pub(super) fn read(sections: &Sections<'_>, start: usize) -> Option<Self> {
        let bytes = sections.info.at_least(start..start.checked_add(LONGEST_HEADER)?);
        let mut reader = Reader::new(bytes, 0, sections.endian);
        let (length, format) = reader.initial_length()?;
        let end = start.checked_add(reader.at())?.checked_add(length)?;
        if length == 0 || end > sections.info.len() {
            return None;
        }
        let version = u16::try_from(reader.uint(2)?).ok()?;
        let (mut kind, mut address_size, mut dwo_id) = (dw::DW_UT_compile, 0, None);
        if version >= 5 {
            kind = gimli::DwUt(reader.u8()?);
            address_size = reader.u8()?;
        }
        let abbreviations_at = reader.offset(format)?;
        if version < 5 {
            address_size = reader.u8()?;
        }
        let mut signature = None;
        let is_type_unit = sections.are_types || matches!(kind, dw::DW_UT_type | dw::DW_UT_split_type);
        if is_type_unit {
            signature = Some((reader.uint(8)?, reader.offset(format)?));
        } else if matches!(kind, dw::DW_UT_skeleton | dw::DW_UT_split_compile) {
            dwo_id = Some(reader.uint(8)?);
        }
        let encoding = Encoding { address_size, format, version };
        let endian = sections.endian;
        let root = reader.at();
        Some(Self { start, end, encoding, endian, is_type_unit, signature, dwo_id, abbreviations_at, root })
    }

    /// Whether what follows can be read; the next unit can be found in any case.
    fn is_known(&self) -> bool {
        (2..=5).contains(&self.encoding.version) && matches!(self.encoding.address_size, 2 | 4 | 8)
    }
}

/// A unit. What it says in words was not looked up yet.
pub(super) struct Unit<'a> {
    pub(super) file: &'a DwarfFile,
    pub(super) sections: Sections<'a>,
    pub(super) header: UnitHeader,
    /// The whole unit, header and all: entries are counted from its start.
    bytes: &'a [u8],
    pub(super) abbreviations: Arc<Abbreviations>,
    /// What its root entry says.
    pub(super) root: RootEntry<'a>,
}

/// What the root entry of a unit says.
#[derive(Clone, Copy)]
pub(super) struct RootEntry<'a> {
    pub(super) low_pc: u64,
    pub(super) high_pc: Value<'a>,
    pub(super) ranges: Value<'a>,
    pub(super) addr_base: usize,
    str_offsets_base: usize,
    pub(super) ranges_base: usize,
    /// Where the offsets of its location lists are in `.debug_loclists`.
    pub(super) location_base: usize,
    /// Its line number program in `.debug_line`.
    pub(super) line_program: Option<usize>,
    name: Value<'a>,
    comp_dir: Value<'a>,
    pub(super) language: Option<DwLang>,
    dwo_name: Value<'a>,
    dwo_id: Option<u64>,
}

/// A unit that was opened, without what lies in the bytes of its file.
#[derive(Clone)]
pub(super) struct KeptUnit {
    header: UnitHeader,
    abbreviations: Arc<Abbreviations>,
    root: RootEntry<'static>,
}

impl KeptUnit {
    /// `None` where the root entry has texts of its own.
    fn of(unit: &Unit<'_>) -> Option<Self> {
        let root = unit.root;
        let root = RootEntry {
            high_pc: root.high_pc.detached()?,
            ranges: root.ranges.detached()?,
            name: root.name.detached()?,
            comp_dir: root.comp_dir.detached()?,
            dwo_name: root.dwo_name.detached()?,
            ..root
        };
        Some(Self { header: unit.header, abbreviations: unit.abbreviations.clone(), root })
    }

    pub(super) fn header(&self) -> &UnitHeader {
        &self.header
    }
}

impl<'a> Unit<'a> {
    /// The unit that begins at `start` of `.debug_info`.
    pub(super) fn open(
        file: &'a DwarfFile,
        sections: Sections<'a>,
        start: usize,
        fuel: &mut Fuel<'_>,
    ) -> Option<Self> {
        let place = (start, sections.are_types);
        if let Some(KeptUnit { header, abbreviations, root }) = file.kept_unit(place) {
            let bytes = sections.info.at_least(header.start..header.end).get(..header.end - header.start)?;
            return Some(Self { file, sections, header, bytes, abbreviations, root });
        }
        let header = UnitHeader::read(&sections, start).filter(UnitHeader::is_known)?;
        let table = file.abbreviations(sections.abbrev, &header, fuel);
        let unit = Self::with_abbreviations(file, sections, header, table)?;
        if let Some(kept) = KeptUnit::of(&unit) {
            file.keep_unit(place, kept);
        }
        Some(unit)
    }

    /// The same with no more than its root entry: enough to know where its code is.
    pub(super) fn open_root(
        file: &'a DwarfFile,
        sections: Sections<'a>,
        start: usize,
        fuel: &mut Fuel<'_>,
    ) -> Option<Self> {
        let header = UnitHeader::read(&sections, start).filter(UnitHeader::is_known)?;
        if header.is_type_unit {
            return None;
        }
        let unit = sections.info.at_least(header.start..header.end);
        let code = Reader::new(unit, header.root, sections.endian).leb()?;
        let bytes = sections.abbrev.all();
        let at = header.abbreviations_at;
        let table = Abbreviations::parse(bytes, at, sections.endian, header.encoding, Some(code), fuel);
        Self::with_abbreviations(file, sections, header, Arc::new(table))
    }

    fn with_abbreviations(
        file: &'a DwarfFile,
        sections: Sections<'a>,
        header: UnitHeader,
        abbreviations: Arc<Abbreviations>,
    ) -> Option<Self> {
        let bytes = sections.info.at_least(header.start..header.end).get(..header.end - header.start)?;
        let word = usize::from(header.encoding.format.word_size());
        // Where a base is not said it lies behind the first header (in split units, that is always so).
        let split_5 = sections.split && header.encoding.version >= 5;
        let root = RootEntry {
            low_pc: 0,
            high_pc: Value::None,
            ranges: Value::None,
            addr_base: 0,
            str_offsets_base: if split_5 { 2 * word } else { 0 },
            ranges_base: if split_5 { 2 * word + 4 } else { 0 },
            location_base: if split_5 { 2 * word + 4 } else { 0 },
            line_program: None,
            name: Value::None,
            comp_dir: Value::None,
            language: None,
            dwo_name: Value::None,
            dwo_id: header.dwo_id,
        };
        let mut unit = Self { file, sections, header, bytes, abbreviations, root };
        unit.read_root()?;
        Some(unit)
    }

    fn read_root(&mut self) -> Option<()> {
        let mut low_pc = Value::None;
        let table = self.abbreviations.clone();
        let entry = self.entry_of(&table, self.header.root)?;
        let root = &mut self.root;
        for (name, value) in entry {
            match name {
                dw::DW_AT_low_pc => low_pc = value,
                dw::DW_AT_high_pc => root.high_pc = value,
                dw::DW_AT_ranges => root.ranges = value,
                dw::DW_AT_name => root.name = value,
                dw::DW_AT_comp_dir => root.comp_dir = value,
                dw::DW_AT_stmt_list => root.line_program = value.offset(),
                dw::DW_AT_language => {
                    root.language = value.number().and_then(|number| u16::try_from(number).ok()).map(DwLang);
                }
                dw::DW_AT_addr_base | dw::DW_AT_GNU_addr_base => root.addr_base = value.offset()?,
                dw::DW_AT_str_offsets_base => root.str_offsets_base = value.offset()?,
                dw::DW_AT_rnglists_base | dw::DW_AT_GNU_ranges_base => root.ranges_base = value.offset()?,
                dw::DW_AT_loclists_base => root.location_base = value.offset()?,
                dw::DW_AT_dwo_name | dw::DW_AT_GNU_dwo_name => root.dwo_name = value,
                dw::DW_AT_GNU_dwo_id => root.dwo_id = value.number().or(root.dwo_id),
                _ => {}
            }
        }
        // Only now are all the bases known.
        self.root.low_pc = self.address(low_pc).unwrap_or(0);
        Some(())
    }

    /// Takes over from the skeleton what a split unit does not say itself.
    pub(super) fn complete_from(&mut self, skeleton: &Unit<'a>) {
        self.sections.addr = skeleton.sections.addr;
        self.root.addr_base = skeleton.root.addr_base;
        self.root.low_pc = skeleton.root.low_pc;
        if self.header.encoding.version < 5 {
            self.sections.ranges = skeleton.sections.ranges;
            self.root.ranges_base = skeleton.root.ranges_base;
        }
    }

    /// A reader of its entries.
    pub(super) fn entries(&self, at: usize) -> Reader<'a> {
        Reader::new(self.bytes, at, self.sections.endian)
    }

    /// One entry's attributes.
    pub(super) fn entry(&self, at: usize) -> Option<Entry<'a, '_>> {
        self.entry_of(&self.abbreviations, at)
    }

    fn entry_of<'t>(&self, table: &'t Abbreviations, at: usize) -> Option<Entry<'a, 't>> {
        if at < self.header.root {
            return None;
        }
        let mut reader = self.entries(at);
        let shape = table.get(reader.leb()?)?;
        Some(self.entry_at(at, table, shape, reader))
    }

    /// The entry at `at`, which has this shape, where the reader stands before its attributes.
    pub(super) fn entry_at<'t>(
        &self,
        at: usize,
        table: &'t Abbreviations,
        shape: &Abbreviation,
        reader: Reader<'a>,
    ) -> Entry<'a, 't> {
        let attributes = table.specifications(shape).iter();
        let (tag, has_children) = (shape.tag, shape.has_children);
        Entry { tag, at, has_children, reader, attributes, encoding: self.header.encoding }
    }

    pub(super) fn address(&self, value: Value<'_>) -> Option<u64> {
        match value {
            Value::Address(address) => Some(address),
            Value::AddressIndex(index) => {
                self.sections.address(self.root.addr_base, index, self.header.encoding.address_size)
            }
            _ => None,
        }
    }

    /// A string, but not one of the supplementary file.
    pub(super) fn text(&self, value: Value<'a>) -> Option<&'a [u8]> {
        match value {
            Value::Text(text) => Some(text),
            Value::Str(offset) => self.sections.str.text(offset),
            Value::LineStr(offset) => self.sections.line_str.text(offset),
            Value::StrIndex(index) => {
                self.sections.indexed_text(self.root.str_offsets_base, index, self.header.encoding.format)
            }
            _ => None,
        }
    }

    /// Where a string stands in `.debug_str`, if it does.
    pub(super) fn str_offset(&self, value: Value<'_>) -> Option<usize> {
        match value {
            Value::Str(offset) => Some(offset),
            Value::StrIndex(index) => {
                self.sections.str_offset(self.root.str_offsets_base, index, self.header.encoding.format)
            }
            _ => None,
        }
    }

    pub(super) fn name(&self) -> Option<&'a [u8]> {
        self.text(self.root.name)
    }

    pub(super) fn comp_dir(&self) -> Option<&'a [u8]> {
        self.text(self.root.comp_dir)
    }

    /// The file with the split unit that this one is the skeleton of, and the identity of that unit.
    pub(super) fn split(&self) -> Option<(&'a [u8], u64)> {
        Some((self.text(self.root.dwo_name)?, self.root.dwo_id?))
    }

    pub(super) fn dwo_id(&self) -> Option<u64> {
        self.root.dwo_id
    }

    /// Whether names without the names around them say little: `new`, `operator()`.
    pub(super) fn has_qualified_names(&self) -> bool {
        matches!(
            self.root.language,
            Some(
                dw::DW_LANG_Rust
                    | dw::DW_LANG_C_plus_plus
                    | dw::DW_LANG_C_plus_plus_03
                    | dw::DW_LANG_C_plus_plus_11
                    | dw::DW_LANG_C_plus_plus_14
                    | dw::DW_LANG_C_plus_plus_17
                    | dw::DW_LANG_C_plus_plus_20
            )
        )
    }
}

/// The attributes of an entry, one after another.
pub(crate) struct Entry<'a, 't> {
    pub(crate) tag: DwTag,
    /// Where it begins, from the unit's start.
    pub(crate) at: usize,
    pub(crate) has_children: bool,
    reader: Reader<'a>,
    attributes: std::slice::Iter<'t, Specification>,
    encoding: Encoding,
}

impl<'a> Iterator for Entry<'a, '_> {
    type Item = (DwAt, Value<'a>);

    /// The next attribute; `None` also where what follows cannot be read.
    fn next(&mut self) -> Option<Self::Item> {
        let attribute = self.attributes.next()?;
        let value = Value::read(&mut self.reader, attribute.form, attribute.constant, self.encoding)?;
        Some((attribute.name, value))
    }
}
