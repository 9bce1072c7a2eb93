//! Tells a watcher of a crash, from within the process that crashes.
//!
//! A process that crashes cannot be trusted to write its own dump: its heap may be broken, its locks are held, its stack may be
//! full. It can still make a few system calls. So its signal handler tells another process, the watcher, which thread crashed and
//! where the kernel has put its registers, and waits for a limited time until that has made a dump. Then the process ends as it
//! would have ended without any of this.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! let client = prospect_crash::Client::connect("/run/watcher.socket")?;
//! client.install(prospect_crash::Signals::ALL)?;
//! # Ok(())
//! # }
//! ```
//!
//! The watcher is `prospect crash-watch`, or a program with `prospect::watcher`. [`Client`] is this side of it, [`server`] the
//! other side's part of the protocol, [`fork_watcher`] makes a process for a watcher of one's own.
//!
//! # What happens in the handler
//! Nothing but what `man 7 signal-safety` permits, and less: system calls, atomic numbers and the handler's own stack. It allocates
//! nothing, takes no lock of the program or the C library, and calls no code of the program. All signals are held back meanwhile, so
//! that a fault of the handler itself ends the process at once, by that fault's signal (`force_sig` in the kernel's `kernel/signal.c`).

mod alternate_stack;
mod client;
mod fork;
mod handler;
pub mod server;
mod signals;
mod system;
mod wire;

pub use alternate_stack::ThreadStack;
pub use client::Client;
pub use fork::fork_watcher;
pub use signals::Signals;
pub use wire::{Reply, Request};
