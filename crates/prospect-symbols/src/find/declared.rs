//! Where the source declares what an entry describes.

use std::sync::Arc;

use gimli::constants as dw;

use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel, Value},
    type_info::EntryId,
};

/// A definition refers to its declaration: longer chains are broken.
const LONGEST_CHAIN: usize = 16;

/// The file and line that an entry says that it is declared at, or the one that it is the definition of (`DW_AT_decl_file`,
/// `DW_AT_decl_line`).
pub(super) fn declared_at(debug: &DebugInfo, at: EntryId) -> Option<(Arc<str>, u32)> {
    let tank = debug.tank();
    let mut fuel = tank.fuel();
    let mut next = at;
    for _ in 0..LONGEST_CHAIN {
        let read = |unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>| {
            let (mut file, mut line, mut origin) = (None, None, Value::None);
            for (name, value) in unit.entry(at)? {
                match name {
                    dw::DW_AT_decl_file => file = value.number(),
                    dw::DW_AT_decl_line => line = value.number().and_then(|line| u32::try_from(line).ok()),
                    dw::DW_AT_abstract_origin | dw::DW_AT_specification => origin = value,
                    _ => {}
                }
            }
            let place =
                file.zip(line).and_then(|(file, line)| Some((debug.source_path(unit, file, fuel)?, line)));
            Some((place, unit.target(origin)))
        };
        let (place, origin) = debug.with_entry(next, &mut fuel, read)??;
        if place.is_some() {
            return place;
        }
        next = origin?;
    }
    None
}
