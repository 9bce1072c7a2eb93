//! What names mean.

use prospect_symbols::{type_info::Language, variable::Unavailable};

use crate::{Object, ValueContext, Views};

/// What the names of an expression mean: the variables of a frame, or of a whole process.
pub trait Scope: ValueContext {
    /// The variable with this name, as the code of the frame sees it; `within` is a file or a module that it is of.
    ///
    /// # Errors
    /// When there is none, or its value cannot be had.
    fn variable(&self, within: Option<&str>, path: &str) -> Result<Object, LookupError>;

    /// A register by its name, with its type.
    ///
    /// # Errors
    /// When there is none of that name, or what it held is not known.
    fn register(&self, name: &str) -> Result<Object, LookupError>;

    /// The language that the frame's code is written in: numbers follow its rules.
    fn language(&self) -> Language {
        Language::C
    }

    /// The views that know the types of libraries: those of the standard ones, if nothing else is said.
    fn views(&self) -> &Views {
        Views::standard()
    }
}

/// Why a name has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is no such variable.
    #[error("there is no variable `{name}` here{}", hint(.similar))]
    NoVariable {
        /// The name.
        name: String,
        /// Names that there are, and that may be meant.
        similar: Vec<String>,
    },
    /// There is one, without a value.
    #[error("`{name}`: {why}")]
    Unavailable {
        /// The name.
        name: String,
        /// Why.
        why: Unavailable,
    },
    /// There is no such register.
    #[error("there is no register `${name}` on this architecture{}", hint(.similar))]
    NoRegister {
        /// The name.
        name: String,
        /// Names that there are, and that may be meant.
        similar: Vec<String>,
    },
    /// What it held is not known.
    #[error("what `${0}` held in this frame is not known")]
    RegisterUnknown(String),
    /// There is no such type.
    #[error("there is no type `{0}` in the debug information")]
    NoType(String),
}

fn hint(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!(" (there is `{}`)", similar.join("`, `")) }
}
