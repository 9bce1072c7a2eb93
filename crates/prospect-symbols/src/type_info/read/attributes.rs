//! What an entry says of a type or of a part of one.

use gimli::{DwTag, constants as dw};

use crate::symbol::dwarf::{Entry, Value};

/// The attributes that types and their parts have.
pub(super) struct Attributes<'a> {
    pub(super) tag: DwTag,
    /// Where the entry begins, from the unit's start.
    pub(super) at: usize,
    pub(super) has_children: bool,
    pub(super) name: Value<'a>,
    pub(super) linkage_name: Value<'a>,
    pub(super) ty: Value<'a>,
    pub(super) byte_size: Value<'a>,
    pub(super) bit_size: Value<'a>,
    pub(super) encoding: Value<'a>,
    pub(super) endianity: Value<'a>,
    pub(super) containing_type: Value<'a>,
    pub(super) artificial: Value<'a>,
    pub(super) external: Value<'a>,
    pub(super) declaration: Value<'a>,
    pub(super) prototyped: Value<'a>,
    pub(super) accessibility: Value<'a>,
    pub(super) specification: Value<'a>,
    pub(super) abstract_origin: Value<'a>,
    pub(super) signature: Value<'a>,
    pub(super) import: Value<'a>,
    pub(super) location: Value<'a>,
    pub(super) bit_offset: Value<'a>,
    pub(super) data_bit_offset: Value<'a>,
    pub(super) const_value: Value<'a>,
    pub(super) enum_class: Value<'a>,
    pub(super) discr: Value<'a>,
    pub(super) discr_value: Value<'a>,
    pub(super) discr_list: Value<'a>,
    pub(super) lower_bound: Value<'a>,
    pub(super) upper_bound: Value<'a>,
    pub(super) count: Value<'a>,
    pub(super) byte_stride: Value<'a>,
    pub(super) bit_stride: Value<'a>,
    pub(super) vector: Value<'a>,
}

impl<'a> Attributes<'a> {
    pub(super) fn read(entry: Entry<'a, '_>) -> Self {
        let mut own = Self {
            tag: entry.tag,
            at: entry.at,
            has_children: entry.has_children,
            name: Value::None,
            linkage_name: Value::None,
            ty: Value::None,
            byte_size: Value::None,
            bit_size: Value::None,
            encoding: Value::None,
            endianity: Value::None,
            containing_type: Value::None,
            artificial: Value::None,
            external: Value::None,
            declaration: Value::None,
            prototyped: Value::None,
            accessibility: Value::None,
            specification: Value::None,
            abstract_origin: Value::None,
            signature: Value::None,
            import: Value::None,
            location: Value::None,
            bit_offset: Value::None,
            data_bit_offset: Value::None,
            const_value: Value::None,
            enum_class: Value::None,
            discr: Value::None,
            discr_value: Value::None,
            discr_list: Value::None,
            lower_bound: Value::None,
            upper_bound: Value::None,
            count: Value::None,
            byte_stride: Value::None,
            bit_stride: Value::None,
            vector: Value::None,
        };
        for (name, value) in entry {
            let place = match name {
                dw::DW_AT_name => &mut own.name,
                dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name => &mut own.linkage_name,
                dw::DW_AT_type => &mut own.ty,
                dw::DW_AT_byte_size => &mut own.byte_size,
                dw::DW_AT_bit_size => &mut own.bit_size,
                dw::DW_AT_encoding => &mut own.encoding,
                dw::DW_AT_endianity => &mut own.endianity,
                dw::DW_AT_containing_type => &mut own.containing_type,
                dw::DW_AT_artificial => &mut own.artificial,
                dw::DW_AT_external => &mut own.external,
                dw::DW_AT_declaration => &mut own.declaration,
                dw::DW_AT_prototyped => &mut own.prototyped,
                dw::DW_AT_accessibility => &mut own.accessibility,
                dw::DW_AT_specification => &mut own.specification,
                dw::DW_AT_abstract_origin => &mut own.abstract_origin,
                dw::DW_AT_signature => &mut own.signature,
                dw::DW_AT_import => &mut own.import,
                dw::DW_AT_data_member_location => &mut own.location,
                dw::DW_AT_bit_offset => &mut own.bit_offset,
                dw::DW_AT_data_bit_offset => &mut own.data_bit_offset,
                dw::DW_AT_const_value => &mut own.const_value,
                dw::DW_AT_enum_class => &mut own.enum_class,
                dw::DW_AT_discr => &mut own.discr,
                dw::DW_AT_discr_value => &mut own.discr_value,
                dw::DW_AT_discr_list => &mut own.discr_list,
                dw::DW_AT_lower_bound => &mut own.lower_bound,
                dw::DW_AT_upper_bound => &mut own.upper_bound,
                dw::DW_AT_count => &mut own.count,
                dw::DW_AT_byte_stride => &mut own.byte_stride,
                dw::DW_AT_bit_stride => &mut own.bit_stride,
                dw::DW_AT_GNU_vector => &mut own.vector,
                _ => continue,
            };
            *place = value;
        }
        own
    }

    /// How many bytes a value has.
    pub(super) fn byte_size(&self) -> Option<u64> {
        let bits = || self.bit_size.number()?.checked_next_multiple_of(8).map(|bits| bits / 8);
        self.byte_size.number().or_else(bits)
    }
}
