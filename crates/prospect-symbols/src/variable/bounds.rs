//! Types whose size depends on the frame: their bounds are computed where it is known.

use super::{
    Unavailable, locate,
    machine::{Machine, broken},
};
use crate::type_info::{
    Array, Bound, Dimension, DynamicBound, DynamicValue, Pointer, Type, TypeKind, TypeRef,
};

/// Pointers to pointers to arrays, and typedefs around them, are followed so far.
const DEEPEST: u32 = 16;

/// The same type, with the bounds that it has in the machine's frame.
pub(super) fn fixed(machine: &mut Machine<'_, '_>, ty: &TypeRef) -> Result<TypeRef, Unavailable> {
    // A type that cannot be read says so when it is asked for; where the value is may be known nevertheless.
    Ok(in_frame(machine, ty, DEEPEST)?.unwrap_or_else(|| ty.clone()))
}

/// `None` where the type is the same in every frame.
fn in_frame(machine: &mut Machine<'_, '_>, ty: &TypeRef, left: u32) -> Result<Option<TypeRef>, Unavailable> {
    let (false, Some(left)) = (ty.is_void(), left.checked_sub(1)) else { return Ok(None) };
    let Ok(found) = ty.outline() else { return Ok(None) };
    let kind = match &found.kind {
        TypeKind::Typedef(target) | TypeKind::Modified(_, target) => {
            return in_frame(machine, target, left);
        }
        TypeKind::Pointer(pointer) => in_frame(machine, &pointer.target, left)?
            .map(|target| TypeKind::Pointer(Pointer { kind: pointer.kind.clone(), target })),
        TypeKind::Array(array) => {
            let element = in_frame(machine, &array.element, left)?;
            let is_dynamic = |one: &Dimension| matches!(one.count, Bound::Dynamic(_));
            let changes = element.is_some() || array.dimensions.iter().any(is_dynamic);
            if changes { Some(TypeKind::Array(with_bounds(machine, array, element)?)) } else { None }
        }
        _ => None,
    };
    Ok(kind.map(|kind| {
        let mut made = Type::new(None, found.size, kind);
        if let TypeKind::Array(array) = &made.kind {
            made.size = array.size();
        }
        made.language = found.language;
        TypeRef::made(made)
    }))
}

fn with_bounds(
    machine: &mut Machine<'_, '_>,
    array: &Array,
    element: Option<TypeRef>,
) -> Result<Array, Unavailable> {
    let mut array = array.clone();
    if let Some(element) = element {
        array.element = element;
    }
    for dimension in &mut array.dimensions {
        if let Bound::Dynamic(bound) = &dimension.count {
            let value = number(machine, bound)?;
            let count = if bound.is_last {
                value.checked_sub(dimension.lower).and_then(|last| last.checked_add(1))
            } else {
                Some(value)
            };
            // One that is negative is of an array that was not made yet.
            dimension.count = Bound::Fixed(count.map_or(0, |count| u64::try_from(count).unwrap_or(0)));
        }
    }
    Ok(array)
}

fn number(machine: &mut Machine<'_, '_>, bound: &DynamicBound) -> Result<i64, Unavailable> {
    match &bound.value {
        DynamicValue::Variable(entry) => machine.deeper(|inner| locate::value_of(inner, *entry)),
        DynamicValue::Expression(bytes, unit) => machine.deeper(|inner| {
            inner.with_entry(*unit, |inner, unit, _| {
                let number = inner.number(unit, bytes)?;
                let word = inner.address(number)?;
                let spare = 64 - 8 * u32::from(inner.frame.arch().word_bytes);
                Ok((word << spare).cast_signed() >> spare)
            })
        }),
    }
    .map_err(|error| match error {
        Unavailable::NotUnderstood(why) => broken(&format!("a bound of its type: {why}")),
        other => other,
    })
}
