//! How numbers of a type are to be read, where that must be known to read an entry.

use gimli::{DwTag, constants as dw};

use super::{Attributes, Reading};
use crate::{
    symbol::dwarf::Value,
    type_info::{EntryId, LONGEST_CHAIN},
};

/// What is known of a type's values without reading the type: it may lead to what is being read.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) tag: DwTag,
    pub(super) size: Option<u64>,
    /// Whether its numbers have a sign; `None` where they are none.
    pub(super) is_signed: Option<bool>,
}

impl Reading<'_, '_, '_, '_> {
    /// The shape of the type that a value refers to, through typedefs and qualifiers.
    pub(super) fn shape(&mut self, reference: Value<'_>) -> Option<Shape> {
        let mut next = self.unit.target(reference)?;
        for _ in 0..LONGEST_CHAIN {
            match self.debug.with_entry(next, self.fuel, |unit, at, _| step(unit, at))?? {
                Step::Shape(shape) => return Some(shape),
                Step::Next(at) => next = at,
            }
        }
        None
    }

    /// A constant as the type reads it: with as many bits as it has, and a sign if it has one.
    pub(super) fn constant(&self, value: Value<'_>, shape: Option<Shape>) -> Option<i128> {
        let number = match value {
            Value::Number(number) => i128::from(number),
            Value::Signed(number) => i128::from(number),
            Value::Block(bytes) if bytes.len() <= 16 => self.number_of(bytes),
            Value::Flag(flag) => flag.into(),
            _ => return None,
        };
        let Some(Shape { size: Some(size @ 1..=16), is_signed: Some(is_signed), .. }) = shape else {
            return Some(number);
        };
        let unused = 128 - 8 * size as u32;
        Some(if is_signed {
            number << unused >> unused
        } else {
            (number.cast_unsigned() << unused >> unused).cast_signed()
        })
    }

    fn number_of(&self, bytes: &[u8]) -> i128 {
        let mut wide = [0; 16];
        wide[..bytes.len()].copy_from_slice(bytes);
        if self.unit.is_big_endian() {
            wide[..bytes.len()].reverse();
        }
        i128::from_le_bytes(wide)
    }
}

enum Step {
    Shape(Shape),
    Next(EntryId),
}

fn step(unit: &crate::symbol::dwarf::EntryUnit<'_>, at: usize) -> Option<Step> {
    let own = Attributes::read(unit.entry(at)?);
    let next = match own.tag {
        _ if own.signature != Value::None => own.signature,
        _ if own.byte_size().is_some() && own.tag != dw::DW_TAG_enumeration_type => Value::None,
        _ => own.ty,
    };
    let is_pointer = matches!(
        own.tag,
        dw::DW_TAG_pointer_type | dw::DW_TAG_reference_type | dw::DW_TAG_rvalue_reference_type
    );
    let is_last = is_pointer || matches!(own.tag, dw::DW_TAG_subroutine_type | dw::DW_TAG_array_type);
    if let Some(next) = unit.target(next).filter(|_| !is_last) {
        return Some(Step::Next(next));
    }
    let encoding = own.encoding.number().and_then(|number| u8::try_from(number).ok());
    let is_signed = match encoding.map(gimli::DwAte) {
        Some(dw::DW_ATE_signed | dw::DW_ATE_signed_char | dw::DW_ATE_signed_fixed) => Some(true),
        Some(_) => Some(false),
        None if is_pointer => Some(false),
        None => None,
    };
    let word = u64::from(unit.encoding().address_size);
    let size = own.byte_size().or(is_pointer.then_some(word));
    Some(Step::Shape(Shape { tag: own.tag, size, is_signed }))
}
