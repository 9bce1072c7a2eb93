//! The steppers of a walker, in order.

use std::{fmt, ops::Range};

use prospect_process::{Addr, Arch};

use crate::{
    Caller, DeclineReason, Declined, Frame, FrameStepper, Implausible, Step, StepContext, Trust,
    steppers::{
        CfiStepper, FramePointerStepper, NewThreadStepper, ScanStepper, SignalStepper, WildCallStepper,
    },
};

/// Steppers in the order in which they are asked: the order in which they were added.
#[derive(Default)]
pub struct StepperGroup {
    entries: Vec<Entry>,
}

struct Entry {
    /// The code addresses (as looked up) that the stepper is asked about; `None` is all of them.
    within: Option<Range<Addr>>,
    stepper: Box<dyn FrameStepper>,
}

/// What the steppers together say of a frame.
pub(crate) enum GroupStep {
    /// Its caller, and who found it.
    Caller(Caller, &'static str),
    Outermost,
    /// No stepper found it, and the list of reasons is complete. The first of them that should have found
    /// it, for there is more than a guess behind it, is at this index.
    Nobody {
        failed: Option<usize>,
    },
}

impl StepperGroup {
    /// A group without steppers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The steppers for code of `arch`, the most certain first.
    ///
    /// To be added to for all users, a stepper needs a line here.
    #[must_use]
    pub fn standard(arch: Arch) -> Self {
        match arch {
            Arch::X86_64 | Arch::I386 => Self::new()
                .then(SignalStepper::default())
                .then(NewThreadStepper)
                .then(CfiStepper::default())
                .then(WildCallStepper::default())
                .then(FramePointerStepper::default())
                .then(ScanStepper::default()),
            _ => Self::new().then(CfiStepper::default()).then(FramePointerStepper::default()),
        }
    }

    /// Adds a stepper that is asked when those before it did not find the caller.
    #[must_use]
    pub fn then(mut self, stepper: impl FrameStepper + 'static) -> Self {
        self.entries.push(Entry { within: None, stepper: Box::new(stepper) });
        self
    }

    /// Adds a stepper that is asked about code in `range` only.
    #[must_use]
    pub fn then_within(mut self, range: Range<Addr>, stepper: impl FrameStepper + 'static) -> Self {
        self.entries.push(Entry { within: Some(range), stepper: Box::new(stepper) });
        self
    }

    /// Asks one stepper after the other until one has an answer that `check` accepts. `declined` gets
    /// the reasons of those before it.
    pub(crate) fn step(
        &mut self,
        frame: &Frame,
        context: &StepContext<'_>,
        check: impl Fn(&Caller) -> Result<(), Implausible>,
        declined: &mut Vec<Declined>,
    ) -> GroupStep {
        let at = frame.for_lookup();
        let mut failed = None;
        for Entry { within, stepper } in &mut self.entries {
            if within.as_ref().is_some_and(|range| !range.contains(&at)) {
                continue;
            }
            let (reason, is_guess) = match stepper.step(frame, context) {
                Ok(Step::Caller(caller)) => match check(&caller) {
                    Ok(()) => return GroupStep::Caller(caller, stepper.name()),
                    Err(why) => (DeclineReason::Failed(why.into()), caller.trust < Trust::CallFrameInfo),
                },
                Ok(Step::Outermost) => return GroupStep::Outermost,
                Ok(Step::NotMine(why)) => (DeclineReason::NotMine(why), true),
                Err(error) => (DeclineReason::Failed(error), false),
            };
            if !is_guess {
                failed = failed.or(Some(declined.len()));
            }
            declined.push(Declined { stepper: stepper.name(), reason });
        }
        GroupStep::Nobody { failed }
    }
}

impl fmt::Debug for StepperGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(|entry| (entry.stepper.name(), &entry.within)))
            .finish()
    }
}
