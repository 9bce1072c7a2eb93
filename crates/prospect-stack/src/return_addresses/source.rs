//! Where rules come from.

use prospect_symbols::ModuleBinary;

use super::ReturnRule;
use crate::{
    CodeAddress, FrameProgress, StepContext,
    arch::{self, CodeAround},
};

/// Knows the rules of code.
pub trait RuleSource {
    /// The rule for a frame that is at `code`.
    fn rule(&mut self, code: CodeAddress) -> ReturnRule;
}

impl<S: RuleSource + ?Sized> RuleSource for &mut S {
    fn rule(&mut self, code: CodeAddress) -> ReturnRule {
        (**self).rule(code)
    }
}

/// Rules that are looked up in the binaries of a process, each time anew: to be put behind a
/// [`RuleCache`](super::RuleCache). It opens files, reads memory and allocates.
///
/// Signal trampolines are known by their code, and code without call frame information is walked by its frame
/// pointer.
#[derive(Clone, Copy, Debug)]
pub struct BinaryRules<'a> {
    context: &'a StepContext<'a>,
}

impl<'a> BinaryRules<'a> {
    /// The rules of the process that the context is of.
    #[must_use]
    pub fn new(context: &'a StepContext<'a>) -> Self {
        Self { context }
    }

    /// The signal trampoline that the code is, where it is one.
    fn trampoline(&self, code: CodeAddress) -> Option<ReturnRule> {
        let patterns = arch::patterns(self.context.arch)?;
        let around = CodeAround::read(code.addr(), self.context.memory);
        // No return leads into the middle of one.
        let inside = matches!(code, CodeAddress::Exact(_));
        let (trampoline, above_sp) = patterns.trampoline(&around, inside)?;
        Some(ReturnRule::from_trampoline(trampoline, above_sp, self.context.arch))
    }

    /// The rule of the row that covers the code; and whether it covers the address that is returned to as well, and not
    /// only the call before it.
    fn by_call_frame_info(&self, code: CodeAddress) -> Option<(ReturnRule, bool)> {
        let at = code.for_lookup();
        let module = self.context.modules.at(at)?;
        let binary = self.context.binaries.get(module, self.context.info, self.context.memory);
        match ModuleBinary::unwind_row(&binary, at.to_link(module.bias)) {
            Ok(row) => row.map(|row| {
                let has_next = row.range.contains(&code.addr().to_link(module.bias));
                (ReturnRule::from_row(&row, self.context.arch), has_next)
            }),
            Err(_) => Some((ReturnRule::BROKEN, false)),
        }
    }

    fn by_frame_pointer(&self, code: CodeAddress) -> ReturnRule {
        let state = match (code, arch::patterns(self.context.arch)) {
            (CodeAddress::Exact(pc), Some(patterns)) => {
                let code = CodeAround::read(pc, self.context.memory);
                (patterns.progress)(code.before(), code.at())
            }
            _ => FrameProgress::Set,
        };
        ReturnRule::from_frame_chain(self.context.arch, state)
    }
}

impl RuleSource for BinaryRules<'_> {
    fn rule(&mut self, code: CodeAddress) -> ReturnRule {
        let can_run = match code {
            CodeAddress::Exact(pc) => self.context.is_executable(pc),
            CodeAddress::ReturnAddress(to) => self.context.can_return_to(to),
        };
        if !can_run {
            return ReturnRule::NOT_EXECUTABLE;
        }
        let is_return = matches!(code, CodeAddress::ReturnAddress(_));
        let row = self.by_call_frame_info(code);
        match row {
            // Handlers return to the start of a trampoline, which a row of the function before it does not have. The
            // code need not be read then, which would cost more than all the rest.
            Some((rule, true)) if is_return => rule,
            row => {
                let rule = self.trampoline(code).or_else(|| row.map(|(rule, _)| rule));
                rule.unwrap_or_else(|| self.by_frame_pointer(code))
            }
        }
    }
}
