//! The steppers of a walker, in order.

use std::{fmt, ops::Range};

use prospect_process::{Addr, Arch};

use crate::{
    Caller, CodeAddress, DeclineReason, Declined, Frame, FrameStepper, Implausible, ModuleChanges, RuleAt,
    Step, StepContext, StepRule, Trust,
    steppers::{
        AnalysisStepper, BottomStepper, CfiStepper, FramePointerStepper, LinkRegisterStepper,
        NewThreadStepper, ScanStepper, SignalStepper, WildCallStepper,
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
#[expect(clippy::large_enum_variant, reason = "nearly always a caller, which goes into the stack from here")]
pub(crate) enum GroupStep {
    /// Its caller, and who found it.
    Caller(Caller, &'static str),
    /// It has none, as this stepper says.
    Outermost(&'static str),
    /// No stepper found it, and the list of reasons is complete. The first of them that should have found
    /// it, for there is more than a guess behind it, is at this index.
    Nobody { failed: Option<usize> },
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
                .then(BottomStepper::default())
                .then(WildCallStepper::default())
                .then(AnalysisStepper::default())
                .then(FramePointerStepper::default())
                .then(ScanStepper::default()),
            Arch::Aarch64 => Self::new()
                .then(SignalStepper::default())
                .then(CfiStepper::default())
                .then(BottomStepper::default())
                .then(AnalysisStepper::default())
                .then(LinkRegisterStepper::default())
                .then(FramePointerStepper::default()),
            _ => Self::new()
                .then(SignalStepper::default())
                .then(CfiStepper::default())
                .then(BottomStepper::default())
                .then(LinkRegisterStepper::default())
                .then(FramePointerStepper::default()),
        }
    }

    /// Adds a stepper that is asked when those before it did not find the caller.
    #[must_use]
    pub fn then(mut self, stepper: impl FrameStepper + 'static) -> Self {
        let entry = self.entry(None, stepper);
        self.entries.push(entry);
        self
    }

    /// Adds a stepper that is asked about code in `range` only.
    #[must_use]
    pub fn then_within(mut self, range: Range<Addr>, stepper: impl FrameStepper + 'static) -> Self {
        let entry = self.entry(Some(range), stepper);
        self.entries.push(entry);
        self
    }

    /// Adds a stepper behind those that there are.
    pub fn push(&mut self, stepper: impl FrameStepper + 'static) -> &mut Self {
        let entry = self.entry(None, stepper);
        self.entries.push(entry);
        self
    }

    /// Adds a stepper behind those that there are, to be asked about code in `range` only.
    pub fn push_within(&mut self, range: Range<Addr>, stepper: impl FrameStepper + 'static) -> &mut Self {
        let entry = self.entry(Some(range), stepper);
        self.entries.push(entry);
        self
    }

    /// Adds a stepper that is asked before all those that there are.
    pub fn push_first(&mut self, stepper: impl FrameStepper + 'static) -> &mut Self {
        let entry = self.entry(None, stepper);
        self.entries.insert(0, entry);
        self
    }

    fn entry(&self, within: Option<Range<Addr>>, mut stepper: impl FrameStepper + 'static) -> Entry {
        stepper.added_to(self);
        Entry { within, stepper: Box::new(stepper) }
    }

    /// The names of the steppers in the order in which they are asked, each with the code addresses that it
    /// is asked about; `None` is all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<&Range<Addr>>)> {
        self.entries.iter().map(|entry| (entry.stepper.name(), entry.within.as_ref()))
    }

    /// The names of the steppers that are asked about code at `at` (as it is
    /// [looked up](Frame::for_lookup)), each after the one before it has declined.
    pub fn asked_at(&self, at: Addr) -> impl Iterator<Item = &'static str> {
        let is_asked = move |within: Option<&Range<Addr>>| within.is_none_or(|range| range.contains(&at));
        self.iter().filter(move |(_, within)| is_asked(*within)).map(|(name, _)| name)
    }

    /// Tells all steppers of other modules.
    pub(crate) fn modules_changed(&mut self, changes: &ModuleChanges<'_>, context: &StepContext<'_>) {
        self.entries.iter_mut().for_each(|entry| entry.stepper.modules_changed(changes, context));
    }

    /// The rule for all frames at a code address, and the stepper whose it is. `None` where they must be asked.
    pub(crate) fn rule(
        &mut self,
        code: CodeAddress,
        context: &StepContext<'_>,
    ) -> Option<(StepRule, &'static str)> {
        let at = code.for_lookup();
        for Entry { within, stepper } in &mut self.entries {
            if within.as_ref().is_some_and(|range| !range.contains(&at)) {
                continue;
            }
            match stepper.rule(code, context) {
                RuleAt::Caller(rule) => return Some((rule, stepper.name())),
                RuleAt::NotMine => {}
                RuleAt::Unknown => return None,
            }
        }
        None
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
                Ok(Step::Outermost) => return GroupStep::Outermost(stepper.name()),
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
        f.debug_list().entries(self.iter()).finish()
    }
}
