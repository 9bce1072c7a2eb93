//! Where a type is defined that is only declared in one place.

use std::{collections::HashMap, fmt, ops::ControlFlow, sync::Mutex};

use gimli::constants as dw;

use super::EntryId;
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
        let next = known.units;
        let start = *known.starts.get_or_insert_with(|| debug.unit_starts()).get(next)?;
        known.units += 1;
        let found = &mut known.by_name;
        let _ = debug.with_unit(start, &mut fuel, |unit, _, fuel| note_definitions(unit, found, fuel));
        debug.release_unit(start);
    }
}

fn note_definitions(unit: &EntryUnit<'_>, found: &mut HashMap<u64, EntryId>, fuel: &mut Fuel<'_>) {
    let has_scopes = super::read::has_scopes(unit.language());
    // The names that are open, with how deep they are.
    let mut open: Vec<(usize, Name)> = Vec::new();
    unit.walk(fuel, |depth, entry| {
        while open.last().is_some_and(|&(outer, _)| outer >= depth) {
            open.pop();
        }
        let outer = open.last().map(|&(_, name)| name).unwrap_or_default();
        let (at, tag) = (entry.at, entry.tag);
        let name = match tag {
            dw::DW_TAG_namespace => name_of(unit, entry).0,
            dw::DW_TAG_structure_type
            | dw::DW_TAG_class_type
            | dw::DW_TAG_union_type
            | dw::DW_TAG_interface_type
            | dw::DW_TAG_enumeration_type => {
                let (name, is_definition) = name_of(unit, entry);
                if let Some(name) = name.filter(|_| is_definition && found.len() < MOST_KEPT) {
                    found.entry(outer.with(name).0).or_insert(unit.id(at));
                }
                name
            }
            _ => return ControlFlow::<(), _>::Continue(if depth == 0 { Descend::Yes } else { Descend::No }),
        };
        // What has no name of its own here is of this unit alone.
        let Some(name) = name.filter(|_| has_scopes) else { return ControlFlow::Continue(Descend::No) };
        open.push((depth, outer.with(name)));
        ControlFlow::Continue(Descend::Yes)
    });
}

/// An entry's name, and whether it defines what it names.
fn name_of<'a>(unit: &EntryUnit<'a>, entry: Entry<'a, '_>) -> (Option<&'a [u8]>, bool) {
    let (mut name, mut is_definition) = (None, true);
    for (attribute, value) in entry {
        match attribute {
            dw::DW_AT_name => name = unit.text(value),
            dw::DW_AT_declaration => is_definition &= !value.is_set(),
            dw::DW_AT_signature => is_definition &= value == Value::None,
            _ => {}
        }
    }
    (name, is_definition)
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
