//! From text to tokens.

use std::ops::Range;

use super::ExpressionError;

/// A token and the part of the text that it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A number, and what stands behind its digits: `u`, `L`, `usize`.
    Integer(u128, String),
    Float(f64),
    Character(char),
    /// In double quotes.
    Text(String),
    /// In single quotes, and not a character: the name of a file or module.
    Quoted(String),
    Word(String),
    /// Without its `$`.
    Register(String),
    /// An operator or bracket.
    Sign(&'static str),
}

/// The longest first, where one begins with another.
const SIGNS: [&str; 38] = [
    "..=", "::", "->", "..", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "(", ")", "[", "]", "{", "}",
    ".", ",", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "?", ":", "=", "@", ";", "#",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        // The fields of `x.0.1` are no fraction.
        let is_member = tokens.last().is_some_and(|last| last.kind == Kind::Sign("."));
        let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
        let (kind, length) = match text[at..at + digits].parse() {
            Ok(field) if is_member => (Kind::Integer(field, String::new()), digits),
            _ => token(&text[at..], at)?,
        };
        tokens.push(Token { kind, at: at..at + length });
        at += length;
    }
    Ok(tokens)
}

/// The token that `rest` begins with, and its length.
fn token(rest: &str, at: usize) -> Result<(Kind, usize), ExpressionError> {
    let first = rest.chars().next().unwrap_or_default();
    if first.is_ascii_digit() {
        return number(rest, at);
    }
    if first == '"' {
        let (text, length) = quoted(rest, '"', at)?;
        return Ok((Kind::Text(text), length));
    }
    if first == '\'' {
        let (text, length) = quoted(rest, '\'', at)?;
        let mut characters = text.chars();
        return Ok(match (characters.next(), characters.next()) {
            (Some(one), None) => (Kind::Character(one), length),
            _ => (Kind::Quoted(text), length),
        });
    }
    if let Some(name) = rest.strip_prefix('$') {
        let length = word_length(name);
        if length == 0 {
            return Err(ExpressionError::syntax(at..at + 1, "the name of a register is missing behind `$`"));
        }
        return Ok((Kind::Register(name[..length].to_owned()), length + 1));
    }
    let length = word_length(rest);
    if length > 0 {
        return Ok((Kind::Word(rest[..length].to_owned()), length));
    }
    let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
    let unknown =
        || ExpressionError::syntax(at..at + first.len_utf8(), format!("`{first}` has no meaning here"));
    sign.map(|sign| (Kind::Sign(sign), sign.len())).ok_or_else(unknown)
}

fn word_length(text: &str) -> usize {
    text.find(|one: char| !one.is_alphanumeric() && one != '_').unwrap_or(text.len())
}

fn number(rest: &str, at: usize) -> Result<(Kind, usize), ExpressionError> {
    let whole = |length: usize| at..at + length;
    let (radix, prefix) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, 2),
        [b'0', b'b' | b'B', ..] => (2, 2),
        [b'0', b'o', ..] => (8, 2),
        _ => (10, 0),
    };
    let digits = |text: &str| {
        text.find(|one: char| !(one.is_digit(radix) || one == '_' || one == '\'')).unwrap_or(text.len())
    };
    let mut end = prefix + digits(&rest[prefix..]);
    let fraction = rest[end..]
        .strip_prefix('.')
        .filter(|behind| radix == 10 && behind.starts_with(|one: char| one.is_ascii_digit()));
    let is_float = fraction.is_some() || radix == 10 && exponent(&rest[end..]).is_some();
    if is_float {
        end += fraction.map_or(0, |behind| 1 + digits(behind));
        end += exponent(&rest[end..]).unwrap_or(0);
        let text: String = rest[..end]
            .chars()
            .filter(|one| one.is_ascii_digit() || matches!(one, '.' | 'e' | 'E' | '+' | '-'))
            .collect();
        let suffix = word_length(&rest[end..]);
        let known =
            matches!(&rest[end..end + suffix], "" | "f" | "F" | "l" | "L" | "f32" | "f64" | "_f32" | "_f64");
        return match text.parse() {
            Ok(value) if known => Ok((Kind::Float(value), end + suffix)),
            _ => Err(ExpressionError::syntax(whole(end + suffix), "this is no number")),
        };
    }
    let octal = radix == 10 && end > 1 && rest.starts_with('0');
    let text: String = rest[prefix..end].chars().filter(|one| one.is_ascii_hexdigit()).collect();
    let suffix = word_length(&rest[end..]);
    let value = u128::from_str_radix(&text, if octal { 8 } else { radix });
    let value = value
        .map_err(|_| ExpressionError::syntax(whole(end + suffix), "this is no number, or too large a one"))?;
    Ok((Kind::Integer(value, rest[end..end + suffix].to_owned()), end + suffix))
}

/// The length of the exponent that `text` begins with.
fn exponent(text: &str) -> Option<usize> {
    let behind = text.strip_prefix(['e', 'E'])?;
    let digits = behind.strip_prefix(['+', '-']).unwrap_or(behind);
    let count = digits.find(|one: char| !one.is_ascii_digit()).unwrap_or(digits.len());
    (count > 0).then_some(text.len() - digits.len() + count)
}

/// What stands between quotes, and its length with them.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(String, usize), ExpressionError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((position, one)) = characters.next() {
        if one == quote {
            return Ok((text, position + 1));
        }
        if one != '\\' {
            text.push(one);
            continue;
        }
        let escape = characters.next().map_or('\\', |(_, escape)| escape);
        text.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'e' => '\u{1b}',
            'x' => {
                let code: String = characters.by_ref().take(2).map(|(_, digit)| digit).collect();
                let code = u8::from_str_radix(&code, 16);
                code.map(char::from).map_err(|_| {
                    ExpressionError::syntax(
                        at + position..at + position + 2,
                        "two hexadecimal digits follow `\\x`",
                    )
                })?
            }
            other => other,
        });
    }
    Err(ExpressionError::syntax(at..at + rest.len(), format!("the closing {quote} is missing")))
}
