//! Linux: `/proc`, ptrace and `process_vm_readv`.

pub mod own;
pub mod permission;
pub mod procfs;

mod arch;
mod attachment;
mod error;
mod memory;
mod process;
mod ptrace;
mod sampler;
mod stopped;
mod tracer;

pub use error::LiveError;
pub use memory::LiveMemory;
pub use process::{Freeze, LiveProcess};
pub use sampler::{Sample, Sampler};
pub use stopped::Stopped;
