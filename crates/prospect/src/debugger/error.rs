//! Why a debugger cannot do something.

use prospect_debug::{breakpoint::BreakpointId, step::StepError};
use prospect_process::{
    ProcessId, ThreadId,
    control::{ControlError, Ending, TrapError},
};

/// Why a debugger cannot do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebugError {
    /// The target fails.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A trap cannot be set.
    #[error(transparent)]
    Trap(#[from] TrapError),
    /// A step cannot be made.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The process has ended.
    #[error("process {0} has ended")]
    Ended(ProcessId, Ending),
    /// The process was let go.
    #[error("process {0} was let go")]
    LetGo(ProcessId),
    /// No such process was ever under this control.
    #[error("process {0} is not under control")]
    NoProcess(ProcessId),
    /// No process has such a thread.
    #[error("there is no thread {0}")]
    NoThread(ThreadId),
    /// There is no breakpoint of that number.
    #[error("there is no breakpoint {}", .0.0)]
    NoBreakpoint(BreakpointId),
    /// No program of that name runs.
    #[error("no process is called {0}")]
    NoneNamed(String),
    /// Several programs of that name run.
    #[error("{} processes have the name {name}: {}", processes.len(), list(processes))]
    SeveralNamed {
        /// The name.
        name: String,
        /// They.
        processes: Vec<ProcessId>,
    },
    /// It was taken while it ran, and how it was started is not known.
    #[error("it was not started here, and cannot be started again")]
    NotLaunched,
    /// An expression has no value, or not one that is needed: a sentence.
    #[error("{0}")]
    Expression(String),
}

fn list(processes: &[ProcessId]) -> String {
    processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
