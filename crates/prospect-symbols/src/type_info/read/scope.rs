//! The names around an entry.

use std::sync::Arc;

use gimli::{DwLang, DwTag, constants as dw};

use super::{Attributes, Reading};
use crate::{
    symbol::dwarf::{DebugInfo, Entry, EntryUnit, Fuel, Value, lossy},
    type_info::EntryId,
};

/// How gdb and others write a namespace without a name.
pub(super) const ANONYMOUS: &str = "(anonymous namespace)";

/// Scopes with longer names are passed over: there may be many, all with the same one.
const LONGEST_NAME: usize = 64 << 10;

/// Declarations lead to definitions; longer chains are broken.
const LONGEST_CHAIN: usize = 8;

impl<'a> Reading<'_, '_, 'a, '_> {
    /// The names of what a type is declared in, the outermost first.
    pub(super) fn scope(&mut self, own: &Attributes<'a>) -> Vec<Arc<str>> {
        if own.name == Value::None && own.specification == Value::None || !has_scopes(self.unit.language()) {
            return Vec::new();
        }
        let mut names = Vec::new();
        match self.unit.target(own.specification) {
            Some(declared) => around_entry(self.debug, declared, &mut names, self.fuel, 0),
            None => around(self.debug, self.unit, own.at, &mut names, self.fuel, 0),
        };
        names
    }
}

/// What the entry of a scope says of its name.
struct Said<'a> {
    tag: DwTag,
    name: Value<'a>,
    specification: Value<'a>,
    abstract_origin: Value<'a>,
    signature: Value<'a>,
}

impl<'a> Said<'a> {
    fn read(entry: Entry<'a, '_>) -> Self {
        let none = Value::None;
        let mut said =
            Self { tag: entry.tag, name: none, specification: none, abstract_origin: none, signature: none };
        for (attribute, value) in entry {
            match attribute {
                dw::DW_AT_name => said.name = value,
                dw::DW_AT_specification => said.specification = value,
                dw::DW_AT_abstract_origin => said.abstract_origin = value,
                dw::DW_AT_signature => said.signature = value,
                _ => {}
            }
        }
        said
    }
}

/// The names around an entry, and its own; empty where it has none.
pub(crate) fn qualified_name(debug: &DebugInfo, of: EntryId, fuel: &mut Fuel<'_>) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    let _ = named_entry(debug, of, &mut names, fuel, 0);
    names
}

fn around_entry(
    debug: &DebugInfo,
    of: EntryId,
    names: &mut Vec<Arc<str>>,
    fuel: &mut Fuel<'_>,
    depth: usize,
) -> Option<()> {
    debug.with_entry(of, fuel, |unit, at, fuel| around(debug, unit, at, names, fuel, depth))?
}

/// Adds the names of the scopes around the entry at `at` of `unit`.
fn around(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    at: usize,
    names: &mut Vec<Arc<str>>,
    fuel: &mut Fuel<'_>,
    depth: usize,
) -> Option<()> {
    let scopes = debug.scopes_around(unit, at, fuel);
    let Some(&innermost) = scopes.last() else { return Some(()) };
    // What a long chain leads to is cut, and not the name that others see.
    let id = Some(unit.id(innermost)).filter(|_| depth == 0);
    if let Some(known) = id.and_then(|id| debug.kept_names(id)) {
        names.extend_from_slice(&known);
        return Some(());
    }
    of_scopes(debug, unit, &scopes, names, fuel, depth)?;
    if let Some(id) = id {
        debug.keep_names(id, names);
    }
    Some(())
}

/// Adds the names of scopes, the outermost first.
fn of_scopes(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    scopes: &[usize],
    names: &mut Vec<Arc<str>>,
    fuel: &mut Fuel<'_>,
    depth: usize,
) -> Option<()> {
    for &scope in scopes {
        let own = Said::read(unit.entry(scope)?);
        let declared = declared(unit, &own);
        if let Some(declared) = declared.filter(|_| depth < LONGEST_CHAIN) {
            // It stands elsewhere than it was declared.
            names.clear();
            named_entry(debug, declared, names, fuel, depth + 1);
        } else if let Some(name) = unit.text(own.name).filter(|name| name.len() < LONGEST_NAME) {
            names.push(lossy(name));
        } else if own.tag == dw::DW_TAG_namespace {
            names.push(ANONYMOUS.into());
        }
        fuel.burn(1)?;
    }
    Some(())
}

/// The entry that says more of where one belongs.
fn declared(unit: &EntryUnit<'_>, own: &Said<'_>) -> Option<EntryId> {
    // A type unit names what is around its type, or says which type unit does.
    let signature = if own.name == Value::None { own.signature } else { Value::None };
    [own.specification, own.abstract_origin, signature].into_iter().find_map(|at| unit.target(at))
}

/// Adds the names around an entry, and its own.
fn named_entry(
    debug: &DebugInfo,
    of: EntryId,
    names: &mut Vec<Arc<str>>,
    fuel: &mut Fuel<'_>,
    depth: usize,
) -> Option<()> {
    debug.with_entry(of, fuel, |unit, at, fuel| {
        let own = Said::read(unit.entry(at)?);
        let declared = declared(unit, &own);
        match declared.filter(|_| depth < LONGEST_CHAIN) {
            Some(declared) => named_entry(debug, declared, names, fuel, depth + 1)?,
            None => {
                around(debug, unit, at, names, fuel, depth)?;
                names.extend(unit.text(own.name).map(lossy));
            }
        }
        Some(())
    })?
}

/// Whether types of a language are written with the names around them.
pub(in crate::type_info) fn has_scopes(language: Option<DwLang>) -> bool {
    !matches!(
        language,
        None | Some(
            dw::DW_LANG_C
                | dw::DW_LANG_C89
                | dw::DW_LANG_C99
                | dw::DW_LANG_C11
                | dw::DW_LANG_C17
                | dw::DW_LANG_Go
                | dw::DW_LANG_Mips_Assembler
                | dw::DW_LANG_ObjC
        )
    )
}
