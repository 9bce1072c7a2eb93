//! How the entries of a unit are passed over in a search for names, or for what refers to entries.

use std::ops::Range;

use gimli::{DwAt, DwForm, DwTag, Encoding, constants as dw};

use super::super::{
    abbreviations::{Abbreviations, Step, compile, follow},
    ranges::CodeAttributes,
    reader::Reader,
    value::Value,
};

/// What an entry is to such a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Function,
    Inlined,
    Block,
    Variable,
    /// A type that may hold others.
    Type,
    /// A constant of an enumeration.
    Enumerator,
    Namespace,
    Other,
}

/// What is taken of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Names,
    References,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Sibling,
    Name,
    LinkageName,
    Reference,
    LowPc,
    HighPc,
    Ranges,
}

/// The shape of an entry.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) role: Role,
    pub(super) has_children: bool,
    steps: Range<u32>,
}

/// What was taken of one entry.
#[derive(Clone, Copy)]
pub(super) struct Taken<'a> {
    /// Where the next entry of the same parent begins, from the unit's start.
    pub(super) sibling: Option<usize>,
    pub(super) name: Value<'a>,
    pub(super) linkage_name: Value<'a>,
    /// The entry that this one is of: `DW_AT_abstract_origin` or `DW_AT_specification`.
    pub(super) reference: Value<'a>,
    pub(super) code: CodeAttributes<'a>,
}

impl Taken<'_> {
    pub(super) fn none() -> Self {
        let code = CodeAttributes { low_pc: Value::None, high_pc: Value::None, ranges: Value::None };
        let (name, linkage_name, reference) = (Value::None, Value::None, Value::None);
        Self { sibling: None, name, linkage_name, reference, code }
    }

    pub(super) fn has_code(&self) -> bool {
        self.code.low_pc != Value::None || self.code.ranges != Value::None
    }
}

/// The steps over the entries of a unit.
pub(super) struct Plan<'t> {
    table: &'t Abbreviations,
    /// As many as there are abbreviations; those behind one that cannot be read are missing.
    shapes: Vec<Shape>,
    steps: Vec<Step<Slot>>,
    encoding: Encoding,
    /// Entries may refer to those of other units.
    pub(super) refers_to_others: bool,
}

impl<'t> Plan<'t> {
    pub(super) fn new(table: &'t Abbreviations, encoding: Encoding, purpose: Purpose) -> Self {
        let (mut shapes, mut steps) = (Vec::new(), Vec::new());
        let mut refers_to_others = false;
        for abbreviation in table.iter() {
            let specifications = table.specifications(abbreviation);
            let role = role_of(abbreviation.tag);
            refers_to_others |=
                specifications.iter().any(|one| is_reference(one.name) && is_to_other(one.form));
            let slot_of = |name| slot_of(name, role, purpose, abbreviation.has_children);
            let Some(steps) = compile(specifications, encoding, slot_of, &mut steps) else { break };
            let has_children = abbreviation.has_children;
            shapes.push(Shape { role, has_children, steps });
        }
        Self { table, shapes, steps, encoding, refers_to_others }
    }

    #[inline]
    pub(super) fn shape(&self, code: u64) -> Option<&Shape> {
        self.shapes.get(self.table.position(code)?)
    }

    /// Passes over an entry's attributes.
    #[inline]
    pub(super) fn step_over<'a>(
        &self,
        shape: &Shape,
        reader: &mut Reader<'a>,
        taken: &mut Taken<'a>,
    ) -> Option<()> {
        let steps = self.steps.get(shape.steps.start as usize..shape.steps.end as usize)?;
        follow(steps, self.encoding, reader, |slot, value| match slot {
            Slot::Sibling => {
                if let Value::UnitEntry(offset) = value {
                    taken.sibling = Some(offset);
                }
            }
            Slot::Name => taken.name = value,
            Slot::LinkageName => taken.linkage_name = value,
            Slot::Reference => taken.reference = value,
            Slot::LowPc => taken.code.low_pc = value,
            Slot::HighPc => taken.code.high_pc = value,
            Slot::Ranges => taken.code.ranges = value,
        })
    }
}

fn slot_of(name: DwAt, role: Role, purpose: Purpose, has_children: bool) -> Option<Slot> {
    let is_named = matches!(role, Role::Function | Role::Variable | Role::Type | Role::Enumerator);
    match (purpose, name) {
        (_, dw::DW_AT_sibling) if has_children => Some(Slot::Sibling),
        (Purpose::Names, dw::DW_AT_name) if is_named => Some(Slot::Name),
        (Purpose::Names, dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name) if is_named => {
            Some(Slot::LinkageName)
        }
        (Purpose::References, name) if matches!(role, Role::Function | Role::Inlined | Role::Variable) => {
            match name {
                name if is_reference(name) => Some(Slot::Reference),
                dw::DW_AT_low_pc => Some(Slot::LowPc),
                dw::DW_AT_high_pc => Some(Slot::HighPc),
                dw::DW_AT_ranges => Some(Slot::Ranges),
                _ => None,
            }
        }
        _ => None,
    }
}

fn role_of(tag: DwTag) -> Role {
    match tag {
        dw::DW_TAG_subprogram => Role::Function,
        dw::DW_TAG_inlined_subroutine => Role::Inlined,
        dw::DW_TAG_lexical_block | dw::DW_TAG_try_block | dw::DW_TAG_catch_block => Role::Block,
        // Before version 5, members of classes that are variables were members.
        dw::DW_TAG_variable | dw::DW_TAG_member => Role::Variable,
        dw::DW_TAG_namespace | dw::DW_TAG_module => Role::Namespace,
        dw::DW_TAG_structure_type
        | dw::DW_TAG_class_type
        | dw::DW_TAG_union_type
        | dw::DW_TAG_interface_type
        | dw::DW_TAG_enumeration_type
        | dw::DW_TAG_typedef
        | dw::DW_TAG_base_type
        | dw::DW_TAG_unspecified_type
        | dw::DW_TAG_template_alias => Role::Type,
        dw::DW_TAG_enumerator => Role::Enumerator,
        _ => Role::Other,
    }
}

fn is_reference(name: DwAt) -> bool {
    matches!(name, dw::DW_AT_abstract_origin | dw::DW_AT_specification)
}

fn is_to_other(form: DwForm) -> bool {
    matches!(
        form,
        dw::DW_FORM_ref_addr
            | dw::DW_FORM_GNU_ref_alt
            | dw::DW_FORM_ref_sup4
            | dw::DW_FORM_ref_sup8
            | dw::DW_FORM_indirect
    )
}
