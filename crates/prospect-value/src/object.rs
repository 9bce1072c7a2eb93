//! Something of the program that has a type and a place.

mod members;
mod number;

use std::sync::Arc;

use prospect_process::Addr;
use prospect_symbols::{
    type_info::{Array, Bound, PointerKind, Type, TypeError, TypeKind, TypeRef},
    variable::{Location, Piece, PieceSource, Unavailable},
};

pub use members::MemberObject;

use crate::{ValueContext, ValueError, bits, scalar};

/// Something of the program that has a type: in memory, in registers, or made by an expression.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its type.
    pub ty: TypeRef,
    /// Where it is. A bit-field has a piece with as many bits.
    pub location: Location,
}

impl Object {
    /// Something in memory.
    #[must_use]
    pub fn at(address: Addr, ty: TypeRef) -> Self {
        Self { ty, location: Location::memory(address) }
    }

    /// Something with these bytes, in the order of the machine.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>, ty: TypeRef) -> Self {
        Self { ty, location: Location::bytes(bytes) }
    }

    /// Where it is, if it is in memory and begins at a byte.
    #[must_use]
    pub fn address(&self) -> Option<Addr> {
        bits::address(&self.location)
    }

    /// Its type without typedefs and qualifiers; of one that is only declared, the definition.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bare_type(&self, cx: &dyn ValueContext) -> Result<(TypeRef, Arc<Type>), TypeError> {
        definition(&self.ty, cx)
    }

    /// How many bytes it has; a bit-field as many as its number needs.
    ///
    /// # Errors
    /// When nobody says.
    pub fn size(&self, cx: &dyn ValueContext) -> Result<u64, Unavailable> {
        match self.bit_field(cx) {
            Some(bits) => Ok(bits.div_ceil(8)),
            None => size_of(&self.ty, cx),
        }
    }

    /// How many bits it has, if it is a bit-field.
    pub(crate) fn bit_field(&self, cx: &dyn ValueContext) -> Option<u64> {
        let bits = bits::count(&self.location)?;
        let size = size_of(&self.ty, cx).ok()?;
        (bits < size.saturating_mul(8)).then_some(bits)
    }

    /// Its bytes, in the order of the machine; those of a bit-field are of a number.
    ///
    /// # Errors
    /// When they cannot be had, or are more than a mebibyte.
    pub fn bytes(&self, cx: &dyn ValueContext) -> Result<Vec<u8>, Unavailable> {
        let wanted = match self.bit_field(cx) {
            Some(bits) => bits,
            None => size_of(&self.ty, cx)?.saturating_mul(8),
        };
        bits::read(&self.location, wanted, cx)
    }

    /// Its first bytes, at most so many.
    pub(crate) fn first_bytes(&self, most: usize, cx: &dyn ValueContext) -> Result<Vec<u8>, Unavailable> {
        let size = self.size(cx)?;
        if size <= most as u64 {
            return self.bytes(cx);
        }
        bits::read(&self.location, most as u64 * 8, cx)
    }

    /// The same place with another type.
    #[must_use]
    pub fn with_type(&self, ty: TypeRef) -> Self {
        Self { ty, location: self.location.clone() }
    }

    /// An element of an array, or what a pointer to its first one leads to, by its index. The first index of a Fortran array
    /// is not 0; see [`Dimension::lower`](prospect_symbols::type_info::Dimension::lower).
    ///
    /// # Errors
    /// When it is no array or pointer, or the array is known to have fewer.
    pub fn element(&self, index: i64, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        let (_, bare) = self.bare_type(cx)?;
        match &bare.kind {
            TypeKind::Array(array) => self.array_element(&bare, array, index, cx),
            TypeKind::Pointer(pointer) if pointer.kind == PointerKind::Pointer => {
                let first = self.dereference(cx)?;
                let size = size_of(&pointer.target, cx)?;
                let at = first.address().ok_or(ValueError::NoAddress)?;
                let offset = (index as u64).wrapping_mul(size);
                Ok(Self::at(Addr(at.wrapping_add(offset).0 & cx.arch().word_mask()), first.ty))
            }
            TypeKind::Pointer(_) => self.dereference(cx)?.element(index, cx),
            _ => Err(ValueError::NoElements(self.ty.name())),
        }
    }

    fn array_element(
        &self,
        ty: &Type,
        array: &Array,
        index: i64,
        cx: &dyn ValueContext,
    ) -> Result<Self, ValueError> {
        let no_elements = || ValueError::NoElements(self.ty.name());
        let (first, inner) = array.dimensions.split_first().ok_or_else(no_elements)?;
        let from_first = index.checked_sub(first.lower).ok_or_else(no_elements)?;
        // C programs end structures with arrays of one element that have more.
        let length = match first.count {
            Bound::Fixed(length) if length > 1 => length,
            _ => u64::MAX,
        };
        if u64::try_from(from_first).map_or(self.address().is_none(), |at| at >= length) {
            return Err(ValueError::OutOfRange { index, length });
        }
        let element = element_type(ty, array, inner);
        let stride = match array.stride {
            Some(stride) if inner.is_empty() => stride,
            _ => size_of(&element, cx)?,
        };
        let offset = (from_first as u64).wrapping_mul(stride);
        if let Some(at) = self.address() {
            return Ok(Self::at(at.wrapping_add(offset), element));
        }
        let bits = stride.checked_mul(8).ok_or_else(no_elements)?;
        let start = offset.checked_mul(8).ok_or_else(no_elements)?;
        let whole = size_of(&self.ty, cx).unwrap_or(0).saturating_mul(8);
        Ok(Self { location: bits::part(&self.location, whole, start, bits, cx), ty: element })
    }

    /// What a pointer or reference leads to.
    ///
    /// # Errors
    /// When it is none, or leads to `void`.
    pub fn dereference(&self, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        let (ty, bare) = self.bare_type(cx)?;
        let TypeKind::Pointer(pointer) = &bare.kind else {
            return match &bare.kind {
                // That of a symbol alone: it may well be one.
                _ if ty.is_void() => Err(TypeError::Unknown.into()),
                // An array is as good as a pointer to its first element.
                TypeKind::Array(array) => {
                    self.element(array.dimensions.first().map_or(0, |first| first.lower), cx)
                }
                _ => Err(ValueError::NotAPointer(self.ty.name())),
            };
        };
        if pointer.target.bare_outline()?.0.is_void() {
            return Err(ValueError::PointsToVoid(self.ty.name()));
        }
        if let [Piece { source: PieceSource::ImplicitPointer(target), .. }] = self.location.pieces.as_slice()
        {
            let start = u64::try_from(target.offset).ok().and_then(|offset| offset.checked_mul(8));
            let start = start.ok_or(Unavailable::OptimisedOut)?;
            let count = size_of(&pointer.target, cx).ok().and_then(|size| size.checked_mul(8));
            let location = match start {
                0 => target.location.clone(),
                _ => target.location.part(start, count),
            };
            return Ok(Self { ty: pointer.target.clone(), location });
        }
        let at = scalar::unsigned(&self.bytes(cx)?, cx.arch().big_endian);
        let at = at.and_then(|at| u64::try_from(at).ok());
        let at = at.ok_or_else(|| ValueError::NotAPointer(self.ty.name()))?;
        Ok(Self::at(Addr(at), pointer.target.clone()))
    }

    /// A pointer to it.
    ///
    /// # Errors
    /// When it has no address.
    pub fn address_of(&self, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        let at = self.address().ok_or(ValueError::NoAddress)?;
        let word = cx.arch().word_bytes;
        let bytes = scalar::bytes_of(at.0.into(), word.into(), cx.arch().big_endian);
        Ok(Self::from_bytes(bytes, self.ty.pointer(word)))
    }
}

/// The type of the elements of the outermost dimension.
fn element_type(ty: &Type, array: &Array, inner: &[prospect_symbols::type_info::Dimension]) -> TypeRef {
    if inner.is_empty() {
        return array.element.clone();
    }
    let row = Array {
        element: array.element.clone(),
        dimensions: inner.to_vec(),
        stride: array.stride,
        is_vector: array.is_vector,
    };
    let mut made = Type::new(None, row.size(), TypeKind::Array(row));
    made.language = ty.language;
    TypeRef::made(made)
}

/// A type without typedefs and qualifiers; of one that is only declared, the definition.
pub(crate) fn definition(ty: &TypeRef, cx: &dyn ValueContext) -> Result<(TypeRef, Arc<Type>), TypeError> {
    let (bare, found) = ty.bare()?;
    if !found.composite().is_some_and(|composite| composite.is_declaration) {
        return Ok((bare, found));
    }
    let defined = found.qualified_name().and_then(|name| cx.definition(&bare, &name));
    let defined = defined.and_then(|ty| ty.bare().ok());
    let is_definition =
        |(_, ty): &(_, Arc<Type>)| ty.composite().is_some_and(|composite| !composite.is_declaration);
    defined.filter(is_definition).ok_or(TypeError::Incomplete)
}

/// The same without the parts of structures and enumerations.
pub(crate) fn definition_outline(
    ty: &TypeRef,
    cx: &dyn ValueContext,
) -> Result<(TypeRef, Arc<Type>), TypeError> {
    let (bare, found) = ty.bare_outline()?;
    let is_declaration = found.composite().is_some_and(|composite| composite.is_declaration);
    if is_declaration { definition(ty, cx) } else { Ok((bare, found)) }
}

/// How many bytes a value of a type has.
pub(crate) fn size_of(ty: &TypeRef, cx: &dyn ValueContext) -> Result<u64, Unavailable> {
    if let Some(size) = ty.size() {
        return Ok(size);
    }
    if ty.is_void() {
        return Err(Unavailable::Type(TypeError::Unknown));
    }
    let (_, bare) = definition(ty, cx)?;
    match &bare.kind {
        TypeKind::Pointer(_) => Ok(cx.arch().word_bytes.into()),
        TypeKind::Array(array) if matches!(array.dimensions.first(), Some(first) if matches!(first.count, Bound::Unknown)) => {
            Ok(0)
        }
        TypeKind::Enumeration(enumeration) => {
            let underlying = enumeration.underlying.as_ref().and_then(TypeRef::size);
            underlying.ok_or(Unavailable::Type(TypeError::Incomplete))
        }
        // `decltype(nullptr)` has a name, but no size.
        TypeKind::Unspecified if bare.name.as_deref().is_some_and(|name| name.contains("nullptr")) => {
            Ok(cx.arch().word_bytes.into())
        }
        _ => bare.size.ok_or(Unavailable::Type(TypeError::Incomplete)),
    }
}
