//! Whether a caller can be true. Steppers need not ask: the walker asks here, once for all of them.

use std::{cell::Cell, collections::HashSet};

use prospect_process::Addr;

use crate::{Caller, CodeAddress, Entered, Frame, StepContext, Trust};

/// Why a caller cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Implausible {
    /// Its pc is not known.
    #[error("the caller's pc is not known")]
    NoPc,
    /// Its sp, or that of the frame stepped from, is not known.
    #[error("the stack pointer is not known")]
    NoSp,
    /// No code can run where it would return to.
    #[error("the return address {0} is not in executable memory")]
    NotExecutable(Addr),
    /// The stack does not grow from callee to caller.
    #[error("the caller's stack pointer {caller} is not above {callee}, its callee's")]
    NotAbove {
        /// sp of the frame stepped from.
        callee: Addr,
        /// sp of the caller.
        caller: Addr,
    },
    /// The same frame has been there before.
    #[error("the stack goes round in a circle: pc {pc} with sp {sp} was there before")]
    Circle {
        /// The frame's pc.
        pc: Addr,
        /// The frame's sp.
        sp: Addr,
    },
}

/// The checks of one walk.
#[derive(Debug, Default)]
pub(crate) struct Plausibility {
    /// pc and sp of every frame. Only from the first step on that did not go up the stack (out of a
    /// signal handler on an alternate stack): until then, the growth of sp rules out circles.
    seen: Option<HashSet<(Addr, Addr)>>,
    /// The executable range that was returned to last: callers are often close to each other, and the memory
    /// map is long.
    code: Cell<(u64, u64)>,
}

impl Plausibility {
    /// Whether `caller` can be the caller of `frame`.
    pub(crate) fn check(
        &self,
        frame: &Frame,
        caller: &Caller,
        context: &StepContext<'_>,
    ) -> Result<(), Implausible> {
        let pc = caller.registers.pc().ok_or(Implausible::NoPc)?;
        let sp = caller.registers.sp().ok_or(Implausible::NoSp)?;
        match caller.entered {
            Entered::ByCall => self.check_call(frame, (pc, sp), caller.trust, context),
            // What a signal interrupted may run anywhere, on any stack, and may have jumped to nowhere.
            Entered::BySignal => self.check_circle(frame, (pc, sp)),
        }
    }

    /// Whether a frame with this pc and sp can have called `frame`.
    #[inline]
    pub(crate) fn check_call(
        &self,
        frame: &Frame,
        (pc, sp): (Addr, Addr),
        trust: Trust,
        context: &StepContext<'_>,
    ) -> Result<(), Implausible> {
        let callee = frame.registers.sp().ok_or(Implausible::NoSp)?;
        if sp <= callee {
            // A leaf that saved nothing may have its caller's sp where calls do not push.
            let same_sp_allowed = matches!(frame.code, CodeAddress::Exact(_))
                && (trust >= Trust::CallFrameInfo || context.arch.info().link.is_some());
            if sp < callee || !same_sp_allowed {
                return Err(Implausible::NotAbove { callee, caller: sp });
            }
        }
        // 0 is for the walker to understand: it is how an outermost frame may be marked.
        if pc != Addr(0) && !self.can_return_to(pc, context) {
            return Err(Implausible::NotExecutable(pc));
        }
        self.check_circle(frame, (pc, sp))
    }

    #[inline]
    fn check_circle(&self, frame: &Frame, (pc, sp): (Addr, Addr)) -> Result<(), Implausible> {
        let circle = match &self.seen {
            Some(seen) => seen.contains(&(pc, sp)),
            None => frame.registers.pc() == Some(pc) && frame.registers.sp() == Some(sp),
        };
        if circle { Err(Implausible::Circle { pc, sp }) } else { Ok(()) }
    }

    #[inline]
    fn can_return_to(&self, pc: Addr, context: &StepContext<'_>) -> bool {
        let (start, end) = self.code.get();
        if (start..end).contains(&pc.0) {
            return true;
        }
        self.find_code(pc, context)
    }

    fn find_code(&self, pc: Addr, context: &StepContext<'_>) -> bool {
        if let Some(mapping) = context.mappings.at(pc).filter(|mapping| mapping.permissions.execute) {
            self.code.set((mapping.range.start.0, mapping.range.end.0));
            return true;
        }
        context.can_return_to(pc)
    }

    /// Takes note of a step from the last of `frames` to a frame with this pc and sp, that [`check`](Self::check)
    /// accepted.
    #[inline]
    pub(crate) fn note(&mut self, frames: &[Frame], (pc, sp): (Addr, Addr), entered: Entered) {
        if entered == Entered::ByCall && self.seen.is_none() {
            return;
        }
        let key = |frame: &Frame| Some((frame.registers.pc()?, frame.registers.sp()?));
        let came_from = frames.last().and_then(|frame| frame.registers.sp());
        if self.seen.is_none() && Some(sp) <= came_from {
            self.seen = Some(frames.iter().filter_map(key).collect());
        }
        if let Some(seen) = &mut self.seen {
            seen.insert((pc, sp));
        }
    }
}
