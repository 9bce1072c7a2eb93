//! What the code does with the stack: where nobody wrote it down.

mod functions;
mod references;
mod starts;

use prospect_process::{Addr, ArchInfo, RegisterId};

use super::{
    callers::{self, Callers, Return},
    frame_pointer::Chained,
};
use crate::{
    Caller, CodeAddress, Entered, Frame, FrameRegisters, FrameStepper, Location, Step, StepContext,
    StepError, Trust,
    analysis::{self, CfaPlace, NOT_ANALYSED, Saved},
    pc_cache::PcCache,
};
use functions::{Confidence, Found, Functions, Guess};

/// The memory for functions that are remembered, unless told otherwise, in bytes.
const DEFAULT_CAPACITY: usize = 8 << 20;
/// The entries of a procedure linkage table push no more words.
const MOST_PUSHED_BY_STUBS: u32 = 2;

/// Steps by what the code of the frame's function does with the stack, from its start to pc: for code of x86 and AArch64
/// that has no call frame information. Every preserved register that the function saved is recovered.
///
/// The start is what the symbols say, else the nearest place before pc that some call of the module leads to or that
/// looks like one, and from which pc can be reached. Of several such places, the first counts to which the call before
/// the return address leads. Code that is only jumped to, as parts that were split off functions and what a procedure
/// linkage table shares, is entered as things are at the jump. Where two paths lead to pc with different stacks and the frame pointer does not help
/// either, it does not answer. The return address must be behind a call, and where the start is not known
/// from symbols, behind one that may have led to the function. Unless that call names a start from which the
/// same comes out, such a frame is trusted as one that was scanned; or, where the frame pointer leads to the same place,
/// as one that was found by that.
#[derive(Debug)]
pub struct AnalysisStepper {
    /// By the next instruction to run.
    exact: PcCache<Found>,
    /// By return address.
    calls: PcCache<Found>,
    functions: Functions,
    callers: Callers,
}

impl Default for AnalysisStepper {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl AnalysisStepper {
    /// One that remembers functions in so many bytes of memory, or the last one alone if it takes more. When
    /// there is no room for another, all are forgotten. What is known of single addresses is not counted: it is
    /// remembered of at most 16,384 of each kind.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let functions = Functions::with_capacity(bytes);
        Self { exact: PcCache::default(), calls: PcCache::default(), functions, callers: Callers::default() }
    }
}

impl FrameStepper for AnalysisStepper {
    fn name(&self) -> &'static str {
        "analysis"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        if analysis::isa(context.arch).is_none() {
            return Ok(Step::NotMine(NOT_ANALYSED));
        }
        let Self { exact, calls, functions, callers } = self;
        let found = match frame.code {
            CodeAddress::Exact(pc) => exact.get(pc, context, || functions.find(frame.code, context)),
            CodeAddress::ReturnAddress(to) => calls.get(to, context, || functions.find(frame.code, context)),
        };
        let (first, others) = match found {
            Found::Not(why) => return Ok(Step::NotMine(why)),
            Found::Guesses(first, others) => (first, others),
        };
        let mut attempt = Attempt { frame, context, functions, callers };
        let mut best = attempt.step(first);
        // The first that is certain, else the first that answers.
        for guess in others {
            if matches!(&best, Ok(Step::Caller(caller)) if caller.trust == Trust::Analysed) {
                break;
            }
            let step = attempt.step(guess);
            let answers = |step: &Result<_, _>| matches!(step, Ok(Step::Caller(_) | Step::Outermost));
            let is_certain = matches!(&step, Ok(Step::Caller(caller)) if caller.trust == Trust::Analysed);
            if is_certain || answers(&step) && !answers(&best) {
                best = step;
            }
        }
        best
    }
}

/// A step from one frame.
struct Attempt<'a, 'context> {
    frame: &'a Frame,
    context: &'a StepContext<'context>,
    functions: &'a mut Functions,
    callers: &'a mut Callers,
}

impl Attempt<'_, '_> {
    fn step(&mut self, guess: &Guess) -> Result<Step, StepError> {
        let (frame, row) = (self.frame, &guess.row);
        let info = self.context.arch.info();
        let register = |id: RegisterId| frame.registers.get(id).ok_or_else(|| unknown(info, id));
        let plus = |value: u64, offset: i32| value.wrapping_add_signed(i64::from(offset)) & info.word_mask();
        let cfa = match row.cfa {
            CfaPlace::Unknown => {
                return Ok(Step::NotMine("the function's paths to pc differ in their stack"));
            }
            CfaPlace::Outermost => {
                return Ok(match frame.registers.fp() {
                    None | Some(Addr(0)) => Step::Outermost,
                    Some(_) => Step::NotMine("the frame pointer should be 0"),
                });
            }
            CfaPlace::Register(id, offset) => plus(register(id)?, offset),
            CfaPlace::Word(id, at, offset) => plus(self.word(plus(register(id)?, at))?, offset),
        };
        let step = self.step_to(guess, cfa, 0);
        if info.link.is_some() || !matches!(step, Ok(Step::NotMine(_))) {
            return step;
        }
        // What a procedure linkage table jumps to finds words on the stack that the table's entries pushed.
        for words in 1..=MOST_PUSHED_BY_STUBS {
            let pushed = words * u32::from(info.word_bytes);
            if let Ok(Step::Caller(caller)) = self.step_to(guess, plus(cfa, pushed.cast_signed()), pushed) {
                return Ok(Step::Caller(caller));
            }
        }
        step
    }

    /// The step to the caller, where the canonical frame address is known, and how much of what is below it was pushed before
    /// the function was jumped to.
    fn step_to(&mut self, guess: &Guess, cfa: u64, pushed: u32) -> Result<Step, StepError> {
        let (frame, context, row) = (self.frame, self.context, &guess.row);
        let info = context.arch.info();
        let Some((to, location)) = self.find(row.return_address, cfa, 0)? else {
            return Ok(Step::NotMine("the return address is lost"));
        };
        let to = Addr(info.code_address(to));
        let mut is_certain = guess.trust == Confidence::Certain;
        match self.callers.return_to(to, context) {
            Some(Return::Call(call)) if pushed > 0 => {
                is_certain = true;
                if !callers::targets(call, to, context)
                    .any(|stub| analysis::pushed_by_stub(context.arch, stub, context.memory) == Some(pushed))
                {
                    return Ok(Step::NotMine("no stub led to the function"));
                }
            }
            _ if pushed > 0 => return Ok(Step::NotMine("no stub led to the function")),
            None if to != Addr(0) => {
                return Ok(Step::NotMine("no call ends where the code has its return address"));
            }
            Some(Return::Call(call)) if !is_certain => {
                is_certain = self.functions.leads_here(call, to, guess, frame, context);
                let may_lead_here = guess.trust == Confidence::Likely
                    && self.functions.may_lead_here(call, to, frame, self.callers, context);
                if !is_certain && !may_lead_here {
                    return Ok(Step::NotMine("the call that would have led here leads elsewhere"));
                }
            }
            None | Some(Return::Unseen) if !is_certain => {
                return Ok(Step::NotMine("the code has no return address"));
            }
            _ => {}
        }
        let mut registers = FrameRegisters::unknown(context.arch);
        for (id, saved) in row.saved() {
            if let Ok(Some((value, location))) = self.find(*saved, cfa, pushed) {
                registers.set_at(*id, value, location);
            }
        }
        registers.set_at(info.pc, to.0, location);
        registers.set(info.sp, cfa.wrapping_sub(u64::from(info.cfa_above_sp)) & info.word_mask());
        let cfa = Some(Addr(cfa));
        let is_chained = || {
            let chained = Chained::read(frame, context);
            matches!(chained, Ok(Ok(chained)) if location == Location::Address(chained.return_slot))
        };
        // From a start that was guessed, the analysis may be of code that no function is made of. Two ways to the
        // same place are better than one.
        let trust = match is_certain {
            true => Trust::Analysed,
            false if is_chained() => Trust::FramePointer,
            false => Trust::Scanned,
        };
        Ok(Step::Caller(Caller { registers, cfa, trust, entered: Entered::ByCall }))
    }

    fn word(&self, at: u64) -> Result<u64, StepError> {
        let context = self.context;
        Ok(context.memory.read_word(context.arch, Addr(at & context.arch.info().word_mask()))?)
    }

    /// Where the caller's register is, with where it was found.
    fn find(&self, saved: Saved, cfa: u64, pushed: u32) -> Result<Option<(u64, Location)>, StepError> {
        let mask = self.context.arch.info().word_mask();
        let plus = |value: u64, offset: i32| value.wrapping_add_signed(i64::from(offset)) & mask;
        let in_memory = |at: u64| self.word(at).map(|value| (value, Location::Address(Addr(at))));
        let registers = &self.frame.registers;
        match saved {
            Saved::Lost => Ok(None),
            Saved::In(other) => Ok(registers.located(other)),
            Saved::AtCfa(offset) => in_memory(plus(cfa.wrapping_sub(u64::from(pushed)), offset)).map(Some),
            Saved::AtRegister(other, offset) => {
                registers.get(other).map(|from| in_memory(plus(from, offset))).transpose()
            }
        }
    }
}

fn unknown(info: &ArchInfo, id: RegisterId) -> StepError {
    StepError::UnknownRegister(info.registers.get(usize::from(id.0)).map_or("?", |row| row.name))
}

#[cfg(test)]
mod tests;
