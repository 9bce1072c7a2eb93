//! What debuggers and tracers are made of, for any target that can be run: a live process, or the far end of a wire.
//!
//! - [`Breakpoints`](breakpoint::Breakpoints) are set by name, by line, by pattern or address, wait for libraries that are not
//!   loaded yet, and are listed, enabled and disabled.
//! - [`condition`] turns expressions into programs that are evaluated where a thread has stopped, and log templates into
//!   what is to be collected there.
//! - [`step`](mod@step) goes from line to line, over calls, into them and out of them.
//! - [`invoke`] has a thread of the target call a function, and undoes it.
//! - [`call`] knows system calls by name.
//! - [`heal`] finds what dead tools have left in a process.
//!
//! Nothing here knows a backend: all of it works on [`Target`](prospect_process::Target) and
//! [`Control`](prospect_process::control::Control).

pub mod breakpoint;
pub mod call;
pub mod condition;
pub mod heal;
pub mod invoke;
mod runtime_functions;
pub mod step;
mod waiting;
