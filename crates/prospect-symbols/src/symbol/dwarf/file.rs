//! A file with DWARF, and what is kept of it between requests.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use gimli::{Encoding, Format};

use super::{
    abbreviations::Abbreviations,
    fuel::Fuel,
    sections::{Part, SectionPlaces, Sections},
    unit::{KeptUnit, UnitHeader},
};
use crate::{Binary, binary::Headers};

/// How much of a packed `.debug_abbrev` is unpacked at first beyond where a table begins.
pub(super) const TABLE_STEP: usize = 16 << 10;

/// Tables with more abbreviations and attributes in all than this are not kept.
const MOST_KEPT: usize = 1_000_000;

/// So many units are kept open.
const MOST_UNITS: usize = 4096;

type TableKey = (usize, u8, u16, Format);

/// A file with DWARF.
pub(super) struct DwarfFile {
    pub(super) binary: Arc<Binary>,
    pub(super) split: bool,
    places: SectionPlaces,
    tables: Mutex<Tables>,
    /// Where the first units begin, as far as that was asked for.
    unit_starts: Mutex<UnitStarts>,
    type_units: OnceLock<TypeUnits>,
}

/// The units that hold one type each.
#[derive(Default)]
struct TypeUnits {
    /// Where those of `.debug_types` begin in it.
    starts: Vec<usize>,
    /// Where the types are, by their signatures: in `.debug_info`, or behind its end as much as in `.debug_types`.
    by_signature: HashMap<u64, usize>,
}

#[derive(Default)]
struct Tables {
    by_place: HashMap<TableKey, Arc<Abbreviations>>,
    size: usize,
    /// The units that were opened, by where they begin, and whether that is in `.debug_types`.
    units: BTreeMap<(usize, bool), KeptUnit>,
}

#[derive(Default)]
struct UnitStarts {
    starts: Vec<usize>,
    /// Where the next one begins, if there is one.
    next: usize,
}

impl DwarfFile {
    pub(super) fn new(binary: Arc<Binary>, split: bool) -> Self {
        Self {
            places: SectionPlaces::of(&binary, split),
            binary,
            split,
            tables: Mutex::default(),
            unit_starts: Mutex::default(),
            type_units: OnceLock::new(),
        }
    }

    pub(super) fn headers(&self) -> &Headers {
        self.binary.headers()
    }

    pub(super) fn sections(&self) -> Sections<'_> {
        self.places.sections(&self.binary)
    }

    /// The abbreviations of a unit in `section`, a part of this file's. Units share tables where a
    /// whole program was compiled at once.
    pub(super) fn abbreviations(
        &self,
        section: Part<'_>,
        header: &UnitHeader,
        fuel: &mut Fuel<'_>,
    ) -> Arc<Abbreviations> {
        let (key, offset) = (self.table_key(header), header.abbreviations_at);
        if let Some(table) = key.and_then(|key| lock(&self.tables).by_place.get(&key).cloned()) {
            return table;
        }
        let mut end = offset.saturating_add(TABLE_STEP);
        let table = loop {
            let bytes = section.at_least(offset..end);
            let table = Abbreviations::parse(bytes, 0, header.endian, header.encoding, None, fuel);
            if !table.cut || end >= section.len() {
                break Arc::new(table);
            }
            end = end.saturating_mul(4);
        };
        if let Some(key) = key {
            let mut tables = lock(&self.tables);
            if tables.size + table.size() <= MOST_KEPT {
                tables.size += table.size();
                tables.by_place.insert(key, table.clone());
            }
        }
        table
    }

    fn table_key(&self, header: &UnitHeader) -> Option<TableKey> {
        let Encoding { address_size, format, version } = header.encoding;
        // In a package, each unit has a part of its own: the place in it says nothing.
        (!self.is_package()).then_some((header.abbreviations_at, address_size, version, format))
    }

    /// A unit that was opened before.
    pub(super) fn kept_unit(&self, place: (usize, bool)) -> Option<KeptUnit> {
        lock(&self.tables).units.get(&place).cloned()
    }

    /// Keeps a unit for the next time that something of it is asked for.
    pub(super) fn keep_unit(&self, place: (usize, bool), unit: KeptUnit) {
        let mut tables = lock(&self.tables);
        // What it has of the tables counts there.
        let is_counted = |key| tables.by_place.contains_key(&key);
        if tables.units.len() < MOST_UNITS && self.table_key(unit.header()).is_some_and(is_counted) {
            tables.units.insert(place, unit);
        }
    }

    pub(super) fn is_package(&self) -> bool {
        self.split && self.binary.section(".debug_cu_index").is_some()
    }

    /// Where the unit that holds `offset` of `.debug_info` begins.
    pub(super) fn unit_start(&self, sections: &Sections<'_>, offset: usize) -> Option<usize> {
        let mut units = lock(&self.unit_starts);
        units.extend(sections, offset);
        let after = units.starts.partition_point(|&start| start <= offset);
        let start = *units.starts.get(after.checked_sub(1)?)?;
        (offset < units.starts.get(after).copied().unwrap_or(units.next)).then_some(start)
    }

    /// Where all the units begin.
    pub(super) fn all_unit_starts(&self, sections: &Sections<'_>) -> Vec<usize> {
        let mut units = lock(&self.unit_starts);
        units.extend(sections, usize::MAX);
        units.starts.clone()
    }

    /// Where the type with this signature is: an offset in `.debug_info`, or behind its end as much as in `.debug_types`.
    pub(super) fn type_at(&self, sections: &Sections<'_>, signature: u64) -> Option<usize> {
        self.type_units(sections).by_signature.get(&signature).copied()
    }

    /// The same of all type units.
    pub(super) fn all_types(&self, sections: &Sections<'_>) -> Vec<usize> {
        let mut all: Vec<usize> = self.type_units(sections).by_signature.values().copied().collect();
        all.sort_unstable();
        all
    }

    /// Where the unit that holds `offset` of `.debug_types` begins.
    pub(super) fn type_unit_start(&self, sections: &Sections<'_>, offset: usize) -> Option<usize> {
        let starts = &self.type_units(sections).starts;
        starts.get(starts.partition_point(|&start| start <= offset).checked_sub(1)?).copied()
    }

    fn type_units(&self, sections: &Sections<'_>) -> &TypeUnits {
        self.type_units.get_or_init(|| {
            let mut units = TypeUnits::default();
            for start in self.all_unit_starts(sections) {
                units.note(sections, start, 0);
            }
            let types = sections.of_types();
            let mut next = 0;
            while let Some(header) = UnitHeader::read(&types, next) {
                units.starts.push(next);
                units.note(&types, next, sections.info.len());
                next = header.end;
            }
            units
        })
    }
}

impl TypeUnits {
    fn note(&mut self, sections: &Sections<'_>, start: usize, behind: usize) {
        let header = UnitHeader::read(sections, start);
        if let Some((signature, at)) = header.and_then(|header| header.signature) {
            let at = start.saturating_add(at).saturating_add(behind);
            // Of two the first: they are the same.
            self.by_signature.entry(signature).or_insert(at);
        }
    }
}

impl UnitStarts {
    /// Goes from header to header until one lies behind `offset`.
    fn extend(&mut self, sections: &Sections<'_>, offset: usize) {
        /// Pages that were touched for nothing but headers are given back this often.
        const RELEASE_STEP: usize = 4 << 20;
        let mut released = self.next;
        while self.next <= offset {
            let Some(header) = UnitHeader::read(sections, self.next) else { break };
            self.starts.push(self.next);
            self.next = header.end;
            if self.next - released > RELEASE_STEP {
                sections.info.release(released..self.next);
                released = self.next;
            }
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is kept is half-made while the lock is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for DwarfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DwarfFile({})", self.binary.path().display())
    }
}
