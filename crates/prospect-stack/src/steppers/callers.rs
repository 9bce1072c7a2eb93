//! Whether a word can be the return address of a frame, judged by the call before it.

use prospect_process::Addr;

use crate::{
    StepContext,
    arch::{self, Call, CodeAround, CodePatterns},
    pc_cache::PcCache,
};

/// A function is not believed to be larger, in bytes.
const LARGEST_FUNCTION: u64 = 64 << 10;
/// The most jumps that are followed from where a call leads.
const MOST_JUMPS: usize = 3;

/// What is remembered of calls.
#[derive(Debug, Default)]
pub(super) struct Callers {
    /// What is returned to at an address, if anything can be.
    returns: PcCache<Option<Return>>,
    /// Whether call frame information covers an address.
    covered: PcCache<bool>,
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
            (patterns.call)(code.before(), code.at()).map(Return::Call).or_else(trampoline)
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

    /// Whether the call that ends at `end` may have entered the function that `pc` lies in: its target lies
    /// shortly before, or is not known.
    pub(super) fn may_lead_to(&mut self, call: Call, end: Addr, pc: Addr, context: &StepContext<'_>) -> bool {
        let is_near =
            |target: Addr| pc.0.checked_sub(target.0).is_some_and(|distance| distance < LARGEST_FUNCTION);
        call == Call::Unknown
            || targets(call, end, context).any(|target| {
                is_near(target) && (self.is_covered(pc, context) || !self.is_covered(target, context))
            })
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

/// Where the call that ends at `end` leads: its target, and where that jumps to if it does nothing else (an
/// entry of a procedure linkage table, a wrapper).
pub(super) fn targets(call: Call, end: Addr, context: &StepContext<'_>) -> impl Iterator<Item = Addr> {
    let patterns = arch::patterns(context.arch);
    let mut next = target(call, end, context);
    let follow = move |patterns: &CodePatterns, from: Addr| {
        let jump = (patterns.jump)(CodeAround::read(from, context.memory).at())?;
        target(jump, from, context)
    };
    std::iter::from_fn(move || {
        let here = next?;
        next = patterns.and_then(|patterns| follow(patterns, here));
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
