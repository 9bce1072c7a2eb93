//! What the binaries say: unwind rows, functions, lines, inlined calls, and where to find them.

mod binary;
mod search;
mod symbol;
#[cfg(test)]
mod testing;
mod unwind_info;

pub use binary::{Binary, BinaryError};
pub use search::{Binaries, ModuleBinary, SearchOptions, SearchOutcome, SearchStep, Sought};
pub use symbol::{ResolvedAddress, SourceFrame, Symbolizer};
pub use unwind_info::{CfaRule, Expression, ExpressionError, RegisterRule, UnwindInfoError, UnwindRow};
