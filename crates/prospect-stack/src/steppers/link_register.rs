//! Link registers: the return address of a function that has not saved it.

use prospect_process::Addr;

use super::callers::{Callers, Lead, Return};
use crate::{
    Caller, CodeAddress, Entered, Frame, FrameProgress, FrameRegisters, FrameStepper, Step, StepContext,
    StepError, Trust,
    arch::{self, CodeAround},
    steppers::frame_pointer::Chained,
};

/// Steps out of the innermost frame (or one that a signal interrupted) by the link register, where the
/// architecture has one.
///
/// At the first instruction of a function, at its last, and where a call led to no code, the register has the
/// return address for sure. Elsewhere it may be left from a call that the function made: then it is believed
/// where the call before it may have led to this code and is not of this function itself, the frame chain does not say
/// the same, and the caller is trusted no more than one that was scanned.
#[derive(Debug, Default)]
pub struct LinkRegisterStepper {
    callers: Callers,
}

impl FrameStepper for LinkRegisterStepper {
    fn name(&self) -> &'static str {
        "link register"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let info = context.arch.info();
        let Some(link) = info.link else {
            return Ok(Step::NotMine("the architecture has no link register"));
        };
        let CodeAddress::Exact(pc) = frame.code else {
            return Ok(Step::NotMine("the frame made a call, which changed the link register"));
        };
        let Some((word, location)) = frame.registers.located(link) else {
            return Ok(Step::NotMine("the link register is not known"));
        };
        let to = Addr(context.info.code_address(word));
        let Some(found) = self.callers.return_to(to, context) else {
            return Ok(Step::NotMine("no call ends where the link register points"));
        };
        let is_wild = !context.mappings.as_slice().is_empty() && !context.is_executable(pc);
        let is_entered = !is_wild && is_entered(pc, context);
        let is_sure = is_wild || is_entered;
        if !is_sure && let Some(why) = self.unlikely(found, to, frame, context) {
            return Ok(Step::NotMine(why));
        }
        let sp = frame.registers.sp().ok_or(StepError::UnknownRegister(info.register(info.sp).name))?;
        let mut registers = if is_sure {
            frame.registers.preserved()
        } else {
            // The function may have saved them and put others there, but mostly has not.
            let mut registers = FrameRegisters::unknown(context.arch);
            if let Some((fp, location)) = frame.registers.located(info.fp) {
                registers.set_at(info.fp, fp, location);
            }
            registers
        };
        registers.set(info.sp, sp.0);
        registers.set_at(info.pc, to.0, location);
        let trust = if is_entered { Trust::Analysed } else { Trust::Scanned };
        let cfa = is_entered.then(|| sp.wrapping_add(u64::from(info.cfa_above_sp)));
        Ok(Step::Caller(Caller { registers, cfa, trust, entered: Entered::ByCall }))
    }
}

impl LinkRegisterStepper {
    /// Why `to`, in the link register, is not where the function will return to; `None` where it may.
    fn unlikely(
        &mut self,
        found: Return,
        to: Addr,
        frame: &Frame,
        context: &StepContext<'_>,
    ) -> Option<&'static str> {
        let chained = Chained::read(frame, context);
        if chained.is_ok_and(|chained| chained.is_ok_and(|chained| chained.return_address == to)) {
            return Some("the return address in the link register is saved in the frame");
        }
        let call = match found {
            Return::Call(call) => call,
            Return::Unseen => return Some("the code that the link register points to is not at hand"),
            Return::Trampoline | Return::Unknown => return None,
        };
        let pc = frame.for_lookup();
        match self.callers.lead_to(call, to, pc, context) {
            None => Some("the call before where the link register points led elsewhere"),
            // A function that calls itself does so directly.
            Some(Lead::Near | Lead::Possible) if self.callers.are_in_one_function(to, pc, context) => {
                Some("the link register is left from a call that the function made")
            }
            Some(_) => None,
        }
    }
}

/// Whether the code at `pc` is the start or the end of a function.
fn is_entered(pc: Addr, context: &StepContext<'_>) -> bool {
    let code = CodeAround::read(pc, context.memory);
    arch::patterns(context.arch)
        .is_some_and(|patterns| (patterns.progress)(code.before(), code.at()) == FrameProgress::Unset)
}
