//! Processes of this machine: what the system says of them, stopping them, freezing them.
//!
//! [`LiveProcess`] is where to start: opening one does not touch it. [`LiveProcess::freeze`] stops it for
//! a moment, copies what must be of one moment, and lets it go on; [`LiveProcess::stop`] holds it for as
//! long as the returned [`Stopped`] lives, all of it or some threads. [`Events`] says when processes end, with one
//! descriptor for all of them and without being attached to any.
//!
//! Of the program that uses it, it needs little: a thread for each process that is held, and two real-time signals that
//! nobody handles, each when it is needed first: one interrupts its own threads where a stop takes long, the other asks
//! the program's threads for their registers when it looks at itself. Their handlers stay.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::*;
