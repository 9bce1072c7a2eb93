//! What Linux says of processes in `/proc` (`man 5 proc`).
//!
//! Each format has a file with a pure parser, `parse(bytes)`, that takes any bytes without panicking,
//! and beside it the function that reads the file. The parsers are strict about what a later decision rests
//! on, and lenient about fields that newer kernels add or older ones lack.
//!
//! Everything here is a snapshot of one file at one moment: the process may have changed or ended by the next
//! read, and its number may even belong to another one. Whoever needs more holds the process still first.

pub mod auxv;
pub mod command_line;
pub mod maps;
pub mod stat;
pub mod status;
pub mod syscall;

mod children;
mod clock;
mod cursor;
mod error;
mod file;
mod find;
mod info;
mod kernel_facts;
mod links;
mod smaps;
mod texts;
mod threads;
mod wait_channel;

pub use children::{Child, children, descendants};
pub use command_line::command_line;
pub use error::ProcError;
pub use find::{find_by_name, process_ids};
pub use info::{host_arch, memory_view, process_info};
pub use kernel_facts::kernel_facts;
pub use links::{LinkTarget, executable, root, same_files, working_directory};
pub(crate) use maps::RepeatedMap;
pub use maps::mappings;
pub use smaps::advised_mappings;
pub use stat::{Stat, process_stat};
pub use status::{Status, process_status, thread_status};
pub use syscall::SyscallState;
pub use texts::{Descriptor, ProcTexts, descriptors, environment, texts};
pub use threads::{TaskDirectory, ThreadFacts, task_ids, thread_state};

pub(crate) use file::{exists, read_small};
pub(crate) use stat::{exit_status, is_executing};
pub(crate) use status::own_status;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod random_tests;
