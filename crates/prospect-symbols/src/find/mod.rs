//! From names and source lines to addresses: symbols, what debug information defines, lines.

mod declared;
mod definition;
mod exports;
mod found;
mod hash;
mod indirect;
mod module;
mod path;
mod pattern;
mod source_line;
mod symbol;
#[cfg(test)]
mod tests;
mod version;

pub use definition::{Definition, DefinitionKind, DefinitionKinds, VariablePlace};
pub use exports::SymbolOrder;
pub use found::{Found, FoundKind, Query, TypeKeyword};
pub use indirect::IndirectSlot;
pub(crate) use path::is_end_of_base;
pub use path::unqualified_name;
pub(crate) use pattern::split_clone;
pub use pattern::{Pattern, PatternError};
pub use source_line::{LinePlace, SourceLine};
pub use symbol::{Symbol, SymbolBinding, SymbolKind, SymbolSource, SymbolVisibility};
pub use version::SymbolVersion;
