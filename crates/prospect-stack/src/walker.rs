//! The loop: from a thread's registers to its frames.

use prospect_process::{Addr, Arch, Registers};

use crate::{
    CodeAddress, Declined, Entered, Explanation, Frame, Stack, StackEnd, StepContext, StepError,
    StepperGroup,
    frame::FOUND_BY_REGISTERS,
    group::GroupStep,
    module_changes::KnownModules,
    plausibility::Plausibility,
    stack_window::{AtHand, StackBuffer},
};

/// The most frames that a walker gives, unless it is told otherwise.
const DEFAULT_FRAME_LIMIT: usize = 10_000;

/// A stack with more frames keeps the room that it was walked in, and is not copied to its own.
const MANY_FRAMES: usize = 512;

/// Walks stacks. It may be used for many threads and processes, one after the other; what its steppers
/// remember of a process makes every walk after the first one fast.
#[derive(Debug)]
pub struct Walker {
    steppers: StepperGroup,
    frame_limit: usize,
    explain: bool,
    locations: bool,
    modules: KnownModules,
    /// Of the walk that is going on; kept for their room.
    stack: StackBuffer,
    declined: Vec<Declined>,
    frames: Vec<Frame>,
}

/// What one walk remembers from step to step.
#[derive(Default)]
struct Trail<'m> {
    plausibility: Plausibility,
    at_hand: AtHand<'m>,
    explanations: Vec<Explanation>,
}

impl Walker {
    /// A walker with the standard steppers for processes of `arch`.
    #[must_use]
    pub fn new(arch: Arch) -> Self {
        Self::with_steppers(StepperGroup::standard(arch))
    }

    /// A walker with steppers of your choice.
    #[must_use]
    pub fn with_steppers(steppers: StepperGroup) -> Self {
        Self {
            steppers,
            frame_limit: DEFAULT_FRAME_LIMIT,
            explain: false,
            locations: false,
            modules: KnownModules::default(),
            stack: StackBuffer::default(),
            declined: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// The same with another limit on the frames of a stack (10,000 by default). The innermost frame is
    /// always given.
    #[must_use]
    pub fn frame_limit(mut self, frames: usize) -> Self {
        self.frame_limit = frames.max(1);
        self
    }

    /// The same, and its stacks [say](Stack::explanations) how each frame was found and why the steppers
    /// that were asked before did not find it; or not (the default).
    #[must_use]
    pub fn explain(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }

    /// The same, and its frames [say](crate::FrameRegisters::location) where each register was found; or not (the
    /// default, since a walk takes half as long again then).
    #[must_use]
    pub fn locations(mut self, locations: bool) -> Self {
        self.locations = locations;
        self
    }

    /// Its steppers.
    #[must_use]
    pub fn steppers(&self) -> &StepperGroup {
        &self.steppers
    }

    /// Its steppers, to be added to between walks. A stepper that is new here is not told of modules that
    /// were loaded before.
    pub fn steppers_mut(&mut self) -> &mut StepperGroup {
        &mut self.steppers
    }

    /// The frame that a walk from these registers begins with.
    ///
    /// # Errors
    /// When pc is not known.
    pub fn first_frame(registers: &Registers) -> Result<Frame, StepError> {
        Frame::innermost(registers)
    }

    /// Walks from a thread's registers as far as the steppers find callers.
    pub fn walk(&mut self, registers: &Registers, context: &StepContext<'_>) -> Stack {
        match Frame::innermost(registers) {
            Ok(_) if registers.arch() != context.arch => no_start(StepError::OtherArchitecture),
            Ok(frame) => self.walk_from(frame, context),
            Err(error) => no_start(error),
        }
    }

    /// Walks from any frame: one of another walk, or one that was [made](Frame::from_parts) by hand. It is the
    /// first of the stack.
    pub fn walk_from(&mut self, mut frame: Frame, context: &StepContext<'_>) -> Stack {
        if frame.registers.arch() != context.arch {
            return no_start(StepError::OtherArchitecture);
        }
        self.begin(&mut frame, context);
        let mut trail = Trail::default();
        if self.explain {
            trail.explanations.push(Explanation { stepper: frame.found_by, declined: Vec::new() });
        }
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        frames.push(frame);
        let limit = self.frame_limit;
        let end = self.go_on(&mut frames, &mut trail, limit, usize::MAX, context);
        let explanations = trail.explanations;
        if frames.len() > MANY_FRAMES {
            frames.shrink_to_fit();
            return Stack { frames, end, explanations };
        }
        // Room that grew is often twice of what is needed; what is used again is not paid for again.
        let mut own = Vec::with_capacity(frames.len());
        own.append(&mut frames);
        self.frames = frames;
        Stack { frames: own, end, explanations }
    }

    /// Makes one step, which also completes `frame`: its [`cfa`](Frame::cfa) is known when its caller is. Whether
    /// the stack goes round in a larger circle is not seen by single steps; a walk sees it.
    ///
    /// # Errors
    /// When no caller was found: why. That there is none is [`StackEnd::Outermost`].
    pub fn step(&mut self, frame: &mut Frame, context: &StepContext<'_>) -> Result<Frame, StackEnd> {
        if frame.registers.arch() != context.arch {
            return Err(no_start(StepError::OtherArchitecture).end);
        }
        self.begin(frame, context);
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        frames.push(frame.clone());
        let end = self.go_on(&mut frames, &mut Trail::default(), usize::MAX, 1, context);
        let mut frames_found = frames.drain(..);
        if let Some(completed) = frames_found.next() {
            *frame = completed;
        }
        let caller = frames_found.next();
        drop(frames_found);
        self.frames = frames;
        caller.ok_or(end)
    }

    /// The steppers that declined before the answer of the last [`step`](Self::step) came. Where no stepper had
    /// one, the [end](StackEnd) has them.
    #[must_use]
    pub fn declined(&self) -> &[Declined] {
        &self.declined
    }

    /// Tells the steppers when the process has other modules than before, and prepares the first frame.
    fn begin(&mut self, frame: &mut Frame, context: &StepContext<'_>) {
        if self.locations && !frame.registers.tracks_locations() {
            if frame.found_by == FOUND_BY_REGISTERS {
                frame.registers.track_from_thread();
            } else {
                frame.registers.track_locations();
            }
        }
        self.stack.clear();
        if let Some(changes) = self.modules.update(context) {
            self.steppers.modules_changed(&changes, context);
        }
    }

    /// Makes so many steps at most, and says why there were no more of them. What whole walks and single steps have
    /// in common is here, so that the compiler may put all of a step into one loop.
    fn go_on<'m>(
        &mut self,
        frames: &mut Vec<Frame>,
        trail: &mut Trail<'m>,
        limit: usize,
        steps: usize,
        context: &StepContext<'m>,
    ) -> StackEnd {
        for _ in 0..steps {
            if let Err(end) = self.advance(frames, trail, limit, context) {
                return end;
            }
        }
        StackEnd::FrameLimit
    }

    /// Adds the caller of the last of `frames`, unless there are `limit` of them.
    fn advance<'m>(
        &mut self,
        frames: &mut Vec<Frame>,
        trail: &mut Trail<'m>,
        limit: usize,
        context: &StepContext<'m>,
    ) -> Result<(), StackEnd> {
        let Some(frame) = frames.last() else { return Err(StackEnd::Outermost) };
        self.declined.clear();
        let window = self.stack.over(&frame.registers, context.memory, &mut trail.at_hand);
        let context = context.with_memory(&window);
        let check = |caller: &_| trail.plausibility.check(frame, caller, &context);
        let (caller, found_by) = match self.steppers.step(frame, &context, check, &mut self.declined) {
            GroupStep::Caller(caller, found_by) => (caller, found_by),
            GroupStep::Outermost(stepper) => return Err(self.outermost(stepper, trail)),
            GroupStep::Nobody { failed } => return Err(self.nobody(failed)),
        };
        let code = match (caller.registers.pc(), caller.entered) {
            // Nothing is there to return to: so do threads start that were not made by a call.
            (None | Some(Addr(0)), Entered::ByCall) => return Err(self.outermost(found_by, trail)),
            (Some(pc), Entered::ByCall) => CodeAddress::ReturnAddress(pc),
            (pc, Entered::BySignal) => CodeAddress::Exact(pc.unwrap_or_default()),
        };
        trail.plausibility.note(frames, &caller);
        if let Some(callee) = frames.last_mut() {
            callee.cfa = caller.cfa;
            // Nothing called a signal trampoline: the handler returns to its start, and what lies
            // before that is another function.
            if caller.entered == Entered::BySignal {
                callee.code = CodeAddress::Exact(callee.code.addr());
            }
        }
        if frames.len() >= limit {
            return Err(StackEnd::FrameLimit);
        }
        let (mut registers, trust) = (caller.registers, caller.trust);
        if self.locations && !registers.tracks_locations() {
            // The stepper made them anew and does not care.
            registers.track_locations();
        }
        frames.push(Frame { code, registers, cfa: None, found_by, trust });
        if self.explain {
            self.note(found_by, trail);
        }
        Ok(())
    }

    /// The end of a walk at a frame that has no caller, as a stepper says.
    fn outermost(&self, stepper: &'static str, trail: &mut Trail<'_>) -> StackEnd {
        if self.explain {
            self.note(stepper, trail);
        }
        StackEnd::Outermost
    }

    fn note(&self, stepper: &'static str, trail: &mut Trail<'_>) {
        trail.explanations.push(Explanation { stepper, declined: self.declined.clone() });
    }

    /// The end of a walk whose last frame no stepper found the caller of.
    fn nobody(&mut self, failed: Option<usize>) -> StackEnd {
        let mut declined = std::mem::take(&mut self.declined);
        let Some(index) = failed.filter(|index| *index < declined.len()) else {
            return StackEnd::NoStepper(declined);
        };
        let knew = declined.remove(index);
        match knew.reason {
            crate::DeclineReason::Failed(error) => {
                StackEnd::Error { stepper: knew.stepper, error, others: declined }
            }
            crate::DeclineReason::NotMine(_) => {
                declined.insert(index, knew);
                StackEnd::NoStepper(declined)
            }
        }
    }
}

/// A walk that could not begin.
fn no_start(error: StepError) -> Stack {
    let end = StackEnd::Error { stepper: FOUND_BY_REGISTERS, error, others: Vec::new() };
    Stack { frames: Vec::new(), end, explanations: Vec::new() }
}

#[cfg(test)]
mod tests;
