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
use crate::{
    parallel,
    symbol::dwarf::{DebugInfo, Descend, Entry, EntryUnit, Fuel, Tank, Value, lock},
};

/// No more definitions than this are kept.
const MOST_KEPT: usize = 1 << 20;

/// Units are read until there are so many bytes of them before it is asked again whether they have the one that is wanted.
const BYTES_AT_ONCE: usize = 16 << 20;

/// Most names differ from the one that is wanted within so many bytes.
const TELLING_BYTES: usize = 16;

/// So many names are looked for one by one; then all definitions are noted.
const MOST_SINGLE: usize = 4;

/// The definitions of structures, unions and enumerations by their qualified names.
#[derive(Default)]
pub(crate) struct Definitions(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The names that were looked for one by one.
    single: HashMap<u64, Option<EntryId>>,
    all: Pass,
}

/// Units are read, some at a time, until the definition that was asked for is found.
#[derive(Default)]
struct Pass {
    /// The one name that is looked for, in its parts.
    only: Option<Vec<Part>>,
    by_name: HashMap<u64, EntryId>,
    /// How many units were read.
    units: usize,
    starts: Option<Vec<usize>>,
    /// What is read when all units were: type units that nothing declares, units of the supplementary file.
    others: Vec<EntryId>,
    /// What was found depends on other files, or not everything could be read.
    is_unsure: bool,
}

/// A part of a name.
struct Part {
    letters: Box<[u8]>,
    /// All up to here.
    name: Name,
}

/// Where the type with a qualified name is defined, given by its parts: `outer`, `inner`.
pub(crate) fn find_definition<'n>(
    debug: &DebugInfo,
    names: impl Iterator<Item = &'n str>,
) -> Option<EntryId> {
    let mut path: Vec<Part> = Vec::new();
    for part in names {
        let name = path.last().map_or_else(Name::default, |outer| outer.name).with(part.as_bytes());
        path.push(Part { letters: part.as_bytes().into(), name });
    }
    let wanted = path.last()?.name;
    let mut known = lock(&debug.definitions.0);
    if let Some(known) = known.single.get(&wanted.0) {
        return *known;
    }
    if let Some(kept) = debug.index.definition(wanted.0) {
        return kept.map(|offset| EntryId { file: EntryFile::Main, offset });
    }
    if known.single.len() >= MOST_SINGLE {
        let found = known.all.find(debug, wanted);
        known.all.keep(debug, wanted, found);
        return found;
    }
    let mut pass = Pass { only: Some(path), ..Pass::default() };
    let found = pass.find(debug, wanted);
    pass.keep(debug, wanted, found);
    known.single.insert(wanted.0, found);
    found
}

impl Pass {
    fn find(&mut self, debug: &DebugInfo, wanted: Name) -> Option<EntryId> {
        let tank = debug.tank();
        loop {
            if let Some(&found) = self.by_name.get(&wanted.0) {
                return Some(found);
            }
            self.read_more(debug, &tank)?;
        }
    }

    /// Has what was found kept on disk, where it depends on nothing but the file itself.
    fn keep(&self, debug: &DebugInfo, name: Name, found: Option<EntryId>) {
        let place = match found {
            Some(EntryId { file: EntryFile::Main, offset }) => Some(offset),
            Some(_) => return,
            None => None,
        };
        if !self.is_unsure {
            debug.index.note_definition(name.0, place);
        }
    }

    /// Reads the next units, by all processors; `None` when all were read.
    fn read_more(&mut self, debug: &DebugInfo, tank: &Tank) -> Option<()> {
        let (first, only) = (self.units, self.only.as_deref());
        let starts = self.starts.get_or_insert_with(|| debug.unit_starts());
        let (mut jobs, mut size) = (Vec::new(), 0);
        for &start in starts.get(first..).unwrap_or_default() {
            let bytes = debug.unit_size(start);
            jobs.push((bytes, (start, first + jobs.len())));
            size += bytes;
            if size >= BYTES_AT_ONCE {
                break;
            }
        }
        if jobs.is_empty() {
            let at = self.others.pop()?;
            let mut found = Vec::new();
            let note = |unit: &EntryUnit<'_>, _: usize, fuel: &mut Fuel<'_>| {
                note_definitions(debug, unit, only, &mut found, fuel);
            };
            let _ = debug.with_entry(at, &mut tank.fuel(), note);
            self.add(found);
            return Some(());
        }
        self.units += jobs.len();
        let read = parallel::run(&jobs, |&(start, number)| {
            let mut found = Vec::new();
            let mut fuel = tank.fuel();
            let types = debug.with_unit(start, &mut fuel, |unit, _, fuel| {
                note_definitions(debug, unit, only, &mut found, fuel);
                // Once for each file.
                let is_split = unit.unit_id().file != EntryFile::Main;
                let types = if number == 0 || is_split { unit.types_beside() } else { Vec::new() };
                (types, is_split || unit.is_skeleton())
            });
            let (types, is_unsure) = types.unwrap_or_default();
            debug.release_unit(start);
            (found, types, is_unsure || fuel.is_out())
        });
        for (found, types, is_unsure) in read {
            self.add(found);
            self.others.extend(types);
            self.is_unsure |= is_unsure;
        }
        if first == 0 {
            self.others.extend(debug.packed_types());
            self.others.extend(debug.supplementary_units());
        }
        Some(())
    }

    /// Of two definitions of one name the first counts.
    fn add(&mut self, found: Vec<(Name, EntryId)>) {
        for (name, entry) in found {
            if self.by_name.len() < MOST_KEPT {
                self.by_name.entry(name.0).or_insert(entry);
            }
        }
    }
}

/// The definitions in a unit, in their order; or only what one name leads through.
fn note_definitions(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    only: Option<&[Part]>,
    found: &mut Vec<(Name, EntryId)>,
    fuel: &mut Fuel<'_>,
) {
    let tank = debug.tank();
    let mut fuel_for_names = tank.fuel();
    let has_scopes = has_scopes(unit.language());
    // The names that are open, with how deep they are.
    let mut open: Vec<(usize, Name)> = Vec::new();
    // What is declared: the definition may stand elsewhere in the unit.
    let mut declared: HashMap<usize, Name> = HashMap::new();
    unit.walk_some(fuel, is_named_scope, |depth, entry| {
        while open.last().is_some_and(|&(outer, _)| outer >= depth) {
            open.pop();
        }
        let (at, tag) = (entry.at, entry.tag);
        let said = Said::read(entry);
        let outer = open.last().map(|&(_, name)| name).unwrap_or_default();
        let named = |name| match only {
            None => unit.text(name).map(|name| outer.with(name)),
            Some(path) => step(path, outer, unit, name),
        };
        let mut elsewhere = || {
            let names = qualified_name(debug, unit.target(said.signature)?, &mut fuel_for_names);
            let add = |all: Name, name: &Arc<str>| all.with(name.as_bytes());
            (!names.is_empty()).then(|| names.iter().fold(Name::default(), add))
        };
        let own = if said.name == Value::None { elsewhere() } else { named(said.name) };
        // What has no name of its own here is of this unit alone.
        let Some(name) = said.specification.and_then(|at| declared.get(&at).copied()).or(own) else {
            return ControlFlow::<(), _>::Continue(Descend::No);
        };
        if only.is_some_and(|path| path.iter().all(|part| part.name != name)) {
            return ControlFlow::Continue(Descend::No);
        }
        if tag != dw::DW_TAG_namespace {
            if said.is_declaration && said.signature == Value::None {
                declared.insert(at, name);
            } else if found.len() < MOST_KEPT {
                found.push((name, unit.id(at)));
            }
        }
        if !has_scopes {
            return ControlFlow::Continue(Descend::No);
        }
        open.push((depth, name));
        ControlFlow::Continue(Descend::Yes)
    });
}

/// The name that `inner` has in `outer`, if the path leads through it.
fn step<'a>(path: &[Part], outer: Name, unit: &EntryUnit<'a>, inner: Value<'a>) -> Option<Name> {
    let next = if outer.is_empty() { 0 } else { path.iter().position(|part| part.name == outer)? + 1 };
    let part = path.get(next)?;
    let first = unit.first_bytes(inner, TELLING_BYTES).unwrap_or_default();
    if letters(&part.letters).zip(letters(first)).any(|(wanted, own)| wanted != own) {
        return None;
    }
    letters(&part.letters).eq(letters(unit.text(inner)?)).then_some(part.name)
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
    name: Value<'a>,
    is_declaration: bool,
    /// Which type unit has the definition.
    signature: Value<'a>,
    /// Where it was declared, in the same unit.
    specification: Option<usize>,
}

impl<'a> Said<'a> {
    fn read(entry: Entry<'a, '_>) -> Self {
        let mut said = Self::default();
        for (attribute, value) in entry {
            match (attribute, value) {
                (dw::DW_AT_name, name) => said.name = name,
                (dw::DW_AT_declaration, value) => said.is_declaration = value.is_set(),
                (dw::DW_AT_signature, value) => said.signature = value,
                (dw::DW_AT_specification, Value::UnitEntry(at)) => said.specification = Some(at),
                _ => {}
            }
        }
        said
    }
}

/// A number for a qualified name (FNV-1a), without spaces; so few that are asked for have the same as another one by chance only in a
/// file that was made for it.
#[derive(Clone, Copy, PartialEq, Eq)]
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
        Self(letters(separator).chain(letters(inner)).fold(self.0, add))
    }
}

/// A name without spaces, which not all compilers write in the same places.
fn letters(name: &[u8]) -> impl Iterator<Item = &u8> {
    name.iter().filter(|&&byte| byte != b' ')
}

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Definitions({})", lock(&self.0).all.by_name.len())
    }
}
