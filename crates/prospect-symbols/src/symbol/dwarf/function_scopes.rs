//! The functions that cover one address, with the unit that describes them.

use std::sync::Arc;

use prospect_process::LinkAddr;

use super::{
    DebugInfo,
    abbreviations::Taken,
    entries::EntryUnit,
    fuel::Fuel,
    functions::{self, Scopes},
    lines::LineProgram,
    ranges::{CodeAttributes, covered},
    unit::Unit,
    unit_index::{self, Candidate},
    value::Value,
};
use crate::type_info::EntryFile;

/// Where the functions of this many addresses are is remembered.
const MOST_REMEMBERED: usize = 4096;

/// The unit that holds the functions at an address, by where it begins in the main file, and their entries in it.
#[derive(Clone, Debug)]
pub(super) struct FoundFunctions {
    unit: usize,
    scopes: Scopes,
}

impl DebugInfo {
    /// Opens the unit with the functions that cover an address, and gives their entries: the function that was really
    /// called, then the ones that were inlined into it, the innermost last. `None` where no function covers it.
    pub(crate) fn with_functions_at<T>(
        &self,
        at: LinkAddr,
        fuel: &mut Fuel<'_>,
        read: impl FnOnce(&EntryUnit<'_>, &[usize], &mut Fuel<'_>) -> T,
    ) -> Option<T> {
        let known = super::file::lock(&self.functions_at).get(&at).cloned();
        let found = match known {
            Some(known) => known,
            None => {
                let found = self.find_functions(at, fuel);
                let mut remembered = super::file::lock(&self.functions_at);
                if remembered.len() >= MOST_REMEMBERED {
                    remembered.clear();
                }
                remembered.insert(at, found.clone());
                found
            }
        };
        let FoundFunctions { unit, scopes } = found?;
        self.with_unit(unit, fuel, |unit, _, fuel| read(unit, &scopes, fuel))
    }

    /// Opens the unit that an address lies in.
    pub(crate) fn with_unit_at<T>(
        &self,
        at: LinkAddr,
        fuel: &mut Fuel<'_>,
        mut read: impl FnMut(&EntryUnit<'_>, &mut Fuel<'_>) -> T,
    ) -> Option<T> {
        self.in_units_of(at, fuel, |unit, _, fuel| Some(read(unit, fuel)))
    }

    /// Notes in which units addresses lie: who asks for their names mostly asks for their variables next. Of very many
    /// addresses, nothing is noted.
    pub(super) fn note_units(&self, found: impl ExactSizeIterator<Item = (LinkAddr, Option<usize>)>) {
        if found.len() > MOST_REMEMBERED {
            return;
        }
        let mut noted = super::file::lock(&self.units_at);
        if noted.len() + found.len() > MOST_REMEMBERED {
            noted.clear();
        }
        noted.extend(found);
    }

    fn find_functions(&self, at: LinkAddr, fuel: &mut Fuel<'_>) -> Option<FoundFunctions> {
        if super::file::lock(&self.units_at).get(&at) == Some(&None) {
            return None;
        }
        self.in_units_of(at, fuel, |unit, start, fuel| {
            let scopes = functions::find(&unit.unit, &[at.0], fuel).pop().unwrap_or_default();
            (!scopes.is_empty()).then_some(FoundFunctions { unit: start, scopes })
        })
    }

    /// Opens the units where an address may be, one after the other, until `read` finds something in one.
    fn in_units_of<T>(
        &self,
        at: LinkAddr,
        fuel: &mut Fuel<'_>,
        mut read: impl FnMut(&EntryUnit<'_>, usize, &mut Fuel<'_>) -> Option<T>,
    ) -> Option<T> {
        let sections = self.main.sections();
        let mut try_all = |units: Vec<Candidate>, fuel: &mut Fuel<'_>| {
            units.into_iter().find_map(|(_, start)| {
                self.with_unit(start, fuel, |unit, _, fuel| read(unit, start, fuel)).flatten()
            })
        };
        let noted = super::file::lock(&self.units_at).get(&at).copied().flatten();
        if let Some(found) = try_all(noted.map(|start| (0, start)).into_iter().collect(), fuel) {
            return Some(found);
        }
        if let Some(listed) = self.index.index().and_then(|index| index.candidates(&[at.0])) {
            return try_all(listed, fuel);
        }
        let listed = unit_index::from_aranges(&sections, &[at.0], fuel);
        if let Some(found) = try_all(listed, fuel) {
            return Some(found);
        }
        let starts = self.main.all_unit_starts(&sections);
        let scanned = unit_index::from_roots(&self.main, &sections, &starts, &[at.0], fuel);
        try_all(scanned, fuel)
    }

    /// The path of a source file by its number in a unit.
    pub(crate) fn source_path(
        &self,
        unit: &EntryUnit<'_>,
        number: u64,
        fuel: &mut Fuel<'_>,
    ) -> Option<Arc<str>> {
        // A split unit means the files of its skeleton.
        if let EntryFile::Split(start) = unit.unit_id().file {
            let skeleton = Unit::open_root(&self.main, self.main.sections(), start, fuel)?;
            return LineProgram::open(&skeleton)?.path(number);
        }
        LineProgram::open(&unit.unit)?.path(number)
    }
}

impl EntryUnit<'_> {
    /// Where the code of an entry begins, where it is in one piece.
    pub(crate) fn start_of(&self, entry: usize) -> Option<LinkAddr> {
        let (_, value) = self.unit.entry(entry)?.find(|(name, _)| *name == gimli::constants::DW_AT_low_pc)?;
        self.unit.address(value).map(LinkAddr)
    }

    /// Whether an entry's code covers an address; `None` where it does not say where its code is.
    pub(crate) fn covers(&self, entry: usize, at: LinkAddr, fuel: &mut Fuel<'_>) -> Option<bool> {
        let mut taken = Taken::default();
        for (name, value) in self.unit.entry(entry)? {
            match name {
                gimli::constants::DW_AT_low_pc => taken.low_pc = value,
                gimli::constants::DW_AT_high_pc => taken.high_pc = value,
                gimli::constants::DW_AT_ranges => taken.ranges = value,
                _ => {}
            }
        }
        if taken.low_pc == Value::None && taken.ranges == Value::None {
            return None;
        }
        let mut covers = false;
        let _ = covered(&self.unit, &CodeAttributes::from(&taken), &[at.0], fuel, |_| covers = true);
        Some(covers)
    }
}
