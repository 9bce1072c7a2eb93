//! The loop: from a thread's registers to its frames.

use prospect_process::{Addr, Arch, Registers};

use crate::{
    CodeAddress, Declined, Entered, Explanation, Frame, Stack, StackEnd, StepContext, StepError, StepRule,
    StepperGroup,
    frame::FOUND_BY_REGISTERS,
    group::GroupStep,
    module_changes::KnownModules,
    plausibility::Plausibility,
    rule_cache::RuleCache,
    stack_window::{AtHand, StackBuffer, StackWindow},
};

/// The most frames that a walker gives, unless it is told otherwise.
const DEFAULT_FRAME_LIMIT: usize = 10_000;

/// The most rules that a walker remembers, unless it is told otherwise.
const DEFAULT_RULES: usize = 4096;

/// Room for fewer frames is not worth asking for.
const LEAST_FRAMES: usize = 8;

/// Walks stacks. It may be used for many threads and processes, one after the other; what its steppers
/// remember of a process makes every walk after the first one fast.
#[derive(Debug)]
pub struct Walker {
    steppers: StepperGroup,
    frame_limit: usize,
    explain: bool,
    modules: KnownModules,
    rules: RuleCache,
    /// Of the walk that is going on; kept for their room.
    stack: StackBuffer,
    declined: Vec<Declined>,
    /// How many frames the last stack had.
    expected_frames: usize,
}

/// What one walk remembers from step to step.
#[derive(Default)]
struct Trail<'m> {
    plausibility: Plausibility,
    at_hand: AtHand<'m>,
    explanations: Vec<Explanation>,
    /// Whether each stepper is asked, so that it is known what it said.
    asks_all: bool,
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
            modules: KnownModules::default(),
            rules: RuleCache::new(DEFAULT_RULES),
            stack: StackBuffer::default(),
            declined: Vec::new(),
            expected_frames: 0,
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

    /// The same with another bound on the [rules](StepRule) that it remembers (4,096 by default, rounded up to a power
    /// of two), of [`RULE_BYTES`](Self::RULE_BYTES) each. Room is taken as they come. With 0, each stepper is
    /// asked for each frame.
    #[must_use]
    pub fn remember_rules(mut self, most: usize) -> Self {
        self.rules = RuleCache::new(most);
        self
    }

    /// The memory that each remembered rule takes, in bytes.
    pub const RULE_BYTES: usize = RuleCache::ENTRY_BYTES;

    /// Its steppers.
    #[must_use]
    pub fn steppers(&self) -> &StepperGroup {
        &self.steppers
    }

    /// Its steppers, to be added to between walks. A stepper that is new here is not told of modules that
    /// were loaded before.
    pub fn steppers_mut(&mut self) -> &mut StepperGroup {
        self.rules.clear();
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
    pub fn walk_from(&mut self, frame: Frame, context: &StepContext<'_>) -> Stack {
        if frame.registers.arch() != context.arch {
            return no_start(StepError::OtherArchitecture);
        }
        self.begin(context);
        let mut trail = Trail { asks_all: self.explain, ..Trail::default() };
        if self.explain {
            trail.explanations.push(Explanation { stepper: frame.found_by, declined: Vec::new() });
        }
        let mut frames = Vec::with_capacity(self.expected_frames.max(LEAST_FRAMES));
        frames.push(frame);
        let limit = self.frame_limit;
        let end = self.go_on(&mut frames, &mut trail, limit, usize::MAX, context);
        self.expected_frames = frames.len();
        // Stacks are kept: room that grew is often twice of what is needed.
        if frames.capacity() > frames.len() + frames.len() / 4 {
            frames.shrink_to_fit();
        }
        Stack { frames, end, explanations: trail.explanations }
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
        self.begin(context);
        let mut frames = Vec::with_capacity(2);
        frames.push(frame.clone());
        let mut trail = Trail { asks_all: true, ..Trail::default() };
        let end = self.go_on(&mut frames, &mut trail, usize::MAX, 1, context);
        let caller = if frames.len() > 1 { frames.pop() } else { None };
        if let Some(completed) = frames.pop() {
            *frame = completed;
        }
        caller.ok_or(end)
    }

    /// The steppers that declined before the answer of the last [`step`](Self::step) came. Where no stepper had
    /// one, the [end](StackEnd) has them.
    #[must_use]
    pub fn declined(&self) -> &[Declined] {
        &self.declined
    }

    /// Tells the steppers when the process has other modules than before.
    fn begin(&mut self, context: &StepContext<'_>) {
        self.stack.clear();
        self.declined.clear();
        self.rules.begin(context.generation());
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
        let window = self.stack.over(&frame.registers, context.memory, &mut trail.at_hand);
        if !trail.asks_all
            && let CodeAddress::ReturnAddress(to) = frame.code
        {
            let steppers = &mut self.steppers;
            let find = || steppers.rule(frame.code, &context.with_memory(&window));
            if let Some(rule) = self.rules.get(to, find)
                && let Some(done) = trail.add_by_rule(rule, frames, limit, &window, context)
            {
                return done;
            }
        }
        let Some(frame) = frames.last() else { return Err(StackEnd::Outermost) };
        self.declined.clear();
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
        if let (Some(pc), Some(sp)) = (caller.registers.pc(), caller.registers.sp()) {
            trail.plausibility.note(frames, (pc, sp), caller.entered);
        }
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
        frames.push(Frame { code, registers: caller.registers, cfa: None, found_by, trust: caller.trust });
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

impl Trail<'_> {
    /// Adds the caller of the last frame by a rule. `None` where the steppers must be asked.
    #[inline(always)]
    fn add_by_rule(
        &mut self,
        rule: &(StepRule, &'static str),
        frames: &mut Vec<Frame>,
        limit: usize,
        stack: &StackWindow<'_>,
        context: &StepContext<'_>,
    ) -> Option<Result<(), StackEnd>> {
        // What the rule does not change is copied once, to where it stays.
        frames.extend_from_within(frames.len().checked_sub(1)?..);
        let [.., callee, caller] = frames.as_mut_slice() else { return None };
        let Some(at) = self.follow(rule, callee, caller, stack, context) else {
            frames.pop();
            return None;
        };
        self.plausibility.note(frames, at, Entered::ByCall);
        if frames.len() > limit {
            frames.pop();
            return Some(Err(StackEnd::FrameLimit));
        }
        Some(Ok(()))
    }

    /// Makes a copy of `callee` its caller. Gives the caller's pc and sp.
    #[inline(always)]
    fn follow(
        &mut self,
        (rule, stepper): &(StepRule, &'static str),
        callee: &mut Frame,
        caller: &mut Frame,
        stack: &StackWindow<'_>,
        context: &StepContext<'_>,
    ) -> Option<(Addr, Addr)> {
        if rule.needs_exact_sp() && !callee.knows_sp() {
            return None;
        }
        let info = context.arch.info();
        let cfa = rule.follow(&mut caller.registers, stack.bytes(), stack.start(), info)?;
        let (pc, sp) = (caller.registers.pc()?, caller.registers.sp()?);
        let is_plausible = self.plausibility.check_call(callee, (pc, sp), rule.trust(), context).is_ok();
        // 0 is for those to understand who know more than the rule.
        if pc == Addr(0) || !is_plausible {
            return None;
        }
        callee.cfa = Some(cfa);
        (caller.code, caller.found_by, caller.trust) =
            (CodeAddress::ReturnAddress(pc), stepper, rule.trust());
        Some((pc, sp))
    }
}

/// A walk that could not begin.
fn no_start(error: StepError) -> Stack {
    let end = StackEnd::Error { stepper: FOUND_BY_REGISTERS, error, others: Vec::new() };
    Stack { frames: Vec::new(), end, explanations: Vec::new() }
}

#[cfg(test)]
mod tests;
