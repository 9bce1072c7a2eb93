//! Why something cannot be done with an object.

use prospect_symbols::{type_info::TypeError, variable::Unavailable};

/// Why something cannot be done with an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Its value, or one that leads to it, cannot be had.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It has no such member.
    #[error("`{of}` has no member `{name}`")]
    NoMember {
        /// What was asked for.
        name: String,
        /// The type.
        of: String,
    },
    /// It is no pointer or reference.
    #[error("`{0}` is no pointer")]
    NotAPointer(String),
    /// It points to nothing whose type is known.
    #[error("what a `{0}` points to has no type")]
    PointsToVoid(String),
    /// It has no elements.
    #[error("`{0}` has no elements")]
    NoElements(String),
    /// It has fewer elements.
    #[error("there is no element {index} in an array of {length}")]
    OutOfRange {
        /// The one that was asked for.
        index: i64,
        /// How many there are.
        length: u64,
    },
    /// It has elements, but they have numbers and not keys like this.
    #[error("elements are found by their numbers, not by {0}")]
    NoPosition(String),
    /// It has keys, but not this one.
    #[error("there is no key {0}")]
    NoKey(String),
    /// It leads to nothing: a null pointer, an optional value that is none.
    #[error("the `{0}` is empty")]
    Empty(String),
    /// It is another variant.
    #[error("the `{of}` is `{variant}`, which has no member `{name}`")]
    NotOfVariant {
        /// What was asked for.
        name: String,
        /// The variant that it is.
        variant: String,
        /// The type.
        of: String,
    },
    /// It is no number.
    #[error("`{0}` is not a number")]
    NotANumber(String),
    /// One type cannot be made of the other.
    #[error("`{from}` cannot be converted to `{to}`")]
    NoConversion {
        /// The type that it has.
        from: String,
        /// The type that was asked for.
        to: String,
    },
    /// It is in no memory: in a register, or made by an expression.
    #[error("it has no address")]
    NoAddress,
    /// What a view expects of the type is not so: the library has another version, or the memory other contents.
    #[error("implausible: {0}")]
    Implausible(&'static str),
}

impl From<TypeError> for ValueError {
    fn from(error: TypeError) -> Self {
        Self::Unavailable(error.into())
    }
}
