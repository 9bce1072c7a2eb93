//! What the binaries say: unwind rows, functions, lines, inlined calls, and where to find them.
//!
//! - [`Binaries`] finds the file of a module, does not believe it before its build-id was compared with
//!   the one in the process's memory, and keeps it open for everyone. What memory holds is the fallback.
//! - [`ModuleBinary::unwind_row`] says how to get from a frame to its caller (`.eh_frame`,
//!   `.debug_frame`, SFrame, the exception tables of ARM, what Go's runtime knows). It reads what one lookup needs, and no debug file unless the binary says nothing.
//! - What was unpacked of packed sections is kept on disk for later runs, where the caller wants it
//!   ([`SearchOptions::cache`], [`Binaries::store`]).
//! - [`ModuleBinary::find`] goes the other way: from names, patterns and source lines to addresses, by symbols and by
//!   debug information; [`ModuleBinary::exports`] lists what other modules can be bound to.
//! - [`Symbolizer`] names addresses, many at once: from DWARF, the tables of Go's runtime, symbol tables, `.gnu_debugdata`, linkage
//!   tables, and the maps of just-in-time compilers.
//!
//! Files and memory are not trusted: whatever they hold, reading them ends, and in bounded memory. What
//! is broken counts as missing, or as an error where the caller must know.

mod binary;
mod breakpad;
mod cache;
mod find;
mod go;
mod numbers;
mod parallel;
mod search;
mod symbol;
#[cfg(test)]
mod testing;
pub mod type_info;
mod unwind_info;
pub mod variable;

pub use binary::{Binary, BinaryError};
pub use cache::cache_directory;
pub use find::{
    Definition, DefinitionKind, DefinitionKinds, Found, FoundKind, IndirectSlot, LinePlace, Pattern,
    PatternError, Query, SourceLine, Symbol, SymbolBinding, SymbolKind, SymbolOrder, SymbolSource,
    SymbolVersion, SymbolVisibility, TypeKeyword, VariablePlace, unqualified_name,
};
pub use go::{GoProgram, GoRelease};
pub use search::{
    Binaries, DebugFileServer, Fetched, FileContents, FileRole, ModuleBinary, ModuleContents, SearchOptions,
    SearchOutcome, SearchStep, ServerFile, Sought,
};
pub use symbol::{
    BinarySymbols, FrameRef, Function, IndexError, IndexProgress, IndexReport, LineFlags, Names, PerfMap,
    ResolvedAddress, SourceFrame, SymbolContext, SymbolReader, SymbolReaders, Symbolizer, UnitCount,
    demangle, demangle_with_types,
};
pub use unwind_info::{
    CfaRule, Expression, ExpressionError, ExpressionShape, RegisterRule, UnwindInfoError, UnwindRow,
};
