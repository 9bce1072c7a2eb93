//! Numbers, with the rules of C and of Rust.

use super::syntax::BinaryOperator as Op;

/// A number with its width, as processors have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) value: Value,
    /// Of the type that it has: 1, 2, 4, 8 or 16; 4 or 8 for one with a fraction.
    pub(super) bytes: u8,
    /// It was written without a type, and takes that of what it is put together with.
    pub(super) is_untyped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Signed(i128),
    Unsigned(u128),
    Float(f64),
}

/// Whose rules there are for two numbers of different types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// Small numbers become `int`, and then both the larger type of the two.
    C,
    /// Each keeps its type; what was written without one takes the other's.
    Rust,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Number(Number),
    Truth(bool),
}

impl Number {
    pub(super) fn new(value: Value, bytes: u8) -> Self {
        Self { value, bytes, is_untyped: false }.wrapped()
    }

    /// A number as it is written, with its suffix; the error is a sentence.
    pub(super) fn literal(value: u128, suffix: &str) -> Result<Self, String> {
        let suffix = suffix.trim_start_matches('_').to_ascii_lowercase();
        let typed = |signed: bool, bytes: u8| {
            let value = if signed { Value::Signed(value.cast_signed()) } else { Value::Unsigned(value) };
            Self::new(value, bytes)
        };
        let of_c = |signed: bool, least: u8| {
            let widths: [(u128, u8); 3] = if signed {
                [(i32::MAX as u128, 4), (i64::MAX as u128, 8), (i128::MAX.cast_unsigned(), 16)]
            } else {
                [(u32::MAX.into(), 4), (u64::MAX.into(), 8), (u128::MAX, 16)]
            };
            let fits = widths.iter().find(|(most, bytes)| value <= *most && *bytes >= least);
            typed(signed, fits.map_or(16, |(_, bytes)| *bytes))
        };
        Ok(match suffix.as_str() {
            // What is too large for a signed number of eight bytes is meant as an address.
            "" if value > i64::MAX as u128 && u64::try_from(value).is_ok() => typed(false, 8),
            "" => Self { is_untyped: true, ..of_c(true, 4) },
            "u" => of_c(false, 4),
            "l" | "ll" => of_c(true, 8),
            "ul" | "lu" | "ull" | "llu" | "uz" | "z" => of_c(false, 8),
            "i8" | "u8" => typed(suffix.starts_with('i'), 1),
            "i16" | "u16" => typed(suffix.starts_with('i'), 2),
            "i32" | "u32" => typed(suffix.starts_with('i'), 4),
            "i64" | "u64" | "isize" | "usize" => typed(suffix.starts_with('i'), 8),
            "i128" | "u128" => typed(suffix.starts_with('i'), 16),
            other => return Err(format!("`{other}` behind a number has no meaning")),
        })
    }

    /// Cut to its width, as the processor would.
    fn wrapped(self) -> Self {
        let unused = 128_u32.saturating_sub(u32::from(self.bytes) * 8);
        let value = match self.value {
            Value::Signed(value) => Value::Signed(value.wrapping_shl(unused) >> unused),
            Value::Unsigned(value) => Value::Unsigned(value.wrapping_shl(unused) >> unused),
            Value::Float(value) if self.bytes == 4 =>
            {
                #[allow(clippy::cast_possible_truncation, reason = "that is what its type is")]
                Value::Float(f64::from(value as f32))
            }
            Value::Float(_) => self.value,
        };
        Self { value, ..self }
    }

    fn is_signed(self) -> bool {
        matches!(self.value, Value::Signed(_))
    }

    /// The same bits as another integer type.
    pub(super) fn with_type(self, signed: bool, bytes: u8) -> Self {
        let bits = self.bits();
        let value = if signed { Value::Signed(bits.cast_signed()) } else { Value::Unsigned(bits) };
        Self { value, bytes, is_untyped: false }.wrapped()
    }

    /// As C casts it to a type with a fraction.
    pub(super) fn with_fraction(self, bytes: u8) -> Self {
        Self { value: Value::Float(self.float()), bytes, is_untyped: false }.wrapped()
    }

    /// In two's complement; of a number with a fraction, what is before the point.
    #[allow(clippy::cast_possible_truncation, reason = "casts saturate, and that is all there is to say")]
    pub(super) fn bits(self) -> u128 {
        match self.value {
            Value::Signed(value) => value.cast_unsigned(),
            Value::Unsigned(value) => value,
            Value::Float(value) => (value as i128).cast_unsigned(),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "C's conversion does the same")]
    pub(super) fn float(self) -> f64 {
        match self.value {
            Value::Signed(value) => value as f64,
            Value::Unsigned(value) => value as f64,
            Value::Float(value) => value,
        }
    }

    pub(super) fn is_true(self) -> bool {
        match self.value {
            Value::Float(value) => value != 0.0,
            _ => self.bits() != 0,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self.value, Value::Float(_))
    }

    fn promoted(self, rules: Rules) -> Self {
        if rules == Rules::C && self.bytes < 4 && !self.is_float() { self.with_type(true, 4) } else { self }
    }

    pub(super) fn negated(self, rules: Rules) -> Self {
        let one = self.promoted(rules);
        let value = match one.value {
            Value::Signed(value) => Value::Signed(value.wrapping_neg()),
            Value::Unsigned(value) => Value::Unsigned(value.wrapping_neg()),
            Value::Float(value) => Value::Float(-value),
        };
        Self { value, ..one }.wrapped()
    }

    pub(super) fn complement(self, rules: Rules) -> Option<Self> {
        let one = self.promoted(rules);
        let value = match one.value {
            Value::Signed(value) => Value::Signed(!value),
            Value::Unsigned(value) => Value::Unsigned(!value),
            Value::Float(_) => return None,
        };
        Some(Self { value, ..one }.wrapped())
    }
}

/// Both in the type that they have together (C17, section 6.3.1.8).
fn together(left: Number, right: Number, rules: Rules) -> (Number, Number) {
    if left.is_float() || right.is_float() {
        let widths = [left, right].into_iter().filter(|one| one.is_float() && !one.is_untyped);
        let bytes = widths.map(|one| one.bytes).max().unwrap_or(8);
        return (left.with_fraction(bytes), right.with_fraction(bytes));
    }
    if rules == Rules::Rust && left.is_untyped != right.is_untyped {
        let typed = if left.is_untyped { right } else { left };
        let cast = |one: Number| one.with_type(typed.is_signed(), typed.bytes);
        return (cast(left), cast(right));
    }
    let (left, right) = (left.promoted(rules), right.promoted(rules));
    let bytes = left.bytes.max(right.bytes);
    // Of two types of one width, the one without a sign wins.
    let is_unsigned = |one: Number| !one.is_signed() && one.bytes == bytes;
    let signed = !(is_unsigned(left) || is_unsigned(right));
    let untyped = left.is_untyped && right.is_untyped;
    let cast = |one: Number| Number { is_untyped: untyped, ..one.with_type(signed, bytes) };
    (cast(left), cast(right))
}

/// What an operator makes of two numbers; the error is a sentence.
pub(super) fn binary(operator: Op, left: Number, right: Number, rules: Rules) -> Result<Outcome, String> {
    if matches!(operator, Op::ShiftLeft | Op::ShiftRight) {
        return shift(operator, left.promoted(rules), right);
    }
    let (left, right) = together(left, right, rules);
    let compared = match (left.value, right.value) {
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(&right),
        (Value::Signed(left), Value::Signed(right)) => Some(left.cmp(&right)),
        _ => Some(left.bits().cmp(&right.bits())),
    };
    let truth = match operator {
        Op::Less => compared.is_some_and(std::cmp::Ordering::is_lt),
        Op::LessOrEqual => compared.is_some_and(std::cmp::Ordering::is_le),
        Op::Greater => compared.is_some_and(std::cmp::Ordering::is_gt),
        Op::GreaterOrEqual => compared.is_some_and(std::cmp::Ordering::is_ge),
        Op::Equal => compared.is_some_and(std::cmp::Ordering::is_eq),
        Op::NotEqual => !compared.is_some_and(std::cmp::Ordering::is_eq),
        Op::And => left.is_true() && right.is_true(),
        Op::Or => left.is_true() || right.is_true(),
        _ => {
            let value = match (left.value, right.value) {
                (Value::Float(left), Value::Float(right)) => floats(operator, left, right)?,
                (Value::Signed(left), Value::Signed(right)) => signed(operator, left, right)?,
                _ => unsigned(operator, left.bits(), right.bits())?,
            };
            return Ok(Outcome::Number(Number { value, ..left }.wrapped()));
        }
    };
    Ok(Outcome::Truth(truth))
}

fn shift(operator: Op, left: Number, right: Number) -> Result<Outcome, String> {
    let count = if right.is_float() { None } else { u32::try_from(right.bits()).ok() };
    let count = count
        .filter(|count| *count < u32::from(left.bytes) * 8)
        .ok_or_else(|| format!("a number of {} bits is not shifted so far", u32::from(left.bytes) * 8))?;
    let value = match (left.value, operator) {
        (Value::Signed(value), Op::ShiftLeft) => Value::Signed(value.wrapping_shl(count)),
        (Value::Signed(value), _) => Value::Signed(value >> count),
        (Value::Unsigned(value), Op::ShiftLeft) => Value::Unsigned(value.wrapping_shl(count)),
        (Value::Unsigned(value), _) => Value::Unsigned(value >> count),
        (Value::Float(_), _) => return Err("a number with a fraction is not shifted".into()),
    };
    Ok(Outcome::Number(Number { value, ..left }.wrapped()))
}

fn floats(operator: Op, left: f64, right: f64) -> Result<Value, String> {
    Ok(Value::Float(match operator {
        Op::Add => left + right,
        Op::Subtract => left - right,
        Op::Multiply => left * right,
        Op::Divide => left / right,
        Op::Remainder => left % right,
        _ => return Err(format!("`{}` needs whole numbers", operator.as_str())),
    }))
}

fn signed(operator: Op, left: i128, right: i128) -> Result<Value, String> {
    let divided = |result: Option<i128>| result.ok_or_else(|| "division by zero".to_owned());
    Ok(Value::Signed(match operator {
        Op::Add => left.wrapping_add(right),
        Op::Subtract => left.wrapping_sub(right),
        Op::Multiply => left.wrapping_mul(right),
        Op::Divide => divided((right != 0).then(|| left.wrapping_div(right)))?,
        Op::Remainder => divided((right != 0).then(|| left.wrapping_rem(right)))?,
        Op::BitAnd => left & right,
        Op::BitXor => left ^ right,
        _ => left | right,
    }))
}

fn unsigned(operator: Op, left: u128, right: u128) -> Result<Value, String> {
    let divided = |result: Option<u128>| result.ok_or_else(|| "division by zero".to_owned());
    Ok(Value::Unsigned(match operator {
        Op::Add => left.wrapping_add(right),
        Op::Subtract => left.wrapping_sub(right),
        Op::Multiply => left.wrapping_mul(right),
        Op::Divide => divided(left.checked_div(right))?,
        Op::Remainder => divided(left.checked_rem(right))?,
        Op::BitAnd => left & right,
        Op::BitXor => left ^ right,
        _ => left | right,
    }))
}
