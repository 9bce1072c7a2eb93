//! C++ symbol names as people write them: `_ZN3foo3barIiEEvT_` is `void foo::bar<int>(int)`.
//!
//! The names are those of the [Itanium C++ ABI](https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling), with what
//! GCC and Clang add to it; the spelling is that of GNU's tools (`c++filt -i`, `addr2line -C`), byte for byte.
//!
//! - **Fast**: a name becomes a graph of small nodes in buffers that a [`Demangler`] keeps for the next one. What was
//!   written once is copied where it comes again.
//! - **Bounded**: depth, the number of nodes and the length of the text have limits, however a name is made. What is
//!   beyond them, or no name at all, is an [`Error`] and never a panic.
//!
//! ```
//! use prospect_demangle::{Demangler, Options, demangle};
//!
//! assert_eq!(demangle("_ZN1AC1IiEET_").as_deref(), Ok("A::A<int>(int)"));
//! let mut demangler = Demangler::new();
//! let options = Options { return_types: false, ..Options::default() };
//! let mut text = String::new();
//! demangler.demangle_into("_ZN3foo3barIiEEvT_", options, &mut text)?;
//! assert_eq!(text, "foo::bar<int>(int)");
//! # Ok::<(), prospect_demangle::Error>(())
//! ```
#![forbid(unsafe_code)]

mod builtins;
mod node;
mod operators;
mod parse;
mod print;

use std::fmt;

use node::{NodeId, Tree};
use parse::Parser;
use print::{Buffers, Printer, Stop};

/// A longer mangled name is not looked at, bytes.
pub const LONGEST_MANGLED: usize = 1 << 20;

/// How a name is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether functions that are made from templates show the type of their result, which their names have. Only the
    /// outermost function is meant: what stands in template arguments is always whole.
    pub return_types: bool,
    /// A longer text is an error, bytes. It can be exceeded by no more than the mangled name is long.
    pub longest: usize,
}

impl Default for Options {
    /// As GNU's tools write: with return types. The text has at most 1 MiB.
    fn default() -> Self {
        Self { return_types: true, longest: 1 << 20 }
    }
}

/// Why a name was not demangled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// It is not a mangled C++ name, or one that is nested too deep.
    Invalid,
    /// It, or what it says, is longer than the limit.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "not a mangled C++ name",
            Self::TooLong => "the C++ name is too long",
        })
    }
}

impl std::error::Error for Error {}

/// Demangles many names with the same buffers. They grow with the longest name, and never with the number of names.
#[derive(Default)]
pub struct Demangler {
    tree: Tree,
    substitutions: Vec<NodeId>,
    open_lists: Vec<NodeId>,
    buffers: Buffers,
}

impl fmt::Debug for Demangler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demangler").finish_non_exhaustive()
    }
}

impl Demangler {
    /// A demangler with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends what `mangled` says to `text`, which stays as it was where that fails.
    ///
    /// # Errors
    /// When `mangled` is not the name of C++ code or data, or beyond a limit.
    pub fn demangle_into(&mut self, mangled: &str, options: Options, text: &mut String) -> Result<(), Error> {
        if mangled.len() > LONGEST_MANGLED {
            return Err(Error::TooLong);
        }
        let parser = Parser::new(mangled, &mut self.tree, &mut self.substitutions, &mut self.open_lists);
        let symbol = parser.symbol().ok_or(Error::Invalid)?;
        let start = text.len();
        let mut printer = Printer::new(mangled, &self.tree, &mut self.buffers, options, text);
        printer.symbol(symbol).map_err(|stop| {
            text.truncate(start);
            match stop {
                Stop::Invalid => Error::Invalid,
                Stop::TooLong => Error::TooLong,
            }
        })
    }
}

/// What one name says, with [`Options::default`].
///
/// # Errors
/// When `mangled` is not the name of C++ code or data, or beyond a limit.
pub fn demangle(mangled: &str) -> Result<String, Error> {
    let mut text = String::new();
    Demangler::new().demangle_into(mangled, Options::default(), &mut text)?;
    Ok(text)
}
