//! Stopped programs of every architecture, which `cargo xtask fixtures` has made: their whole stacks, literally, and
//! beside them what gdb says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod analysis;
mod chain;
mod deep;
mod frameless;
mod landing;
mod load;
mod noreturn;
mod return_addresses;
mod signal;
mod sized;
mod tables;
mod walk;
