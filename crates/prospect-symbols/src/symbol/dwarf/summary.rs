//! How much debug information there is, and of which kind: counted by the units' headers.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    DebugInfo,
    file::DwarfFile,
    fuel::Tank,
    sections::Sections,
    unit::{Unit, UnitHeader},
};
use crate::Binary;

/// How many units of one version of DWARF a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitCount {
    /// The version of DWARF, from the units' headers.
    pub version: u16,
    /// The units of this version.
    pub units: usize,
    /// How many of them hold nothing but types (only counted from version 5 on: before, they lie apart).
    pub types: usize,
}

/// The units of a file, by version: of `.debug_info`, or of `.debug_info.dwo`.
pub(crate) fn unit_counts(binary: &Arc<Binary>) -> Vec<UnitCount> {
    let is_split = binary.section(".debug_info").is_none();
    let sections = Sections::of(binary, is_split);
    let mut counts: BTreeMap<u16, UnitCount> = BTreeMap::new();
    for start in DwarfFile::new(binary.clone(), is_split).all_unit_starts(&sections) {
        let Some(header) = UnitHeader::read(&sections, start) else { continue };
        let version = header.encoding.version;
        let count = counts.entry(version).or_insert(UnitCount { version, ..UnitCount::default() });
        count.units += 1;
        count.types += usize::from(header.is_type_unit);
    }
    counts.into_values().collect()
}

impl DebugInfo {
    /// Looks for the split units of all skeletons. How many skeletons there are, and how many units were found.
    pub(crate) fn find_split_units(&self) -> (usize, usize) {
        // Both the standard and GNU's extension before it put addresses apart.
        if self.main.binary.section(".debug_addr").is_none() {
            return (0, 0);
        }
        let sections = self.main.sections();
        let tank = Tank::for_size(sections.size());
        let (mut skeletons, mut found) = (0, 0);
        for start in self.main.all_unit_starts(&sections) {
            let mut fuel = tank.fuel();
            let Some(unit) = Unit::open_root(&self.main, sections, start, &mut fuel) else { continue };
            if unit.split().is_some() {
                skeletons += 1;
                found += usize::from(self.split.find(&unit, &mut fuel).is_some());
            }
        }
        (skeletons, found)
    }
}
