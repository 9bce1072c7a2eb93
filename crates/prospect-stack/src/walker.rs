//! The loop: from a thread's registers to its frames.

use prospect_process::{Addr, Arch, Registers};

use crate::{
    CodeAddress, Declined, Entered, Frame, FrameRegisters, Stack, StackEnd, StepContext, StepError,
    StepperGroup, Trust,
    group::GroupStep,
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
    /// Of the walk that is going on; kept for their room.
    stack: StackBuffer,
    declined: Vec<Declined>,
    frames: Vec<Frame>,
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

    /// Walks from a thread's registers as far as the steppers find callers.
    pub fn walk(&mut self, registers: &Registers, context: &StepContext<'_>) -> Stack {
        let pc = match registers.pc() {
            Some(pc) if registers.arch() == context.arch => pc,
            Some(_) => return Stack { frames: Vec::new(), end: no_start(StepError::OtherArchitecture) },
            None => {
                let info = registers.arch().info();
                let error = StepError::UnknownRegister(info.register(info.pc).name);
                return Stack { frames: Vec::new(), end: no_start(error) };
            }
        };
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        frames.push(Frame {
            code: CodeAddress::Exact(pc),
            registers: FrameRegisters::from(registers),
            cfa: None,
            found_by: FOUND_BY_REGISTERS,
            trust: Trust::Given,
        });
        let end = self.walk_on(&mut frames, context);
        if frames.len() > MANY_FRAMES {
            frames.shrink_to_fit();
            return Stack { frames, end };
        }
        // Room that grew is often twice of what is needed; what is used again is not paid for again.
        let mut own = Vec::with_capacity(frames.len());
        own.append(&mut frames);
        self.frames = frames;
        Stack { frames: own, end }
    }

    /// Walks on from the last of `frames`.
    fn walk_on(&mut self, frames: &mut Vec<Frame>, context: &StepContext<'_>) -> StackEnd {
        let mut plausibility = Plausibility::default();
        let mut at_hand = AtHand::default();
        self.stack.clear();
        loop {
            let Some(frame) = frames.last() else { return StackEnd::Outermost };
            self.declined.clear();
            let window = self.stack.over(&frame.registers, context.memory, &mut at_hand);
            let context = context.with_memory(&window);
            let check = |caller: &_| plausibility.check(frame, caller, &context);
            let (caller, found_by) = match self.steppers.step(frame, &context, check, &mut self.declined) {
                GroupStep::Caller(caller, found_by) => (caller, found_by),
                GroupStep::Outermost => return StackEnd::Outermost,
                GroupStep::Nobody { failed } => return self.nobody(failed),
            };
            let code = match (caller.registers.pc(), caller.entered) {
                // Nothing is there to return to: so do threads start that were not made by a call.
                (None | Some(Addr(0)), Entered::ByCall) => return StackEnd::Outermost,
                (Some(pc), Entered::ByCall) => CodeAddress::ReturnAddress(pc),
                (pc, Entered::BySignal) => CodeAddress::Exact(pc.unwrap_or_default()),
            };
            plausibility.note(frames, &caller);
            if let Some(callee) = frames.last_mut() {
                callee.cfa = caller.cfa;
                // Nothing called a signal trampoline: the handler returns to its start, and what lies
                // before that is another function.
                if caller.entered == Entered::BySignal {
                    callee.code = CodeAddress::Exact(callee.code.addr());
                }
            }
            if frames.len() >= self.frame_limit {
                return StackEnd::FrameLimit;
            }
            let (registers, trust) = (caller.registers, caller.trust);
            frames.push(Frame { code, registers, cfa: None, found_by, trust });
        }
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

/// What the innermost frame was found by.
const FOUND_BY_REGISTERS: &str = "registers";

/// The end of a walk that could not begin.
fn no_start(error: StepError) -> StackEnd {
    StackEnd::Error { stepper: FOUND_BY_REGISTERS, error, others: Vec::new() }
}

#[cfg(test)]
mod tests;
