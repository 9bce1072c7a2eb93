//! One's own process: its memory, where a bad pointer is an error; the registers of the calling thread, and of
//! what a signal has interrupted; a copy of all threads.
//!
//! [`OwnMemory`], [`current_registers`] and [`interrupted_registers`] may be used in a signal handler: they
//! allocate nothing, take no lock, and leave `errno` as it was.
//!
//! [`OwnProcess`] asks every thread for its registers and its stack with a signal each. What a question goes through:
//! a `slot` per thread, made before the signal is sent and never freed; the `handler`, which finds its slot by
//! the number that came with the signal; a `round` with the memory that stacks are copied into; the `turn`, which
//! only one freeze has at a time.

mod arena;
mod handler;
mod memory;
mod process;
mod registers;
mod round;
mod slot;
mod system;
mod turn;

pub use memory::OwnMemory;
pub use process::OwnProcess;
pub use registers::{current_registers, interrupted_registers};
