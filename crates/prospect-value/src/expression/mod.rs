//! Expressions over the variables of a program: `p->next[3].name`, `len * 2 > cap`, `(char)c`, `$rsp`.
//!
//! The language is that of C, with what C++ and Rust people write for the same: paths with `::`, `.` through pointers, ranges
//! (`items[2..5]`), `x as u8`, tuples' `.0`. Nothing is called and nothing is written.
//!
//! ```text
//! text ─ token ─► tokens ─ parse ─► Expression ─ evaluate(Scope) ─► Object
//! ```

mod arithmetic;
mod base_type;
mod compare;
mod evaluate;
mod made;
mod parse;
mod path;
mod scope;
mod syntax;
#[cfg(test)]
mod tests;
mod token;

use std::ops::Range;

pub use scope::{LookupError, Scope};
pub use syntax::{BinaryOperator, Expression, Node, TypeName, UnaryOperator};

use crate::ValueError;

/// An expression that is longer than this is not read.
pub(crate) const LONGEST: usize = 64 << 10;

/// Expressions that are nested deeper are not read.
pub(crate) const DEEPEST: usize = 128;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ExpressionError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The part of the text that it is about, in bytes.
    pub at: Range<usize>,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is no expression.
    #[error("{0}")]
    Syntax(String),
    /// A name that is not known, or not to be used.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// An operation that its operands do not have.
    #[error("{0}")]
    Operands(String),
    /// A value that cannot be had.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl ExpressionError {
    pub(crate) fn syntax(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Syntax(what.into()), at }
    }

    pub(crate) fn operands(at: &Range<usize>, what: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Operands(what.into()), at: at.clone() }
    }

    pub(crate) fn new(at: &Range<usize>, kind: impl Into<ErrorKind>) -> Self {
        Self { kind: kind.into(), at: at.clone() }
    }
}
