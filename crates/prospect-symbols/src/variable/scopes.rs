//! The variables of the functions that cover an address.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gimli::constants as dw;
use prospect_process::LinkAddr;

use super::{
    FunctionScope, Variable, VariableKind,
    entry::{self, Position, RawVariable},
};
use crate::{
    symbol::dwarf::{Children, DebugInfo, EntryUnit, Fuel},
    type_info::{EntryId, TypeRef},
};

/// A function has no more variables than this that are worth a list.
const MOST_VARIABLES: usize = 100_000;

/// The functions that cover an address, the innermost first, without names.
pub(super) fn at(debug: &Arc<DebugInfo>, at: LinkAddr) -> Vec<FunctionScope> {
    let tank = debug.tank();
    let found = debug.with_functions_at(at, &mut tank.fuel(), |unit, scopes, fuel| {
        let function = scopes.first().map(|&function| unit.id(function));
        let result = scopes.first().map(|&function| entry::result(debug, unit, function, fuel));
        let mut search = Search { debug, at, left: MOST_VARIABLES };
        let of_one = |(depth, &entry): (usize, &usize)| {
            let variables = search.function(unit, entry, fuel);
            (depth > 0, variables)
        };
        let raw: Vec<(bool, Vec<RawVariable>)> = scopes.iter().enumerate().rev().map(of_one).collect();
        (function, result, raw)
    });
    let Some((function, result, raw)) = found else { return Vec::new() };
    let finish = |raw: Vec<RawVariable>| -> Vec<Variable> {
        raw.into_iter().map(|variable| variable.finish(debug, function)).collect()
    };
    let typed = |ty: Option<EntryId>| ty.map_or_else(TypeRef::void, |ty| TypeRef::at(debug.clone(), ty));
    raw.into_iter()
        .map(|(is_inlined, variables)| FunctionScope {
            name: None,
            is_inlined,
            variables: finish(variables),
            result: result.filter(|_| !is_inlined).map(typed),
        })
        .collect()
}

struct Search<'d> {
    debug: &'d DebugInfo,
    at: LinkAddr,
    left: usize,
}

/// What an instance of a function has of what its abstract entry has.
#[derive(Default)]
struct Instances {
    variables: HashSet<EntryId>,
    /// The blocks, and whether the address lies in them.
    blocks: HashMap<EntryId, bool>,
}

/// A function or block whose entries are read.
struct Open<'u, 'a> {
    children: Children<'u, 'a>,
    position: Position,
    /// Of a pack of parameters: its name, and how many there were.
    pack: Option<(String, usize)>,
}

impl Search<'_> {
    /// The variables of a function or of a call that was inlined.
    fn function(&mut self, unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>) -> Vec<RawVariable> {
        let (mut found, mut instances) = (Vec::new(), Instances::default());
        self.collect(unit, at, Some(&mut instances), None, &mut found, fuel);
        let debug = self.debug;
        if let Some(origin) = attribute_target(unit, at, dw::DW_AT_abstract_origin) {
            let before = found.len();
            debug.with_entry(origin, fuel, |unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>| {
                self.collect(unit, at, None, Some(&instances), &mut found, fuel);
            });
            if found.len() > before {
                // What the instance does not have any more stands where it is declared.
                found.sort_by_key(|one| one.origin.unwrap_or(one.entry));
            }
        }
        let (mut all, mut others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|one| one.kind == VariableKind::Parameter);
        // Of a function that was changed, the compiler writes those that it dropped behind the others.
        all.sort_by_key(|one| one.origin.unwrap_or(one.entry));
        all.append(&mut others);
        all
    }

    /// Collects the variables below an entry: noting in `instances` what each is an instance of; or those of an abstract
    /// entry that are not `known`.
    fn collect(
        &mut self,
        unit: &EntryUnit<'_>,
        at: usize,
        mut instances: Option<&mut Instances>,
        known: Option<&Instances>,
        found: &mut Vec<RawVariable>,
        fuel: &mut Fuel<'_>,
    ) {
        let position = Position {
            depth: 0,
            in_scope: true,
            block: Some((unit.start_of(at), self.at)),
            in_function: true,
        };
        let mut open = vec![Open { children: unit.children(at), position, pack: None }];
        while let Some(innermost) = open.last_mut() {
            let Some(entry) = innermost.children.next(fuel) else {
                open.pop();
                continue;
            };
            let position = innermost.position;
            let (tag, at) = (entry.tag, entry.at);
            match tag {
                dw::DW_TAG_formal_parameter | dw::DW_TAG_variable | dw::DW_TAG_constant => {
                    if self.left == 0 || known.is_some_and(|known| known.variables.contains(&unit.id(at))) {
                        continue;
                    }
                    self.left -= 1;
                    let Some(mut variable) = RawVariable::read(self.debug, unit, at, position, fuel) else {
                        continue;
                    };
                    if let Some((name, count)) = &mut innermost.pack {
                        if variable.name.is_empty() {
                            variable.name = format!("{name}#{count}");
                        }
                        *count += 1;
                    }
                    if let (Some(instances), Some(origin)) = (&mut instances, variable.origin) {
                        instances.variables.insert(origin);
                    }
                    found.push(variable);
                }
                dw::DW_TAG_GNU_formal_parameter_pack => {
                    let pack = RawVariable::read(self.debug, unit, at, position, fuel);
                    let name = pack.map(|pack| pack.name).unwrap_or_default();
                    let children = unit.children(at);
                    open.push(Open { children, position, pack: Some((name, 0)) });
                }
                dw::DW_TAG_lexical_block | dw::DW_TAG_try_block | dw::DW_TAG_catch_block => {
                    let covers = match known {
                        Some(known) => known.blocks.get(&unit.id(at)).copied().unwrap_or(false),
                        None => unit.covers(at, self.at, fuel).unwrap_or(true),
                    };
                    if let Some(instances) = &mut instances
                        && let Some(origin) = attribute_target(unit, at, dw::DW_AT_abstract_origin)
                    {
                        *instances.blocks.entry(origin).or_default() |= covers;
                    }
                    let position = Position {
                        depth: position.depth.saturating_add(1),
                        in_scope: position.in_scope && covers,
                        block: Some((unit.start_of(at), self.at)),
                        in_function: true,
                    };
                    open.push(Open { children: unit.children(at), position, pack: None });
                }
                _ => {}
            }
        }
    }
}

fn attribute_target(unit: &EntryUnit<'_>, at: usize, wanted: gimli::DwAt) -> Option<EntryId> {
    let (_, value) = unit.entry(at)?.find(|(name, _)| *name == wanted)?;
    unit.target(value)
}
