//! Frame pointers: where there is nothing better.

use std::fmt;

use prospect_process::{
    Addr,
    arch::{FrameChain, ReturnSlot},
};

use crate::{
    Caller, CodeAddress, CodeFrameHelper, Entered, Frame, FrameHelper, FrameKind, FrameProgress,
    FrameRegisters, FrameState, FrameStepper, Location, Step, StepContext, StepError, Trust,
};

use super::callers::{Callers, Lead, Return};

/// A chain of so many frames of code that was made at run time is no accident.
const MOST_LINKS: usize = 4;

/// Steps by the frame pointer or the back chain, as [`ArchInfo::frame_chain`](prospect_process::ArchInfo::frame_chain) says; on x86 that is
/// (pc, fp, sp) = (\*(fp + word), \*fp, fp + 2 words).
///
/// A [`FrameHelper`] says what frame the code has at pc: before a function has set up its own, and after it has taken it
/// down, sp leads to the return address, so that no caller is skipped; where it has none, or uses the register for
/// something else, there is nothing to follow. Where it is known what calls look like, the return
/// address must be behind one: code without call frame information often has no frame pointer either, and
/// then its register holds anything. Code that was made at run time may push a return address and jump instead:
/// then the chain above it has to be of such code too.
pub struct FramePointerStepper {
    helper: Box<dyn FrameHelper>,
    callers: Callers,
}

impl FramePointerStepper {
    /// One that asks `helper` about the code instead of [`CodeFrameHelper`].
    #[must_use]
    pub fn with_helper(helper: impl FrameHelper + 'static) -> Self {
        Self { helper: Box::new(helper), callers: Callers::default() }
    }
}

impl Default for FramePointerStepper {
    fn default() -> Self {
        Self::with_helper(CodeFrameHelper::default())
    }
}

impl fmt::Debug for FramePointerStepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramePointerStepper").finish_non_exhaustive()
    }
}

impl FrameStepper for FramePointerStepper {
    fn name(&self) -> &'static str {
        "frame pointer"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let info = context.arch.info();
        let sp = frame.registers.sp().ok_or(StepError::UnknownRegister(info.register(info.sp).name))?;
        let word = u64::from(info.word_bytes);
        let state = match context.is_executable(frame.for_lookup()) {
            true => self.helper.frame_state(frame.for_lookup(), context),
            false => FrameState::default(),
        };
        let is_at_pc = matches!(frame.code, CodeAddress::Exact(_));
        let is_standard = matches!(state.kind, FrameKind::Standard | FrameKind::Unknown);
        // Nothing has been changed yet, or all has been restored; or the frame pointer has been pushed.
        let (saved_fp, return_slot) = match state.progress {
            FrameProgress::Set | FrameProgress::Unknown if is_standard => {
                return self.step_by_chain(frame, context);
            }
            _ if info.link.is_some() && is_at_pc => {
                return Ok(Step::NotMine("the return address is in a register"));
            }
            _ if info.link.is_some() => return self.step_by_chain(frame, context),
            FrameProgress::Unset if is_at_pc => (None, sp),
            FrameProgress::HalfSet if is_at_pc => (Some(sp), sp.wrapping_add(word)),
            _ => return Ok(Step::NotMine("the function has no frame that the frame pointer leads to")),
        };
        let mut registers = frame.registers.preserved();
        if let Some(at) = saved_fp {
            registers.set_at(info.fp, context.memory.read_word(context.arch, at)?, Location::Address(at));
        }
        let to = Addr(context.memory.read_word(context.arch, return_slot)?);
        if let Some(why) = self.unlikely(to, false, frame, context) {
            return Ok(Step::NotMine(why));
        }
        // Functions with other frames may have moved sp.
        if !is_standard && !self.is_proved(to, frame, context) {
            return Ok(Step::NotMine("sp does not point to the return address"));
        }
        let cfa = return_slot.wrapping_add(word);
        registers.set_at(info.pc, to.0, Location::Address(return_slot));
        registers.set(info.sp, cfa.0);
        Ok(Step::Caller(Caller {
            registers,
            cfa: Some(cfa),
            trust: Trust::Analysed,
            entered: Entered::ByCall,
        }))
    }
}

impl FramePointerStepper {
    fn step_by_chain(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let info = context.arch.info();
        let chained = match Chained::read(frame, context)? {
            Ok(chained) => chained,
            Err(other) => return Ok(other),
        };
        if let Some(why) = self.unlikely(chained.return_address, true, frame, context)
            && !self.is_interpreted(&chained, frame, context)
        {
            return Ok(Step::NotMine(why));
        }
        let mut registers = FrameRegisters::unknown(context.arch);
        let (at, base) = chained.saved_base;
        registers.set_at(chained.chain.base, base.0, Location::Address(at));
        registers.set_at(info.pc, chained.return_address.0, Location::Address(chained.return_slot));
        if chained.chain.base != info.sp {
            registers.set(info.sp, chained.sp.0);
        }
        let above_sp = u64::from(info.cfa_above_sp);
        let cfa = chained.chain.tells_sp().then(|| chained.sp.wrapping_add(above_sp));
        Ok(Step::Caller(Caller { registers, cfa, trust: Trust::FramePointer, entered: Entered::ByCall }))
    }

    /// Whether a return address behind no call is one that code made at run time has pushed, before it jumped: so do
    /// interpreters (HotSpot's template interpreter, for every call of a method). All of that code is in no module, and
    /// the chain leads on through such code to a call, or far enough to be no accident.
    fn is_interpreted(&mut self, chained: &Chained, frame: &Frame, context: &StepContext<'_>) -> bool {
        let is_made = |at: Addr| context.is_executable(at) && context.modules.at(at).is_none();
        let ReturnSlot::Frame(offset) = chained.chain.return_slot else { return false };
        let is_behind_call = self.callers.return_to(chained.return_address, context).is_some();
        if is_behind_call || !is_made(frame.for_lookup()) {
            return false;
        }
        let word = |at: Addr| context.memory.read_word(context.arch, at).ok().map(Addr);
        let (mut base, mut to, mut above) = (chained.saved_base.1, chained.return_address, chained.sp);
        for _ in 0..MOST_LINKS {
            if !is_made(to) || unusable(base, above, context).is_some() {
                return false;
            }
            let from = |offset: i16| Addr(base.0.wrapping_add_signed(offset.into()));
            let (Some(saved), Some(next)) = (word(from(chained.chain.saved_base)), word(from(offset))) else {
                return false;
            };
            if self.callers.return_to(next, context).is_some() {
                return true;
            }
            (above, base, to) = (from(offset), saved, next);
        }
        true
    }

    /// Whether `to` is behind a call that has surely led to the frame.
    fn is_proved(&mut self, to: Addr, frame: &Frame, context: &StepContext<'_>) -> bool {
        let Some(Return::Call(call)) = self.callers.return_to(to, context) else { return false };
        self.callers.lead_to(call, to, frame.for_lookup(), context).is_some_and(Lead::is_proved)
    }

    /// Why `to` cannot be the return address; `None` where it can.
    fn unlikely(
        &mut self,
        to: Addr,
        is_set: bool,
        frame: &Frame,
        context: &StepContext<'_>,
    ) -> Option<&'static str> {
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

/// What a frame chain says of a frame's caller.
pub(super) struct Chained {
    chain: &'static FrameChain,
    /// Where the caller's frame pointer (or stack pointer, for a back chain) was saved, and its value.
    saved_base: (Addr, Addr),
    pub(super) return_slot: Addr,
    pub(super) return_address: Addr,
    /// The caller's stack pointer, or a bound of it.
    sp: Addr,
}

impl Chained {
    /// Follows the chain from a frame. The inner error is the answer where there is no caller or no chain.
    pub(super) fn read(frame: &Frame, context: &StepContext<'_>) -> Result<Result<Self, Step>, StepError> {
        let info = context.arch.info();
        let none = |why| Ok(Err(Step::NotMine(why)));
        let Some(chain) = &info.frame_chain else {
            return none("there is no convention for frame pointers that can be relied on");
        };
        let sp = frame.registers.sp().ok_or(StepError::UnknownRegister(info.register(info.sp).name))?;
        let Some(base) = frame.registers.get(chain.base).map(Addr) else {
            return none("the frame pointer is not known");
        };
        // The first function of a thread or program is entered with 0, and saves it. Where it was not saved it
        // proves nothing: code without frame pointers may never have changed it.
        let is_chain = frame.trust == Trust::FramePointer;
        if base == Addr(0) && is_chain {
            return Ok(Err(Step::Outermost));
        }
        if let Some(why) = unusable(base, sp, context) {
            return none(why);
        }
        let mask = info.word_mask();
        let from = |base: Addr, offset: i16| Addr(base.0.wrapping_add_signed(offset.into()) & mask);
        let saved_at = from(base, chain.saved_base);
        let saved_base = Addr(context.memory.read_word(context.arch, saved_at)?);
        let (return_slot, other_sp) = match chain.return_slot {
            ReturnSlot::Frame(offset) => (from(base, offset), from(base, 2 * i16::from(info.word_bytes))),
            ReturnSlot::CallersFrame(_) if saved_base == Addr(0) && is_chain => {
                return Ok(Err(Step::Outermost));
            }
            ReturnSlot::CallersFrame(offset) => {
                if saved_base <= base {
                    return none("the back chain does not lead up the stack");
                }
                if let Some(why) = unusable(saved_base, sp, context) {
                    return none(why);
                }
                (from(saved_base, offset), saved_base)
            }
            _ => return none("the place of the return address is not known"),
        };
        let word = context.memory.read_word(context.arch, return_slot)?;
        Ok(Ok(Self {
            chain,
            saved_base: (saved_at, saved_base),
            return_slot,
            return_address: Addr(context.info.code_address(word)),
            sp: chain.caller_sp.map_or(other_sp, |offset| from(base, offset)),
        }))
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
    } else if fp.0 > end.saturating_sub(2 * word) && !lies_above(fp, end, context) {
        Some("the frame pointer does not point into the stack")
    } else {
        None
    }
}

/// Whether the architecture has frame pointers that point to the end of a frame, which may be the end of the
/// stack.
fn lies_above(fp: Addr, end: u64, context: &StepContext<'_>) -> bool {
    context.arch.info().frame_chain.is_some_and(|chain| chain.saved_base < 0) && fp.0 <= end
}

#[cfg(test)]
mod tests;
