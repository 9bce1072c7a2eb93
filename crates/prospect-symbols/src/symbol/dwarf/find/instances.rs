//! What refers to entries that were found, and has code or a place: out-of-line copies, clones, inlined calls, definitions
//! of what was only declared.

use std::collections::{HashMap, HashSet};

use super::{
    super::{DebugInfo, fuel::Fuel, value::Value},
    Targets, UnitPlace,
    opened::{OpenedUnit, with_unit},
    plan::{Plan, Purpose, Role, Taken},
};
use crate::{
    find::{Definition, DefinitionKind, DefinitionKinds},
    symbol::demangle,
    type_info::EntryId,
};

/// An inlined call refers to an abstract function, that to a declaration: longer chains are broken.
const LONGEST_CHAIN: usize = 16;

/// An entry that refers to another one.
struct Reference {
    to: EntryId,
    at: usize,
    role: Role,
    /// The function or inlined call that it is in; 0 for none.
    inside: usize,
    has_code: bool,
}

/// The definitions in one unit of what `targets` name, and the entries that are more of the same.
pub(super) fn in_unit(
    debug: &DebugInfo,
    place: UnitPlace,
    targets: &Targets,
    kinds: DefinitionKinds,
    fuel: &mut Fuel<'_>,
) -> (Vec<Definition>, HashMap<EntryId, usize>) {
    let search = |mut unit: OpenedUnit<'_>, fuel: &mut Fuel<'_>| {
        let mut references = Vec::new();
        // What was read before a broken place counts.
        let _ = collect(&unit, kinds, fuel, &mut references);
        choose(&mut unit, &references, targets, kinds, fuel)
    };
    with_unit(debug, place, fuel, search).unwrap_or_default()
}

fn collect(
    unit: &OpenedUnit<'_>,
    kinds: DefinitionKinds,
    fuel: &mut Fuel<'_>,
    references: &mut Vec<Reference>,
) -> Option<()> {
    let table = unit.unit.abbreviations.clone();
    let plan = Plan::new(&table, unit.unit.header.encoding, Purpose::References);
    let mut reader = unit.unit.entries(unit.unit.header.root);
    let mut depth = 0_usize;
    // The functions and inlined calls that the reader is in, with the depths of what they hold.
    let mut open: Vec<(usize, usize)> = Vec::new();
    while !reader.is_at_end() {
        fuel.burn(1)?;
        let at = reader.at();
        let code = reader.leb()?;
        if code == 0 {
            depth = depth.checked_sub(1).filter(|depth| *depth > 0)?;
            while open.last().is_some_and(|&(inner, _)| inner > depth) {
                open.pop();
            }
            continue;
        }
        let shape = plan.shape(code)?;
        let mut taken = Taken::none();
        plan.step_over(shape, &mut reader, &mut taken)?;
        let wanted = match shape.role {
            Role::Function => true,
            Role::Inlined => kinds.inlined && taken.has_code(),
            Role::Variable => kinds.variables,
            _ => false,
        };
        if wanted
            && taken.reference != Value::None
            && let Some(to) = unit.referred(taken.reference)
        {
            let inside = open.last().map_or(0, |&(_, at)| at);
            references.push(Reference { to, at, role: shape.role, inside, has_code: taken.has_code() });
        }
        if !shape.has_children {
            continue;
        }
        let skip = match shape.role {
            Role::Other => depth > 0,
            // Without code, none of the calls in it was made.
            Role::Function => !taken.has_code() && !kinds.variables,
            _ => false,
        };
        match taken.sibling {
            Some(sibling) if skip && sibling >= reader.at() => reader.seek(sibling),
            _ => {
                depth += 1;
                if matches!(shape.role, Role::Function | Role::Inlined) {
                    open.push((depth, at));
                }
            }
        }
    }
    Some(())
}

fn choose(
    unit: &mut OpenedUnit<'_>,
    references: &[Reference],
    targets: &Targets,
    kinds: DefinitionKinds,
    fuel: &mut Fuel<'_>,
) -> (Vec<Definition>, HashMap<EntryId, usize>) {
    let mut more: HashMap<EntryId, usize> = HashMap::new();
    let mut chosen: HashSet<usize> = HashSet::new();
    let (mut definitions, mut places) = (Vec::new(), Vec::new());
    for _ in 0..LONGEST_CHAIN {
        let before = more.len();
        for reference in references {
            if chosen.contains(&reference.at) {
                continue;
            }
            let target = targets.entries.get(&reference.to).or_else(|| more.get(&reference.to)).copied();
            let Some(name) = target.and_then(|target| targets.names.get(target)) else { continue };
            chosen.insert(reference.at);
            if reference.role != Role::Inlined {
                more.extend(target.map(|target| (unit.place(reference.at), target)));
            }
            let is_wanted = kinds.functions || reference.role != Role::Function;
            if is_wanted
                && (reference.has_code || reference.role == Role::Variable)
                && let Some(found) = unit.definition(reference.at, reference.role, name, fuel)
            {
                definitions.push(found);
                places.push(reference.inside);
            }
        }
        if more.len() == before {
            break;
        }
    }
    name_callers(unit, &mut definitions, &places, fuel);
    (definitions, more)
}

/// Says what calls were inlined into.
fn name_callers(
    unit: &mut OpenedUnit<'_>,
    definitions: &mut [Definition],
    inside: &[usize],
    fuel: &mut Fuel<'_>,
) {
    let is_inlined = |one: &Definition| matches!(one.kind, DefinitionKind::InlinedCall { .. });
    let wanted = definitions.iter().zip(inside).filter(|(one, at)| is_inlined(one) && **at > 0);
    let wanted: Vec<usize> = wanted.map(|(_, at)| *at).collect();
    let names = unit.units.functions(&unit.unit.clone(), wanted.into_iter(), fuel);
    for (definition, at) in definitions.iter_mut().zip(inside) {
        if let (DefinitionKind::InlinedCall { into }, Some(found)) = (&mut definition.kind, names.get(*at)) {
            let linkage_name = found.linkage_name.as_ref().map(|name| demangle(name.text.as_bytes()));
            let name = linkage_name.or_else(|| found.name.as_ref().map(|name| name.text.to_string()));
            *into = name.filter(|name| fuel.burn(name.len()).is_some());
        }
    }
}
