//! Processes of this machine: what the system says of them, stopping them, freezing them.
//!
//! [`LiveProcess`] is where to start: opening one does not touch it. [`LiveProcess::freeze`] stops it for
//! a moment, copies what must be of one moment, and lets it go on; [`LiveProcess::stop`] holds it for as
//! long as the returned [`Stopped`] lives.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::*;
