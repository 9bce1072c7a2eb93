//! What the code does with the stack: where nobody wrote it down.

use std::{collections::HashMap, sync::Arc};

use prospect_process::{Addr, ArchInfo, RegisterId};

use super::{
    callers::{self, Callers, Return},
    frame_pointer::Chained,
};
use crate::{
    Caller, CodeAddress, Entered, Frame, FrameRegisters, FrameStepper, Location, Step, StepContext,
    StepError, Trust,
    analysis::{self, Analysis, CfaPlace, FunctionCode, LARGEST_FUNCTION, NOT_ANALYSED, Row, Saved, Why},
    arch::Call,
    pc_cache::PcCache,
};

mod starts;

/// The memory for functions that are remembered, unless told otherwise, in bytes.
const DEFAULT_CAPACITY: usize = 8 << 20;
/// What remembering a function takes besides its analysis, at most.
const ENTRY_BYTES: usize = 4 * size_of::<(Addr, u64, Result<Arc<Analysis>, Why>)>();
/// Where the end of a function is not known, so many bytes behind the place in question are read at first.
const FIRST_BYTES: u64 = 4 << 10;
/// So many places are tried as the start of a function.
const MOST_STARTS: usize = 8;

/// Steps by what the code of the frame's function does with the stack, from its start to pc: for x86 code
/// that has no call frame information. Every preserved register that the function saved is recovered.
///
/// The start is what the symbols say, else the nearest place before pc that looks like one and from which
/// pc can be reached. Where two paths lead to pc with different stacks and the frame pointer does not help
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
    /// The memory that they take, in bytes, and the most that they may.
    size: usize,
    capacity: usize,
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
        let functions = Functions { generation: None, known: HashMap::new(), size: 0, capacity: bytes };
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
        let (row, mut is_certain) = match found {
            Found::Row { row, is_certain } => (row, *is_certain),
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
        let in_memory = |at: u64| word(at).map(|value| (value, Location::Address(Addr(at))));
        // Where the caller's register is, with where it was found.
        let find = |saved: Saved| match saved {
            Saved::Lost => Ok(None),
            Saved::In(other) => Ok(frame.registers.located(other)),
            Saved::AtCfa(offset) => in_memory(plus(cfa, offset)).map(Some),
            Saved::AtRegister(other, offset) => {
                frame.registers.get(other).map(|from| in_memory(plus(from, offset))).transpose()
            }
        };
        let Some((to, location)) = find(row.return_address)? else {
            return Ok(Step::NotMine("the return address is lost"));
        };
        let to = Addr(info.code_address(to));
        match callers.return_to(to, context) {
            None if to != Addr(0) => {
                return Ok(Step::NotMine("no call ends where the code has its return address"));
            }
            Some(Return::Call(call)) if !is_certain => {
                if !functions.may_lead_here(call, to, frame, callers, context) {
                    return Ok(Step::NotMine("the call that would have led here leads elsewhere"));
                }
                is_certain = functions.leads_here(call, to, row, frame, context);
            }
            None if !is_certain => return Ok(Step::NotMine("the code has no return address")),
            _ => {}
        }
        let mut registers = FrameRegisters::unknown(context.arch);
        for (id, saved) in row.saved() {
            if let Ok(Some((value, location))) = find(*saved) {
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
        if let Some((start, bytes)) = starts::by_symbols(at, context) {
            return match self.analysis(start, bytes, at, context) {
                Err(why) => Found::Not(why),
                Ok(analysis) => match analysis.row(code) {
                    Some(row) => Found::Row { row, is_certain: true },
                    None => Found::Not("pc is not reached from the start of its function"),
                },
            };
        }
        for start in starts::by_patterns(at, context).take(MOST_STARTS) {
            let analysis = self.analysis(start, LARGEST_FUNCTION, at, context);
            if let Some(row) = analysis.ok().and_then(|analysis| analysis.row(code)) {
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
                self.analysis(to, LARGEST_FUNCTION, to, context)
                    .is_ok_and(|function| function.may_tail_call())
            })
    }

    /// Whether the call that ends at `end` leads to a function from whose start a frame's code does with the
    /// stack what is in `row`: the guess was right.
    fn leads_here(
        &mut self,
        call: Call,
        end: Addr,
        row: &Row,
        frame: &Frame,
        context: &StepContext<'_>,
    ) -> bool {
        let at = frame.for_lookup();
        let is_near = |start: &Addr| at.0.checked_sub(start.0).is_some_and(|bytes| bytes < LARGEST_FUNCTION);
        callers::targets(call, end, context).filter(is_near).any(|start| {
            let analysis = self.analysis(start, LARGEST_FUNCTION, at, context);
            analysis.is_ok_and(|analysis| analysis.row(frame.code) == Some(*row))
        })
    }

    /// The analysis of the function that begins at `start` and has so many bytes, or fewer, with what is at
    /// `at`.
    fn analysis(
        &mut self,
        start: Addr,
        bytes: u64,
        at: Addr,
        context: &StepContext<'_>,
    ) -> Result<Arc<Analysis>, Why> {
        if self.generation != Some(context.generation()) {
            self.generation = Some(context.generation());
            self.forget();
        }
        let most = bytes.min(LARGEST_FUNCTION);
        if let Some(known) = self.known.get(&(start, most)) {
            return known.clone();
        }
        let is_whole = bytes < LARGEST_FUNCTION;
        let first =
            if is_whole { most } else { at.0.saturating_sub(start.0).saturating_add(FIRST_BYTES).min(most) };
        let mut analysis = analyse(start, first, is_whole, context);
        if first < most && analysis.as_ref().is_ok_and(Analysis::is_cut) {
            analysis = analyse(start, most, is_whole, context);
        }
        let analysis = analysis.map(Arc::new);
        let size = ENTRY_BYTES + analysis.as_ref().map_or(0, |analysis| analysis.size());
        if self.size + size > self.capacity {
            self.forget();
        }
        self.size += size;
        self.known.insert((start, most), analysis.clone());
        analysis
    }

    fn forget(&mut self) {
        self.known = HashMap::new();
        self.size = 0;
    }
}

fn analyse(start: Addr, bytes: u64, is_whole: bool, context: &StepContext<'_>) -> Result<Analysis, Why> {
    let end = context.mappings.at(start).map_or(u64::MAX, |mapping| mapping.range.end.0);
    let mut bytes = vec![0; end.saturating_sub(start.0).min(bytes) as usize];
    let read = context.memory.read_available(start, &mut bytes);
    bytes.truncate(read);
    Analysis::of(&FunctionCode { arch: context.arch, start, bytes: &bytes, is_whole, memory: context.memory })
}

#[cfg(test)]
mod tests;
