//! The numbers that expressions compute with: gimli's, of up to eight bytes, and wider ones beside them
//! (DWARF 5, section 2.5.1: an entry of the stack has any base type).

use gimli::{Value, ValueType, constants as dw};
use prospect_process::ArchInfo;

/// The widest: a vector register.
const MOST_BYTES: usize = 64;

/// A number on an expression's stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// An address, or of a type of up to eight bytes.
    Small(Value),
    /// Of a type of sixteen bytes.
    Wide { signed: bool, bits: u128 },
    /// Of a type that is not computed with: only moved. Its bytes as the machine has them, and how many there are.
    Opaque([u8; MOST_BYTES], u8),
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberType {
    Small(ValueType),
    Wide { signed: bool },
    Opaque(u8),
}

impl NumberType {
    pub(super) const ADDRESS: Self = Self::Small(ValueType::Generic);

    /// That of a base type: `DW_AT_encoding` and `DW_AT_byte_size`.
    pub(super) fn of(encoding: u8, bytes: u64) -> Option<Self> {
        let encoding = match gimli::DwAte(encoding) {
            dw::DW_ATE_signed_char => dw::DW_ATE_signed,
            dw::DW_ATE_boolean | dw::DW_ATE_address | dw::DW_ATE_unsigned_char | dw::DW_ATE_UTF => {
                dw::DW_ATE_unsigned
            }
            other => other,
        };
        if let Some(small) = ValueType::from_encoding(encoding, bytes) {
            return Some(Self::Small(small));
        }
        match (encoding, bytes) {
            (dw::DW_ATE_signed, 16) => Some(Self::Wide { signed: true }),
            (dw::DW_ATE_unsigned, 16) => Some(Self::Wide { signed: false }),
            (dw::DW_ATE_signed | dw::DW_ATE_unsigned, _) | (_, 0) => None,
            _ => u8::try_from(bytes).ok().filter(|bytes| usize::from(*bytes) <= MOST_BYTES).map(Self::Opaque),
        }
    }

    /// How many bytes it has.
    pub(super) fn bytes(self, mask: u64) -> u64 {
        match self {
            Self::Small(ty) => u64::from(ty.bit_size(mask)) / 8,
            Self::Wide { .. } => 16,
            Self::Opaque(bytes) => bytes.into(),
        }
    }
}

impl Number {
    /// An address or offset.
    pub(super) fn generic(value: u64) -> Self {
        Self::Small(Value::Generic(value))
    }

    fn ty(&self) -> NumberType {
        match self {
            Self::Small(value) => NumberType::Small(value.value_type()),
            Self::Wide { signed, .. } => NumberType::Wide { signed: *signed },
            Self::Opaque(_, bytes) => NumberType::Opaque(*bytes),
        }
    }

    /// One of a type, by its bytes as the machine has them.
    pub(super) fn parse(ty: NumberType, bytes: &[u8], arch: &ArchInfo) -> gimli::Result<Self> {
        match ty {
            NumberType::Small(ValueType::Generic) => {
                arch.unsigned(bytes).map(Self::generic).ok_or(gimli::Error::UnsupportedTypeOperation)
            }
            NumberType::Small(ty) => {
                let endian =
                    if arch.big_endian { gimli::RunTimeEndian::Big } else { gimli::RunTimeEndian::Little };
                Value::parse(ty, gimli::EndianSlice::new(bytes, endian)).map(Self::Small)
            }
            NumberType::Wide { signed } => {
                let bytes = bytes.try_into().map_err(|_| gimli::Error::TypeMismatch)?;
                let bits =
                    if arch.big_endian { u128::from_be_bytes(bytes) } else { u128::from_le_bytes(bytes) };
                Ok(Self::Wide { signed, bits })
            }
            NumberType::Opaque(count) => {
                let mut all = [0; MOST_BYTES];
                let own = all.get_mut(..bytes.len()).filter(|own| own.len() == usize::from(count));
                own.ok_or(gimli::Error::TypeMismatch)?.copy_from_slice(bytes);
                Ok(Self::Opaque(all, count))
            }
        }
    }

    /// Its bytes, as the machine has them.
    pub(super) fn bytes(&self, arch: &ArchInfo) -> gimli::Result<Vec<u8>> {
        let mask = arch.word_mask();
        let bits = match self {
            Self::Small(Value::F32(value)) => value.to_bits().into(),
            Self::Small(Value::F64(value)) => value.to_bits().into(),
            Self::Small(value) => value.to_u64(mask)?.into(),
            Self::Wide { bits, .. } => *bits,
            Self::Opaque(bytes, count) => return Ok(bytes[..usize::from(*count)].to_vec()),
        };
        let size = self.ty().bytes(mask) as usize;
        Ok(if arch.big_endian {
            bits.to_be_bytes()[16 - size..].to_vec()
        } else {
            bits.to_le_bytes()[..size].to_vec()
        })
    }

    /// The word that it is.
    pub(super) fn to_u64(self, mask: u64) -> gimli::Result<u64> {
        match self {
            Self::Small(value) => value.to_u64(mask),
            Self::Wide { bits, .. } => u64::try_from(bits).map_err(|_| gimli::Error::TypeMismatch),
            Self::Opaque(..) => Err(gimli::Error::IntegralTypeRequired),
        }
    }

    /// The same number as one of another type (`DW_OP_convert`).
    pub(super) fn convert(self, ty: NumberType, mask: u64) -> gimli::Result<Self> {
        match (self, ty) {
            (Self::Small(value), NumberType::Small(ty)) => value.convert(ty, mask).map(Self::Small),
            (_, NumberType::Opaque(_)) | (Self::Opaque(..), _) if self.ty() == ty => Ok(self),
            (Self::Small(value), NumberType::Wide { signed }) => {
                let bits = match value {
                    Value::F32(value) => float_bits(value.into(), signed),
                    Value::F64(value) => float_bits(value, signed),
                    Value::I8(value) => i128::from(value).cast_unsigned(),
                    Value::I16(value) => i128::from(value).cast_unsigned(),
                    Value::I32(value) => i128::from(value).cast_unsigned(),
                    Value::I64(value) => i128::from(value).cast_unsigned(),
                    value => value.to_u64(mask)?.into(),
                };
                Ok(Self::Wide { signed, bits })
            }
            (Self::Wide { bits, .. }, NumberType::Wide { signed }) => Ok(Self::Wide { signed, bits }),
            (Self::Wide { signed, bits }, NumberType::Small(ty)) => {
                let float = if signed { bits.cast_signed() as f64 } else { bits as f64 };
                Ok(Self::Small(match ty {
                    ValueType::F32 => Value::F32(float as f32),
                    ValueType::F64 => Value::F64(float),
                    ty => Value::from_u64(ty, bits as u64)?,
                }))
            }
            _ => Err(gimli::Error::UnsupportedTypeOperation),
        }
    }

    /// The same bytes as a number of another type (`DW_OP_reinterpret`).
    pub(super) fn reinterpret(self, ty: NumberType, arch: &ArchInfo) -> gimli::Result<Self> {
        if ty.bytes(arch.word_mask()) != self.ty().bytes(arch.word_mask()) {
            return Err(gimli::Error::TypeMismatch);
        }
        Self::parse(ty, &self.bytes(arch)?, arch)
    }

    /// An operation of one number: gimli's of a small one.
    pub(super) fn unary(self, operation: Unary, mask: u64) -> gimli::Result<Self> {
        match self {
            Self::Small(value) => Ok(Self::Small(match operation {
                Unary::Abs => value.abs(mask)?,
                Unary::Neg => value.neg(mask)?,
                Unary::Not => value.not(mask)?,
            })),
            Self::Wide { signed, bits } => {
                let bits = match operation {
                    Unary::Abs if signed => bits.cast_signed().unsigned_abs(),
                    Unary::Abs => bits,
                    Unary::Neg => bits.wrapping_neg(),
                    Unary::Not => !bits,
                };
                Ok(Self::Wide { signed, bits })
            }
            Self::Opaque(..) => Err(gimli::Error::UnsupportedTypeOperation),
        }
    }

    /// An operation of two numbers of one type. What shifts may be of any.
    pub(super) fn binary(self, operation: Binary, right: Self, mask: u64) -> gimli::Result<Self> {
        use Binary as Op;
        match (self, right) {
            (Self::Small(left), Self::Small(right)) => Ok(Self::Small(match operation {
                Op::And => left.and(right, mask)?,
                Op::Or => left.or(right, mask)?,
                Op::Xor => left.xor(right, mask)?,
                Op::Plus => left.add(right, mask)?,
                Op::Minus => left.sub(right, mask)?,
                Op::Mul => left.mul(right, mask)?,
                Op::Div => left.div(right, mask)?,
                Op::Mod => left.rem(right, mask)?,
                Op::Shl => left.shl(right, mask)?,
                Op::Shr => left.shr(right, mask)?,
                Op::Shra => left.shra(right, mask)?,
                Op::Eq => left.eq(right, mask)?,
                Op::Ne => left.ne(right, mask)?,
                Op::Ge => left.ge(right, mask)?,
                Op::Gt => left.gt(right, mask)?,
                Op::Le => left.le(right, mask)?,
                Op::Lt => left.lt(right, mask)?,
            })),
            (Self::Wide { signed, bits }, right) if operation.shifts() => {
                // As gimli has it: what is shifted out is gone.
                let count = u32::try_from(right.to_u64(mask)?).unwrap_or(u32::MAX);
                let bits = match operation {
                    Op::Shl => bits.checked_shl(count).unwrap_or(0),
                    Op::Shr => bits.checked_shr(count).unwrap_or(0),
                    _ => (bits.cast_signed() >> count.min(127)).cast_unsigned(),
                };
                Ok(Self::Wide { signed, bits })
            }
            (Self::Wide { signed, bits: left }, Self::Wide { signed: other, bits: right })
                if signed == other =>
            {
                let order =
                    if signed { left.cast_signed().cmp(&right.cast_signed()) } else { left.cmp(&right) };
                let is = |answer: bool| Ok(Self::generic(answer.into()));
                let bits = match operation {
                    Op::And => left & right,
                    Op::Or => left | right,
                    Op::Xor => left ^ right,
                    Op::Plus => left.wrapping_add(right),
                    Op::Minus => left.wrapping_sub(right),
                    Op::Mul => left.wrapping_mul(right),
                    Op::Div | Op::Mod if right == 0 => return Err(gimli::Error::DivisionByZero),
                    Op::Div if signed => left.cast_signed().wrapping_div(right.cast_signed()).cast_unsigned(),
                    Op::Mod if signed => left.cast_signed().wrapping_rem(right.cast_signed()).cast_unsigned(),
                    Op::Div => left / right,
                    Op::Mod => left % right,
                    Op::Eq => return is(order.is_eq()),
                    Op::Ne => return is(order.is_ne()),
                    Op::Ge => return is(order.is_ge()),
                    Op::Gt => return is(order.is_gt()),
                    Op::Le => return is(order.is_le()),
                    Op::Lt => return is(order.is_lt()),
                    Op::Shl | Op::Shr | Op::Shra => return Err(gimli::Error::TypeMismatch),
                };
                Ok(Self::Wide { signed, bits })
            }
            (Self::Opaque(..), _) => Err(gimli::Error::UnsupportedTypeOperation),
            _ => Err(gimli::Error::TypeMismatch),
        }
    }

    /// The number with an unsigned constant added, of its own type.
    pub(super) fn plus(self, more: u64, mask: u64) -> gimli::Result<Self> {
        let more = match self.ty() {
            NumberType::Small(ty) => Self::Small(Value::from_u64(ty, more)?),
            NumberType::Wide { signed } => Self::Wide { signed, bits: more.into() },
            NumberType::Opaque(_) => return Err(gimli::Error::UnsupportedTypeOperation),
        };
        self.binary(Binary::Plus, more, mask)
    }
}

/// What a floating point number is as a whole one.
fn float_bits(value: f64, signed: bool) -> u128 {
    if signed { (value as i128).cast_unsigned() } else { value as u128 }
}

/// Operations of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Abs,
    Neg,
    Not,
}

/// Operations of two numbers, by their names in DWARF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    And,
    Or,
    Xor,
    Plus,
    Minus,
    Mul,
    Div,
    Mod,
    Shl,
    Shr,
    Shra,
    Eq,
    Ne,
    Ge,
    Gt,
    Le,
    Lt,
}

impl Binary {
    fn shifts(self) -> bool {
        matches!(self, Self::Shl | Self::Shr | Self::Shra)
    }
}
