//! The words that every part of Prospect speaks: addresses, architectures, registers, memory,
//! mappings, modules, threads, and the traits [`Process`] and [`Target`].
//!
//! **Backends turn something into a [`Process`]; consumers read a [`Process`]; nobody else knows
//! both.** This crate is that waist. It does no I/O of its own and knows no operating system: what
//! it computes, it computes from a [`Memory`] and plain data, so a dump of any machine can be read on
//! any host.
//!
//! Start at [`Process`]; [`FrozenProcess`] is the one that is made of plain data.

mod address;
mod frozen;
mod mapping;
mod process;
mod signal;
mod target;
mod thread;
mod thread_pointer;

pub mod agent;
pub mod arch;
pub mod auxv;
pub mod control;
pub mod exception;
pub mod memory;
pub mod module;
pub mod proc_maps;

pub use address::{Addr, LinkAddr};
pub use arch::{Arch, ArchInfo, RegisterId, RegisterInfo, RegisterSet, Registers};
pub use exception::Exception;
pub use frozen::{
    FreezePlan, FrozenProcess, FrozenThread, RegisterSets, capture_stacks, freeze, freeze_with,
};
pub use mapping::{Advice, FileId, Mapping, Mappings, Permissions};
pub use memory::{CapturedMemory, Content, Memory, MemoryError, Unreadable};
pub use module::{BuildId, Module, ModuleKind, Modules};
pub use process::{FileAccess, KernelFacts, OperatingSystem, Process, ProcessInfo};
pub use signal::SignalInfo;
pub use target::{Target, TargetError};
pub use thread::{NoRegisters, ProcessId, Signals, Thread, ThreadId, ThreadState};
pub use thread_pointer::thread_pointer;
