//! Which entries an entry lies in: entries do not say it themselves.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use gimli::{DwTag, constants as dw};

use super::{
    DebugInfo,
    entries::{Below, EntryUnit, attributes_end, pass_over},
    file::lock,
    fuel::Fuel,
    names,
    unit::Unit,
};
use crate::type_info::EntryId;

/// No more scopes than this are kept of all units together.
const MOST_KEPT: usize = 2 << 20;

/// So many letters of a name take as much room as a scope.
const LETTERS: usize = 16;

/// No entry is nested deeper in what gives it a name.
const DEEPEST: usize = 256;

/// The scopes of the units that were asked for.
#[derive(Default)]
pub(super) struct KeptScopes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_unit: HashMap<EntryId, Arc<Mutex<UnitScopes>>>,
    /// The names of scopes with those around them.
    names: HashMap<EntryId, Arc<[Arc<str>]>>,
    /// How many scopes and names they have.
    size: usize,
}

/// The scopes of a unit, as far as it was walked. Namespaces are walked into; what is in types and functions is found
/// when it is asked for.
#[derive(Default)]
struct UnitScopes {
    scopes: Vec<Scope>,
    /// Where the walk goes on, from the unit's start.
    at: usize,
    /// The namespaces that are open there.
    open: Vec<Option<u32>>,
    ended: bool,
}

#[derive(Clone, Copy)]
struct Scope {
    start: u32,
    /// Behind all that is in it; the last possible number while that is not known.
    end: u32,
    /// What it is in.
    outer: Option<u32>,
    is_namespace: bool,
}

impl DebugInfo {
    /// The names of a scope and of those around it, the outermost first, if they were kept.
    pub(crate) fn kept_names(&self, scope: EntryId) -> Option<Arc<[Arc<str>]>> {
        lock(&self.scopes.0).names.get(&scope).cloned()
    }

    /// Keeps them for the next one that asks, where there is room.
    pub(crate) fn keep_names(&self, scope: EntryId, names: &[Arc<str>]) {
        let size = 1 + names.iter().map(|name| 1 + name.len() / LETTERS).sum::<usize>();
        let mut kept = lock(&self.scopes.0);
        if kept.size.saturating_add(size) <= MOST_KEPT && kept.names.insert(scope, names.into()).is_none() {
            kept.size += size;
        }
    }

    /// The scopes that an entry of a unit lies in, the outermost first.
    pub(crate) fn scopes_around(&self, unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>) -> Vec<usize> {
        let scopes = self.scopes.of(unit.unit_id());
        let mut scopes = lock(&scopes);
        let before = scopes.scopes.len();
        scopes.walk_to(&unit.unit, at, self.scopes.room(), fuel);
        self.scopes.grew(scopes.scopes.len() - before);
        let (mut around, inner) = scopes.around(at);
        drop(scopes);
        if let Some(inner) = inner {
            around.extend(scopes_within(&unit.unit, inner, at, fuel));
        }
        around
    }
}

impl KeptScopes {
    fn of(&self, unit: EntryId) -> Arc<Mutex<UnitScopes>> {
        let mut kept = lock(&self.0);
        if kept.size >= MOST_KEPT {
            *kept = Kept::default();
        }
        kept.by_unit.entry(unit).or_default().clone()
    }

    fn room(&self) -> usize {
        MOST_KEPT.saturating_sub(lock(&self.0).size)
    }

    fn grew(&self, by: usize) {
        lock(&self.0).size += by;
    }
}

impl UnitScopes {
    /// Goes on until what is at `target` was met.
    fn walk_to(&mut self, unit: &Unit<'_>, target: usize, room: usize, fuel: &mut Fuel<'_>) {
        if self.at == 0 {
            self.at = unit.header.root;
        }
        let most = self.scopes.len().saturating_add(room);
        while !self.ended && self.at <= target && self.scopes.len() < most {
            self.ended = self.step(unit, fuel).is_none();
        }
    }

    fn step(&mut self, unit: &Unit<'_>, fuel: &mut Fuel<'_>) -> Option<()> {
        fuel.burn(1)?;
        let at = self.at;
        let mut reader = unit.entries(at);
        let code = reader.leb()?;
        if code == 0 {
            self.at = reader.at();
            if let Some(closed) = self.open.pop()? {
                self.scopes[closed as usize].end = u32::try_from(self.at).ok()?;
            }
            return (!self.open.is_empty()).then_some(());
        }
        let abbreviation = unit.abbreviations.get(code)?;
        let sibling = unit.abbreviations.pass_over(abbreviation, &mut reader)?;
        if abbreviation.has_children {
            let tag = abbreviation.tag;
            let outer = self.open.iter().rev().copied().flatten().next();
            let start = u32::try_from(at).ok()?;
            let is_namespace = matches!(tag, dw::DW_TAG_namespace | dw::DW_TAG_module);
            let index = u32::try_from(self.scopes.len()).ok()?;
            let walked = is_namespace || at == unit.header.root;
            if walked && self.open.len() < DEEPEST {
                self.open.push(is_namespace.then_some(index));
            } else {
                pass_over(unit, &mut reader, Below { has_children: true, sibling }, fuel)?;
            }
            if is_scope(tag) {
                let end = if walked { u32::MAX } else { u32::try_from(reader.at()).ok()? };
                self.scopes.push(Scope { start, end, outer, is_namespace });
            }
        }
        self.at = reader.at();
        (!self.open.is_empty()).then_some(())
    }

    /// The namespaces around an entry, and the type or function that it is in besides.
    fn around(&self, at: usize) -> (Vec<usize>, Option<usize>) {
        let before = self.scopes.partition_point(|scope| (scope.start as usize) < at);
        let mut next = before.checked_sub(1);
        let (mut around, mut inner) = (Vec::new(), None);
        while let Some(index) = next {
            let scope = self.scopes[index];
            if (scope.end as usize) > at {
                if scope.is_namespace {
                    around.push(scope.start as usize);
                } else {
                    inner = Some(scope.start as usize);
                }
            }
            next = scope.outer.map(|outer| outer as usize);
        }
        around.reverse();
        (around, inner)
    }
}

/// The scopes from the one at `from` to the entry at `to`, which lies in it.
fn scopes_within(unit: &Unit<'_>, from: usize, to: usize, fuel: &mut Fuel<'_>) -> Vec<usize> {
    let mut open = Vec::new();
    let mut reader = unit.entries(from);
    let mut walk = || {
        while reader.at() < to {
            fuel.burn(1)?;
            let at = reader.at();
            let code = reader.leb()?;
            if code == 0 {
                open.pop()?;
                continue;
            }
            let tag = unit.abbreviations.get(code)?.tag;
            reader.seek(at);
            let below = attributes_end(unit, &mut reader)?;
            match below.sibling.filter(|&sibling| sibling <= to && sibling >= reader.at()) {
                Some(sibling) if below.has_children => reader.seek(sibling),
                _ if below.has_children => open.push((at, is_scope(tag))),
                _ => {}
            }
        }
        Some(())
    };
    // What cannot be read is not around anything.
    let _ = walk();
    open.into_iter().filter_map(|(at, is_scope)| is_scope.then_some(at)).take(DEEPEST).collect()
}

/// What gives the names in it a longer name.
fn is_scope(tag: DwTag) -> bool {
    tag == dw::DW_TAG_subprogram || names::is_scope(tag)
}

impl fmt::Debug for KeptScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptScopes({})", lock(&self.0).size)
    }
}
