//! Variables outside of functions: those of one unit, and by name.

use std::sync::Arc;

use gimli::constants as dw;
use prospect_process::LinkAddr;

use super::{
    Variable,
    entry::{EntryReader, Position, RawVariable},
};
use crate::symbol::dwarf::{Children, DebugInfo, EntryUnit, Fuel};

/// A unit has no more of them than this that are worth a list.
const MOST_VARIABLES: usize = 100_000;

const POSITION: Position = Position { depth: 0, in_scope: true, block: None, in_function: false };

/// Those of the unit that an address lies in, with their names outside of all scopes.
pub(super) fn of_unit(debug: &Arc<DebugInfo>, at: LinkAddr) -> Vec<Variable> {
    let tank = debug.tank();
    let raw = debug.with_unit_at(at, &mut tank.fuel(), |unit, fuel| in_unit(debug, unit, None, fuel));
    raw.unwrap_or_default().into_iter().map(|one| one.finish(debug, None)).collect()
}

/// Those of that name: the definitions in the unit that `near` lies in first, then those of all others.
pub(super) fn find(
    debug: &Arc<DebugInfo>,
    name: &str,
    near: Option<LinkAddr>,
    fuel: &mut Fuel<'_>,
) -> Vec<Variable> {
    let mut found = Vec::new();
    if let Some(near) = near {
        let raw = debug.with_unit_at(near, fuel, |unit, fuel| in_unit(debug, unit, Some(name), fuel));
        found = raw.unwrap_or_default();
    }
    for start in debug.unit_starts() {
        let raw = debug.with_unit(start, fuel, |unit: &EntryUnit<'_>, _: usize, fuel: &mut Fuel<'_>| {
            in_unit(debug, unit, Some(name), fuel)
        });
        for one in raw.unwrap_or_default() {
            if !found.iter().any(|known| known.entry == one.entry) {
                found.push(one);
            }
        }
    }
    found.into_iter().map(|one| one.finish(debug, None)).collect()
}

/// The definitions in a unit, all or those of one name: as it is written, or with all that is around it.
fn in_unit(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    wanted: Option<&str>,
    fuel: &mut Fuel<'_>,
) -> Vec<RawVariable> {
    let (mut found, mut reader) = (Vec::new(), EntryReader::default());
    // The last part of a name is what an entry can be known by before all of it is read.
    let last = wanted.map(|name| name.rsplit("::").next().unwrap_or(name));
    let mut scopes: Vec<String> = Vec::new();
    let mut open: Vec<Children<'_, '_>> = vec![unit.children(unit.root())];
    while let Some(children) = open.last_mut() {
        let Some(entry) = children.next(fuel) else {
            open.pop();
            scopes.pop();
            continue;
        };
        match entry.tag {
            dw::DW_TAG_variable | dw::DW_TAG_constant => {
                let at = entry.at;
                if found.len() >= MOST_VARIABLES || !may_be_called(unit, at, last) {
                    continue;
                }
                let Some(mut variable) = reader.read(debug, unit, at, POSITION, fuel) else { continue };
                let full = variable.full_name(&scopes);
                let is_wanted = wanted.is_none_or(|wanted| wanted == full || wanted == variable.name);
                if is_wanted && !variable.is_declaration {
                    variable.name = full;
                    found.push(variable);
                }
            }
            dw::DW_TAG_namespace | dw::DW_TAG_module => {
                let at = entry.at;
                let mut entry = entry;
                let name = entry.find(|(name, _)| *name == dw::DW_AT_name);
                let name = name.and_then(|(_, value)| unit.text(value));
                scopes.push(name.map_or_else(
                    || "(anonymous namespace)".to_owned(),
                    |name| String::from_utf8_lossy(name).into_owned(),
                ));
                open.push(unit.children(at));
            }
            _ => {}
        }
    }
    found
}

/// Whether an entry has that name, or none of its own.
fn may_be_called(unit: &EntryUnit<'_>, at: usize, wanted: Option<&str>) -> bool {
    let (Some(wanted), Some(mut entry)) = (wanted, unit.entry(at)) else { return true };
    let name = entry.find(|(name, _)| *name == dw::DW_AT_name);
    name.and_then(|(_, value)| unit.text(value)).is_none_or(|name| name == wanted.as_bytes())
}
