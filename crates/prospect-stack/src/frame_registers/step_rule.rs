//! What is the same for every frame at one code address.

use prospect_process::{Addr, Arch, ArchInfo, RegisterId};

use super::{
    FrameRegisters, Place,
    layout::{LAYOUTS, PC_SLOT, SLOTS, SP_SLOT},
};
use crate::Trust;

/// What a stepper says of a code address, whatever the registers are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RuleAt {
    /// Its step gives the caller by this rule. Where the rule cannot be followed (memory that cannot be read),
    /// the stepper is asked for a step, and says why.
    Caller(StepRule),
    /// Its step says [`NotMine`](crate::Step::NotMine).
    NotMine,
    /// It depends on the frame, or has no such form.
    Unknown,
}

/// Where the caller's registers are, for all frames at one code address: what nearly all of a compiler's call frame
/// information is. The walker remembers such rules by address and follows them without asking any stepper.
///
/// The caller was entered by a call; its stack pointer follows from the canonical frame address (CFA), its
/// pc and some of its registers are words at fixed distances from that, and the other preserved registers are as
/// the callee has them.
#[derive(Clone, Copy, Debug)]
pub struct StepRule {
    /// The register that the CFA is based on, its slot, and the distance from it.
    base: RegisterId,
    base_slot: usize,
    from_base: i32,
    /// The slots of the registers that were saved, the first one of which is that of pc; those beyond `saved` mean
    /// nothing.
    slots: [u8; MOST_SAVED],
    saved: u8,
    trust: Trust,
    needs_exact_sp: bool,
    /// Bits of the registers that are known where the callee's are, and those that are known anyway.
    kept: u64,
    found: u64,
    /// How far the lowest of the saved words lies from the CFA, and each of them from that.
    lowest: i32,
    offsets: [u16; MOST_SAVED],
    /// From the lowest of the saved words to the end of the highest.
    span: u16,
    /// The bits of the return address in which pointer authentication has its code.
    authentication: u64,
}

/// pc, and what compilers for AMD64 save.
const MOST_SAVED: usize = 8;

impl StepRule {
    /// A rule: the register that the CFA is based on with the distance from it, and the registers that were saved with
    /// their distances from the CFA, pc among them. `None` where it is beyond what a rule can hold: registers that
    /// are not [preserved](prospect_process::RegisterInfo::preserved), many of them, or far away.
    #[must_use]
    pub fn new(
        arch: Arch,
        base: (RegisterId, i64),
        saved: impl IntoIterator<Item = (RegisterId, i64)>,
        trust: Trust,
    ) -> Option<Self> {
        let (info, layout) = (arch.info(), &LAYOUTS[arch as usize]);
        let slot = |id: RegisterId| {
            let is_known = usize::from(id.0) < info.registers.len();
            is_known.then(|| layout.slot(id)).filter(|slot| *slot < SLOTS)
        };
        let mut all = [(info.pc, 0i32); MOST_SAVED];
        let mut count = 1;
        let mut has_pc = false;
        for (id, offset) in saved {
            let offset = i32::try_from(offset).ok()?;
            if id == info.pc {
                all[0].1 = offset;
                has_pc = true;
            } else {
                *all.get_mut(count)? = (id, offset);
                count += 1;
            }
        }
        if !has_pc {
            return None;
        }
        let all = &all[..count];
        let lowest = all.iter().map(|(_, offset)| *offset).min()?;
        let word = i64::from(info.word_bytes);
        let mut rule = Self {
            base: base.0,
            base_slot: slot(base.0)?,
            from_base: i32::try_from(base.1).ok()?,
            slots: [0; MOST_SAVED],
            saved: count as u8,
            trust,
            needs_exact_sp: base.0 == info.sp && info.link.is_some(),
            kept: layout.preserved & !layout.apart,
            found: 1 << info.sp.0,
            lowest,
            offsets: [0; MOST_SAVED],
            span: 0,
            authentication: info.authentication_mask,
        };
        for (index, (id, offset)) in all.iter().enumerate() {
            rule.slots[index] = slot(*id)? as u8;
            let above = i64::from(*offset) - i64::from(lowest);
            rule.offsets[index] = u16::try_from(above).ok()?;
            rule.span = rule.span.max(u16::try_from(above + word).ok()?);
            rule.found |= 1 << id.0;
        }
        Some(rule)
    }

    /// The same, and these registers are not known in the caller.
    #[must_use]
    pub fn without(mut self, lost: impl IntoIterator<Item = RegisterId>) -> Self {
        for RegisterId(id) in lost {
            self.kept &= !1u64.checked_shl(id.into()).unwrap_or(0);
        }
        self
    }

    /// The same, and pointer authentication has its code in these bits of the return address: 0 where it is not
    /// signed. Unless told so, it may be, in the bits that the architecture's table has.
    #[must_use]
    pub fn authenticated(mut self, mask: u64) -> Self {
        self.authentication = mask;
        self
    }

    /// Makes the callee's registers those of its caller, and gives the callee's CFA. `None` where the rule cannot be
    /// followed from here, or a word is not in `stack`, which begins at `start`; then the registers are of neither.
    #[inline(always)]
    pub(crate) fn follow(
        &self,
        registers: &mut FrameRegisters,
        stack: &[u8],
        start: Addr,
        info: &ArchInfo,
    ) -> Option<Addr> {
        let FrameRegisters { known, slots, places, apart, .. } = registers;
        if apart.is_some() || *known >> self.base.0 & 1 == 0 {
            return None;
        }
        let mask = info.word_mask();
        let cfa = slots.get(self.base_slot)?.wrapping_add_signed(self.from_base.into()) & mask;
        let lowest = cfa.wrapping_add_signed(self.lowest.into());
        let skip = usize::try_from(lowest.wrapping_sub(start.0)).ok()?;
        let words = stack.get(skip..)?.get(..usize::from(self.span))?;
        for (slot, offset) in self.slots.iter().zip(&self.offsets).take(self.saved.into()) {
            let value = info.word(words.get(usize::from(*offset)..)?)?;
            *slots.get_mut(usize::from(*slot))? = value;
            *places.get_mut(usize::from(*slot))? = Place(lowest.wrapping_add((*offset).into()));
        }
        slots[PC_SLOT] = info.authenticated_address(slots[PC_SLOT], self.authentication);
        slots[SP_SLOT] = cfa.wrapping_sub(info.cfa_above_sp.into()) & mask;
        places[SP_SLOT] = Place::COMPUTED;
        *known = *known & self.kept | self.found;
        Some(Addr(cfa))
    }

    /// How far to believe the callers that it gives.
    #[inline]
    pub(crate) fn trust(&self) -> Trust {
        self.trust
    }

    /// Whether the callee's stack pointer must be exact, and not only a bound.
    #[inline]
    pub(crate) fn needs_exact_sp(&self) -> bool {
        self.needs_exact_sp
    }
}
