//! Who may look into which process, and what this machine permits.
//!
//! The kernel answers an attempt to trace with a bare "operation not permitted". [`diagnose`] finds out what
//! stands in the way by going through the same checks (`man 2 ptrace`, "Ptrace access mode checking") with
//! what `/proc` shows of both sides; [`environment`] gathers the settings that such checks rest on.

mod capability;
mod diagnosis;
mod environment;
mod obstacle;
mod rules;

pub use capability::{Capabilities, Capability};
pub use diagnosis::diagnose;
pub use environment::{Environment, environment};
pub use obstacle::{Barrier, Obstacle};

#[cfg(test)]
mod tests;
