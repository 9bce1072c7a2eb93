//! Values as their types alone describe them.

use std::sync::Arc;

use prospect_process::Addr;
use prospect_symbols::{
    type_info::{
        Array, Base, BaseEncoding, Bound, Composite, CompositeKind, Enumeration, Enumerator, Language,
        Pointer, PointerKind, Type, TypeKind, TypeRef,
    },
    variable::{PieceSource, Unavailable},
};

use super::{CharType, Reader};
use crate::{
    Content, Element, Field, FieldKind, Limit, Object, Shape, ValueContext, ValueError, object::size_of,
    scalar, value,
};

impl Reader<'_> {
    /// The value as its type alone describes it, as it is without a view.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn plain(&mut self, object: &Object, ty: &Type) -> Result<Content, ValueError> {
        match &ty.kind {
            TypeKind::Base(base) => self.base(object, ty, *base),
            TypeKind::Pointer(pointer) => self.pointer(object, ty, pointer),
            TypeKind::Array(array) => self.array(object, array),
            TypeKind::Composite(composite) => self.composite(object, ty, composite),
            TypeKind::Enumeration(enumeration) => {
                let number = object.integer(self.cx)?;
                let scope = enumeration.is_scoped.then(|| ty.name.clone()).flatten();
                Ok(enumerators(enumeration, number, scope))
            }
            TypeKind::Function(_) => Ok(Content::Pointer(self.code(object.address()))),
            // `decltype(nullptr)`
            TypeKind::Unspecified if size_of(&object.ty, self.cx).is_ok_and(|size| size > 0) => {
                Ok(Content::Pointer(value::Pointer { address: Some(Addr(0)), ..value::Pointer::default() }))
            }
            _ => Ok(Content::Nothing),
        }
    }

    fn base(&mut self, object: &Object, ty: &Type, base: Base) -> Result<Content, ValueError> {
        match base.encoding {
            BaseEncoding::Float | BaseEncoding::ComplexFloat => {
                let bytes = object.bytes(self.cx)?;
                Ok(self.floats(ty, base, &bytes).unwrap_or(Content::Raw))
            }
            BaseEncoding::DecimalFloat | BaseEncoding::Other(_) => Ok(Content::Raw),
            // Rust's unit.
            _ if object.size(self.cx)? == 0 => Ok(Content::Nothing),
            _ if object.size(self.cx)? > 16 => Ok(Content::Raw),
            _ => {
                let number = object.integer(self.cx)?;
                if let Some(unit) = CharType::of(&object.ty) {
                    let mask = u32::MAX >> (32 - 8 * u32::from(unit.bytes));
                    let (unit, unit_bytes) = (number as u32 & mask, unit.bytes);
                    return Ok(Content::Character { number, unit, unit_bytes });
                }
                Ok(match (base.encoding, number) {
                    (BaseEncoding::Boolean, 0 | 1) => Content::Boolean(number == 1),
                    (BaseEncoding::Signed | BaseEncoding::SignedChar, _) => Content::Integer(number),
                    _ => Content::Unsigned(number as u128),
                })
            }
        }
    }

    fn floats(&self, ty: &Type, base: Base, bytes: &[u8]) -> Option<Content> {
        let arch = self.cx.arch();
        let float = |bytes: &[u8]| {
            let format = scalar::float_format(ty, bytes.len() as u64, arch)?;
            scalar::float(bytes, format, scalar::is_big_endian(ty, arch))
        };
        if base.encoding == BaseEncoding::Float {
            return float(bytes).map(Content::Float);
        }
        let (real, imaginary) = bytes.split_at(bytes.len() / 2);
        Some(Content::Complex(float(real)?, float(imaginary)?))
    }

    fn pointer(&mut self, object: &Object, ty: &Type, pointer: &Pointer) -> Result<Content, ValueError> {
        if let PointerKind::Member(_) = pointer.kind {
            return self.member_pointer(object, pointer);
        }
        let is_implicit = object
            .location
            .pieces
            .iter()
            .any(|piece| matches!(piece.source, PieceSource::ImplicitPointer(_)));
        let address = match is_implicit {
            true => None,
            false => Some(Addr(object.integer(self.cx)? as u64)),
        };
        let target_type = pointer.target.bare_outline();
        if matches!(&target_type, Ok((_, target)) if matches!(target.kind, TypeKind::Function(_))) {
            return Ok(Content::Pointer(self.code(address)));
        }
        let is_transparent = is_reference(ty, pointer);
        let mut content = value::Pointer { address, is_transparent, ..value::Pointer::default() };
        if address == Some(Addr(0)) {
            return Ok(Content::Pointer(content));
        }
        if let (Some(at), Some(unit)) = (address, CharType::of_text(&pointer.target))
            && !is_transparent
        {
            let text = self.terminated_text(at, unit);
            content.target = Some(Box::new(self.made(&pointer.target, Some(at), text)));
            return Ok(Content::Pointer(content));
        }
        let points_to_void =
            matches!(&target_type, Ok((_, target)) if matches!(target.kind, TypeKind::Unspecified));
        if !points_to_void && (is_transparent || self.pointers < self.limits.pointers) {
            let plain = u32::from(!is_transparent);
            self.pointers += plain;
            content.target = self.target(object)?.map(Box::new);
            self.pointers -= plain;
        }
        Ok(Content::Pointer(content))
    }

    /// A pointer to code.
    pub(crate) fn code(&self, address: Option<Addr>) -> value::Pointer {
        let symbol = address.filter(|at| at.0 != 0).and_then(|at| self.cx.symbol(at));
        value::Pointer { address, symbol: symbol.map(Into::into), ..value::Pointer::default() }
    }

    /// The Itanium C++ ABI, section 2.3: an offset, -1 for null; of a function, its address, or one more than the offset in
    /// the table of virtual functions, and what to add to the object's address.
    fn member_pointer(&mut self, object: &Object, pointer: &Pointer) -> Result<Content, ValueError> {
        let arch = self.cx.arch();
        let word = usize::from(arch.word_bytes);
        let is_function = pointer
            .target
            .bare_outline()
            .is_ok_and(|(_, target)| matches!(target.kind, TypeKind::Function(_)));
        let bytes = object.bytes(self.cx)?;
        let at = |index: usize| {
            let word = bytes.get(index * word..(index + 1) * word).and_then(|word| arch.word(word));
            word.ok_or(ValueError::Implausible("a pointer to a member has the size of no such pointer"))
        };
        let signed = |number: u64| scalar::sign_extended(number.into(), 8 * u32::from(arch.word_bytes));
        if !is_function {
            let offset = Some(signed(at(0)?)).filter(|offset| *offset != -1);
            return Ok(Content::MemberPointer { offset, symbol: None, adjustment: None });
        }
        let function = at(0)?;
        let symbol = if function & 1 == 0 { self.code(Some(Addr(function))).symbol } else { None };
        let offset = (function != 0).then_some(function.into());
        Ok(Content::MemberPointer { offset, symbol, adjustment: Some(signed(at(1)?)) })
    }

    fn array(&mut self, object: &Object, array: &Array) -> Result<Content, ValueError> {
        let Some(first) = array.dimensions.first() else { return Ok(Content::Raw) };
        let Bound::Fixed(count) = first.count else {
            return Ok(Content::Elements { elements: vec![], length: None, is_set: false, cut: None });
        };
        let is_flat = array.dimensions.len() == 1 && !array.is_vector;
        if is_flat
            && array.stride.is_none()
            && let Some(unit) = CharType::of_text(&array.element)
        {
            let width = u64::from(unit.bytes);
            let wanted = count.min(self.limits.text).min(self.limits.bytes / width);
            let part = object.with_type(array.element.array(wanted));
            return Ok(self.text_in(&part.bytes(self.cx)?, unit, count));
        }
        if count == 0 {
            return Ok(Content::Elements { elements: vec![], length: Some(0), is_set: false, cut: None });
        }
        let element = object.element(first.lower, self.cx)?;
        if let Some(at) = object.address() {
            let stride = match array.stride.filter(|_| array.dimensions.len() == 1) {
                Some(stride) => stride,
                None => size_of(&element.ty, self.cx)?,
            };
            return self.strided(at, &element.ty, stride, count);
        }
        let (mut elements, mut cut) = (Vec::<Element>::new(), None);
        for index in 0..count {
            if elements.len() as u64 >= self.limits.elements || self.values_left == 0 {
                cut = Some(if self.values_left == 0 { Limit::Values } else { Limit::Elements });
                break;
            }
            let element = object.element(first.lower.saturating_add(index as i64), self.cx)?;
            let value = self.value(&element);
            elements.push(Element { value, times: 1 });
        }
        Ok(Content::Elements { elements, length: Some(count), is_set: false, cut })
    }

    fn composite(
        &mut self,
        object: &Object,
        ty: &Type,
        composite: &Composite,
    ) -> Result<Content, ValueError> {
        if composite.variants.is_some() {
            return self.variant_of(object, composite);
        }
        let members = object.members(self.cx)?;
        let shape = match composite.kind {
            CompositeKind::Union => Shape::Union,
            _ if is_tuple(ty, composite) => Shape::Tuple,
            _ => Shape::Struct,
        };
        if members.is_empty() && ty.language == Language::Rust {
            return Ok(Content::Nothing);
        }
        let mut fields = Vec::new();
        let mut cut = None;
        for member in members {
            if self.values_left == 0 {
                cut = Some(Limit::Values);
                break;
            }
            let kind = match () {
                () if member.is_base => FieldKind::Base,
                () if member.is_artificial || member.name.starts_with("_vptr") => FieldKind::Artificial,
                () => FieldKind::Member,
            };
            if shape != Shape::Tuple {
                self.shown(member.name.chars().count());
            }
            let value = match member.object {
                Ok(object) if kind == FieldKind::Artificial => self.table_pointer(&object),
                Ok(object) => self.value(&object),
                Err(why) => {
                    let content = self.unavailable(why);
                    self.made(&TypeRef::void(), None, content)
                }
            };
            fields.push(Field { name: member.name, kind, value });
        }
        Ok(Content::Fields { shape, fields, cut })
    }

    /// A pointer to a table of virtual functions: with the table's name.
    fn table_pointer(&mut self, object: &Object) -> value::Value {
        let mut value = self.value(object);
        if let Content::Pointer(pointer) = &mut value.content {
            pointer.symbol = self.code(pointer.address).symbol;
            pointer.target = None;
        }
        value
    }

    fn variant_of(&mut self, object: &Object, composite: &Composite) -> Result<Content, ValueError> {
        let no_variant = ValueError::Unavailable(Unavailable::NotUnderstood("no variant has its tag".into()));
        let members = object.variant(composite, self.cx)?.ok_or(no_variant.clone())?;
        let [member] = members else { return Err(no_variant) };
        let name = member.name.clone().unwrap_or_default();
        let inner = object.member_object(member, self.cx)?;
        let is_empty = inner.bare_type(self.cx).is_ok_and(|(_, ty)| {
            ty.composite()
                .is_some_and(|composite| composite.members.is_empty() && composite.variants.is_none())
        });
        let value = if is_empty { None } else { Some(Box::new(self.value(&inner))) };
        Ok(Content::Variant { name, value })
    }
}

/// Whether the language writes the target of such pointers in their place.
pub(crate) fn is_reference(ty: &Type, pointer: &Pointer) -> bool {
    match (&pointer.kind, ty.language) {
        (PointerKind::Reference | PointerKind::RvalueReference, _) => true,
        (_, Language::Rust) => {
            let name = ty.name.as_deref().unwrap_or_default();
            name.starts_with('&') || name.starts_with("Box<") || name.starts_with("alloc::boxed::Box<")
        }
        _ => false,
    }
}

/// Whether the fields of a type are known by their position: Rust names them `__0`, `__1`.
fn is_tuple(ty: &Type, composite: &Composite) -> bool {
    let is_positional = |(index, member): (usize, &prospect_symbols::type_info::Member)| {
        member
            .name
            .as_deref()
            .and_then(|name| name.strip_prefix("__"))
            .is_some_and(|number| number.parse() == Ok(index) || number.parse::<usize>().is_ok())
    };
    ty.language == Language::Rust
        && !composite.members.is_empty()
        && composite.members.iter().enumerate().all(is_positional)
}

/// The names of a number.
fn enumerators(enumeration: &Enumeration, number: i128, scope: Option<Arc<str>>) -> Content {
    let all = &enumeration.enumerators;
    if let Some(exact) = all.iter().find(|one| one.value == number) {
        return Content::Enumerators { number, names: vec![exact.name.clone()], rest: 0, scope };
    }
    let (mut names, mut rest) = (Vec::new(), number);
    if number > 0 && are_flags(all) {
        for one in all.iter().filter(|one| one.value.count_ones() == 1) {
            if rest & one.value != 0 {
                names.push(one.name.clone());
                rest &= !one.value;
            }
        }
        for one in all.iter().filter(|one| one.value.count_ones() > 1) {
            if rest & one.value == one.value {
                names.push(one.name.clone());
                rest &= !one.value;
            }
        }
    }
    Content::Enumerators { number, names, rest, scope }
}

/// Whether the numbers are meant to be combined: no two have a bit in common, but for some that are made of several others.
fn are_flags(all: &[Enumerator]) -> bool {
    if all.iter().any(|one| one.value < 0) {
        return false;
    }
    let single = all.iter().filter(|one| one.value.count_ones() == 1);
    let (bits, singles) = single.fold((0, 0), |(bits, count), one| (bits | one.value, count + 1));
    let mut several = all.iter().filter(|one| one.value.count_ones() > 1);
    let mut taken = bits;
    // Three numbers can be 1, 2 and 3 by counting.
    let are_combinations = singles >= 3 && several.clone().all(|one| one.value & !bits == 0);
    are_combinations
        || several.all(|one| {
            let is_apart = one.value & taken == 0;
            taken |= one.value;
            is_apart
        })
}
