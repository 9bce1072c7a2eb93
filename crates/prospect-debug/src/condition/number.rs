//! Numbers of programs: their widths, and how two of them are put together.
//!
//! These are the rules of [`Expression::evaluate`](prospect_value::expression::Expression::evaluate), for numbers of at most eight bytes.

use prospect_process::agent::Opcode;
use prospect_symbols::type_info::{Base, PointerKind, Type, TypeKind, TypeRef};

use super::assembly::{Code, Item};

/// What a number is. On the stack it has 64 bits, as its own highest bit or 0 continues it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Width {
    pub(super) signed: bool,
    /// 1, 2, 4 or 8.
    pub(super) bytes: u8,
    /// It was written without a type.
    pub(super) is_untyped: bool,
}

impl Width {
    pub(super) fn new(signed: bool, bytes: u8) -> Self {
        Self { signed, bytes, is_untyped: false }
    }

    /// Small numbers become `int`, by the rules of C.
    pub(super) fn promoted(self, rules_of_c: bool) -> Self {
        if rules_of_c && self.bytes < 4 { Self::new(true, 4) } else { self }
    }

    /// The width that two have together.
    pub(super) fn together(self, other: Self, rules_of_c: bool) -> Self {
        if !rules_of_c && self.is_untyped != other.is_untyped {
            return if self.is_untyped { other } else { self };
        }
        let (one, other) = (self.promoted(rules_of_c), other.promoted(rules_of_c));
        let bytes = one.bytes.max(other.bytes);
        let is_unsigned = |width: Self| !width.signed && width.bytes == bytes;
        let signed = !(is_unsigned(one) || is_unsigned(other));
        Self { signed, bytes, is_untyped: one.is_untyped && other.is_untyped }
    }

    /// Cuts what is on the stack to this width.
    pub(super) fn cut(self, code: &mut Code) {
        if self.bytes < 8 {
            let opcode = if self.signed { Opcode::Ext } else { Opcode::ZeroExt };
            code.push(Item::With(opcode, u64::from(self.bytes) * 8));
        }
    }
}

/// What an operand is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Number(Width),
    /// A pointer to this.
    Pointer(TypeRef),
}

/// What values of a type are; the error is a sentence.
pub(super) fn kind_of(ty: &TypeRef, bare: &Type, rules_of_c: bool) -> Result<Kind, String> {
    let no = || Err(format!("`{}` is no whole number", ty.name()));
    match &bare.kind {
        TypeKind::Pointer(pointer) if pointer.kind == PointerKind::Pointer && bare.size == Some(8) => {
            // Rust's references stand for what they refer to.
            if rules_of_c || !ty.name().starts_with('&') {
                Ok(Kind::Pointer(pointer.target.clone()))
            } else {
                no()
            }
        }
        TypeKind::Pointer(_) | TypeKind::Base(Base { swapped: true, .. } | Base { bits: Some(_), .. }) => {
            no()
        }
        _ => {
            let bytes = bare.size.and_then(|size| u8::try_from(size).ok());
            match (bare.is_signed(), bytes) {
                (Some(signed), Some(bytes @ (1 | 2 | 4 | 8))) => Ok(Kind::Number(Width::new(signed, bytes))),
                _ => no(),
            }
        }
    }
}
