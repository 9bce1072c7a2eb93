//! Breakpoints as people speak of them: by name, by line, by pattern, by address.

mod place;
mod spec;
mod table;

pub use place::{Place, Resolution};
pub use spec::{BreakpointSpec, SpecError};
pub use table::{Breakpoint, BreakpointId, Breakpoints, FilterAt, Wanted};
