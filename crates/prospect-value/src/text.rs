//! Values as text, as their language writes them: `{x = 1, y = 2}` in C, `Some(3)` and `[1, 2, 3]` in Rust.
//!
//! What is not the value itself stands between `<` and `>`: why it cannot be had, how often an element is repeated, the counts of
//! a smart pointer. `...` stands for what a limit cut.

mod decimal;
mod escape;

use std::fmt::{self, Write};

use prospect_symbols::type_info::Language;

use crate::{
    Chars, Content, Element, Entry, Fact, Field, FieldKind, FloatFormat, Limit, Shape, Value,
    value::{Float, Pointer},
};

/// Runs of equal elements that are as long are written once.
const REPEATS: u64 = 10;

/// A value as its language writes it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    value: &'a Value,
    width: Option<usize>,
    hex: bool,
}

impl<'a> Text<'a> {
    /// In one line.
    #[must_use]
    pub fn one_line(value: &'a Value) -> Self {
        Self { value, width: None, hex: false }
    }

    /// In as many lines as it needs, so that what is shorter than `width` characters stands in one.
    #[must_use]
    pub fn lines(value: &'a Value, width: usize) -> Self {
        Self { value, width: Some(width), hex: false }
    }

    /// Whether whole numbers are written in hexadecimal, negative ones as their bits.
    #[must_use]
    pub fn hex(self, hex: bool) -> Self {
        Self { hex, ..self }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Writer { out: f, width: self.width, hex: self.hex, indent: 0 }.value(self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::one_line(self).fmt(f)
    }
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    /// Where lines should end; `None` for only one line.
    width: Option<usize>,
    hex: bool,
    indent: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> fmt::Result {
        if let Some(why) = value.implausible {
            write!(self.out, "<implausible: {why}> ")?;
        }
        let is_rust = value.language == Language::Rust;
        match &value.content {
            Content::Integer(number) if self.hex => {
                let bits = 8 * value.bytes.len() as u32;
                let mask = 1_u128.checked_shl(bits).map_or(u128::MAX, |above| above - 1);
                write!(self.out, "{:#x}", number.cast_unsigned() & mask)
            }
            Content::Unsigned(number) if self.hex => write!(self.out, "{number:#x}"),
            Content::Integer(number) => write!(self.out, "{number}"),
            Content::Unsigned(number) => write!(self.out, "{number}"),
            Content::Float(float) => self.float(*float, is_rust),
            Content::Complex(real, imaginary) => {
                self.float(*real, is_rust)?;
                self.out.write_str(" + ")?;
                self.float(*imaginary, is_rust)?;
                self.out.write_str("i")
            }
            Content::Raw => self.raw(&value.bytes),
            Content::Boolean(truth) => write!(self.out, "{truth}"),
            Content::Character { number, unit, unit_bytes } => {
                if !is_rust {
                    write!(self.out, "{number} ")?;
                }
                escape::character(self.out, *unit, *unit_bytes, prefix(value), is_rust)
            }
            Content::Pointer(pointer) => self.pointer(pointer),
            Content::MemberPointer { offset: None, .. } => self.out.write_str("nullptr"),
            Content::MemberPointer { offset: Some(offset), symbol, adjustment } => {
                match symbol {
                    Some(symbol) => write!(self.out, "{offset:#x} <{symbol}>")?,
                    None => write!(self.out, "{offset:#x}")?,
                }
                match adjustment {
                    Some(adjustment) if *adjustment != 0 => {
                        write!(self.out, ", this adjustment {adjustment}")
                    }
                    _ => Ok(()),
                }
            }
            Content::Text { chars, cut, .. } => {
                match chars {
                    Chars::Bytes(bytes) => escape::utf8(self.out, bytes, is_rust)?,
                    Chars::Utf16(units) => escape::utf16(self.out, units, prefix(value), is_rust)?,
                    Chars::Utf32(units) => escape::utf32(self.out, units, prefix(value), is_rust)?,
                }
                self.out.write_str(if cut.is_some() { "..." } else { "" })
            }
            Content::Enumerators { number, names, rest, scope } => {
                self.enumerators(*number, names, *rest, scope.as_deref())
            }
            Content::Fields { shape, fields, cut } => self.fields(*shape, fields, *cut, is_rust),
            Content::Elements { elements, is_set, cut, .. } => {
                let (open, close) = if is_rust && !is_set { ("[", "]") } else { ("{", "}") };
                if !elements.is_empty() && elements.iter().all(|element| is_too_deep(&element.value)) {
                    return write!(self.out, "{open}...{close}");
                }
                self.list(open, close, elements, *cut, |writer, element: &Element| writer.element(element))
            }
            Content::Entries { entries, .. }
                if !entries.is_empty()
                    && entries.iter().all(|entry| is_too_deep(&entry.key) && is_too_deep(&entry.value)) =>
            {
                self.out.write_str("{...}")
            }
            Content::Entries { entries, cut, .. } => {
                self.list("{", "}", entries, *cut, |writer, entry: &Entry| writer.entry(entry, is_rust))
            }
            Content::Variant { name, value: inner } => self.variant(name, inner.as_deref(), is_rust),
            Content::Holder { facts, value: inner } => self.holder(facts, inner.as_deref()),
            Content::Nothing => self.out.write_str(if is_rust { "()" } else { "nothing" }),
            Content::Unavailable(why) => write!(self.out, "<{why}>"),
            Content::Cut(limit) => self.cut(*limit),
        }
    }

    fn float(&mut self, float: Float, is_rust: bool) -> fmt::Result {
        let value = float.value;
        match float.format {
            FloatFormat::Extended | FloatFormat::Quad => {
                self.out.write_str(&decimal::text(float.format.parts(float.bits), float.format.digits()))
            }
            _ if value.is_nan() => self.out.write_str(if is_rust { "NaN" } else { "nan" }),
            _ if value != 0.0 && !(1e-5..1e17).contains(&value.abs()) && value.is_finite() => {
                if float.format == FloatFormat::Single {
                    write!(self.out, "{:e}", value as f32)
                } else {
                    write!(self.out, "{value:e}")
                }
            }
            FloatFormat::Single if is_rust => write!(self.out, "{:?}", value as f32),
            FloatFormat::Single => write!(self.out, "{}", value as f32),
            _ if is_rust => write!(self.out, "{value:?}"),
            _ => write!(self.out, "{value}"),
        }
    }

    fn raw(&mut self, bytes: &[u8]) -> fmt::Result {
        self.out.write_str("<bytes")?;
        for byte in bytes {
            write!(self.out, " {byte:02x}")?;
        }
        self.out.write_str(">")
    }

    fn pointer(&mut self, pointer: &Pointer) -> fmt::Result {
        if let (true, Some(target)) = (pointer.is_transparent, &pointer.target) {
            return self.value(target);
        }
        match pointer.address {
            Some(at) => write!(self.out, "{at}")?,
            None => self.out.write_str("<optimised out>")?,
        }
        if let Some(symbol) = &pointer.symbol {
            write!(self.out, " <{symbol}>")?;
        }
        let Some(target) = &pointer.target else { return Ok(()) };
        self.out.write_str(if matches!(target.content, Content::Text { .. }) { " " } else { " -> " })?;
        self.value(target)
    }

    fn enumerators(
        &mut self,
        number: i128,
        names: &[std::sync::Arc<str>],
        rest: i128,
        scope: Option<&str>,
    ) -> fmt::Result {
        if names.is_empty() {
            return write!(self.out, "{number}");
        }
        for (index, name) in names.iter().enumerate() {
            self.out.write_str(if index > 0 { " | " } else { "" })?;
            if let Some(scope) = scope {
                write!(self.out, "{scope}::")?;
            }
            self.out.write_str(name)?;
        }
        if rest != 0 { write!(self.out, " | {rest:#x}") } else { Ok(()) }
    }

    fn fields(&mut self, shape: Shape, fields: &[Field], cut: Option<Limit>, is_rust: bool) -> fmt::Result {
        if shape == Shape::Tuple {
            let close = if fields.len() == 1 && is_rust { ",)" } else { ")" };
            return self.list("(", close, fields, cut, |writer, field: &Field| writer.value(&field.value));
        }
        self.list("{", "}", fields, cut, |writer, field: &Field| {
            let sign = if is_rust { ": " } else { " = " };
            match field.kind {
                FieldKind::Base => write!(writer.out, "<{}>{sign}", field.name)?,
                _ => write!(writer.out, "{}{sign}", field.name)?,
            }
            writer.value(&field.value)
        })
    }

    fn element(&mut self, element: &Element) -> fmt::Result {
        if element.times >= REPEATS {
            self.value(&element.value)?;
            return write!(self.out, " <repeats {} times>", element.times);
        }
        for index in 0..element.times {
            self.out.write_str(if index > 0 { ", " } else { "" })?;
            self.value(&element.value)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, is_rust: bool) -> fmt::Result {
        self.out.write_str(if is_rust { "" } else { "[" })?;
        self.value(&entry.key)?;
        self.out.write_str(if is_rust { ": " } else { "] = " })?;
        self.value(&entry.value)
    }

    fn variant(&mut self, name: &str, value: Option<&Value>, is_rust: bool) -> fmt::Result {
        if !is_rust {
            write!(self.out, "<{name}> ")?;
            return value.map_or(Ok(()), |value| self.value(value));
        }
        self.out.write_str(name)?;
        let Some(value) = value else { return Ok(()) };
        match &value.content {
            // A tuple has its parentheses.
            Content::Fields { shape: Shape::Tuple, fields, cut } => {
                self.list("(", ")", fields, *cut, |writer, field: &Field| writer.value(&field.value))
            }
            _ => {
                self.out.write_str(" ")?;
                self.value(value)
            }
        }
    }

    fn holder(&mut self, facts: &[Fact], value: Option<&Value>) -> fmt::Result {
        match value {
            Some(value) => self.value(value)?,
            None if facts.is_empty() => return self.out.write_str("null"),
            None => {}
        }
        for (index, fact) in facts.iter().enumerate() {
            let before = match (index, value) {
                (0, None) => "<",
                (0, Some(_)) => " <",
                _ => ", ",
            };
            write!(self.out, "{before}{} {}", fact.name, fact.number)?;
        }
        self.out.write_str(if facts.is_empty() { "" } else { ">" })
    }

    fn cut(&mut self, limit: Limit) -> fmt::Result {
        self.out.write_str(match limit {
            Limit::Cycle => "<leads back into itself>",
            Limit::Implausible => "<implausible>",
            Limit::CannotRead => "<cannot be read>",
            _ => "...",
        })
    }

    /// Things between brackets, in one line where they fit.
    fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        items: &[T],
        cut: Option<Limit>,
        write: impl Fn(&mut Writer<'_>, &T) -> fmt::Result,
    ) -> fmt::Result {
        let breaks = self.width.is_some_and(|width| {
            let mut room = Room(width.saturating_sub(2 * self.indent));
            let mut line = Writer { out: &mut room, width: None, hex: self.hex, indent: 0 };
            items.iter().any(|item| write(&mut line, item).is_err() || line.out.write_str(", ").is_err())
        });
        self.out.write_str(open)?;
        self.indent += 1;
        for (index, item) in items.iter().enumerate() {
            self.separate(index, breaks)?;
            write(self, item)?;
        }
        if let Some(cut) = cut {
            self.separate(items.len(), breaks)?;
            self.cut(cut)?;
        }
        self.indent -= 1;
        if breaks {
            self.new_line()?;
        }
        self.out.write_str(close)
    }

    fn separate(&mut self, index: usize, breaks: bool) -> fmt::Result {
        match (index, breaks) {
            (0, false) => Ok(()),
            (0, true) => self.new_line(),
            (_, false) => self.out.write_str(", "),
            (_, true) => {
                self.out.write_str(",")?;
                self.new_line()
            }
        }
    }

    fn new_line(&mut self) -> fmt::Result {
        self.out.write_str("\n")?;
        for _ in 0..self.indent {
            self.out.write_str("  ")?;
        }
        Ok(())
    }
}

/// Whether nothing is shown of it, because it is too deep in others. Of a list of such values, one says enough.
fn is_too_deep(value: &Value) -> bool {
    matches!(value.content, Content::Cut(Limit::Depth))
}

/// Takes so many bytes, and no more.
struct Room(usize);

impl Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// What C writes before text of wide characters.
fn prefix(value: &Value) -> &'static str {
    let is_wide = ["wchar_t", "wstring"].iter().any(|name| value.type_name.contains(name));
    let wider = match &value.content {
        Content::Text { chars: Chars::Utf16(_), .. } | Content::Character { unit_bytes: 2, .. } => "u",
        Content::Text { chars: Chars::Utf32(_), .. } | Content::Character { unit_bytes: 4, .. } => "U",
        _ => return "",
    };
    match (value.language, is_wide) {
        (Language::Rust | Language::Go, _) => "",
        (_, true) => "L",
        _ => wider,
    }
}
