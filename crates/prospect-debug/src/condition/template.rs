//! Log templates: `'{id} {buf:s} {len:x}'`.

use prospect_value::{
    Chars, Content, Limits, Object, Value,
    expression::{Expression, Scope},
    text::Text,
};

/// What is wrong with a template.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A `{` has no `}`, or the other way round.
    #[error("`{0}` stands alone; a brace that is meant as one is written twice")]
    Brace(char),
    /// What is between braces is no expression.
    #[error("`{text}`: {error}")]
    Expression {
        /// What is there.
        text: String,
        /// What is wrong.
        error: String,
    },
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Format {
    /// As its language writes it.
    #[default]
    Plain,
    /// `:x`: whole numbers in hexadecimal.
    Hex,
    /// `:s`: the text that it is or points to, without quotes.
    Text,
}

/// A part of a template.
#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    /// To be written as it is.
    Literal(String),
    /// To be evaluated.
    Expression {
        /// As it was written.
        text: String,
        /// What it says.
        expression: Box<Expression>,
        /// How it is written.
        format: Format,
    },
}

/// What is written at each hit of a log point.
#[derive(Clone, PartialEq, Debug)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads one. `is_type` knows the names of types.
    ///
    /// # Errors
    /// When a brace stands alone, or what is between braces is no expression.
    pub fn parse(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Self, TemplateError> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = rest.as_bytes()[at] as char;
            let behind = &rest[at + 1..];
            if let Some(behind) = behind.strip_prefix(brace) {
                literal.push(brace);
                rest = behind;
                continue;
            }
            let (inner, behind) =
                behind.split_once('}').filter(|_| brace == '{').ok_or(TemplateError::Brace(brace))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::read(inner, is_type)?);
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// One that writes `name = value` for each of these expressions.
    ///
    /// # Errors
    /// When a name is no expression.
    pub fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        for name in names {
            let comma = if parts.is_empty() { "" } else { ", " };
            parts.push(Part::Literal(format!("{comma}{name} = ")));
            parts.push(Part::read(name, &|_| false)?);
        }
        Ok(Self(parts))
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Writes it, with what names mean in a frame. What has no value says why, between `<` and `>`.
    #[must_use]
    pub fn write(&self, scope: &dyn Scope) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression { expression, format, .. } => match expression.evaluate(scope) {
                    Ok(object) => text.push_str(&written(&object, *format, scope)),
                    Err(error) => text.push_str(&format!("<{error}>")),
                },
            }
        }
        text
    }
}

impl Part {
    fn read(inner: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Self, TemplateError> {
        let (text, format) = match inner.rsplit_once(':') {
            Some((text, "x")) if !text.ends_with(':') => (text, Format::Hex),
            Some((text, "s")) if !text.ends_with(':') => (text, Format::Text),
            _ => (inner, Format::Plain),
        };
        let wrong = |error: &dyn std::fmt::Display| TemplateError::Expression {
            text: text.to_owned(),
            error: error.to_string(),
        };
        let expression = Expression::parse(text, is_type).map_err(|error| wrong(&error))?;
        Ok(Self::Expression { text: text.to_owned(), expression: Box::new(expression), format })
    }
}

/// A value as a format wants it. Of what a pointer leads to, only text is shown.
fn written(object: &Object, format: Format, scope: &dyn Scope) -> String {
    let read = |pointers| {
        let mut limits = Limits::default();
        limits.pointers = pointers;
        Value::read_with(object, scope, &limits, scope.views())
    };
    let followed = read(1);
    if format == Format::Text
        && let Some(text) = text_of(&followed)
    {
        return text;
    }
    let is_text = matches!(&followed.content, Content::Pointer(_)) && text_of(&followed).is_some();
    let is_pointer = matches!(&followed.content, Content::Pointer(_));
    let value = if is_pointer && !is_text { read(0) } else { followed };
    Text::one_line(&value).hex(format == Format::Hex).to_string()
}

/// The text that a value is or points to.
fn text_of(value: &Value) -> Option<String> {
    match &value.content {
        Content::Pointer(pointer) => text_of(pointer.target.as_ref()?),
        Content::Text { chars, .. } => Some(match chars {
            Chars::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Chars::Utf16(units) => String::from_utf16_lossy(units),
            Chars::Utf32(points) => {
                points.iter().map(|point| char::from_u32(*point).unwrap_or('\u{fffd}')).collect()
            }
            _ => return None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<Vec<String>, TemplateError> {
        let template = Template::parse(text, &|_| false)?;
        let part = |part: &Part| match part {
            Part::Literal(text) => format!("'{text}'"),
            Part::Expression { text, format, .. } => format!("{text} {format:?}"),
        };
        Ok(template.parts().iter().map(part).collect())
    }

    #[test]
    fn templates_are_text_and_expressions() -> Result<(), TemplateError> {
        assert_eq!(
            parts("{id} {buf:s}, {{len}}={len:x}")?,
            ["id Plain", "' '", "buf Text", "', {len}='", "len Hex"]
        );
        assert_eq!(parts("{ns::x}")?, ["ns::x Plain"]);
        assert_eq!(parts("")?, Vec::<String>::new());
        assert_eq!(parts("a } b"), Err(TemplateError::Brace('}')));
        assert_eq!(parts("a { b"), Err(TemplateError::Brace('{')));
        assert!(matches!(parts("{1 +}"), Err(TemplateError::Expression { .. })));
        Ok(())
    }
}
