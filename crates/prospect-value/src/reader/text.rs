//! Text: characters one after the other.

use prospect_process::Addr;
use prospect_symbols::{
    type_info::{BaseEncoding, Language, TypeKind, TypeRef},
    variable::Unavailable,
};

use super::Reader;
use crate::{Chars, Content, Limit, ValueContext, ValueError, scalar};

/// So many typedefs of a character are looked through.
const LONGEST_CHAIN: usize = 16;

/// Text longer than this is not believed.
const LONGEST: u64 = 1 << 48;

/// A type of characters, as text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CharType {
    /// How many bytes a code unit has: 1, 2 or 4.
    pub(crate) bytes: u8,
}

impl CharType {
    /// What a type is as a character; `None` if it is none.
    pub(crate) fn of(ty: &TypeRef) -> Option<Self> {
        let mut at = ty.clone();
        for _ in 0..LONGEST_CHAIN {
            let found = at.outline().ok()?;
            // In C these are names of numbers, and some compilers describe them as such in C++ too.
            let is_named =
                matches!(found.name.as_deref(), Some("wchar_t" | "char8_t" | "char16_t" | "char32_t"));
            match &found.kind {
                _ if is_named => {
                    let bytes = at.size().and_then(|size| u8::try_from(size).ok())?;
                    return matches!(bytes, 1 | 2 | 4).then_some(Self { bytes });
                }
                TypeKind::Typedef(target) | TypeKind::Modified(_, target) => at = target.clone(),
                TypeKind::Base(base) => {
                    let is_char = matches!(
                        base.encoding,
                        BaseEncoding::SignedChar | BaseEncoding::UnsignedChar | BaseEncoding::Utf
                    );
                    let bytes = u8::try_from(found.size?).ok()?;
                    return (is_char && matches!(bytes, 1 | 2 | 4)).then_some(Self { bytes });
                }
                _ => return None,
            }
        }
        None
    }

    /// The same where arrays of them, and what pointers to them lead to, are text.
    pub(crate) fn of_text(ty: &TypeRef) -> Option<Self> {
        let (_, bare) = ty.bare_outline().ok()?;
        Self::of(ty).filter(|_| matches!(bare.language, Language::C | Language::Cpp))
    }

    fn chars(self, bytes: &[u8], big_endian: bool) -> Chars {
        let units = bytes.chunks_exact(self.bytes.into());
        let units = units.map(|unit| scalar::unsigned(unit, big_endian).unwrap_or(0));
        match self.bytes {
            1 => Chars::Bytes(bytes.to_vec()),
            2 => Chars::Utf16(units.map(|unit| unit as u16).collect()),
            _ => Chars::Utf32(units.map(|unit| unit as u32).collect()),
        }
    }
}

impl Reader<'_> {
    /// Text of a known length in code units of one, two or four bytes.
    ///
    /// # Errors
    /// When it cannot be so long, or its first unit cannot be read.
    pub fn text(&mut self, at: Addr, length: u64, unit_bytes: u8) -> Result<Content, ValueError> {
        if length > LONGEST {
            return Err(ValueError::Implausible("the text is longer than memory"));
        }
        if self.is_asked() {
            self.asked_text(at, length, unit_bytes);
            return Ok(Content::Raw);
        }
        let unit = CharType { bytes: unit_bytes };
        let wanted = length.min(self.limits.text).min(self.limits.bytes / u64::from(unit_bytes));
        let mut bytes = vec![0; wanted as usize * usize::from(unit_bytes)];
        let read = self.cx.memory().read_available(at, &mut bytes);
        if read < bytes.len() && read < usize::from(unit_bytes) {
            return Err(Unavailable::CannotRead(at).into());
        }
        let is_short = read < bytes.len();
        bytes.truncate(read);
        let cut = match is_short {
            true => Some(Limit::CannotRead),
            false => (wanted < length).then_some(Limit::Text),
        };
        Ok(Content::Text { chars: unit.chars(&bytes, self.cx.arch().big_endian), length: Some(length), cut })
    }

    /// Text up to a unit that is 0.
    pub(super) fn terminated_text(&mut self, at: Addr, unit: CharType) -> Content {
        let width = usize::from(unit.bytes);
        let most = self.limits.text.min(self.limits.bytes / width as u64) as usize;
        let mut bytes = Vec::new();
        let (length, cut) = loop {
            if bytes.len() >= most * width {
                break (None, Some(Limit::Text));
            }
            let mut chunk = vec![0; (256 * width).min(most * width - bytes.len())];
            let read = self.cx.memory().read_available(at.wrapping_add(bytes.len() as u64), &mut chunk);
            let units = chunk[..read].chunks_exact(width);
            let there = units.len() * width;
            let end = units.clone().position(|unit| unit.iter().all(|byte| *byte == 0));
            bytes.extend_from_slice(&chunk[..end.map_or(there, |end| end * width)]);
            if end.is_some() {
                break (Some((bytes.len() / width) as u64), None);
            }
            if read < chunk.len() {
                if bytes.is_empty() {
                    return self.unavailable(Unavailable::CannotRead(at));
                }
                break (None, Some(Limit::CannotRead));
            }
        };
        Content::Text { chars: unit.chars(&bytes, self.cx.arch().big_endian), length, cut }
    }

    /// The text that stands in the bytes of an array: without the zeros at its end.
    pub(super) fn text_in(&self, bytes: &[u8], unit: CharType, count: u64) -> Content {
        let width = usize::from(unit.bytes);
        let used = bytes.chunks_exact(width).rposition(|unit| unit.iter().any(|byte| *byte != 0));
        let used = used.map_or(0, |last| last + 1);
        let is_whole = (bytes.len() / width) as u64 == count;
        let length = if is_whole { used as u64 } else { count };
        let shown = if is_whole { used * width } else { bytes.len() / width * width };
        let chars = unit.chars(&bytes[..shown], self.cx.arch().big_endian);
        Content::Text { chars, length: Some(length), cut: (!is_whole).then_some(Limit::Text) }
    }
}
