//! Where a breakpoint is to be, as it is written.

use std::{fmt, str::FromStr};

use prospect_process::Addr;
use prospect_symbols::{PatternError, Query};

/// Where a breakpoint is to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BreakpointSpec {
    /// At an address: `0x401136`, `*0x401136`.
    Address(Addr),
    /// At the address that an expression has: `*handler`, `*(main+4)`.
    Expression(String),
    /// Where names or lines lead: `function`, `module!function`, `file:line`, `/regex/`, `na*e`.
    Query(String, Box<Query>),
}

/// Why a text says no place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// There is nothing, or nothing behind the `*`.
    #[error("a breakpoint needs a place: 0xADDRESS, *EXPR, FUNCTION, MODULE!FUNCTION, FILE:LINE or /REGEX/")]
    Empty,
    /// Behind `0x` is no number.
    #[error("`{0}` is no address")]
    Address(String),
    /// A type has no code.
    #[error("`{0}` is a type, where nothing can stop")]
    Type(String),
    /// It is no pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl FromStr for BreakpointSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        let inner = text.strip_prefix('*').map(str::trim);
        if text.is_empty() || inner == Some("") {
            return Err(SpecError::Empty);
        }
        let number = |text: &str| {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
            Some(u64::from_str_radix(digits, 16).map_err(|_| SpecError::Address(text.to_owned())))
        };
        match inner {
            // `*0x1000 + 4` is an expression.
            Some(inner) => Ok(match number(inner) {
                Some(Ok(address)) => Self::Address(Addr(address)),
                _ => Self::Expression(inner.to_owned()),
            }),
            None => match (number(text), Query::parse(text)?) {
                (Some(address), _) => Ok(Self::Address(Addr(address?))),
                (None, Query::Type(..)) => Err(SpecError::Type(text.to_owned())),
                (None, query) => Ok(Self::Query(text.to_owned(), Box::new(query))),
            },
        }
    }
}

impl fmt::Display for BreakpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(at) => write!(f, "{at}"),
            Self::Expression(text) => write!(f, "*{text}"),
            Self::Query(text, _) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_a_place_is_read() {
        let kind = |text: &str| match text.parse() {
            Ok(BreakpointSpec::Address(at)) => format!("address {:#x}", at.0),
            Ok(BreakpointSpec::Expression(text)) => format!("expression {text}"),
            Ok(BreakpointSpec::Query(_, query)) => match *query {
                Query::Line(line) => format!("line {}:{}", line.file, line.line),
                _ => "name".into(),
            },
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(kind("0x401136"), "address 0x401136");
        assert_eq!(kind("*0x401136"), "address 0x401136");
        assert_eq!(kind("*main+4"), "expression main+4");
        assert_eq!(kind("src/a.c:12"), "line src/a.c:12");
        for name in ["main", "libc.so.6!malloc", "/^net_/", "a::b", "na*e", "f(int)"] {
            assert_eq!(kind(name), "name", "{name}");
        }
        assert_eq!(kind("0xzz"), "Address(\"0xzz\")");
        assert_eq!((kind(""), kind("*")), ("Empty".into(), "Empty".into()));
        assert_eq!(kind("struct pair"), "Type(\"struct pair\")");
    }
}
