//! Characters between quotes. What is no text is written as its number: C's in octal or `\u`, Rust's as `\x` and `\u{}`.

use std::fmt::{self, Write};

/// One unit of text, or one that is not valid alone.
type Unit = Result<char, u32>;

pub(super) fn utf8(out: &mut dyn Write, bytes: &[u8], is_rust: bool) -> fmt::Result {
    let units = bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().map(|byte| Err(u32::from(*byte)));
        chunk.valid().chars().map(Ok).chain(invalid)
    });
    quoted(out, "", '"', units, is_rust)
}

pub(super) fn utf16(out: &mut dyn Write, units: &[u16], prefix: &str, is_rust: bool) -> fmt::Result {
    let units = char::decode_utf16(units.iter().copied());
    let units = units.map(|unit| unit.map_err(|error| error.unpaired_surrogate().into()));
    quoted(out, prefix, '"', units, is_rust)
}

pub(super) fn utf32(out: &mut dyn Write, units: &[u32], prefix: &str, is_rust: bool) -> fmt::Result {
    let units = units.iter().map(|unit| char::from_u32(*unit).ok_or(*unit));
    quoted(out, prefix, '"', units, is_rust)
}

pub(super) fn character(
    out: &mut dyn Write,
    unit: u32,
    unit_bytes: u8,
    prefix: &str,
    is_rust: bool,
) -> fmt::Result {
    // A byte above the ASCII ones is only a part of a character.
    let is_part = unit_bytes == 1 && unit >= 0x80;
    let decoded = char::from_u32(unit).filter(|_| !is_part).ok_or(unit);
    quoted(out, prefix, '\'', std::iter::once(decoded), is_rust)
}

fn quoted(
    out: &mut dyn Write,
    prefix: &str,
    quote: char,
    units: impl Iterator<Item = Unit>,
    is_rust: bool,
) -> fmt::Result {
    write!(out, "{prefix}{quote}")?;
    for unit in units {
        match unit {
            Ok(plain) if plain == quote || plain == '\\' => write!(out, "\\{plain}")?,
            Ok('\n') => out.write_str("\\n")?,
            Ok('\r') => out.write_str("\\r")?,
            Ok('\t') => out.write_str("\\t")?,
            Ok(plain) if is_shown(plain) => out.write_char(plain)?,
            Ok(control) if is_rust => write!(out, "{}", control.escape_unicode())?,
            Ok(control) => number(out, control.into())?,
            Err(byte) if is_rust => write!(out, "\\x{byte:02x}")?,
            Err(byte) => number(out, byte)?,
        }
    }
    out.write_char(quote)
}

/// Three octal digits, so that a digit behind them does not count; what has no room in them as a code point.
fn number(out: &mut dyn Write, unit: u32) -> fmt::Result {
    if unit <= 0xff {
        write!(out, "\\{unit:03o}")
    } else if unit <= 0xffff {
        write!(out, "\\u{unit:04x}")
    } else {
        write!(out, "\\U{unit:08x}")
    }
}

/// Whether a terminal shows it, and shows nothing else differently because of it.
fn is_shown(plain: char) -> bool {
    let is_hidden = matches!(plain, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !plain.is_control() && !is_hidden
}
