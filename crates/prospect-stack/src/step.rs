//! The contract of a stepper: from one frame to its caller.

use std::fmt;

use prospect_process::{Addr, MemoryError};
use prospect_symbols::{ExpressionError, UnwindInfoError};

use crate::{
    CodeAddress, Frame, FrameRegisters, Implausible, ModuleChanges, RuleAt, StepContext, StepperGroup, Trust,
};

/// Finds the caller of a frame.
///
/// It is pure: the same frame in the same context has the same answer, whatever was asked before. What
/// it keeps may only make it faster; [`StepContext::generation`] says when that has become worthless.
/// It need not ask whether its answer is plausible: the walker does.
pub trait FrameStepper: Send {
    /// Its name: what the frames that it finds say they were found by.
    fn name(&self) -> &'static str;

    /// Makes a step.
    ///
    /// # Errors
    /// When it knows how to find the caller and that did not work; the next stepper is asked then.
    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError>;

    /// Takes note that it is about to become one of a group, which is as it was before.
    fn added_to(&mut self, group: &StepperGroup) {
        let _ = group;
    }

    /// What it says of every frame at this code address; asked once, and remembered by the walker. A stepper whose
    /// answers are rules makes walks several times as fast.
    fn rule(&mut self, code: CodeAddress, context: &StepContext<'_>) -> RuleAt {
        let _ = (code, context);
        RuleAt::Unknown
    }

    /// Takes note that the process has other modules than at the walker's last walk, or is another process.
    /// Called before the first step of a walk; what is loaded then is told as loaded before the first walk.
    fn modules_changed(&mut self, changes: &ModuleChanges<'_>, context: &StepContext<'_>) {
        let _ = (changes, context);
    }
}

/// What a stepper says of a frame.
#[derive(Clone, Debug)]
pub enum Step {
    /// This is its caller.
    Caller(Caller),
    /// It has none.
    Outermost,
    /// The stepper cannot tell, and this is why.
    NotMine(&'static str),
}

/// The caller of a frame, as a stepper found it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its registers, as far as they can be known. Without pc and sp it is no caller.
    pub registers: FrameRegisters,
    /// The canonical frame address of the frame that was stepped *from*.
    pub cfa: Option<Addr>,
    /// How far to believe it.
    pub trust: Trust,
    /// How the frame that was stepped from was entered.
    pub entered: Entered,
}

/// How a frame was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// By a call: the caller's pc is a return address.
    ByCall,
    /// By a signal: the caller was interrupted, and its pc is the next instruction to run.
    BySignal,
}

/// Why a step did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Memory that it needs cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The call frame information is broken.
    #[error(transparent)]
    UnwindInfo(#[from] UnwindInfoError),
    /// An expression in the call frame information has no value.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A register that it needs is not known.
    #[error("needs register {0}, which is not known")]
    UnknownRegister(&'static str),
    /// The call frame information does not say where the return address is.
    #[error("the call frame information has no rule for the return address")]
    NoReturnAddressRule,
    /// The registers are of another architecture than the process.
    #[error("the registers are of another architecture than the process")]
    OtherArchitecture,
    /// There is an answer, but it cannot be true.
    #[error(transparent)]
    Implausible(#[from] Implausible),
}

/// Why a stepper found no caller: it could not tell, or it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclineReason {
    /// It said that it cannot tell.
    NotMine(&'static str),
    /// It, or the check of its answer, failed.
    Failed(StepError),
}

impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMine(why) => f.write_str(why),
            Self::Failed(error) => fmt::Display::fmt(error, f),
        }
    }
}
