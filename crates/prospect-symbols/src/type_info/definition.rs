//! Where a type is defined that is only declared in one place.

use std::{
    collections::HashMap,
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use gimli::{DwTag, constants as dw};

use super::{
    EntryFile, EntryId,
    read::{has_scopes, qualified_name},
};
use crate::symbol::dwarf::{DebugInfo, Descend, Entry, EntryUnit, Fuel, Value, lock};

/// No more definitions than this are kept.
const MOST_KEPT: usize = 1 << 20;

/// The definitions of structures, unions and enumerations by their qualified names. Units are read, one after another,
/// until the one that was asked for is found.
#[derive(Default)]
pub(crate) struct Definitions(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_name: HashMap<u64, EntryId>,
    /// How many units were read.
    units: usize,
    starts: Option<Vec<usize>>,
    /// What is read when all units were: type units that nothing declares, units of the supplementary file.
    others: Vec<EntryId>,
}

/// Where the type with a qualified name (`outer::inner`) is defined.
pub(crate) fn find_definition(debug: &DebugInfo, qualified_name: &str) -> Option<EntryId> {
    let wanted = Name::default().with(qualified_name.as_bytes());
    let mut known = lock(&debug.definitions.0);
    let tank = debug.tank();
    let mut fuel = tank.fuel();
    loop {
        if let Some(&found) = known.by_name.get(&wanted.0) {
            return Some(found);
        }
        known.read_next_unit(debug, &mut fuel)?;
    }
}

impl Known {
    /// `None` when all were read.
    fn read_next_unit(&mut self, debug: &DebugInfo, fuel: &mut Fuel<'_>) -> Option<()> {
        let found = &mut self.by_name;
        let next = self.units;
        let Some(&start) = self.starts.get_or_insert_with(|| debug.unit_starts()).get(next) else {
            let at = self.others.pop()?;
            let _ = debug.with_entry(at, fuel, |unit, _, fuel| note_definitions(debug, unit, found, fuel));
            return Some(());
        };
        self.units += 1;
        let types = debug.with_unit(start, fuel, |unit, _, fuel| {
            note_definitions(debug, unit, found, fuel);
            // Once for each file.
            let is_alone = next == 0 || unit.unit_id().file != EntryFile::Main;
            if is_alone { unit.types_beside() } else { Vec::new() }
        });
        self.others.extend(types.into_iter().flatten());
        if next == 0 {
            self.others.extend(debug.packed_types());
            self.others.extend(debug.supplementary_units());
        }
        debug.release_unit(start);
        Some(())
    }
}

fn note_definitions(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    found: &mut HashMap<u64, EntryId>,
    fuel: &mut Fuel<'_>,
) {
    let tank = debug.tank();
    let mut fuel_for_names = tank.fuel();
    let has_scopes = has_scopes(unit.language());
    // The names that are open, with how deep they are.
    let mut open: Vec<(usize, Name)> = Vec::new();
    // What is declared: the definition may stand elsewhere in the unit.
    let mut declared: HashMap<usize, Name> = HashMap::new();
    unit.walk(fuel, |depth, entry| {
        while open.last().is_some_and(|&(outer, _)| outer >= depth) {
            open.pop();
        }
        let (at, tag) = (entry.at, entry.tag);
        if !is_named_scope(tag) {
            return ControlFlow::<(), _>::Continue(if depth == 0 { Descend::Yes } else { Descend::No });
        }
        let said = Said::read(unit, entry);
        let outer = open.last().map(|&(_, name)| name).unwrap_or_default();
        let named = |name| Some(outer.with(name));
        let elsewhere = || {
            let names = qualified_name(debug, unit.target(said.signature)?, &mut fuel_for_names);
            let add = |all: Name, name: &Arc<str>| all.with(name.as_bytes());
            (!names.is_empty()).then(|| names.iter().fold(Name::default(), add))
        };
        let own = said.name.map_or_else(elsewhere, named);
        // What has no name of its own here is of this unit alone.
        let Some(name) = said.specification.and_then(|at| declared.get(&at).copied()).or(own) else {
            return ControlFlow::Continue(Descend::No);
        };
        if tag != dw::DW_TAG_namespace {
            if said.is_declaration && said.signature == Value::None {
                declared.insert(at, name);
            } else if found.len() < MOST_KEPT {
                found.entry(name.0).or_insert(unit.id(at));
            }
        }
        if !has_scopes {
            return ControlFlow::Continue(Descend::No);
        }
        open.push((depth, name));
        ControlFlow::Continue(Descend::Yes)
    });
}

fn is_named_scope(tag: DwTag) -> bool {
    matches!(
        tag,
        dw::DW_TAG_namespace
            | dw::DW_TAG_structure_type
            | dw::DW_TAG_class_type
            | dw::DW_TAG_union_type
            | dw::DW_TAG_interface_type
            | dw::DW_TAG_enumeration_type
    )
}

/// What an entry says of a name.
#[derive(Default)]
struct Said<'a> {
    name: Option<&'a [u8]>,
    is_declaration: bool,
    /// Which type unit has the definition.
    signature: Value<'a>,
    /// Where it was declared, in the same unit.
    specification: Option<usize>,
}

impl<'a> Said<'a> {
    fn read(unit: &EntryUnit<'a>, entry: Entry<'a, '_>) -> Self {
        let mut said = Self::default();
        for (attribute, value) in entry {
            match (attribute, value) {
                (dw::DW_AT_name, name) => said.name = unit.text(name),
                (dw::DW_AT_declaration, value) => said.is_declaration = value.is_set(),
                (dw::DW_AT_signature, value) => said.signature = value,
                (dw::DW_AT_specification, Value::UnitEntry(at)) => said.specification = Some(at),
                _ => {}
            }
        }
        said
    }
}

/// A number for a qualified name (FNV-1a); so few that are asked for have the same as another one by chance only in a
/// file that was made for it.
#[derive(Clone, Copy)]
struct Name(u64);

impl Default for Name {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Name {
    fn is_empty(self) -> bool {
        self.0 == Self::default().0
    }

    fn with(self, inner: &[u8]) -> Self {
        let separator: &[u8] = if self.is_empty() { b"" } else { b"::" };
        let add = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Self(separator.iter().chain(inner).fold(self.0, add))
    }
}

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Definitions({})", lock(&self.0).by_name.len())
    }
}
