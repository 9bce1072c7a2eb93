//! The functions that were analysed, and which of them a code address may lie in.

use std::{collections::HashMap, sync::Arc};

use prospect_process::Addr;

use super::{
    super::callers::{self, Callers},
    references::References,
    starts,
};
use crate::{
    CodeAddress, Frame, StepContext,
    analysis::{Analysis, CfaPlace, FunctionCode, LARGEST_FUNCTION, Row, Why},
    arch::Call,
};

/// What remembering a function takes besides its analysis, at most.
const ENTRY_BYTES: usize = 4 * size_of::<(Addr, u64, Result<Arc<Analysis>, Why>)>();
/// Where the end of a function is not known, so many bytes behind the place in question are read at first.
const FIRST_BYTES: u64 = 4 << 10;
/// So many places are tried as the start of a function because they look like one,
const MOST_STARTS: usize = 8;
/// and so many because some call leads there.
const MOST_CALLED: usize = 6;
/// So many guesses are made of a code address.
const MOST_GUESSES: usize = 4;
/// So many jumps are looked at that may lead to a part of a function.
const MOST_JUMPS: usize = 4;
/// A part of a function is not believed to be larger, in bytes.
const LARGEST_PART: u64 = 4 << 10;

/// What is remembered of a code address.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// The likeliest, and the others.
    Guesses(Guess, Box<[Guess]>),
    Not(Why),
}

/// What is known of a code address, if the function begins there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub(super) start: Addr,
    pub(super) row: Row,
    pub(super) trust: Confidence,
}

impl Guess {
    /// Whether the canonical frame address is known.
    fn is_known(&self) -> bool {
        self.row.cfa != CfaPlace::Unknown
    }
}

/// Whether a guess is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Confidence {
    /// The function begins there.
    Certain,
    Likely,
    /// Likely only if the call before the return address leads there.
    ToBeProved,
}

/// The functions that were analysed.
#[derive(Debug)]
pub(super) struct Functions {
    generation: Option<u64>,
    pub(super) known: HashMap<(Addr, u64), Result<Arc<Analysis>, Why>>,
    /// The memory that they take, in bytes, and the most that they may.
    pub(super) size: usize,
    capacity: usize,
    references: References,
}

impl Functions {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let (known, references) = (HashMap::new(), References::default());
        Self { generation: None, known, size: 0, capacity, references }
    }

    pub(super) fn find(&mut self, code: CodeAddress, context: &StepContext<'_>) -> Found {
        let at = code.for_lookup();
        if !context.is_executable(at) {
            return Found::Not("pc is where no code can run");
        }
        self.keep_up(context);
        if let Some((start, bytes)) = starts::by_symbols(at, context) {
            return match self.analysis(start, bytes, at, context) {
                Err(why) => Found::Not(why),
                Ok(analysis) => match analysis.row(code) {
                    Some(row) => {
                        Found::Guesses(Guess { start, row, trust: Confidence::Certain }, Box::default())
                    }
                    None => Found::Not("pc is not reached from the start of its function"),
                },
            };
        }
        let mut guesses = self.guesses(code, context);
        let is_likely = |guess: &Guess| {
            guess.is_known()
                && self.references.is_called(guess.start, context)
                && starts::is_likely(guess.start, context)
        };
        if !guesses.iter().any(is_likely) {
            guesses.extend(self.behind_jumps(code, context));
            guesses.extend(self.in_part(code, context));
            guesses.sort_by_key(|guess| !guess.is_known());
        }
        let mut guesses = guesses.into_iter();
        match guesses.next() {
            None => Found::Not("the start of the function is not known"),
            Some(first) => Found::Guesses(first, guesses.collect()),
        }
    }

    /// By places that are called, and by those that look like starts of functions and are nearer.
    fn guesses(&mut self, code: CodeAddress, context: &StepContext<'_>) -> Vec<Guess> {
        let at = code.for_lookup();
        let mut guesses: Vec<Guess> = Vec::new();
        let called: Vec<Addr> = self.references.called_before(at, context).take(MOST_CALLED).collect();
        for start in called {
            guesses.extend(self.guess(start, LARGEST_FUNCTION, code, context));
            if guesses.iter().filter(|guess| guess.is_known()).count() > 1 {
                break;
            }
        }
        let nearest = guesses.iter().find(|guess| guess.is_known()).map_or(Addr(0), |guess| guess.start);
        let nearer = starts::by_patterns(at, context).take(MOST_STARTS).take_while(|start| *start > nearest);
        for start in nearer {
            let guess = self.guess(start, LARGEST_FUNCTION, code, context);
            let is_new = |guess: &Guess| guesses.iter().all(|other| other.row != guess.row);
            if let Some(guess) = guess.filter(is_new).filter(|_| guesses.len() < MOST_GUESSES) {
                guesses.push(guess);
            }
        }
        // The others only say why there is no answer.
        guesses.sort_by_key(|guess| !guess.is_known());
        guesses
    }

    /// What is known of a code address, if a function with so many bytes begins at a place.
    fn guess(
        &mut self,
        start: Addr,
        bytes: u64,
        code: CodeAddress,
        context: &StepContext<'_>,
    ) -> Option<Guess> {
        let analysis = self.analysis(start, bytes, code.for_lookup(), context).ok()?;
        let row = analysis.row(code)?;
        Some(Guess { start, row, trust: Confidence::Likely })
    }

    /// By places that are called whose functions jump to places that are not known: the code address may be one, if no
    /// other function begins before it. That has to be proved.
    fn behind_jumps(&mut self, code: CodeAddress, context: &StepContext<'_>) -> Vec<Guess> {
        let at = code.for_lookup();
        let Some(end) = self.references.called_behind(at, context) else { return Vec::new() };
        let called: Vec<Addr> = self.references.called_before(at, context).take(MOST_CALLED).collect();
        let guesses = called.into_iter().filter_map(|start| {
            let is_open = |analysis: Arc<Analysis>| analysis.is_open();
            self.analysis(start, LARGEST_FUNCTION, at, context).is_ok_and(is_open).then_some(())?;
            let bytes = end.0.saturating_sub(start.0).min(LARGEST_FUNCTION - 1);
            let guess = self.guess(start, bytes, code, context).filter(Guess::is_known)?;
            Some(Guess { trust: Confidence::ToBeProved, ..guess })
        });
        guesses.collect()
    }

    /// By the jumps that lead to shortly before the place: it is in a part that was split off a function, or
    /// that several share.
    fn in_part(&mut self, code: CodeAddress, context: &StepContext<'_>) -> Option<Guess> {
        let at = code.for_lookup();
        let jumps = self.references.jumps_before(at, context);
        let near = jumps.take_while(|(_, to)| at.0 - to.0 < LARGEST_PART).take(MOST_JUMPS);
        let near: Vec<(Addr, Addr)> = near.collect();
        near.into_iter().find_map(|(end, to)| {
            let jump = Addr(end.0.checked_sub(1)?);
            let (start, bytes) = starts::by_symbols(jump, context).or_else(|| {
                let called = self.references.called_before(jump, context).next();
                Some((called.or_else(|| starts::by_patterns(jump, context).next())?, LARGEST_FUNCTION))
            })?;
            let entry = {
                let is_whole = bytes < LARGEST_FUNCTION;
                let bytes = read(start, bytes.min(LARGEST_FUNCTION), context);
                Analysis::at_jump(&function(start, &bytes, is_whole, context), end)?
            };
            let bytes = read(to, (at.0 - to.0).saturating_add(FIRST_BYTES), context);
            let row = Analysis::of_part(&function(to, &bytes, false, context), &entry).ok()?.row(code)?;
            (row.cfa != CfaPlace::Unknown).then_some(Guess { start, row, trust: Confidence::Likely })
        })
    }

    /// Whether the call that ends at `end` may have led to a frame: to its function, or to one that such a
    /// function took the place of.
    pub(super) fn may_lead_here(
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

    /// Whether the call that ends at `end` leads to a guessed start, or to another from which a frame's code does the
    /// same with the stack: the guess was right.
    pub(super) fn leads_here(
        &mut self,
        call: Call,
        end: Addr,
        guess: &Guess,
        frame: &Frame,
        context: &StepContext<'_>,
    ) -> bool {
        let at = frame.for_lookup();
        let is_near = |start: &Addr| at.0.checked_sub(start.0).is_some_and(|bytes| bytes < LARGEST_FUNCTION);
        callers::targets(call, end, context).any(|start| {
            let mut analysis = || self.analysis(start, LARGEST_FUNCTION, at, context);
            start == guess.start
                || is_near(&start)
                    && analysis().is_ok_and(|analysis| analysis.row(frame.code) == Some(guess.row))
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
        let most = bytes.min(LARGEST_FUNCTION);
        if let Some(known) = self.known.get(&(start, most)) {
            return known.clone();
        }
        let is_whole = bytes < LARGEST_FUNCTION;
        let first =
            if is_whole { most } else { at.0.saturating_sub(start.0).saturating_add(FIRST_BYTES).min(most) };
        let analyse = |bytes: u64| {
            let bytes = read(start, bytes, context);
            Analysis::of(&function(start, &bytes, is_whole, context))
        };
        let mut analysis = analyse(first);
        if first < most && analysis.as_ref().is_ok_and(Analysis::is_cut) {
            analysis = analyse(most);
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

    /// Forgets all when code may have changed.
    fn keep_up(&mut self, context: &StepContext<'_>) {
        if self.generation != Some(context.generation()) {
            self.generation = Some(context.generation());
            self.forget();
            self.references.forget();
        }
    }

    fn forget(&mut self) {
        self.known = HashMap::new();
        self.size = 0;
    }
}

/// The code at a place, with so many bytes or fewer.
fn read(start: Addr, bytes: u64, context: &StepContext<'_>) -> Vec<u8> {
    let end = context.mappings.at(start).map_or(u64::MAX, |mapping| mapping.range.end.0);
    let mut code = vec![0; end.saturating_sub(start.0).min(bytes) as usize];
    let read = context.memory.read_available(start, &mut code);
    code.truncate(read);
    code
}

fn function<'a>(
    start: Addr,
    bytes: &'a [u8],
    is_whole: bool,
    context: &'a StepContext<'_>,
) -> FunctionCode<'a> {
    FunctionCode { arch: context.arch, start, bytes, is_whole, memory: context.memory }
}
