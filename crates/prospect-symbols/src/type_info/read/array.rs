//! Arrays (DWARF 5, sections 5.5 and 5.13).

use gimli::{DwLang, constants as dw};

use super::{Attributes, Reading};
use crate::{
    symbol::dwarf::Value,
    type_info::{
        Array, Base, BaseEncoding, Bound, Dimension, DynamicBound, Type, TypeKind, TypeRef,
        model::DynamicValue,
    },
};

impl<'a> Reading<'_, '_, 'a, '_> {
    pub(super) fn array(&mut self, own: &Attributes<'a>) -> Array {
        let mut dimensions = Vec::new();
        let mut stride = stride(own);
        let unit = self.unit;
        let mut children = unit.children(own.at);
        let is_dimension = |tag| matches!(tag, dw::DW_TAG_subrange_type | dw::DW_TAG_enumeration_type);
        while let Some(child) = self.part(&mut children, is_dimension) {
            let range = Attributes::read(child);
            let dimension = self.dimension(&range);
            dimensions.push(dimension);
            stride = stride.or_else(|| self::stride(&range));
        }
        if dimensions.is_empty() {
            dimensions.push(Dimension { lower: 0, count: Bound::Unknown });
        }
        Array { element: self.target(own), dimensions, stride, is_vector: own.vector.is_set() }
    }

    /// Characters, as Fortran has them.
    pub(super) fn string(&self, size: Option<u64>) -> Array {
        let base = Base { encoding: BaseEncoding::UnsignedChar, swapped: false, bits: None };
        let element = TypeRef::made(Type::new(Some("character"), Some(1), TypeKind::Base(base)));
        let count = size.map_or(Bound::Unknown, Bound::Fixed);
        Array { element, dimensions: vec![Dimension { lower: 1, count }], stride: None, is_vector: false }
    }

    fn dimension(&mut self, range: &Attributes<'a>) -> Dimension {
        if range.tag == dw::DW_TAG_enumeration_type {
            return self.enumerated(range);
        }
        let shape = self.shape(range.ty);
        let is_signed = shape.and_then(|shape| shape.is_signed);
        let lower = match range.lower_bound {
            Value::None => default_lower_bound(self.unit.language()),
            value => self.constant(value, shape).and_then(|lower| i64::try_from(lower).ok()).unwrap_or(0),
        };
        let unit = self.unit.unit_id();
        let fixed = |value: Value<'_>| match value {
            Value::Signed(number) => Some(i128::from(number)),
            // What has as many bits as it can may be -1: an array without elements.
            Value::Number(number) if is_signed == Some(true) || number == u64::MAX => {
                Some(i128::from(number.cast_signed()))
            }
            Value::Number(number) => Some(i128::from(number)),
            _ => None,
        };
        let dynamic = |value: Value<'a>, is_last: bool| {
            let value = match value {
                Value::Expression(bytes) | Value::Block(bytes) => {
                    DynamicValue::Expression(bytes.into(), unit)
                }
                value => DynamicValue::Variable(self.unit.target(value)?),
            };
            Some(Bound::Dynamic(DynamicBound { is_last, value }))
        };
        let (value, is_last) =
            if range.count == Value::None { (range.upper_bound, true) } else { (range.count, false) };
        let count = match fixed(value) {
            Some(count) => {
                let count = if is_last { count - i128::from(lower) + 1 } else { count };
                Bound::Fixed(u64::try_from(count.max(0)).unwrap_or(u64::MAX))
            }
            None => dynamic(value, is_last).unwrap_or(Bound::Unknown),
        };
        Dimension { lower, count }
    }

    /// A dimension whose indices have names.
    fn enumerated(&mut self, range: &Attributes<'a>) -> Dimension {
        let values: Vec<i128> = self.enumeration(range).enumerators.iter().map(|one| one.value).collect();
        let (Some(&low), Some(&high)) = (values.iter().min(), values.iter().max()) else {
            return Dimension { lower: 0, count: Bound::Unknown };
        };
        let count = high.checked_sub(low).and_then(|count| u64::try_from(count.checked_add(1)?).ok());
        let lower = i64::try_from(low).unwrap_or(0);
        Dimension { lower, count: count.map_or(Bound::Unknown, Bound::Fixed) }
    }
}

/// In bytes; elements of other sizes are not read.
fn stride(own: &Attributes<'_>) -> Option<u64> {
    let bits = || own.bit_stride.number().filter(|bits| bits % 8 == 0).map(|bits| bits / 8);
    own.byte_stride.number().or_else(bits).filter(|&stride| stride > 0)
}

/// Where counting begins in a language (DWARF 5, table 7.17).
fn default_lower_bound(language: Option<DwLang>) -> i64 {
    i64::from(matches!(
        language,
        Some(
            dw::DW_LANG_Ada83
                | dw::DW_LANG_Ada95
                | dw::DW_LANG_Cobol74
                | dw::DW_LANG_Cobol85
                | dw::DW_LANG_Fortran77
                | dw::DW_LANG_Fortran90
                | dw::DW_LANG_Fortran95
                | dw::DW_LANG_Fortran03
                | dw::DW_LANG_Fortran08
                | dw::DW_LANG_Modula2
                | dw::DW_LANG_Modula3
                | dw::DW_LANG_Pascal83
                | dw::DW_LANG_PLI
                | dw::DW_LANG_Julia
        )
    ))
}
