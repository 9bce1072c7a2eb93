//! A look at the stack itself: the last resort.

use prospect_process::Addr;

use crate::{
    Caller, Entered, Frame, FrameRegisters, FrameStepper, Location, Step, StepContext, StepError, Trust, arch,
};

use super::callers::{Callers, Lead, Return};

/// The most words of one frame that are looked at.
const MOST_WORDS: u64 = 512;

/// Where code is not at hand, any address of it may be one that is returned to: of such words, so many are looked at.
const MOST_UNSEEN: u64 = 160;

/// Of the words above a return address that is only possible, so many are looked at for one that is proved.
const LOOK_AHEAD: u64 = 64;

/// Steps to a word above sp that is the return address of a call which led to this frame.
///
/// The nearest word is taken whose call is *proved* to lead to the frame's function: its target is that function,
/// directly, through an entry of the procedure linkage table or another word of memory, or by way of a function that
/// jumps there. Such a frame is trusted as a [scanned call](Trust::ScannedCall). The start of a signal trampoline
/// counts as well, since any handler returns to it.
///
/// A call through a register may have led anywhere, so that such a word may be one that an earlier call left behind. It
/// is taken when none of the next 64 words is proved; and a call to shortly before pc, in code of which nothing says
/// where functions begin, when there is not even that; and last an address of code that is not at hand. Such a frame is a guess: [`Trust::Scanned`].
#[derive(Debug, Default)]
pub struct ScanStepper {
    callers: Callers,
}

impl FrameStepper for ScanStepper {
    fn name(&self) -> &'static str {
        "stack scan"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let info = context.arch.info();
        if arch::patterns(context.arch).is_none() {
            return Ok(Step::NotMine("it is not known how this architecture calls"));
        }
        if !context.is_executable(frame.for_lookup()) {
            return Ok(Step::NotMine("the frame's own code cannot be run"));
        }
        let sp = frame.registers.sp().ok_or(StepError::UnknownRegister(info.register(info.sp).name))?;
        let word = u64::from(info.word_bytes);
        let first = sp.0.wrapping_add(word - 1) & !(word - 1);
        let mut best: Option<(Lead, Addr, Addr)> = None;
        let mut last = MOST_WORDS;
        let mut index = 0;
        while index < last {
            let slot = Addr(first.wrapping_add(index * word));
            let to = match context.memory.read_word(context.arch, slot) {
                Ok(value) => Addr(value),
                // There is more of this stack, but it was not copied.
                Err(error) if best.is_none() && context.mappings.at(slot).is_some() => {
                    return Err(error.into());
                }
                Err(_) => break,
            };
            let lead = match self.callers.return_to(to, context) {
                Some(Return::Call(call)) => self.callers.lead_to(call, to, frame.for_lookup(), context),
                // Whatever the signal, its handler returns to there.
                Some(Return::Trampoline) => Some(Lead::Direct),
                Some(Return::Unseen) => {
                    let is_near = index < MOST_UNSEEN && context.modules.at(to).is_some();
                    is_near.then_some(Lead::Unseen)
                }
                _ => None,
            };
            if let Some(lead) = lead.filter(|lead| best.is_none_or(|(best, ..)| *lead > best)) {
                if best.is_none() {
                    last = last.min(index + 1 + LOOK_AHEAD);
                }
                best = Some((lead, slot, to));
                if lead.is_proved() {
                    break;
                }
            }
            index += 1;
        }
        if let Some((lead, slot, to)) = best {
            return Ok(Step::Caller(self.caller(frame, slot, to, lead, context)));
        }
        Ok(match frame.registers.fp() {
            // So programs and threads start: with nothing to return to, and 0 in the frame pointer.
            Some(Addr(0)) => Step::Outermost,
            _ => Step::NotMine("nothing on the stack looks like the return address"),
        })
    }
}

impl ScanStepper {
    /// The caller that returns to `to`, which was read from `slot`.
    fn caller(
        &mut self,
        frame: &Frame,
        slot: Addr,
        to: Addr,
        lead: Lead,
        context: &StepContext<'_>,
    ) -> Caller {
        let info = context.arch.info();
        let word = u64::from(info.word_bytes);
        let cfa = slot.wrapping_add(word);
        let mut registers = FrameRegisters::unknown(context.arch);
        registers.set_at(info.pc, to.0, Location::Address(slot));
        registers.set(info.sp, cfa.0);
        // Callers that keep a frame pointer cannot be stepped from without it. It is either what the callee
        // pushed first, or still in its register, and it is believed where it leads to another return
        // address.
        let pushed_at = Some(Addr(slot.0.wrapping_sub(word))).filter(|at| Some(*at) >= frame.registers.sp());
        let pushed = pushed_at
            .and_then(|at| Some((context.memory.read_word(context.arch, at).ok()?, Location::Address(at))));
        let in_register = frame.registers.located(info.fp);
        let mut candidates = [pushed, in_register].into_iter().flatten();
        if let Some((fp, location)) =
            candidates.find(|(fp, _)| self.is_frame_pointer(Addr(*fp), cfa, context))
        {
            registers.set_at(info.fp, fp, location);
        }
        let trust = if lead.is_proved() { Trust::ScannedCall } else { Trust::Scanned };
        Caller { registers, cfa: Some(cfa), trust, entered: Entered::ByCall }
    }

    fn is_frame_pointer(&mut self, fp: Addr, sp: Addr, context: &StepContext<'_>) -> bool {
        let word = u64::from(context.arch.info().word_bytes);
        let in_stack = context.mappings.at(sp).is_some_and(|mapping| mapping.range.contains(&fp));
        let returns_to = || context.memory.read_word(context.arch, fp.wrapping_add(word)).ok().map(Addr);
        fp >= sp
            && fp.0.is_multiple_of(word)
            && in_stack
            && returns_to().is_some_and(|to| self.callers.return_to(to, context).is_some())
    }
}

#[cfg(test)]
mod tests;
