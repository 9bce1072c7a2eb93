//! Decimal digits of numbers with more bits than a double has.

use crate::float::Parts;

/// A number with at most so many digits that count.
pub(super) fn text(parts: Parts, digits: usize) -> String {
    let (negative, text) = match parts {
        Parts::Infinite { negative } => (negative, "inf".to_owned()),
        Parts::NotANumber { negative } => (negative, "nan".to_owned()),
        Parts::Finite { negative, mantissa: 0, .. } => (negative, "0".to_owned()),
        Parts::Finite { negative, mantissa, exponent } => (negative, finite(mantissa, exponent, digits)),
    };
    if negative { format!("-{text}") } else { text }
}

fn finite(mantissa: u128, exponent: i32, digits: usize) -> String {
    // m × 2^-k is m × 5^k with the point k digits further left.
    let mut number = Big::new(mantissa);
    let (factor, times) = if exponent < 0 { (5, exponent.unsigned_abs()) } else { (2, exponent as u32) };
    let (step, per_step) = if factor == 5 { (5u64.pow(13), 13) } else { (1 << 30, 30) };
    for _ in 0..times / per_step {
        number.multiply(step);
    }
    number.multiply(u64::from(factor as u32).pow(times % per_step));
    let (kept, length) = rounded(&number.digits(), digits);
    let point = length as i32 + exponent.min(0);
    let kept = kept.trim_end_matches('0');
    match point {
        1..=18 if kept.len() <= point as usize => format!("{kept:0<width$}", width = point as usize),
        1..=18 => format!("{}.{}", &kept[..point as usize], &kept[point as usize..]),
        -4..=0 => format!("0.{}{kept}", "0".repeat(point.unsigned_abs() as usize)),
        _ => {
            let (first, rest) = kept.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}e{}", point - 1)
        }
    }
}

/// The first digits, rounded, and how many there are before the point if all were kept.
fn rounded(digits: &str, keep: usize) -> (String, usize) {
    if digits.len() <= keep {
        return (digits.to_owned(), digits.len());
    }
    let (kept, rest) = digits.split_at(keep);
    let is_up = match rest.as_bytes() {
        [b'5', zeros @ ..] if zeros.iter().all(|digit| *digit == b'0') => {
            kept.as_bytes().last().is_some_and(|last| last % 2 == 1)
        }
        [first, ..] => *first >= b'5',
        [] => false,
    };
    if !is_up {
        return (kept.to_owned(), digits.len());
    }
    let without_nines = kept.trim_end_matches('9');
    match without_nines.as_bytes().split_last() {
        Some((last, before)) => {
            let mut up = String::from_utf8_lossy(before).into_owned();
            up.push(char::from(last + 1));
            (up, digits.len())
        }
        None => ("1".to_owned(), digits.len() + 1),
    }
}

/// A large number: parts of nine decimal digits, the lowest first.
struct Big(Vec<u32>);

const PART: u64 = 1_000_000_000;

impl Big {
    fn new(mut number: u128) -> Self {
        let mut parts = Vec::new();
        while number > 0 {
            parts.push((number % u128::from(PART)) as u32);
            number /= u128::from(PART);
        }
        Self(parts)
    }

    /// By a factor below 2^34.
    fn multiply(&mut self, factor: u64) {
        let mut carry = 0;
        for part in &mut self.0 {
            let product = u64::from(*part) * factor + carry;
            (*part, carry) = ((product % PART) as u32, product / PART);
        }
        while carry > 0 {
            self.0.push((carry % PART) as u32);
            carry /= PART;
        }
    }

    fn digits(&self) -> String {
        let mut parts = self.0.iter().rev();
        let first = parts.next().map(u32::to_string).unwrap_or_default();
        parts.fold(first, |digits, part| format!("{digits}{part:09}"))
    }
}
