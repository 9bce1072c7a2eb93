//! Signal trampolines.

use prospect_process::Addr;

use crate::{
    Caller, CodeAddress, Entered, Frame, FrameRegisters, FrameStepper, Location, RuleAt, Step, StepContext,
    StepError, Trust,
    arch::{self, CodeAround, PAGE_BYTES, Trampoline},
    pc_cache::PcCache,
};

/// Steps from a signal trampoline, known by its code, to what the signal interrupted: the kernel has saved
/// all registers on the stack.
///
/// It needs no call frame information (musl and Go have none for it), and it must be asked before the `cfi`
/// stepper, to which a return address at the start of a trampoline is part of whatever lies before it. A
/// trampoline whose code is not known here is left to call frame information that says what it is.
#[derive(Debug, Default)]
pub struct SignalStepper {
    /// By the frame's pc. A thread that is *at* an address and one that returns there are the same here,
    /// but for [`Found::inside`].
    found: PcCache<Option<Found>>,
    /// The modules' code, by page: its functions call each other, and a read costs more than all else that is
    /// done for an address.
    pages: PcCache<Option<Box<[u8; PAGE_BYTES]>>, MOST_PAGES>,
}

/// No architecture's saved registers take more.
pub(crate) const SAVED_BYTES: usize = 320;

/// What sp is a multiple of where it has to be searched for: on AArch64 (AAPCS64, section 6.4.5.1).
const SP_ALIGNMENT: u64 = 16;

/// The most places that are searched for sp: a handler's frame is not believed to be larger than 64 KiB.
const MOST_SEARCHED: usize = 4096;

/// The most pages that are kept.
const MOST_PAGES: usize = 256;

#[derive(Clone, Copy)]
struct Found {
    trampoline: &'static Trampoline,
    /// From sp to the saved registers.
    above_sp: u16,
    /// Whether it is in the middle of it: no return leads there.
    inside: bool,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("above_sp", &self.above_sp).finish_non_exhaustive()
    }
}

impl FrameStepper for SignalStepper {
    fn name(&self) -> &'static str {
        "signal trampoline"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let Some(found) = self.at(frame.code, context) else {
            return Ok(Step::NotMine("the code is no signal trampoline"));
        };
        let info = context.arch.info();
        let mut sp = frame.registers.sp().ok_or(StepError::UnknownRegister(info.register(info.sp).name))?;
        if frame.trust == Trust::FramePointer && !frame.knows_sp() {
            let Some(exact) = search(sp, found, frame, context) else {
                return Ok(Step::NotMine("the trampoline needs sp, which was not found exactly"));
            };
            sp = exact;
        }
        let mut bytes = [0; SAVED_BYTES];
        let saved = found.trampoline.saved;
        let length = saved.iter().map(|(_, offset, width)| usize::from(*offset) + usize::from(*width)).max();
        let bytes = &mut bytes[..length.unwrap_or(0)];
        let saved_at = sp.wrapping_add(u64::from(found.above_sp));
        context.memory.read(saved_at, bytes)?;
        let registers = restore(&frame.registers, found.trampoline, saved_at, bytes);
        let cfa = registers.sp();
        Ok(Step::Caller(Caller { registers, cfa, trust: Trust::SignalFrame, entered: Entered::BySignal }))
    }

    fn rule(&mut self, code: CodeAddress, context: &StepContext<'_>) -> RuleAt {
        if self.at(code, context).is_some() { RuleAt::Unknown } else { RuleAt::NotMine }
    }
}

impl SignalStepper {
    /// The trampoline that the code is.
    fn at(&mut self, code: CodeAddress, context: &StepContext<'_>) -> Option<Found> {
        let Self { found, pages } = self;
        let pc = code.addr();
        let found = *found.get(pc, context, || find(pc, context, |at| code_around(at, pages, context)));
        found.filter(|found| !found.inside || matches!(code, CodeAddress::Exact(_)))
    }
}

/// Where sp is in a trampoline that frame pointers led to, from which it is only known to be above `bound`.
///
/// The kernel makes a frame record behind the saved registers: the interrupted function's frame pointer and its link
/// register (Linux `arch/arm64/kernel/signal.c`, `struct frame_record`), which the handler was entered with as its
/// frame pointer. Where sp is right, both are the ones among the saved registers.
fn search(bound: Addr, found: Found, frame: &Frame, context: &StepContext<'_>) -> Option<Addr> {
    let info = context.arch.info();
    let word = |at: Addr| context.memory.read_word(context.arch, at).ok();
    let record = Addr(frame.registers.get(info.fp)?);
    let (fp, link) = (word(record)?, word(record.wrapping_add(info.word_bytes.into()))?);
    let offset = |id| found.trampoline.saved.iter().find(|row| row.0 == id).map(|row| u64::from(row.1));
    let (fp_at, link_at) = (offset(info.fp)?, offset(info.link?)?);
    let first = bound.0.next_multiple_of(SP_ALIGNMENT);
    let candidates = (first..record.0).step_by(SP_ALIGNMENT as usize).take(MOST_SEARCHED).map(Addr);
    let is_right = |sp: &Addr| {
        let saved_at = sp.wrapping_add(found.above_sp.into());
        word(saved_at.wrapping_add(fp_at)) == Some(fp) && word(saved_at.wrapping_add(link_at)) == Some(link)
    };
    // Zeros are everywhere.
    candidates.take_while(|sp| context.mappings.at(*sp).is_some()).find(is_right).filter(|_| link != 0)
}

fn find(pc: Addr, context: &StepContext<'_>, code_around: impl FnOnce(Addr) -> CodeAround) -> Option<Found> {
    if !context.is_executable(pc) {
        return None;
    }
    let patterns = arch::patterns(context.arch)?;
    let code = code_around(pc);
    let (trampoline, above_sp) = patterns.trampoline(&code, true)?;
    Some(Found { trampoline, above_sp, inside: patterns.trampoline(&code, false).is_none() })
}

fn code_around(
    at: Addr,
    pages: &mut PcCache<Option<Box<[u8; PAGE_BYTES]>>, MOST_PAGES>,
    context: &StepContext<'_>,
) -> CodeAround {
    let read = || {
        let mut page = Box::new([0; PAGE_BYTES]);
        let start = Addr(at.0 - at.0 % PAGE_BYTES as u64);
        context.memory.read(start, page.as_mut_slice()).ok().map(|()| page)
    };
    let mut in_page = || {
        // Only what belongs to a module stays the same for as long as the list of modules does.
        context.modules.at(at)?;
        let page = pages.get(Addr(at.0 / PAGE_BYTES as u64), context, read).as_ref()?;
        CodeAround::in_page(at, page)
    };
    in_page().unwrap_or_else(|| CodeAround::read(at, context.memory))
}

/// The registers that the kernel saved, and those preserved ones that it does not save (the bases of
/// segments).
fn restore(callee: &FrameRegisters, trampoline: &Trampoline, saved_at: Addr, bytes: &[u8]) -> FrameRegisters {
    let mut registers = callee.preserved();
    for (id, offset, width) in trampoline.saved {
        let (offset, width) = (usize::from(*offset), usize::from(*width));
        let saved = bytes.get(offset..offset + width);
        if let Some(value) = saved.and_then(|saved| callee.arch().info().unsigned(saved)) {
            // What lies beside a part of a word is another register.
            let is_word = width == usize::from(callee.arch().info().word_bytes);
            let at = saved_at.wrapping_add(offset as u64);
            let location = if is_word { Location::Address(at) } else { Location::Computed };
            registers.set_at(*id, value, location);
        }
    }
    registers
}

#[cfg(test)]
mod tests;
