//! The streams of a minidump, each by itself.

mod crashpad;
mod directory;
mod exception;
mod facts;
mod linux;
mod mac;
mod memory;
mod modules;
mod reader;
mod system;
mod threads;

pub use facts::{Assertion, Facts, Handle};
pub use modules::{ModuleVersion, UnloadedModule};
pub use system::SystemDetails;

pub(super) use directory::Directory;
pub(super) use exception::exception;
pub(super) use linux::{LinuxFacts, without_empty_end};
pub(super) use memory::{MemoryRange, memory, memory_map};
pub(super) use modules::{RawModule, modules, unloaded};
pub(super) use reader::Reader;
pub(super) use system::{MiscInfo, System, model};
pub(super) use threads::{RawThread, names, threads, times};
