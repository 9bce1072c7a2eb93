//! Entries, read one by one where something leads to them: types, variables, functions.

use std::ops::ControlFlow;

use gimli::{DwLang, DwTag, Encoding};

use super::{
    DebugInfo,
    file::DwarfFile,
    fuel::{Fuel, Tank},
    reader::Reader,
    sections::Sections,
    split::SplitUnit,
    unit::{Entry, Unit, UnitHeader},
    value::Value,
};
use crate::type_info::{EntryFile, EntryId};

/// A unit that is open for reading entries of it. Within it entries are known by where they are from its start.
pub(crate) struct EntryUnit<'a> {
    debug: &'a DebugInfo,
    pub(super) unit: Unit<'a>,
    file: EntryFile,
    /// Where it begins, as [`EntryId`]s count.
    start: usize,
}

/// What is done with a unit and an entry of it, and what is left of the work that is granted.
pub(crate) trait ReadEntry<T>: FnOnce(&EntryUnit<'_>, usize, &mut Fuel<'_>) -> T {}

impl<T, F: FnOnce(&EntryUnit<'_>, usize, &mut Fuel<'_>) -> T> ReadEntry<T> for F {}

impl DebugInfo {
    /// What the work for one question may be.
    pub(crate) fn tank(&self) -> Tank {
        Tank::for_size(self.size)
    }

    /// Opens the unit that holds an entry.
    pub(crate) fn with_entry<T>(
        &self,
        at: EntryId,
        fuel: &mut Fuel<'_>,
        read: impl ReadEntry<T>,
    ) -> Option<T> {
        match at.file {
            EntryFile::Main => self.in_file(&self.main, self.main.sections(), at, None, fuel, read),
            EntryFile::Supplementary => {
                let file = self.supplementary.as_ref()?;
                self.in_file(file, file.sections(), at, None, fuel, read)
            }
            EntryFile::Split(start) => {
                let skeleton = Unit::open(&self.main, self.main.sections(), start, fuel)?;
                match self.split.find(&skeleton, fuel)? {
                    SplitUnit::Packed(file, sections) => {
                        self.in_unit((file, *sections, 0), at, at.offset, Some(&skeleton), fuel, read)
                    }
                    SplitUnit::File(file) => {
                        self.in_file(&file, file.sections(), at, Some(&skeleton), fuel, read)
                    }
                }
            }
            EntryFile::PackedType(signature) => {
                let (file, sections) = self.split.packed_type(signature)?;
                self.in_unit((file, sections, 0), at, at.offset, None, fuel, read)
            }
        }
    }

    /// Opens the unit that begins at `start` of the main file's `.debug_info`, or the split unit that it stands for. The
    /// entry is the root.
    pub(crate) fn with_unit<T>(
        &self,
        start: usize,
        fuel: &mut Fuel<'_>,
        read: impl ReadEntry<T>,
    ) -> Option<T> {
        let sections = self.main.sections();
        let unit = Unit::open(&self.main, sections, start, fuel)?;
        let Some(found) = self.split.find(&unit, fuel) else {
            let root = unit.header.root;
            let unit = EntryUnit { debug: self, unit, file: EntryFile::Main, start };
            return Some(read(&unit, root, fuel));
        };
        let mut split = found.open(&unit, fuel)?;
        split.complete_from(&unit);
        let (root, split_start) = (split.header.root, split.header.start);
        let file = EntryFile::Split(start);
        Some(read(&EntryUnit { debug: self, unit: split, file, start: split_start }, root, fuel))
    }

    /// Where the units of the main file begin.
    pub(crate) fn unit_starts(&self) -> Vec<usize> {
        self.main.all_unit_starts(&self.main.sections())
    }

    /// The types of the type units of the package.
    pub(crate) fn packed_types(&self) -> Vec<EntryId> {
        let type_of = |signature| {
            let (_, sections) = self.split.packed_type(signature)?;
            let (_, offset) = UnitHeader::read(&sections, 0)?.signature?;
            Some(EntryId { file: EntryFile::PackedType(signature), offset })
        };
        self.split.packed_signatures().into_iter().filter_map(type_of).collect()
    }

    /// The units of the supplementary file.
    pub(crate) fn supplementary_units(&self) -> Vec<EntryId> {
        let Some(file) = &self.supplementary else { return Vec::new() };
        let starts = file.all_unit_starts(&file.sections()).into_iter();
        starts.map(|offset| EntryId { file: EntryFile::Supplementary, offset }).collect()
    }

    /// The language of the first unit that says one.
    fn usual_language(&self) -> Option<DwLang> {
        *self.usual_language.get_or_init(|| {
            let (tank, sections) = (self.tank(), self.main.sections());
            let mut fuel = tank.fuel();
            let mut starts = self.unit_starts().into_iter();
            let language = |start| Unit::open_root(&self.main, sections, start, &mut fuel)?.root.language;
            starts.find_map(language)
        })
    }

    /// Gives the pages of a unit of the main file back.
    pub(crate) fn release_unit(&self, start: usize) {
        let sections = self.main.sections();
        if let Some(header) = UnitHeader::read(&sections, start) {
            sections.info.release(start..header.end);
        }
    }

    fn in_file<'a, T>(
        &'a self,
        file: &'a DwarfFile,
        sections: Sections<'a>,
        at: EntryId,
        skeleton: Option<&Unit<'a>>,
        fuel: &mut Fuel<'_>,
        read: impl ReadEntry<T>,
    ) -> Option<T> {
        if let Some(offset) = at.offset.checked_sub(sections.info.len()) {
            let start = file.type_unit_start(&sections, offset)?;
            let unit = (file, sections.of_types(), start);
            return self.in_unit(unit, at, offset - start, skeleton, fuel, read);
        }
        let start = file.unit_start(&sections, at.offset)?;
        self.in_unit((file, sections, start), at, at.offset - start, skeleton, fuel, read)
    }

    fn in_unit<'a, T>(
        &'a self,
        (file, sections, start): (&'a DwarfFile, Sections<'a>, usize),
        id: EntryId,
        at: usize,
        skeleton: Option<&Unit<'a>>,
        fuel: &mut Fuel<'_>,
        read: impl ReadEntry<T>,
    ) -> Option<T> {
        let mut unit = Unit::open(file, sections, start, fuel)?;
        if let Some(skeleton) = skeleton {
            unit.complete_from(skeleton);
        }
        let unit = EntryUnit { debug: self, unit, file: id.file, start: id.offset - at };
        Some(read(&unit, at, fuel))
    }
}

impl<'a> EntryUnit<'a> {
    /// What an entry of this unit is called everywhere.
    pub(crate) fn id(&self, at: usize) -> EntryId {
        EntryId { file: self.file, offset: self.start.saturating_add(at) }
    }

    /// The types of the type units in the file that this unit is in; not where that is a package.
    pub(crate) fn types_beside(&self) -> Vec<EntryId> {
        let file = self.unit.file;
        if file.is_package() {
            return Vec::new();
        }
        let all = file.all_types(&file.sections());
        all.into_iter().map(|offset| EntryId { file: self.file, offset }).collect()
    }

    /// What the unit itself is called: its first byte.
    pub(crate) fn unit_id(&self) -> EntryId {
        self.id(0)
    }

    /// Whether the rest of it is in another file, which was not found.
    pub(crate) fn is_skeleton(&self) -> bool {
        self.file == EntryFile::Main && self.unit.split().is_some()
    }

    /// Where the root entry is.
    pub(crate) fn root(&self) -> usize {
        self.unit.header.root
    }

    /// Where it was compiled (`DW_AT_comp_dir`).
    pub(crate) fn comp_dir(&self) -> Option<&'a [u8]> {
        self.unit.comp_dir()
    }

    /// How its numbers are stored.
    pub(crate) fn encoding(&self) -> Encoding {
        self.unit.header.encoding
    }

    pub(crate) fn is_big_endian(&self) -> bool {
        gimli::Endianity::is_big_endian(self.unit.header.endian)
    }

    /// The language; partial units, which several others share, do not say theirs.
    pub(crate) fn language(&self) -> Option<DwLang> {
        self.unit.root.language.or_else(|| self.debug.usual_language())
    }

    /// One entry's attributes.
    pub(crate) fn entry(&self, at: usize) -> Option<Entry<'a, '_>> {
        self.unit.entry(at)
    }

    /// A string, in whichever file it is.
    pub(crate) fn text(&self, value: Value<'a>) -> Option<&'a [u8]> {
        match value {
            Value::SupplementaryStr(offset) => self.debug.supplementary.as_ref()?.sections().str.text(offset),
            value => self.unit.text(value),
        }
    }

    /// The first bytes of a string, with its NUL and what follows where it is shorter; `None` for one that is not in
    /// `.debug_str`. Strings are long, and most can be told from another without looking for their ends.
    pub(crate) fn first_bytes(&self, value: Value<'a>, count: usize) -> Option<&'a [u8]> {
        let Value::Str(offset) = value else { return None };
        let bytes = self.unit.sections.str.at_least(offset..offset.saturating_add(count));
        Some(bytes.get(..count).unwrap_or(bytes))
    }

    pub(crate) fn address(&self, value: Value<'_>) -> Option<u64> {
        self.unit.address(value)
    }

    /// The entry that a value refers to.
    pub(crate) fn target(&self, value: Value<'_>) -> Option<EntryId> {
        match value {
            Value::UnitEntry(at) => Some(self.id(at)),
            // A unit of a package counts from its own start; there are no others that it could mean.
            Value::InfoEntry(offset) => Some(EntryId { file: self.file, offset }),
            Value::SupplementaryEntry(offset) => Some(EntryId { file: EntryFile::Supplementary, offset }),
            Value::Signature(signature) => self.type_unit(signature),
            _ => None,
        }
    }

    /// The type of a type unit, sought first where this unit is.
    fn type_unit(&self, signature: u64) -> Option<EntryId> {
        if matches!(self.file, EntryFile::Split(_) | EntryFile::PackedType(_))
            && let Some((_, sections)) = self.debug.split.packed_type(signature)
        {
            let (own, offset) = UnitHeader::read(&sections, 0)?.signature?;
            let file = EntryFile::PackedType(signature);
            return (own == signature).then_some(EntryId { file, offset });
        }
        let own = self.unit.file.sections();
        if let Some(offset) = self.unit.file.type_at(&own, signature) {
            return Some(EntryId { file: self.file, offset });
        }
        let main = &self.debug.main;
        let offset = main.type_at(&main.sections(), signature)?;
        Some(EntryId { file: EntryFile::Main, offset })
    }

    /// The entries directly below an entry.
    pub(crate) fn children(&self, at: usize) -> Children<'_, 'a> {
        let mut reader = self.unit.entries(at);
        let parent = attributes_end(&self.unit, &mut reader);
        let ended = !parent.is_some_and(|parent| parent.has_children);
        Children { unit: &self.unit, reader, below: None, ended }
    }

    /// Visits the entries below one that `is_wanted`, in the order of the unit, until one breaks it off. What is below an entry that
    /// `holds` some is looked through too.
    pub(crate) fn each_below<B>(
        &self,
        at: usize,
        fuel: &mut Fuel<'_>,
        is_wanted: impl Fn(DwTag) -> bool,
        holds: impl Fn(DwTag) -> bool,
        mut visit: impl FnMut(Entry<'a, '_>) -> ControlFlow<B>,
    ) -> Option<B> {
        let table = &*self.unit.abbreviations;
        let mut reader = self.unit.entries(at);
        let mut depth = usize::from(attributes_end(&self.unit, &mut reader)?.has_children);
        while depth > 0 {
            fuel.burn(1)?;
            let at = reader.at();
            let code = reader.leb()?;
            if code == 0 {
                depth -= 1;
                continue;
            }
            let abbreviation = table.get(code)?;
            if is_wanted(abbreviation.tag)
                && let ControlFlow::Break(found) = visit(self.unit.entry_at(at, table, abbreviation, reader))
            {
                return Some(found);
            }
            let sibling = table.pass_over(abbreviation, &mut reader)?;
            if holds(abbreviation.tag) {
                depth += usize::from(abbreviation.has_children);
            } else {
                let below = Below { has_children: abbreviation.has_children, sibling };
                pass_over(&self.unit, &mut reader, below, fuel)?;
            }
        }
        None
    }

    /// Visits the root and what is below it in the order of the unit, until one breaks it off; each with its depth below
    /// the root.
    pub(crate) fn walk<B>(
        &self,
        fuel: &mut Fuel<'_>,
        visit: impl FnMut(usize, Entry<'a, '_>) -> ControlFlow<B, Descend>,
    ) -> Option<B> {
        self.walk_some(fuel, |_| true, visit)
    }

    /// The same for entries with some tags; of the others, only what is below the root itself is looked into.
    pub(crate) fn walk_some<B>(
        &self,
        fuel: &mut Fuel<'_>,
        is_wanted: impl Fn(DwTag) -> bool,
        mut visit: impl FnMut(usize, Entry<'a, '_>) -> ControlFlow<B, Descend>,
    ) -> Option<B> {
        let table = &*self.unit.abbreviations;
        let mut reader = self.unit.entries(self.unit.header.root);
        let mut depth = 0_usize;
        loop {
            fuel.burn(1)?;
            let at = reader.at();
            let code = reader.leb()?;
            if code == 0 {
                depth = depth.checked_sub(1).filter(|&depth| depth > 0)?;
                continue;
            }
            let abbreviation = table.get(code)?;
            let descend = if !is_wanted(abbreviation.tag) {
                if depth == 0 { Descend::Yes } else { Descend::No }
            } else {
                match visit(depth, self.unit.entry_at(at, table, abbreviation, reader)) {
                    ControlFlow::Break(found) => return Some(found),
                    ControlFlow::Continue(descend) => descend,
                }
            };
            let sibling = table.pass_over(abbreviation, &mut reader)?;
            let below = Below { has_children: abbreviation.has_children, sibling };
            match descend {
                Descend::No => pass_over(&self.unit, &mut reader, below, fuel)?,
                Descend::Yes => depth += usize::from(below.has_children),
            }
        }
    }
}

/// Whether what is below an entry is visited too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descend {
    Yes,
    No,
}

/// The entries directly below one.
pub(crate) struct Children<'u, 'a> {
    unit: &'u Unit<'a>,
    reader: Reader<'a>,
    /// What is below the last one is to be passed over first.
    below: Option<Below>,
    ended: bool,
}

/// What is known of the entries below one.
#[derive(Clone, Copy)]
pub(super) struct Below {
    pub(super) has_children: bool,
    /// Where the next entry of the same parent begins, where that is said.
    pub(super) sibling: Option<usize>,
}

impl<'u, 'a> Children<'u, 'a> {
    /// The next one; `None` also where what follows cannot be read, or the work is not granted.
    pub(crate) fn next(&mut self, fuel: &mut Fuel<'_>) -> Option<Entry<'a, 'u>> {
        self.next_of(fuel, |_| true)
    }

    /// The next one with a tag that is wanted: of most there are many others, which are passed over at once.
    pub(crate) fn next_of(
        &mut self,
        fuel: &mut Fuel<'_>,
        is_wanted: impl Fn(DwTag) -> bool,
    ) -> Option<Entry<'a, 'u>> {
        if self.ended {
            return None;
        }
        let entry = self.advance(fuel, is_wanted);
        self.ended = entry.is_none();
        entry
    }

    fn advance(&mut self, fuel: &mut Fuel<'_>, is_wanted: impl Fn(DwTag) -> bool) -> Option<Entry<'a, 'u>> {
        let table = &*self.unit.abbreviations;
        loop {
            if let Some(below) = self.below.take() {
                pass_over(self.unit, &mut self.reader, below, fuel)?;
            }
            fuel.burn(1)?;
            let at = self.reader.at();
            let abbreviation = table.get(self.reader.leb()?)?;
            let attributes = self.reader;
            let sibling = table.pass_over(abbreviation, &mut self.reader)?;
            self.below = Some(Below { has_children: abbreviation.has_children, sibling });
            if is_wanted(abbreviation.tag) {
                return Some(self.unit.entry_at(at, table, abbreviation, attributes));
            }
        }
    }
}

/// Reads to the end of an entry's attributes; `None` where there is no entry.
pub(super) fn attributes_end(unit: &Unit<'_>, reader: &mut Reader<'_>) -> Option<Below> {
    let abbreviation = unit.abbreviations.get(reader.leb()?)?;
    let sibling = unit.abbreviations.pass_over(abbreviation, reader)?;
    Some(Below { has_children: abbreviation.has_children, sibling })
}

/// Passes over all that is below an entry.
#[inline]
pub(super) fn pass_over(
    unit: &Unit<'_>,
    reader: &mut Reader<'_>,
    below: Below,
    fuel: &mut Fuel<'_>,
) -> Option<()> {
    match below.sibling {
        _ if !below.has_children => Some(()),
        Some(sibling) if sibling >= reader.at() => {
            reader.seek(sibling);
            Some(())
        }
        _ => pass_over_each(unit, reader, below, fuel),
    }
}

/// The same where nothing says where that ends.
fn pass_over_each(unit: &Unit<'_>, reader: &mut Reader<'_>, below: Below, fuel: &mut Fuel<'_>) -> Option<()> {
    let mut depth = 0_usize;
    let mut below = below;
    loop {
        match below.sibling.filter(|&sibling| below.has_children && sibling >= reader.at()) {
            Some(sibling) => reader.seek(sibling),
            None if below.has_children => depth += 1,
            None => {}
        }
        loop {
            if depth == 0 {
                return Some(());
            }
            fuel.burn(1)?;
            let mut ahead = *reader;
            if ahead.leb()? != 0 {
                break;
            }
            *reader = ahead;
            depth -= 1;
        }
        below = attributes_end(unit, reader)?;
    }
}
