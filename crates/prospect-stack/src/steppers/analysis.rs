//! What the code does with the stack: where nobody wrote it down.

use std::{collections::HashMap, sync::Arc};

use prospect_process::{Addr, ArchInfo, RegisterId};

use super::callers::{self, Callers, Return};
use crate::{
    Caller, CodeAddress, Entered, Frame, FrameRegisters, FrameStepper, Location, Step, StepContext,
    StepError, Trust,
    analysis::{Analysis, CfaPlace, FunctionCode, LARGEST_FUNCTION, Row, Saved, Why},
    arch::{self, Call},
    pc_cache::PcCache,
};

mod starts;

/// The instructions of all functions that are remembered, unless told otherwise: eight bytes each.
const DEFAULT_CAPACITY: usize = 256 << 10;
/// So many places are tried as the start of a function.
const MOST_STARTS: usize = 8;

/// Steps by what the code of the frame's function does with the stack, from its start to pc: for x86 code
/// that has no call frame information. Every preserved register that the function saved is recovered.
///
/// The start is what the symbols say, else the nearest place before pc that looks like one and from which
/// pc can be reached. Where two paths lead to pc with different stacks and the frame pointer does not help
/// either, it does not answer. The return address must be behind a call, and where the start is not known
/// from symbols, behind one that may have led to the function; such a frame is trusted as one that was scanned.
#[derive(Debug)]
pub struct AnalysisStepper {
    /// By the next instruction to run.
    exact: PcCache<Found>,
    /// By return address.
    calls: PcCache<Found>,
    functions: Functions,
    callers: Callers,
}

/// What is remembered of a code address.
#[derive(Clone, Copy, Debug)]
enum Found {
    Row { row: Row, is_certain: bool },
    Not(Why),
}

/// The functions that were analysed.
#[derive(Debug)]
struct Functions {
    generation: Option<u64>,
    known: HashMap<(Addr, u64), Result<Arc<Analysis>, Why>>,
    /// The instructions of all of them.
    instructions: usize,
    capacity: usize,
}

impl Default for AnalysisStepper {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl AnalysisStepper {
    /// One that remembers functions with so many instructions together. When there are more, all are
    /// forgotten; what is known of single addresses (at most 16,384) stays.
    #[must_use]
    pub fn with_capacity(instructions: usize) -> Self {
        let functions =
            Functions { generation: None, known: HashMap::new(), instructions: 0, capacity: instructions };
        Self { exact: PcCache::default(), calls: PcCache::default(), functions, callers: Callers::default() }
    }
}

impl FrameStepper for AnalysisStepper {
    fn name(&self) -> &'static str {
        "analysis"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        if arch::patterns(context.arch).is_none() {
            return Ok(Step::NotMine("the code of this architecture is not analysed"));
        }
        let Self { exact, calls, functions, callers } = self;
        let found = match frame.code {
            CodeAddress::Exact(pc) => exact.get(pc, context, || functions.find(frame.code, context)),
            CodeAddress::ReturnAddress(to) => calls.get(to, context, || functions.find(frame.code, context)),
        };
        let (row, is_certain) = match *found {
            Found::Row { row, is_certain } => (row, is_certain),
            Found::Not(why) => return Ok(Step::NotMine(why)),
        };
        let info = context.arch.info();
        let word = |at: u64| context.memory.read_word(context.arch, Addr(at & info.word_mask()));
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
            CfaPlace::Word(id, at, offset) => plus(word(plus(register(id)?, at))?, offset),
        };
        let slot = Addr(cfa.wrapping_sub(u64::from(info.word_bytes)) & info.word_mask());
        let to = Addr(word(slot.0)?);
        match callers.return_to(to, context) {
            None if to != Addr(0) => {
                return Ok(Step::NotMine("no call ends where the code has its return address"));
            }
            Some(Return::Call(call))
                if !is_certain && !functions.may_lead_here(call, to, frame, callers, context) =>
            {
                return Ok(Step::NotMine("the call that would have led here leads elsewhere"));
            }
            None if !is_certain => return Ok(Step::NotMine("the code has no return address")),
            _ => {}
        }
        let in_memory = |at: u64| Some((word(at).ok()?, Location::Address(Addr(at))));
        let mut registers = FrameRegisters::unknown(context.arch);
        for (id, saved) in row.saved() {
            let found = match *saved {
                Saved::Lost => None,
                Saved::In(other) => frame.registers.located(other),
                Saved::AtCfa(offset) => in_memory(plus(cfa, offset)),
                Saved::AtRegister(other, offset) => {
                    frame.registers.get(other).and_then(|from| in_memory(plus(from, offset)))
                }
            };
            if let Some((value, location)) = found {
                registers.set_at(*id, value, location);
            }
        }
        registers.set_at(info.pc, to.0, Location::Address(slot));
        registers.set(info.sp, cfa);
        let cfa = Some(Addr(cfa));
        // From a start that was guessed, the analysis may be of code that no function is made of.
        let trust = if is_certain { Trust::Analysed } else { Trust::Scanned };
        Ok(Step::Caller(Caller { registers, cfa, trust, entered: Entered::ByCall }))
    }
}

fn unknown(info: &ArchInfo, id: RegisterId) -> StepError {
    StepError::UnknownRegister(info.registers.get(usize::from(id.0)).map_or("?", |row| row.name))
}

impl Functions {
    fn find(&mut self, code: CodeAddress, context: &StepContext<'_>) -> Found {
        let at = code.for_lookup();
        if !context.is_executable(at) {
            return Found::Not("pc is where no code can run");
        }
        let row = |analysis: &Analysis| match code {
            CodeAddress::Exact(pc) => analysis.at(pc).copied(),
            CodeAddress::ReturnAddress(to) => analysis.in_call(to).copied(),
        };
        if let Some((start, bytes)) = starts::by_symbols(at, context) {
            return match self.analysis(start, bytes, context) {
                Err(why) => Found::Not(why),
                Ok(analysis) => match row(&analysis) {
                    Some(row) => Found::Row { row, is_certain: true },
                    None => Found::Not("pc is not reached from the start of its function"),
                },
            };
        }
        for start in starts::by_patterns(at, context).take(MOST_STARTS) {
            let analysis = self.analysis(start, LARGEST_FUNCTION, context);
            if let Some(row) = analysis.ok().and_then(|analysis| row(&analysis)) {
                return Found::Row { row, is_certain: false };
            }
        }
        Found::Not("the start of the function is not known")
    }

    /// Whether the call that ends at `end` may have led to a frame: to its function, or to one that such a
    /// function took the place of.
    fn may_lead_here(
        &mut self,
        call: Call,
        end: Addr,
        frame: &Frame,
        callers: &mut Callers,
        context: &StepContext<'_>,
    ) -> bool {
        let last = || callers::targets(call, end, context).last().filter(|to| context.is_executable(*to));
        callers.may_lead_to(call, end, frame.for_lookup(), context)
            || last().is_some_and(|to| {
                self.analysis(to, LARGEST_FUNCTION, context).is_ok_and(|function| function.may_tail_call())
            })
    }

    /// The analysis of the function that begins at `start` and has so many bytes, or fewer.
    fn analysis(&mut self, start: Addr, bytes: u64, context: &StepContext<'_>) -> Result<Arc<Analysis>, Why> {
        if self.generation != Some(context.generation()) || self.instructions > self.capacity {
            self.generation = Some(context.generation());
            self.known.clear();
            self.instructions = 0;
        }
        if let Some(known) = self.known.get(&(start, bytes.min(LARGEST_FUNCTION))) {
            return known.clone();
        }
        let end = context.mappings.at(start).map_or(u64::MAX, |mapping| mapping.range.end.0);
        let most = bytes.min(LARGEST_FUNCTION);
        let bytes = end.saturating_sub(start.0).min(most) as usize;
        let mut bytes = vec![0; bytes];
        let read = context.memory.read_available(start, &mut bytes);
        bytes.truncate(read);
        let code = FunctionCode { arch: context.arch, start, bytes: &bytes, memory: context.memory };
        let analysis = Analysis::of(&code).map(Arc::new);
        // One that failed takes room too.
        self.instructions += analysis.as_ref().map_or(0, |analysis| analysis.len()) + 16;
        self.known.insert((start, most), analysis.clone());
        analysis
    }
}

#[cfg(test)]
mod tests;
