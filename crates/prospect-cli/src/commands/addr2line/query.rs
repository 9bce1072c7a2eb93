//! From what was written to the address that is meant.

use super::source::Source;

/// One question.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Request {
    /// Of what the source is: as linked for a file, at run time for a process.
    pub(super) address: u64,
    /// The same as it is shown: what has still to be linked is not asked with those addresses that it has meanwhile.
    pub(super) shown: u64,
    /// As it was written, where that is shown.
    pub(super) text: String,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// A number, which counts from somewhere.
    Number(u64),
    /// The address of a symbol, or behind it.
    Symbol(u64),
}

/// As binutils reads it: hexadecimal; or a symbol, with an offset; or hexadecimal digits with anything behind them, of which
/// there may be none.
pub(super) fn binutils(text: &[u8], source: &Source) -> Asked {
    let text = text.trim_ascii();
    let (number, rest) = hexadecimal(text);
    if rest.is_empty() {
        return Asked::Number(number);
    }
    let mut parts = text.splitn(2, |byte| *byte == b'+');
    let name = parts.next().unwrap_or_default().trim_ascii();
    match source.symbol(name) {
        Some(start) => Asked::Symbol(start.wrapping_add(any_base(parts.next().unwrap_or_default()).0)),
        None => Asked::Number(number),
    }
}

/// As elfutils reads it: hexadecimal, or a symbol with an offset.
pub(super) fn elfutils(text: &[u8], source: &Source) -> Result<Asked, String> {
    let lossy = String::from_utf8_lossy(text);
    let text = text.trim_ascii_start();
    let (number, rest) = hexadecimal(text);
    if rest.is_empty() && !text.is_empty() {
        return Ok(Asked::Number(number));
    }
    let at = text.iter().position(|byte| matches!(byte, b'+' | b'-')).unwrap_or(text.len());
    let (name, offset) = text.split_at(at);
    let (offset, rest) = if offset.is_empty() { (0, offset) } else { any_base(offset) };
    let start = source.symbol(name).filter(|_| !name.is_empty());
    match start {
        Some(start) if rest.is_empty() => Ok(Asked::Symbol(start.wrapping_add(offset))),
        Some(_) => Err(format!("cannot understand {lossy:?}")),
        None => Err(format!("cannot find symbol '{}'", String::from_utf8_lossy(name))),
    }
}

/// The number that a text begins with, as C's `strtoull` with base 16 reads it, and what follows.
fn hexadecimal(text: &[u8]) -> (u64, &[u8]) {
    let (negative, rest) = sign(text);
    let (number, rest) = match rest {
        [b'0', b'x' | b'X', digits @ ..] if digits.first().is_some_and(u8::is_ascii_hexdigit) => {
            digits_of(digits, 16)
        }
        digits => digits_of(digits, 16),
    };
    (if negative { number.wrapping_neg() } else { number }, rest)
}

/// The same with base 0: `0x` before hexadecimal digits, `0` before octal ones.
fn any_base(text: &[u8]) -> (u64, &[u8]) {
    let (negative, rest) = sign(text.trim_ascii_start());
    let (number, rest) = match rest {
        [b'0', b'x' | b'X', digits @ ..] if digits.first().is_some_and(u8::is_ascii_hexdigit) => {
            digits_of(digits, 16)
        }
        [b'0', ..] => digits_of(rest, 8),
        _ => digits_of(rest, 10),
    };
    (if negative { number.wrapping_neg() } else { number }, rest)
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// A number too large is the largest.
fn digits_of(text: &[u8], base: u32) -> (u64, &[u8]) {
    let digit = |byte: &u8| char::from(*byte).to_digit(base);
    let end = text.iter().position(|byte| digit(byte).is_none()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let add = |number: u64, digit: u32| number.saturating_mul(base.into()).saturating_add(digit.into());
    let overflows = |number: u64| number > (u64::MAX >> base.ilog2());
    let mut number = 0;
    for digit in digits.iter().filter_map(digit) {
        if base == 16 && overflows(number) {
            return (u64::MAX, rest);
        }
        number = add(number, digit);
    }
    (number, rest)
}
