//! Variables outside of functions: those of one unit, and by name.

use std::sync::Arc;

use gimli::constants as dw;
use prospect_process::LinkAddr;

use super::{
    Variable,
    entry::{Position, RawVariable},
};
use crate::{
    find::{Definition, DefinitionKinds, Pattern},
    symbol::dwarf::{Children, DebugInfo, EntryUnit, Fuel, find},
    type_info::{EntryId, qualified_name},
};

/// A unit has no more of them than this that are worth a list.
const MOST_VARIABLES: usize = 100_000;

/// A unit imports no more units than this, those among them that others import.
const MOST_IMPORTS: usize = 1000;

const POSITION: Position = Position { depth: 0, in_scope: true, block: None, in_function: false };

/// Those of the unit that an address lies in, with their names outside of all scopes.
pub(super) fn of_unit(debug: &Arc<DebugInfo>, at: LinkAddr) -> Vec<Variable> {
    let tank = debug.tank();
    let raw = debug.with_unit_at(at, &mut tank.fuel(), |unit, fuel| in_unit(debug, unit, None, fuel));
    raw.unwrap_or_default().into_iter().map(|one| one.finish(debug, None)).collect()
}

/// Those of that name in the unit that an address lies in.
pub(super) fn in_unit_of(
    debug: &Arc<DebugInfo>,
    at: LinkAddr,
    name: &str,
    fuel: &mut Fuel<'_>,
) -> Vec<Variable> {
    let raw = debug.with_unit_at(at, fuel, |unit, fuel| in_unit(debug, unit, Some(name), fuel));
    raw.unwrap_or_default().into_iter().map(|one| one.finish(debug, None)).collect()
}

/// Those of that name in all units.
pub(super) fn find(debug: &Arc<DebugInfo>, name: &str, fuel: &mut Fuel<'_>) -> Vec<Variable> {
    Pattern::name(name).map_or_else(|_| Vec::new(), |pattern| like(debug, &pattern, fuel))
}

/// Those that a pattern means in all units.
pub(super) fn like(debug: &Arc<DebugInfo>, pattern: &Pattern, fuel: &mut Fuel<'_>) -> Vec<Variable> {
    let definitions = find::definitions(debug, pattern, DefinitionKinds::VARIABLES, MOST_VARIABLES);
    let variable = |definition: Definition| {
        let read = |unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>| {
            RawVariable::read(debug, unit, at, POSITION, fuel)
        };
        let mut variable = debug.with_entry(definition.entry, fuel, read)??;
        variable.name = definition.name;
        (!variable.is_declaration).then(|| variable.finish(debug, None))
    };
    definitions.into_iter().filter_map(variable).collect()
}

/// The definitions in a unit and in the partial ones that it imports (DWARF 5, section 3.2.5; dwz makes them), all or those of
/// one name: as it is written, or with all that is around it.
fn in_unit(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    wanted: Option<&str>,
    fuel: &mut Fuel<'_>,
) -> Vec<RawVariable> {
    let (mut found, mut imports) = (Vec::new(), Vec::new());
    in_one_unit(debug, unit, wanted, &mut found, &mut imports, fuel);
    let mut next = 0;
    while let Some(&import) = imports.get(next) {
        next += 1;
        debug.with_entry(import, fuel, |unit: &EntryUnit<'_>, _: usize, fuel: &mut Fuel<'_>| {
            in_one_unit(debug, unit, wanted, &mut found, &mut imports, fuel);
        });
    }
    found
}

/// The definitions in one unit, and the units that it imports, each once.
fn in_one_unit(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    wanted: Option<&str>,
    found: &mut Vec<RawVariable>,
    imports: &mut Vec<EntryId>,
    fuel: &mut Fuel<'_>,
) {
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
                let Some(mut variable) = RawVariable::read(debug, unit, at, POSITION, fuel) else { continue };
                let full = match variable.origin {
                    // It is defined elsewhere than it was declared.
                    Some(_) if variable.linkage_name.is_none() => {
                        qualified_name(debug, variable.entry, fuel).join("::")
                    }
                    _ => variable.full_name(&scopes),
                };
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
            dw::DW_TAG_imported_unit => {
                let mut entry = entry;
                let import = entry.find(|(name, _)| *name == dw::DW_AT_import);
                let import = import.and_then(|(_, value)| unit.target(value));
                if let Some(import) = import.filter(|import| !imports.contains(import))
                    && imports.len() < MOST_IMPORTS
                {
                    imports.push(import);
                }
            }
            _ => {}
        }
    }
}

/// Whether an entry has that name, or none of its own.
fn may_be_called(unit: &EntryUnit<'_>, at: usize, wanted: Option<&str>) -> bool {
    let (Some(wanted), Some(mut entry)) = (wanted, unit.entry(at)) else { return true };
    let name = entry.find(|(name, _)| *name == dw::DW_AT_name);
    name.and_then(|(_, value)| unit.text(value)).is_none_or(|name| name == wanted.as_bytes())
}
