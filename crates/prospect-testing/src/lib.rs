//! Helpers for Prospect's tests: fixture programs, running targets, and declared requirements.
//!
//! A test asks for a [`fixture`] by name, starts it as a [`Running`] target, lets the command look at it
//! through a [`Tool`], and reads what it said as a [`Report`]. What the machine must have for that is
//! declared with [`require!`]: a test whose requirement is missing is listed as skipped, never passed over
//! in silence.
//!
//! Functions here panic when something cannot be done: they are called by tests only.

mod catalogue;
mod compile;
mod computing;
mod core_pattern;
mod cores;
mod debuginfod;
mod go;
mod heartbeat;
mod http_server;
mod mangled;
mod minidump;
mod procfs;
mod programs;
mod random;
mod report;
mod require;
mod rounds;
mod running;
mod scratch;
mod signal;
mod steps;
mod tool;

pub use catalogue::{CATALOGUE, Compiler, Recipe, Step};
pub use compile::{Fixture, fixture, fixtures_directory};
pub use computing::Computing;
pub use core_pattern::CorePattern;
pub use cores::{abort, crash, gcore, kernel_cores, with_cores};
pub use debuginfod::{DebuginfodServer, free_address};
pub use go::{GoBuild, GoToolchain, go_toolchains};
pub use heartbeat::Heartbeat;
pub use http_server::HttpServer;
pub use mangled::{cxxfilt, filter, library, mangled_names};
pub use minidump::{SAMPLE_CODE, SAMPLE_HEAP, SAMPLE_STACK, SAMPLES, sample_minidump};
pub use procfs::{parent, state, states, tasks, tracer};
pub use programs::{python_threads, python_threads_of};
pub use random::Random;
pub use report::{Frame, Report, Thread};
pub use require::{Missing, note_skipped, root, supports_32_bit, tool};
pub use rounds::rounds;
pub use running::Running;
pub use scratch::Scratch;
pub use signal::{Signal, send};
pub use tool::{Outcome, Tool};
