//! Every type of large programs.

use std::{
    collections::HashMap,
    process::Command,
    time::{Duration, Instant},
};

use super::{names::gdb, *};
use crate::symbol::dwarf::Value;

/// The entries of types that there are in a file's units.
pub(super) fn every_type(debug: &DebugInfo) -> Vec<EntryId> {
    let tank = debug.tank();
    let fuel = &mut tank.fuel();
    let mut found = Vec::new();
    for start in debug.unit_starts() {
        debug.with_unit(start, fuel, |unit, _, fuel| {
            unit.walk(fuel, |_, entry| {
                let is_type = entry.tag.to_string().ends_with("_type");
                // Ranges without a name are parts of arrays.
                let mut is_whole = entry.tag != dw::DW_TAG_subrange_type;
                let at = entry.at;
                let is_type = is_type && {
                    entry.for_each(|(name, _)| is_whole |= name == dw::DW_AT_name);
                    is_whole
                };
                if is_type {
                    found.push(unit.id(at));
                }
                ControlFlow::<(), _>::Continue(Descend::Yes)
            })
        });
    }
    found
}

/// Reads all types of a file; the named ones that values can have, each once, with a name that no other type has.
fn census(path: &Path) -> (usize, HashMap<String, TypeRef>) {
    let debug = open(path);
    let types = every_type(&debug);
    let begun = Instant::now();
    let mut named: HashMap<String, Vec<TypeRef>> = HashMap::new();
    for &at in &types {
        let ty = TypeRef::at_entry(&debug, at);
        let found = ty.get().unwrap_or_else(|error| panic!("{path:?}: {at:?}: {error}"));
        let composite = found.composite().filter(|one| !one.is_declaration);
        if let (Some(name), Some(_), Some(_)) = (found.qualified_name(), composite, found.size) {
            named.entry(name).or_default().push(ty);
        }
    }
    eprintln!("{path:?}: {} types in {:?}", types.len(), begun.elapsed());
    let single = named.into_iter().filter_map(|(name, mut types)| {
        let first = types.pop()?;
        let sizes_agree = types.iter().all(|other| other.size() == first.size());
        sizes_agree.then_some((name, first))
    });
    (types.len(), single.collect())
}

#[test]
fn every_type_of_this_program() {
    let (count, named) = census(&std::env::current_exe().unwrap());
    assert!(count > 10_000 && named.len() > 1000, "{count} {}", named.len());
    let vector = &named["alloc::vec::Vec<u8, alloc::alloc::Global>"];
    assert_eq!(vector.size(), Some(24));
}
