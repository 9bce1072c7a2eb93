//! Every type that a file describes.

use std::{ops::ControlFlow, sync::Arc};

use gimli::{DwTag, constants as dw};

use super::TypeRef;
use crate::{
    Binary,
    symbol::dwarf::{DebugInfo, Descend, SplitDwarfSearch},
};

/// Visits every type that the debug information of a file describes, and of the split files beside it, until `visit`
/// says that it is enough by [`ControlFlow::Break`]. Those without a name are among them.
pub fn every_type(binary: &Arc<Binary>, visit: &mut dyn FnMut(TypeRef) -> ControlFlow<()>) {
    let search = SplitDwarfSearch::beside(binary.path());
    if let Some(debug) = DebugInfo::open(binary.clone(), search, None) {
        of(&Arc::new(debug), visit);
    }
}

/// The same of debug information that is open.
pub(super) fn of(debug: &Arc<DebugInfo>, visit: &mut dyn FnMut(TypeRef) -> ControlFlow<()>) {
    let tank = debug.tank();
    let fuel = &mut tank.fuel();
    for start in debug.unit_starts() {
        let ended = debug.with_unit(start, fuel, |unit, _, fuel| {
            unit.walk(fuel, |_, entry| {
                let at = entry.at;
                if is_type(entry.tag) && (entry.tag != dw::DW_TAG_subrange_type || has_name(entry)) {
                    visit(TypeRef::at_entry(debug, unit.id(at)))?;
                }
                ControlFlow::Continue(Descend::Yes)
            })
        });
        if ended.flatten().is_some() {
            return;
        }
    }
}

/// Ranges without one are parts of arrays.
fn has_name(mut entry: crate::symbol::dwarf::Entry<'_, '_>) -> bool {
    entry.any(|(name, _)| name == dw::DW_AT_name)
}

fn is_type(tag: DwTag) -> bool {
    matches!(
        tag,
        dw::DW_TAG_array_type
            | dw::DW_TAG_atomic_type
            | dw::DW_TAG_base_type
            | dw::DW_TAG_class_type
            | dw::DW_TAG_const_type
            | dw::DW_TAG_enumeration_type
            | dw::DW_TAG_immutable_type
            | dw::DW_TAG_interface_type
            | dw::DW_TAG_packed_type
            | dw::DW_TAG_pointer_type
            | dw::DW_TAG_ptr_to_member_type
            | dw::DW_TAG_reference_type
            | dw::DW_TAG_restrict_type
            | dw::DW_TAG_rvalue_reference_type
            | dw::DW_TAG_shared_type
            | dw::DW_TAG_string_type
            | dw::DW_TAG_structure_type
            | dw::DW_TAG_subrange_type
            | dw::DW_TAG_subroutine_type
            | dw::DW_TAG_template_alias
            | dw::DW_TAG_typedef
            | dw::DW_TAG_union_type
            | dw::DW_TAG_unspecified_type
            | dw::DW_TAG_volatile_type
    )
}
