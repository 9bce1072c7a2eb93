//! Dumps of processes: read as a [`Process`](prospect_process::Process), and written from any
//! [`Process`](prospect_process::Process).

pub mod elf_core;
pub mod systemd;

mod unpack;

pub use unpack::{Compression, UnpackError, UnpackProgress, Unpacked, unpack};
