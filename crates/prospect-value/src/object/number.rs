//! Objects as numbers, and numbers as objects.

use prospect_symbols::type_info::{BaseEncoding, Type, TypeKind, TypeRef};

use super::{Object, size_of};
use crate::{ValueContext, ValueError, bits, scalar};

impl Object {
    /// A number of this type.
    ///
    /// # Errors
    /// When no number has this type.
    pub fn from_integer(number: i128, ty: TypeRef, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        let (_, bare) = super::definition(&ty, cx)?;
        let size = size_of(&ty, cx)?;
        let big_endian = scalar::is_big_endian(&bare, cx.arch());
        if bare.is_signed().is_some() && size <= 16 {
            let is_truth =
                matches!(&bare.kind, TypeKind::Base(base) if base.encoding == BaseEncoding::Boolean);
            let number = if is_truth { i128::from(number != 0) } else { number };
            return Ok(Self::from_bytes(scalar::bytes_of(number as u128, size as usize, big_endian), ty));
        }
        Self::from_float(number as f64, ty, cx)
    }

    /// A floating point number of this type.
    ///
    /// # Errors
    /// When no such number has this type.
    pub fn from_float(number: f64, ty: TypeRef, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        let (_, bare) = super::definition(&ty, cx)?;
        let size = size_of(&ty, cx)?;
        let bits = float_encoding(&bare)
            .and_then(|()| scalar::float_format(&bare, size, cx.arch()))
            .and_then(|format| format.bits_of(number));
        let bits = bits.ok_or_else(|| ValueError::NotANumber(ty.name()))?;
        let big_endian = scalar::is_big_endian(&bare, cx.arch());
        Ok(Self::from_bytes(scalar::bytes_of(bits, size as usize, big_endian), ty))
    }

    /// The whole number that it is: numbers, characters, truth values, enumerations, pointers. One without a sign that is
    /// above `i128::MAX` comes out negative.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn integer(&self, cx: &dyn ValueContext) -> Result<i128, ValueError> {
        let (_, bare) = self.bare_type(cx)?;
        let signed = bare.is_signed().ok_or_else(|| ValueError::NotANumber(self.ty.name()))?;
        let (bits, number) = self.bits(&bare, cx)?;
        let bits = match &bare.kind {
            TypeKind::Base(base) => {
                base.bits.and_then(|used| u32::try_from(used).ok()).unwrap_or(bits).min(bits)
            }
            _ => bits,
        };
        let number = scalar::sign_extended(number, bits);
        Ok(if signed || bits == 128 { number } else { number & ((1 << bits) - 1) })
    }

    /// Its bits as a number, and how many there are.
    fn bits(&self, bare: &Type, cx: &dyn ValueContext) -> Result<(u32, u128), ValueError> {
        let no_number = || ValueError::NotANumber(self.ty.name());
        let bits = match self.bit_field(cx) {
            Some(bits) => bits,
            None => size_of(&self.ty, cx)?.saturating_mul(8),
        };
        let bits = u32::try_from(bits).ok().filter(|bits| *bits <= 128).ok_or_else(no_number)?;
        let bytes = bits::read(&self.location, bits.into(), cx)?;
        let number =
            scalar::unsigned(&bytes, scalar::is_big_endian(bare, cx.arch())).ok_or_else(no_number)?;
        Ok((bits, number))
    }

    /// The number that it is, as a double.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn float(&self, cx: &dyn ValueContext) -> Result<f64, ValueError> {
        let (_, bare) = self.bare_type(cx)?;
        if float_encoding(&bare).is_some() {
            let bytes = self.bytes(cx)?;
            let format = scalar::float_format(&bare, bytes.len() as u64, cx.arch());
            let big_endian = scalar::is_big_endian(&bare, cx.arch());
            let float = format.and_then(|format| scalar::float(&bytes, format, big_endian));
            return float.map(|float| float.value).ok_or_else(|| ValueError::NotANumber(self.ty.name()));
        }
        let is_signed = bare.is_signed();
        let integer = self.integer(cx)?;
        Ok(if is_signed == Some(true) { integer as f64 } else { integer as u128 as f64 })
    }

    /// Whether it is a floating point number.
    pub fn is_float(&self, cx: &dyn ValueContext) -> bool {
        self.bare_type(cx).is_ok_and(|(_, bare)| float_encoding(&bare).is_some())
    }

    /// Whether a condition holds that is just it: it is not 0.
    ///
    /// # Errors
    /// When it is no number, or cannot be read.
    pub fn truth(&self, cx: &dyn ValueContext) -> Result<bool, ValueError> {
        if self.is_float(cx) { Ok(self.float(cx)? != 0.0) } else { Ok(self.integer(cx)? != 0) }
    }

    /// It as C converts it to another type: numbers keep their value as far as it fits, arrays become pointers to their first
    /// element, and what has as many bytes is taken as it is; so is what is of a type that nobody knows (`void`).
    ///
    /// # Errors
    /// When there is no such conversion.
    pub fn cast(&self, ty: TypeRef, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        if self.ty.is_void() {
            return Ok(self.with_type(ty));
        }
        let (_, from) = self.bare_type(cx)?;
        let (_, to) = super::definition(&ty, cx)?;
        let is_number = |ty: &Type| ty.is_signed().is_some() || float_encoding(ty).is_some();
        if matches!(from.kind, TypeKind::Array(_) | TypeKind::Function(_)) && is_number(&to) {
            return self.address_of(cx)?.cast(ty, cx);
        }
        if is_number(&from) && is_number(&to) {
            let is_truth = matches!(&to.kind, TypeKind::Base(base) if base.encoding == BaseEncoding::Boolean);
            return match (self.is_float(cx), float_encoding(&to).is_some()) {
                _ if is_truth => Self::from_integer(self.truth(cx)?.into(), ty, cx),
                (_, true) => Self::from_float(self.float(cx)?, ty, cx),
                (true, false) => Self::from_integer(self.float(cx)? as i128, ty, cx),
                (false, false) => Self::from_integer(self.integer(cx)?, ty, cx),
            };
        }
        if size_of(&self.ty, cx).is_ok() && size_of(&self.ty, cx).ok() == size_of(&ty, cx).ok() {
            return Ok(self.with_type(ty));
        }
        Err(ValueError::NoConversion { from: self.ty.name(), to: ty.name() })
    }
}

/// Whether a type is one of floating point numbers.
fn float_encoding(ty: &Type) -> Option<()> {
    matches!(&ty.kind, TypeKind::Base(base) if base.encoding == BaseEncoding::Float).then_some(())
}
