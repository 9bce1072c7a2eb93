//! The functions that cover one address, with the unit that describes them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use prospect_process::LinkAddr;

use super::{
    DebugInfo,
    abbreviations::Taken,
    entries::EntryUnit,
    file::lock,
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

/// The functions at addresses that were asked about, and those that are described where these were called.
#[derive(Default)]
pub(super) struct KnownFunctions {
    by_address: Mutex<HashMap<LinkAddr, Option<FoundFunctions>>>,
    /// The units that are searched: who asks for another address of one waits for what comes of it.
    searched: Mutex<HashMap<usize, Arc<Mutex<()>>>>,
    call_sites: Mutex<HashMap<LinkAddr, Option<usize>>>,
}

/// The unit that holds the functions at an address, by where it begins in the main file, and their entries in it.
#[derive(Clone, Debug)]
struct FoundFunctions {
    unit: usize,
    scopes: Arc<[usize]>,
}

impl KnownFunctions {
    fn get(&self, at: LinkAddr) -> Option<Option<FoundFunctions>> {
        lock(&self.by_address).get(&at).cloned()
    }

    fn add(&self, at: LinkAddr, found: Option<FoundFunctions>) {
        let mut known = lock(&self.by_address);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(at, found);
    }
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
        let found = self.functions.get(at).unwrap_or_else(|| {
            let found = self.find_functions(at, fuel);
            self.functions.add(at, found.clone());
            found
        });
        let FoundFunctions { unit, scopes } = found?;
        self.with_unit(unit, fuel, |unit, _, fuel| read(unit, &scopes, fuel))
    }

    /// The entry that describes the call which returns to an address, in the unit of the functions there; `find` looks for it.
    pub(crate) fn call_site(&self, returns: LinkAddr, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        if let Some(known) = lock(&self.functions.call_sites).get(&returns) {
            return *known;
        }
        let found = find();
        let mut known = lock(&self.functions.call_sites);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(returns, found);
        found
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
        let mut noted = lock(&self.units_at);
        if noted.len() + found.len() > MOST_REMEMBERED {
            noted.clear();
        }
        noted.extend(found);
    }

    /// The unit that an address was found in when its name was asked for, by where it begins.
    pub(crate) fn noted_unit(&self, at: LinkAddr) -> Option<usize> {
        lock(&self.units_at).get(&at).copied().flatten()
    }

    /// Notes the functions at addresses (sorted) of a unit, which were found on the way. Of very many addresses, nothing is
    /// noted.
    pub(super) fn note_functions(&self, unit: usize, pcs: &[u64], found: &[Scopes]) {
        let mut known = lock(&self.functions.by_address);
        if known.len() + pcs.len() > MOST_REMEMBERED {
            return;
        }
        for (&at, scopes) in pcs.iter().zip(found).filter(|(_, scopes)| !scopes.is_empty()) {
            let scopes = scopes.as_slice().into();
            known.entry(LinkAddr(at)).or_insert(Some(FoundFunctions { unit, scopes }));
        }
    }

    fn find_functions(&self, at: LinkAddr, fuel: &mut Fuel<'_>) -> Option<FoundFunctions> {
        let noted = lock(&self.units_at).get(&at).copied();
        if noted == Some(None) {
            return None;
        }
        if let Some(unit) = noted.flatten()
            && let Some(found) = self.find_noted(unit, at, fuel)
        {
            return Some(found);
        }
        self.in_units_of(at, fuel, |unit, start, fuel| {
            let scopes = functions::find(&unit.unit, &[at.0], fuel).pop().unwrap_or_default();
            (!scopes.is_empty()).then_some(FoundFunctions { unit: start, scopes: scopes.into() })
        })
    }

    /// The functions at an address that was noted to be in a unit; those at all others that were noted for it are found in
    /// the same pass.
    fn find_noted(&self, unit: usize, at: LinkAddr, fuel: &mut Fuel<'_>) -> Option<FoundFunctions> {
        let searched = lock(&self.functions.searched).entry(unit).or_default().clone();
        let _searched = lock(&searched);
        if let Some(known) = self.functions.get(at) {
            return known;
        }
        let is_here = |(&at, &noted): (&LinkAddr, &Option<usize>)| (noted == Some(unit)).then_some(at);
        let mut noted: Vec<LinkAddr> = lock(&self.units_at).iter().filter_map(is_here).collect();
        let known = lock(&self.functions.by_address);
        noted.retain(|at| !known.contains_key(at));
        drop(known);
        let mut pcs: Vec<u64> = noted.into_iter().map(|at| at.0).collect();
        pcs.sort_unstable();
        let found = self.with_unit(unit, fuel, |unit, _, fuel| functions::find(&unit.unit, &pcs, fuel))?;
        self.note_functions(unit, &pcs, &found);
        let scopes = found.get(pcs.binary_search(&at.0).ok()?).filter(|scopes| !scopes.is_empty())?;
        Some(FoundFunctions { unit, scopes: scopes.as_slice().into() })
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
        let noted = self.noted_unit(at);
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
        let key = (unit.unit_id(), number);
        if let Some(known) = lock(&self.paths).get(&key) {
            return known.clone();
        }
        let found = self.read_path(unit, number, fuel);
        let mut known = lock(&self.paths);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(key, found.clone());
        found
    }

    fn read_path(&self, unit: &EntryUnit<'_>, number: u64, fuel: &mut Fuel<'_>) -> Option<Arc<str>> {
        // A split unit means the files of its skeleton.
        if let EntryFile::Split(start) = unit.unit_id().file {
            let skeleton = Unit::open_root(&self.main, self.main.sections(), start, fuel)?;
            return LineProgram::open(&skeleton)?.path(number);
        }
        LineProgram::open(&unit.unit)?.path(number)
    }
}

impl fmt::Debug for KnownFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownFunctions({})", lock(&self.by_address).len())
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

    /// Whether one of the ranges of a list has an address; `None` where it is no list that can be read.
    pub(crate) fn list_covers(&self, list: Value<'_>, at: LinkAddr, fuel: &mut Fuel<'_>) -> Option<bool> {
        if !matches!(list, Value::Offset(_) | Value::ListIndex(_)) {
            return None;
        }
        let ranges = Taken { ranges: list, ..Taken::default() };
        let mut covers = false;
        covered(&self.unit, &CodeAttributes::from(&ranges), &[at.0], fuel, |_| covers = true)?;
        Some(covers)
    }
}
