//! Calls of functions in the target.
//!
//! A thread that stands is [borrowed](prospect_process::control::Control::borrow_thread), given arguments as its
//! calling convention wants them, and runs the function. Its return address is the entry point of the program, which
//! nothing runs any more: there it is trapped. Whatever comes of it, the thread gets back what it had, also when the
//! program that called dies in the middle. What the function has done to memory, files and locks stays done.

mod convention;
mod run;

use std::time::Duration;

use prospect_process::{
    Addr, ProcessId, Target, ThreadId,
    control::{ControlError, Ending, Event, TrapError},
};
use prospect_symbols::Binaries;

pub use convention::{Class, classify};

/// What a function is given.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Argument {
    /// A whole number or a pointer. Negative ones are to be extended to 64 bits.
    Integer(u64),
    /// A `float`.
    Float(f32),
    /// A `double`.
    Double(f64),
    /// A pointer to these bytes, of which a copy is made on the stack. A text must have its NUL.
    Bytes(Vec<u8>),
    /// A structure by value: its bytes, and where each eight of them go ([`classify`]); none: to the stack.
    Structure(Vec<u8>, Vec<Class>),
}

/// What a function returns.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Returns {
    /// Nothing.
    Nothing,
    /// A whole number or a pointer.
    Integer,
    /// A `float`.
    Float,
    /// A `double`.
    Double,
    /// A structure by value: its size, and where each eight bytes are ([`classify`]); none: in memory that the caller provides.
    Structure(usize, Vec<Class>),
}

/// What a function has returned.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Returned {
    /// Nothing.
    Nothing,
    /// A whole number or a pointer: all of the register. Of a smaller type, the lower bytes count.
    Integer(u64),
    /// A `float`.
    Float(f32),
    /// A `double`.
    Double(f64),
    /// The bytes of a structure.
    Structure(Vec<u8>),
}

/// A call that is to be made.
#[derive(Clone, PartialEq, Debug)]
pub struct Invocation {
    /// Where the function begins.
    pub function: Addr,
    /// What it is given.
    pub arguments: Vec<Argument>,
    /// What it returns.
    pub returns: Returns,
    /// Whether all threads run meanwhile. If only one does, nothing else changes, and the call does not end that waits
    /// for another.
    pub all_run: bool,
    /// For so long at most.
    pub within: Duration,
}

impl Invocation {
    /// A call of a function that returns a whole number or a pointer, by one thread alone, for five seconds at most.
    #[must_use]
    pub fn new(function: Addr, arguments: Vec<Argument>) -> Self {
        let within = Duration::from_secs(5);
        Self { function, arguments, returns: Returns::Integer, all_run: false, within }
    }
}

/// How a call ended. In each case but [`Exited`](Self::Exited) the thread stands where it stood before.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum InvocationEnd {
    /// It has returned.
    Returned(Returned),
    /// It was about to get a signal: it has faulted, has aborted, or somebody has sent one that is trapped.
    Signalled {
        /// Which.
        signal: i32,
        /// Where it stood.
        at: Option<Addr>,
    },
    /// Something else has happened that all stand for, a breakpoint in it or elsewhere.
    Stopped(Event),
    /// It has left by `longjmp` to a frame that was there before the call.
    Left,
    /// It did not return in the time that it had.
    TimeOver,
    /// It has ended the process.
    Exited(Ending),
}

/// Why a call cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvocationError {
    /// The target fails.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Where it returns to cannot be trapped.
    #[error(transparent)]
    Trap(#[from] TrapError),
    /// The calling convention of this architecture is not known here.
    #[error("calls in programs of this architecture are not possible")]
    Architecture,
    /// The thread does not stand.
    #[error("thread {0} does not stand")]
    NotStopped(ThreadId),
    /// The program has no entry point that could be returned to.
    #[error("the entry point of the program is not known")]
    NoEntryPoint,
    /// The arguments are more than the stack is given for them.
    #[error("the arguments take {0} bytes, and 64 KiB is the most")]
    TooLong(usize),
}

/// Has a thread that stands call a function (System V ABI, AMD64 supplement, section 3.2).
///
/// # Errors
/// When it cannot be made, and why; the thread stands as before.
pub fn invoke(
    target: &mut dyn Target,
    binaries: &Binaries,
    process: ProcessId,
    thread: ThreadId,
    what: &Invocation,
) -> Result<InvocationEnd, InvocationError> {
    run::Run::new(target, process, thread, what).run(binaries)
}
