//! Breakpoints as people speak of them: by name, by line, by pattern, by address, by what a language does.

mod catch;
mod place;
mod spec;
mod table;

pub use catch::{Catch, Panicked, Thrown};
pub use place::{Place, Resolution};
pub use spec::{BreakpointSpec, SpecError};
pub use table::{BreakAt, Breakpoint, BreakpointId, Breakpoints, FilterAt, Site, Wanted};
