//! Calls to where no code is.

use prospect_process::Addr;

use super::callers::{Callers, Return};
use crate::{
    Caller, CodeAddress, Entered, Frame, FrameStepper, Location, Step, StepContext, StepError, Trust, arch,
};

/// Steps from a pc at which nothing can run (a call through a null or wild pointer) to the caller, whose
/// return address the call has just pushed.
///
/// It could also have been a jump, or a return to a broken address; then the word at sp is a return
/// address only by chance. So it is one only if a call ends there, and the frame is trusted as one that
/// was scanned.
#[derive(Debug, Default)]
pub struct WildCallStepper {
    callers: Callers,
}

impl FrameStepper for WildCallStepper {
    fn name(&self) -> &'static str {
        "wild call"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let CodeAddress::Exact(pc) = frame.code else {
            return Ok(Step::NotMine("the frame made a call"));
        };
        if context.mappings.as_slice().is_empty() || context.is_executable(pc) {
            return Ok(Step::NotMine("pc is where code can run"));
        }
        let info = context.arch.info();
        if arch::patterns(context.arch).is_none() {
            return Ok(Step::NotMine("it is not known how this architecture calls"));
        }
        let sp = frame.registers.sp().ok_or(StepError::UnknownRegister(info.register(info.sp).name))?;
        let to = Addr(context.memory.read_word(context.arch, sp)?);
        if !matches!(self.callers.return_to(to, context), Some(Return::Call(_))) {
            return Ok(Step::NotMine("pc is where no code can run, and sp points to no return address"));
        }
        // (pc, sp) = (*sp, sp + word), and nothing else has been changed.
        let mut registers = frame.registers.preserved();
        registers.set_at(info.pc, to.0, Location::Address(sp));
        let cfa = sp.wrapping_add(u64::from(info.word_bytes));
        registers.set(info.sp, cfa.0);
        Ok(Step::Caller(Caller {
            registers,
            cfa: Some(cfa),
            trust: Trust::Scanned,
            entered: Entered::ByCall,
        }))
    }
}

#[cfg(test)]
mod tests;
