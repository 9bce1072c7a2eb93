//! Frame pointers: where there is nothing better.

use prospect_process::Addr;

use crate::{
    Caller, CodeAddress, Entered, Frame, FrameRegisters, FrameStepper, Step, StepContext, StepError, Trust,
    arch::{self, CodeAround, FrameState},
};

use super::callers::{Callers, Return};

/// Steps by the frame pointer: (pc, fp, sp) = (\*(fp + word), \*fp, fp + 2 words).
///
/// In the innermost frame (or one that a signal interrupted) the code at pc shows whether the function has
/// set up its frame yet, so that no caller is skipped. Where it is known what calls look like, the return
/// address must be behind one: code without call frame information often has no frame pointer either, and
/// then its register holds anything.
#[derive(Debug, Default)]
pub struct FramePointerStepper {
    callers: Callers,
}

impl FrameStepper for FramePointerStepper {
    fn name(&self) -> &'static str {
        "frame pointer"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let info = context.arch.info();
        let patterns = arch::patterns(context.arch);
        let sp = frame.registers.sp().ok_or(StepError::UnknownRegister(info.register(info.sp).name))?;
        let fp = frame.registers.fp();
        let state = match (frame.code, patterns) {
            (CodeAddress::Exact(pc), Some(patterns)) if context.is_executable(pc) => {
                let code = CodeAround::read(pc, context.memory);
                (patterns.frame_state)(code.before(), code.at())
            }
            _ => FrameState::Set,
        };
        let word = u64::from(info.word_bytes);
        let (mut registers, saved_fp, return_address) = match state {
            // Nothing has been changed yet, or all has been restored.
            FrameState::Entered => (frame.registers.preserved(), None, sp),
            FrameState::Pushed => (frame.registers.preserved(), Some(sp), sp.wrapping_add(word)),
            FrameState::Set => {
                let Some(fp) = fp else { return Ok(Step::NotMine("the frame pointer is not known")) };
                // The first function of a thread or program is entered with 0, and saves it. Where it was not
                // saved it proves nothing: code without frame pointers may never have changed it.
                if fp == Addr(0) && frame.trust == Trust::FramePointer {
                    return Ok(Step::Outermost);
                }
                if let Some(why) = unusable(fp, sp, context) {
                    return Ok(Step::NotMine(why));
                }
                (FrameRegisters::unknown(context.arch), Some(fp), fp.wrapping_add(word))
            }
        };
        if let Some(at) = saved_fp {
            registers.set(info.fp, context.memory.read_word(context.arch, at)?);
        }
        let to = Addr(context.memory.read_word(context.arch, return_address)?);
        if let Some(why) = self.unlikely(to, state, frame, context) {
            return Ok(Step::NotMine(why));
        }
        let cfa = return_address.wrapping_add(word);
        registers.set(info.pc, to.0);
        registers.set(info.sp, cfa.0);
        let trust = if state == FrameState::Set { Trust::FramePointer } else { Trust::Analysed };
        Ok(Step::Caller(Caller { registers, cfa: Some(cfa), trust, entered: Entered::ByCall }))
    }
}

impl FramePointerStepper {
    /// Why `to` cannot be the return address; `None` where it can.
    fn unlikely(
        &mut self,
        to: Addr,
        state: FrameState,
        frame: &Frame,
        context: &StepContext<'_>,
    ) -> Option<&'static str> {
        let is_set = state == FrameState::Set;
        if to == Addr(0) {
            // The mark of the outermost frame; but only at the end of a chain, for zeros are everywhere.
            let is_chain = frame.trust == Trust::FramePointer;
            return (is_set && !is_chain).then_some("the frame pointer leads to no return address");
        }
        match self.callers.return_to(to, context) {
            None => Some("no call ends where the frame pointer has the return address"),
            Some(Return::Call(call))
                if is_set && self.callers.leads_elsewhere(call, to, frame.for_lookup(), context) =>
            {
                Some("the frame pointer is that of another function")
            }
            Some(_) => None,
        }
    }
}

/// Why the register cannot hold a frame pointer; `None` where it can.
fn unusable(fp: Addr, sp: Addr, context: &StepContext<'_>) -> Option<&'static str> {
    let word = u64::from(context.arch.info().word_bytes);
    let end = context.mappings.at(sp).map_or(u64::MAX, |mapping| mapping.range.end.0);
    if fp == Addr(0) {
        Some("the frame pointer is 0")
    } else if fp < sp || !fp.0.is_multiple_of(word) {
        Some("the frame pointer does not point up the stack")
    } else if fp.0 > end.saturating_sub(2 * word) {
        Some("the frame pointer does not point into the stack")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
