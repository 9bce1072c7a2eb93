//! What a walk gives.

use std::fmt;

use crate::{DeclineReason, Frame, StepError};

/// The frames of a thread, and why there are no more of them.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The frames, the innermost one first.
    pub frames: Vec<Frame>,
    /// Why the walk ended.
    pub end: StackEnd,
    /// How each frame was found, in the order of the frames; and, where the walk ended with
    /// [`Outermost`](StackEnd::Outermost), one more: who said that there is no caller. (Every other end has
    /// its reasons itself.) Empty unless the walker was told to [explain](crate::Walker::explain).
    pub explanations: Vec<Explanation>,
}

impl Stack {
    /// The frame where the walk began: what the thread runs.
    #[must_use]
    pub fn innermost(&self) -> Option<&Frame> {
        self.frames.first()
    }

    /// The frame that nothing called; `None` where the walk did not get so far.
    #[must_use]
    pub fn outermost(&self) -> Option<&Frame> {
        self.frames.last().filter(|_| self.end.is_complete())
    }
}

/// Who had the answer of one step, and why those that were asked before had none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The stepper with the answer: of a frame, what it was [found by](Frame::found_by).
    pub stepper: &'static str,
    /// The steppers that were asked before, in that order.
    pub declined: Vec<Declined>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}", self.stepper)?;
        list(f, "; ", &self.declined)
    }
}

/// Why one stepper found no caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// The stepper's name.
    pub stepper: &'static str,
    /// What it said, or what was implausible in its answer.
    pub reason: DeclineReason,
}

/// Why a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackEnd {
    /// The last frame has no caller: the stack is complete.
    Outermost,
    /// No stepper knows how to get to the last frame's caller. Each with its reason, in the order in
    /// which they were asked.
    NoStepper(Vec<Declined>),
    /// It is known how to get to the last frame's caller, and it did not work.
    Error {
        /// The stepper that knew.
        stepper: &'static str,
        /// What went wrong.
        error: StepError,
        /// The other steppers that were asked.
        others: Vec<Declined>,
    },
    /// There are more frames than were asked for.
    FrameLimit,
}

impl StackEnd {
    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Outermost => "outermost",
            Self::NoStepper(_) => "no-stepper",
            Self::Error { .. } => "error",
            Self::FrameLimit => "frame-limit",
        }
    }

    /// Whether all frames were found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Outermost)
    }
}

impl fmt::Display for StackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outermost => f.write_str("the outermost frame was reached"),
            Self::NoStepper(declined) => {
                f.write_str("no way to the caller is known")?;
                list(f, ": ", declined)
            }
            Self::Error { stepper, error, others } => {
                write!(f, "{stepper}: {error}")?;
                list(f, "; ", others)
            }
            Self::FrameLimit => f.write_str("the frame limit was reached; there are more frames"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, first: &str, declined: &[Declined]) -> fmt::Result {
    let mut separator = first;
    for Declined { stepper, reason } in declined {
        write!(f, "{separator}{stepper}: {reason}")?;
        separator = "; ";
    }
    Ok(())
}
