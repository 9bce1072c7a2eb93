//! Linux: `/proc`, ptrace and `process_vm_readv`.

pub mod own;
pub mod permission;
pub mod procfs;

mod alarm;
mod arch;
mod attachment;
mod control;
mod core_facts;
mod epoll;
mod error;
mod events;
mod file_system;
mod hold;
mod identity;
mod interrupt;
mod memory;
mod pagemap;
mod patience;
mod pidfd;
mod present;
mod process;
mod ptrace;
mod register_room;
mod sampler;
mod signals;
mod snapshot;
mod stepping;
mod stopped;
mod stopping;
mod tracer;
mod wall_clock;

pub use control::{Controlled, Launch, Stdio};
pub use error::LiveError;
pub use events::{Ending, Event, Events, Wait, Waker};
pub use file_system::free_bytes;
pub use hold::Threads;
pub use interrupt::{interrupts, report_file_size_limit};
pub use memory::LiveMemory;
pub use process::{Freeze, LiveProcess};
pub use sampler::{Sample, Sampler};
pub use snapshot::{Snapshot, SnapshotError, SnapshotPlan, Untaken};
pub use stepping::{StepStop, SteppedThread};
pub use stopped::Stopped;
pub use wall_clock::{monotonic_clock, wall_clock};
