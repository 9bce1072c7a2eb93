//! Structures, classes, unions and enumerations (DWARF 5, sections 5.7 and 5.8).

use std::sync::Arc;

use gimli::{DwTag, LittleEndian, Reader as _, constants as dw};

use super::{Attributes, PART_BYTES, Reading, number::Shape};
use crate::{
    symbol::dwarf::Value,
    type_info::{
        Access, Composite, CompositeKind, Enumeration, Enumerator, Extent, Language, Member, MemberPlace,
        StaticMember, TemplateParameter, TypeRef, Variant, VariantPart,
    },
    variable::MemberExpression,
};

impl<'a> Reading<'_, '_, 'a, '_> {
    pub(super) fn composite(&mut self, own: &Attributes<'a>) -> Composite {
        let kind = match own.tag {
            dw::DW_TAG_class_type => CompositeKind::Class,
            dw::DW_TAG_union_type => CompositeKind::Union,
            _ => CompositeKind::Struct,
        };
        let mut composite = Composite {
            kind,
            members: Vec::new(),
            static_members: Vec::new(),
            enumerations: Vec::new(),
            variants: None,
            template_parameters: Vec::new(),
            is_declaration: own.declaration.is_set(),
        };
        if self.extent == Extent::Outline {
            return composite;
        }
        let unit = self.unit;
        let mut children = unit.children(own.at);
        while let Some(child) = self.part(&mut children, is_part) {
            let (at, tag) = (child.at, child.tag);
            match tag {
                dw::DW_TAG_member | dw::DW_TAG_inheritance | dw::DW_TAG_variable => {
                    self.member_or_static(&Attributes::read(child), &mut composite);
                }
                dw::DW_TAG_template_type_parameter | dw::DW_TAG_template_value_parameter => {
                    let parameter = self.template_parameter(&Attributes::read(child));
                    composite.template_parameters.push(parameter);
                }
                dw::DW_TAG_GNU_template_parameter_pack => {
                    let mut pack = unit.children(at);
                    while let Some(child) = self.part(&mut pack, |_| true) {
                        let parameter = self.template_parameter(&Attributes::read(child));
                        composite.template_parameters.push(parameter);
                    }
                }
                dw::DW_TAG_enumeration_type => {
                    composite.enumerations.push(TypeRef::at_entry(self.debug, unit.id(at)));
                }
                dw::DW_TAG_variant_part => composite.variants = Some(self.variants(&Attributes::read(child))),
                _ => {}
            }
        }
        composite
    }

    fn member_or_static(&mut self, own: &Attributes<'a>, to: &mut Composite) {
        // Before version 5 a static member was a member that is external.
        let is_static = own.tag == dw::DW_TAG_variable || own.external.is_set();
        if !is_static {
            let member = self.member(own, to.kind);
            to.members.push(member);
        } else if let Some(name) = self.text(own.name) {
            let ty = self.target(own);
            let constant = self.constant_bytes(own);
            let linkage_name = self.text(own.linkage_name);
            to.static_members.push(StaticMember {
                name,
                ty,
                linkage_name,
                constant,
                access: access(own, to.kind),
            });
        }
    }

    fn member(&mut self, own: &Attributes<'a>, of: CompositeKind) -> Member {
        Member {
            name: self.text(own.name),
            ty: self.target(own),
            place: self.place(own),
            is_base: own.tag == dw::DW_TAG_inheritance,
            is_artificial: own.artificial.is_set(),
            access: access(own, of),
        }
    }

    /// Where a member is (section 5.7.6; before version 4, 5.6.6 of version 3).
    fn place(&mut self, own: &Attributes<'a>) -> MemberPlace {
        let start = match own.location {
            Value::None => 0,
            Value::Expression(bytes) | Value::Block(bytes) => match constant_offset(bytes) {
                Some(offset) => offset,
                None => {
                    let (debug, of) = (self.debug.clone(), self.unit.id(own.at));
                    return MemberPlace::Computed(MemberExpression { debug, of, bytes: bytes.into() });
                }
            },
            value => value.number().unwrap_or(0),
        };
        let Some(count) = own.bit_size.number() else { return MemberPlace::Byte(start) };
        let start = start.wrapping_mul(8);
        let within = match (own.data_bit_offset.number(), own.bit_offset) {
            (Some(bits), _) => bits,
            (None, Value::None) => 0,
            (None, bits) => {
                let shape = self.shape(own.ty);
                // It was counted from the most significant bit of its storage.
                let from_top = bits.number().unwrap_or(0);
                let storage = own.byte_size.number().or(shape.and_then(|shape| shape.size)).unwrap_or(0);
                if self.unit.is_big_endian() {
                    from_top
                } else {
                    storage.wrapping_mul(8).wrapping_sub(from_top).wrapping_sub(count)
                }
            }
        };
        MemberPlace::Bits { start: start.wrapping_add(within), count }
    }

    /// The bytes of a constant, as the process would hold them.
    fn constant_bytes(&mut self, own: &Attributes<'a>) -> Option<Vec<u8>> {
        if let Value::Block(bytes) | Value::Expression(bytes) | Value::Text(bytes) = own.const_value {
            return Some(bytes.into());
        }
        let number = self.constant(own.const_value, None)?;
        let size = self.shape(own.ty)?.size.filter(|size| (1..=16).contains(size))?;
        let size = size as usize;
        Some(if self.unit.is_big_endian() {
            number.to_be_bytes()[16 - size..].into()
        } else {
            number.to_le_bytes()[..size].into()
        })
    }

    fn template_parameter(&mut self, own: &Attributes<'a>) -> TemplateParameter {
        let value = if own.const_value == Value::None {
            None
        } else {
            let shape = self.shape(own.ty);
            self.constant(own.const_value, shape)
        };
        TemplateParameter { name: self.text(own.name), ty: self.target(own), value }
    }

    /// What depends on a tag (section 5.7.10).
    fn variants(&mut self, own: &Attributes<'a>) -> VariantPart {
        let unit = self.unit;
        let (mut tag, mut variants) = (None, Vec::new());
        // The tag is usually a child of the part; if not, it is a member of the structure.
        let (mut shape, mut tag_at) = (None, None);
        if let Value::UnitEntry(at) = own.discr {
            tag_at = Some(at);
        }
        if let Some(entry) = tag_at.and_then(|at| unit.entry(at)) {
            let member = Attributes::read(entry);
            shape = self.shape(member.ty);
            tag = Some(Box::new(self.member(&member, CompositeKind::Struct)));
        } else if own.ty != Value::None {
            shape = self.shape(own.ty);
        }
        let mut children = unit.children(own.at);
        while let Some(child) = self.part(&mut children, |tag| tag == dw::DW_TAG_variant) {
            let variant = self.variant(&Attributes::read(child), shape);
            variants.push(variant);
        }
        VariantPart { tag, variants }
    }

    fn variant(&mut self, own: &Attributes<'a>, tag: Option<Shape>) -> Variant {
        let unit = self.unit;
        let mut tags = Vec::new();
        if let Some(value) = self.constant(own.discr_value, tag) {
            tags.push((value, value));
        }
        if let Some(list) = own.discr_list.expression() {
            let is_signed = tag.is_some_and(|tag| tag.is_signed == Some(true));
            self.tag_list(list, is_signed, &mut tags);
        }
        let mut members = Vec::new();
        let mut children = unit.children(own.at);
        while let Some(child) = self.part(&mut children, |tag| tag == dw::DW_TAG_member) {
            let member = self.member(&Attributes::read(child), CompositeKind::Struct);
            members.push(member);
        }
        Variant { tags, members }
    }

    /// `DW_AT_discr_list`: labels and ranges.
    fn tag_list(&mut self, list: &[u8], is_signed: bool, tags: &mut Vec<(i128, i128)>) {
        let mut rest = gimli::EndianSlice::new(list, LittleEndian);
        let number = |rest: &mut gimli::EndianSlice<'_, LittleEndian>| {
            if is_signed {
                rest.read_sleb128().map(i128::from).ok()
            } else {
                rest.read_uleb128().map(i128::from).ok()
            }
        };
        while let Ok(kind) = rest.read_u8() {
            let Some(room) = self.room.checked_sub(PART_BYTES) else { return };
            self.room = room;
            let Some(low) = number(&mut rest) else { return };
            let high = if kind == dw::DW_DSC_range.0 { number(&mut rest) } else { Some(low) };
            let Some(high) = high else { return };
            tags.push((low, high));
        }
    }

    pub(super) fn enumeration(&mut self, own: &Attributes<'a>) -> Enumeration {
        let underlying = self.reference(own.ty);
        // Rust writes them so too, and does not say it.
        let is_scoped = own.enum_class.is_set() || self.language() == Language::Rust;
        if self.extent == Extent::Outline {
            return Enumeration { underlying, enumerators: Vec::new(), is_scoped };
        }
        let mut shape = self.shape(own.ty);
        if shape.is_none() {
            let encoding = own.encoding.number();
            let is_signed = encoding.map(|encoding| {
                [dw::DW_ATE_signed, dw::DW_ATE_signed_char].iter().any(|one| u64::from(one.0) == encoding)
            });
            shape = Some(Shape { tag: own.tag, size: own.byte_size(), is_signed });
        }
        let unit = self.unit;
        let mut enumerators = Vec::new();
        let mut children = unit.children(own.at);
        while let Some(child) = self.part(&mut children, |tag| tag == dw::DW_TAG_enumerator) {
            let one = Attributes::read(child);
            let name: Option<Arc<str>> = self.text(one.name);
            let value = self.constant(one.const_value, shape);
            if let (Some(name), Some(value)) = (name, value) {
                enumerators.push(Enumerator { name, value });
            }
        }
        Enumeration { underlying, enumerators, is_scoped }
    }
}

/// Whether an entry in a structure says what it is made of. Most are its functions.
fn is_part(tag: DwTag) -> bool {
    matches!(
        tag,
        dw::DW_TAG_member
            | dw::DW_TAG_inheritance
            | dw::DW_TAG_variable
            | dw::DW_TAG_template_type_parameter
            | dw::DW_TAG_template_value_parameter
            | dw::DW_TAG_GNU_template_parameter_pack
            | dw::DW_TAG_enumeration_type
            | dw::DW_TAG_variant_part
    )
}

/// What the language says where the debug information says nothing (DWARF 5, section 2.10; before version 3 all was
/// private).
fn access(own: &Attributes<'_>, of: CompositeKind) -> Access {
    let number = own.accessibility.number().and_then(|number| u8::try_from(number).ok());
    match number.map(gimli::DwAccess) {
        Some(dw::DW_ACCESS_public) => Access::Public,
        Some(dw::DW_ACCESS_protected) => Access::Protected,
        Some(dw::DW_ACCESS_private) => Access::Private,
        _ if of == CompositeKind::Class => Access::Private,
        _ => Access::Public,
    }
}

/// An offset that versions 2 and 3 wrote as an expression: the address of the value lies on the stack.
fn constant_offset(expression: &[u8]) -> Option<u64> {
    let mut rest = gimli::EndianSlice::new(expression, LittleEndian);
    let operation = gimli::DwOp(rest.read_u8().ok()?);
    let offset = match operation {
        dw::DW_OP_plus_uconst => rest.read_uleb128().ok()?,
        _ => return None,
    };
    rest.is_empty().then_some(offset)
}
