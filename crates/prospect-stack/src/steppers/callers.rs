//! Whether a word can be the return address of a frame, judged by the call before it.

use std::ops::Range;

use prospect_process::Addr;

use crate::{
    StepContext,
    arch::{self, Call, CodeAround, CodePatterns, Flow},
    pc_cache::PcCache,
};

/// A function is not believed to be larger, in bytes.
const LARGEST_FUNCTION: u64 = 64 << 10;
/// More bytes of a called function are not read to find its end.
const MOST_BYTES: u64 = 4 << 10;
/// A jump further ahead than this leads out of its function.
const FAR_JUMP: i64 = 4 << 10;
/// Of one function, more jumps are not kept.
const MOST_JUMPS_KEPT: usize = 32;
/// The most jumps that are followed from where a call leads.
const MOST_JUMPS: usize = 3;

/// What is remembered of calls.
#[derive(Debug, Default)]
pub(super) struct Callers {
    /// What is returned to at an address, if anything can be.
    returns: PcCache<Option<Return>>,
    /// Whether call frame information covers an address.
    covered: PcCache<bool>,
    /// What is known of the function at a place that was called, or from a place on that was returned to.
    called: PcCache<Called>,
    /// The function that an address lies in, as symbols say.
    functions: PcCache<Option<Range<Addr>>>,
}

/// Whether a call has led to a frame's function: the greater, the surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lead {
    /// Nothing is known of it: the code is not at hand.
    Unseen,
    /// It leads to shortly before the frame's pc, and it is not known which functions are there.
    Near,
    /// It leads where a register said.
    Possible,
    /// It leads there through a word of memory that says so now.
    ThroughMemory,
    /// It leads there.
    Direct,
}

impl Lead {
    /// Whether there is no doubt that the call, if it was the last one, led to the frame.
    pub(super) fn is_proved(self) -> bool {
        self >= Self::ThroughMemory
    }
}

/// What is known of a function that was called.
#[derive(Debug)]
struct Called {
    /// Behind its last instruction, where that could be found out.
    end: Option<Addr>,
    /// Where it jumps to that lies outside of it.
    leaves_to: Vec<Addr>,
}

/// What is returned to at an address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Return {
    /// The end of a call.
    Call(Call),
    /// The start of a signal trampoline, to which signal handlers return.
    Trampoline,
    /// It is not known what calls look like.
    Unknown,
    /// The code is not at hand: a dump left it out, and there is no file of it.
    Unseen,
}

impl Callers {
    /// What is at `to` that can be returned to.
    pub(super) fn return_to(&mut self, to: Addr, context: &StepContext<'_>) -> Option<Return> {
        // Asked of any word on a stack: most are no addresses of code, and are not worth remembering.
        if !context.can_return_to(to) {
            return None;
        }
        *self.returns.get(to, context, || {
            let Some(patterns) = arch::patterns(context.arch) else { return Some(Return::Unknown) };
            let code = CodeAround::read(to, context.memory);
            let trampoline = || patterns.trampoline(&code, false).map(|_| Return::Trampoline);
            // A trampoline may begin a page, with nothing before it.
            let unseen = || {
                let is_code = || context.is_executable(Addr(to.0.wrapping_sub(1)));
                (code.before().is_empty() && is_code()).then_some(Return::Unseen)
            };
            (patterns.call)(code.before(), code.at()).map(Return::Call).or_else(trampoline).or_else(unseen)
        })
    }

    /// Whether the call that ends at `end` cannot have led to `pc`: it calls a function that has call frame
    /// information, and the code at `pc` has none. So are frames skipped that set up no frame pointer.
    pub(super) fn leads_elsewhere(
        &mut self,
        call: Call,
        end: Addr,
        pc: Addr,
        context: &StepContext<'_>,
    ) -> bool {
        let last = targets(call, end, context).last();
        last.is_some_and(|target| self.is_covered(target, context)) && !self.is_covered(pc, context)
    }

    /// Whether the call that ends at `end` may have entered the function that `pc` lies in.
    pub(super) fn may_lead_to(&mut self, call: Call, end: Addr, pc: Addr, context: &StepContext<'_>) -> bool {
        self.lead_to(call, end, pc, context).is_some()
    }

    /// How sure it is that the call that ends at `end` has entered the function that `pc` lies in: itself, through an
    /// entry of a procedure linkage table, or by way of another function which jumps there. `None` where it leads
    /// elsewhere.
    pub(super) fn lead_to(
        &mut self,
        call: Call,
        end: Addr,
        pc: Addr,
        context: &StepContext<'_>,
    ) -> Option<Lead> {
        if call == Call::Unknown {
            return Some(Lead::Possible);
        }
        let function = self.functions.get(pc, context, || function_at(pc, context)).clone();
        let mut lead = if let Call::Relative(_) = call { Lead::Direct } else { Lead::ThroughMemory };
        let mut is_near = false;
        let mut last = None;
        for (target, through_memory) in hops(call, end, context) {
            if through_memory {
                lead = Lead::ThroughMemory;
            }
            last = Some(target);
            let distance = pc.0.checked_sub(target.0).filter(|distance| *distance < LARGEST_FUNCTION);
            let is_inside = match (&function, distance) {
                (Some(function), _) => function.contains(&target) && target <= pc,
                (None, Some(_)) => {
                    let end = self.called.get(target, context, || Called::read(target, context)).end;
                    is_near |= end.is_none();
                    end.is_some_and(|end| pc < end)
                }
                (None, None) => false,
            };
            if is_inside && (self.is_covered(pc, context) || !self.is_covered(target, context)) {
                return Some(lead);
            }
        }
        let last = last?;
        let jump = |patterns: &CodePatterns| (patterns.jump)(CodeAround::read(last, context.memory).at());
        if arch::patterns(context.arch).and_then(jump) == Some(Call::Unknown) {
            return Some(Lead::Possible);
        }
        let called = self.called.get(last, context, || Called::read(last, context));
        let leads_on = match &function {
            Some(function) => called.leaves_to.contains(&function.start),
            None => {
                let nearest = called.leaves_far_to(last).filter(|to| *to <= pc).max();
                nearest.is_some_and(|to| {
                    let end = self.called.get(to, context, || Called::read(to, context)).end;
                    end.is_some_and(|end| pc < end)
                })
            }
        };
        if leads_on {
            return Some(lead);
        }
        let is_one_kind = self.is_covered(pc, context) || !self.is_covered(last, context);
        (is_near && is_one_kind).then_some(Lead::Near)
    }

    /// Whether code goes on from `from` to `pc` within one function: what symbols say is one, or what ends behind both.
    pub(super) fn are_in_one_function(&mut self, from: Addr, pc: Addr, context: &StepContext<'_>) -> bool {
        match self.functions.get(pc, context, || function_at(pc, context)) {
            Some(function) => function.contains(&from),
            None => {
                let end = self.called.get(from, context, || Called::read(from, context)).end;
                from <= pc && end.is_some_and(|end| pc < end)
            }
        }
    }

    fn is_covered(&mut self, at: Addr, context: &StepContext<'_>) -> bool {
        *self.covered.get(at, context, || {
            context.modules.at(at).is_some_and(|module| {
                let binary = context.binaries.get(module, context.info, context.memory);
                binary.unwind_row(at.to_link(module.bias)).is_ok_and(|row| row.is_some())
            })
        })
    }
}

impl Called {
    /// Reads the code from `start` to where no branch of it leads behind an instruction that ends it.
    fn read(start: Addr, context: &StepContext<'_>) -> Self {
        let mut called = Self { end: None, leaves_to: Vec::new() };
        let Some(patterns) = arch::patterns(context.arch) else { return called };
        let room = context.mappings.at(start).map_or(u64::MAX, |mapping| mapping.range.end.0 - start.0);
        let mut bytes = vec![0; room.min(MOST_BYTES) as usize];
        let read = context.memory.read_available(start, &mut bytes);
        bytes.truncate(read);
        let (mut offset, mut furthest, mut is_known) = (0i64, 0i64, true);
        while let Some((length, flow)) = bytes.get(offset as usize..).and_then(patterns.flow) {
            let next = offset + length as i64;
            match flow {
                Flow::Next | Flow::Call | Flow::End => {}
                Flow::Branch(to) => furthest = furthest.max(offset + to),
                Flow::Jump(to) => {
                    called.note_jump(start, offset + to);
                    // Within the function or to the next one: nothing says which.
                    is_known &= !(furthest.max(next)..next + FAR_JUMP).contains(&(offset + to));
                }
                // Perhaps through a table of places in the function.
                Flow::Away => is_known = false,
            }
            offset = next;
            if !matches!(flow, Flow::Next | Flow::Call | Flow::Branch(_)) && furthest < next {
                called.end = is_known.then(|| start.wrapping_add(next as u64));
                break;
            }
        }
        called
    }

    fn note_jump(&mut self, start: Addr, to: i64) {
        if self.leaves_to.len() < MOST_JUMPS_KEPT {
            self.leaves_to.push(Addr(start.0.wrapping_add_signed(to)));
        }
    }

    /// Where it jumps to that is surely not in it.
    fn leaves_far_to(&self, start: Addr) -> impl Iterator<Item = Addr> {
        let far = start.wrapping_add(MOST_BYTES + FAR_JUMP as u64);
        self.leaves_to.iter().copied().filter(move |to| *to < start || *to >= far)
    }
}

/// The function that an address lies in, as symbols say.
fn function_at(at: Addr, context: &StepContext<'_>) -> Option<Range<Addr>> {
    let module = context.modules.at(at)?;
    let binary = context.binaries.get(module, context.info, context.memory);
    let (start, bytes) = binary.function_at(at.to_link(module.bias))?;
    let start = start.to_addr(module.bias);
    let function = start..Addr(start.0.saturating_add(bytes));
    function.contains(&at).then_some(function)
}

/// Where the call that ends at `end` leads: its target, and where that jumps to if it does nothing else (an
/// entry of a procedure linkage table, a wrapper).
pub(super) fn targets(call: Call, end: Addr, context: &StepContext<'_>) -> impl Iterator<Item = Addr> {
    hops(call, end, context).map(|(target, _)| target)
}

/// The same, and whether each was read from memory.
fn hops(call: Call, end: Addr, context: &StepContext<'_>) -> impl Iterator<Item = (Addr, bool)> {
    let patterns = arch::patterns(context.arch);
    let hop =
        |call: Call, from: Addr| Some((target(call, from, context)?, !matches!(call, Call::Relative(_))));
    let mut next = hop(call, end);
    let follow = move |patterns: &CodePatterns, from: Addr| {
        hop((patterns.jump)(CodeAround::read(from, context.memory).at())?, from)
    };
    std::iter::from_fn(move || {
        let here = next?;
        next = patterns.and_then(|patterns| follow(patterns, here.0));
        Some(here)
    })
    .take(1 + MOST_JUMPS)
}

/// The target of one call or jump.
fn target(call: Call, from: Addr, context: &StepContext<'_>) -> Option<Addr> {
    let relative = |offset: i64| Addr(from.0.wrapping_add_signed(offset) & context.arch.info().word_mask());
    let through = |at: Addr| context.memory.read_word(context.arch, at).ok().map(Addr);
    match call {
        Call::Relative(offset) => Some(relative(offset)),
        Call::ThroughRelative(offset) => through(relative(offset)),
        Call::Through(at) => through(Addr(at)),
        Call::Unknown => None,
    }
}
