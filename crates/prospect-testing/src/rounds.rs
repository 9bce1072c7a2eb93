//! Scenarios that are repeated.

use std::{env, ops::Range};

/// How often a scenario of control is gone through: `CONTROL_ROUNDS` of the environment, or once.
#[must_use]
pub fn rounds() -> Range<u32> {
    0..env::var("CONTROL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}
