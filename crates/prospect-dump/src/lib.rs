//! Dumps of processes: read as a [`Process`](prospect_process::Process), and written from any
//! [`Process`](prospect_process::Process).

pub mod compare;
pub mod convert;
pub mod elf_core;
pub mod minidump;
pub mod reachable;
pub mod redact;
pub mod systemd;

mod pages;
mod unpack;
mod writing;

pub use pages::PageSet;
pub use unpack::{Compression, UnpackError, UnpackProgress, Unpacked, unpack};
