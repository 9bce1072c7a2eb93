//! Sees inside any process: its threads, their stacks with names, its memory and modules.
//!
//! ```no_run
//! fn main() -> Result<(), prospect::OpenError> {
//!     let session = prospect::open(1234)?; // stopped for a moment, copied, and it runs on
//!     for stack in session.stacks(|_| true) {
//!         println!("thread {} {}", stack.thread.id, stack.thread.name.as_deref().unwrap_or("?"));
//!         for call in stack.calls() {
//!             println!("  {} {}", call.frame.code.addr(), call.function.unwrap_or("?"));
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! [`open`] with [`OpenOptions`] chooses how a live process is looked at; a [`Session`] is what was opened. A [`Watch`]
//! looks at processes again and again, and says when they end. Below it are the parts that it is made of, each of use
//! alone: [`live`] stops and reads processes of this machine, [`dump`] reads and writes cores, [`stack`] walks,
//! [`symbols`] knows binaries, [`value`] reads what variables hold, and [`process`] has the words that they share. With
//! the feature `debuginfod`, `debuginfod` fetches debug files from servers.

mod core_files;
mod crash;
pub mod debugger;
mod dump_live;
mod dump_source;
mod find;
mod frame_scope;
mod frame_view;
mod function;
mod goroutines;
mod launch;
mod memo;
mod minidump_live;
mod moment;
mod named_modules;
mod open;
mod own_stacks;
mod redaction;
mod session;
mod signal_frame;
mod stacks;
mod thread_local;
mod type_memo;
mod type_objects;
mod values;
mod variables;
mod vector;
mod walk;
mod watch;
pub mod watcher;

/// The version of this library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use core_files::MemoryFile;
pub use crash::Crash;
pub use debugger::Debugger;
pub use dump_live::{DumpError, DumpMode, DumpPlan, Dumped, dump_live};
pub use find::Match;
pub use frame_scope::FrameScope;
pub use frame_view::FrameView;
pub use function::Function;
pub use goroutines::{Goroutine, GoroutineState, Goroutines, GoroutinesError};
pub use launch::{LaunchError, Launched};
pub use minidump_live::minidump_live;
pub use open::{Mode, OpenError, OpenOptions, Source, open};
pub use own_stacks::OwnStacks;
pub use prospect_crash as crash_client;
pub use prospect_debug as debug;
#[cfg(feature = "debuginfod")]
pub use prospect_debuginfod as debuginfod;
pub use prospect_dump as dump;
pub use prospect_live as live;
pub use prospect_process as process;
pub use prospect_stack as stack;
pub use prospect_symbols as symbols;
pub use prospect_value as value;
pub use redaction::{RedactError, RedactRule};
pub use session::Session;
pub use stacks::{Call, FrameName, ModulePosition, Names, ThreadStack};
pub use values::{CallValues, NamedValue};
pub use variables::CallVariables;
pub use watch::Watch;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
