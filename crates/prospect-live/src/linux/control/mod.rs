//! Processes that are run, stopped and changed: [`Control`](prospect_process::control::Control) of this machine.
//!
//! Two halves, of which each is a process: [`Controlled`] is in the program that wants it, [`tracer`] holds the target, and outlives
//! the program for as long as it takes to put everything back. They talk by [`wire`].

mod channel;
mod controlled;
mod filter;
mod launch;
mod memory;
mod pins;
mod raw;
mod recording;
mod start;
mod tracer;
mod view;
mod wire;

pub use controlled::Controlled;
pub use launch::{Launch, Stdio};
