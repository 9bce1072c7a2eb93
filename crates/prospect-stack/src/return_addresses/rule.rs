//! How to get from a frame to its return address, in 16 bytes.

use prospect_process::{Arch, ArchInfo, RegisterId, arch::ReturnSlot};
use prospect_symbols::{CfaRule, ExpressionShape, RegisterRule, UnwindRow};

use crate::{FrameProgress, arch::Trampoline};

/// The rule for code at one address: where its frame has the return address, and where the caller's stack
/// pointer and frame pointer come from.
///
/// It is what a row of the unwind table ([`UnwindRow`]) says of these registers, where it says no more than can
/// be told from the stack pointer and the frame pointer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReturnRule {
    /// What is added to the base of the canonical frame address.
    pub(super) cfa_offset: i32,
    /// What is added to the word that was saved there, if that is the base; in a linkage table: what is added in
    /// the second part of an entry.
    pub(super) cfa_plus: i16,
    /// Where the slots are, in bytes from what they are at.
    pub(super) pc_offset: i16,
    pub(super) fp_offset: i16,
    /// In a signal frame: where the link register is, from sp; in all others it is lost. In a linkage table: where
    /// in 16 bytes of code the second part of an entry begins.
    pub(super) link_offset: i16,
    pub(super) base: Base,
    pub(super) pc: Slot,
    pub(super) fp: Slot,
    pub(super) kind: Kind,
}

/// What the canonical frame address is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Base {
    Sp,
    Fp,
    /// The word at sp or fp plus the offset.
    SavedAtSp,
    SavedAtFp,
    /// sp, and more in the second part of an entry.
    LinkageTable,
    /// Nothing: the rule leads to no caller.
    None,
}

/// Where a caller's register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Slot {
    /// Relative to the canonical frame address, or to the callee's sp or fp.
    Cfa,
    Sp,
    Fp,
    /// In the register itself; of pc, that is the link register.
    Kept,
    Lost,
}

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Kind {
    /// It was entered by a call.
    Call,
    /// It is a signal's trampoline: its caller was interrupted.
    Signal,
    /// By the frame pointer, in code of which it is not known that it keeps one.
    Guess,
    /// It belongs to the first function of a thread, and has no caller.
    Outermost,
    /// Nothing is known of the code.
    NotCovered,
    /// No code can run there.
    NotExecutable,
    /// The call frame information is broken.
    Broken,
    /// Other registers are needed.
    Inexpressible,
}

impl ReturnRule {
    /// The code belongs to the first function of a thread.
    pub(super) const OUTERMOST: Self = Self::none(Kind::Outermost);
    /// Nothing is known of the code.
    pub(super) const NOT_COVERED: Self = Self::none(Kind::NotCovered);
    /// No code can run there.
    pub(super) const NOT_EXECUTABLE: Self = Self::none(Kind::NotExecutable);
    /// The call frame information is broken.
    pub(super) const BROKEN: Self = Self::none(Kind::Broken);
    /// Other registers are needed.
    pub(super) const INEXPRESSIBLE: Self = Self::none(Kind::Inexpressible);

    const fn none(kind: Kind) -> Self {
        Self { base: Base::None, kind, ..Self::at_sp(0) }
    }

    /// The rule of a frame whose canonical frame address is so far above sp, with nothing saved.
    const fn at_sp(cfa_offset: i32) -> Self {
        Self {
            cfa_offset,
            cfa_plus: 0,
            pc_offset: 0,
            fp_offset: 0,
            link_offset: 0,
            base: Base::Sp,
            pc: Slot::Kept,
            fp: Slot::Kept,
            kind: Kind::Call,
        }
    }

    /// What a row of the unwind table says.
    #[must_use]
    pub fn from_row(row: &UnwindRow, arch: Arch) -> Self {
        let info = arch.info();
        let of = |id: RegisterId| row.rules.iter().find(|(other, _)| *other == id).map(|(_, rule)| rule);
        match of(row.return_address) {
            Some(RegisterRule::Undefined) => return Self::OUTERMOST,
            None if row.return_address == info.pc => return Self::BROKEN,
            _ => {}
        }
        Self::translate(row, of, info).unwrap_or(Self::INEXPRESSIBLE)
    }

    /// The same, or `None` where other registers are needed.
    fn translate<'a>(
        row: &UnwindRow,
        of: impl Fn(RegisterId) -> Option<&'a RegisterRule>,
        info: &ArchInfo,
    ) -> Option<Self> {
        let (base, cfa_offset, cfa_plus, from) = canonical_frame_address(&row.cfa, info)?;
        let is_sp = |rule: &RegisterRule| match (rule, base) {
            (RegisterRule::AtExpression(at), Base::SavedAtSp) => {
                at.shape(info)
                    == Some(ExpressionShape::RegisterPlus { register: info.sp, offset: cfa_offset.into() })
            }
            // It was saved in the frame that it points to, as s390x does.
            (RegisterRule::AtCfa(_), _) => info.cfa_above_sp > 0,
            (RegisterRule::CfaPlus(offset), _) => *offset == -i64::from(info.cfa_above_sp),
            _ => false,
        };
        if of(info.sp).is_some_and(|rule| !is_sp(rule)) {
            return None;
        }
        let (pc, pc_offset) = slot(of(row.return_address), info)?;
        // A frame pointer that cannot be told is lost, which matters only where it is needed.
        let (fp, fp_offset) = slot(of(info.fp), info).unwrap_or((Slot::Lost, 0));
        let is_told = pc != Slot::Lost && (pc != Slot::Kept || Some(row.return_address) == info.link);
        let mut link_offset = from;
        if row.signal_frame && info.link.is_some() {
            // A signal frame that says where the link register is, and not only pc.
            match slot(of(info.link?), info) {
                Some((Slot::Sp, offset)) if Some(row.return_address) != info.link => link_offset = offset,
                _ => return None,
            }
        }
        let kind = if row.signal_frame { Kind::Signal } else { Kind::Call };
        is_told.then_some(Self {
            cfa_offset,
            cfa_plus,
            pc_offset,
            fp_offset,
            link_offset,
            base,
            pc,
            fp,
            kind,
        })
    }

    /// The rule of a signal trampoline that is known by its code, with its saved registers so far above sp.
    pub(super) fn from_trampoline(trampoline: &Trampoline, above_sp: u16, arch: Arch) -> Self {
        let info = arch.info();
        let offset = |id: RegisterId| {
            let (_, offset, _) = trampoline
                .saved
                .iter()
                .find(|(saved, _, width)| *saved == id && *width == info.word_bytes)?;
            i16::try_from(offset.checked_add(above_sp)?).ok()
        };
        let found = (offset(info.sp), offset(info.pc), offset(info.fp), info.link.map(offset));
        let (Some(sp), Some(pc), Some(fp), None | Some(Some(_))) = found else { return Self::INEXPRESSIBLE };
        Self {
            cfa_offset: sp.into(),
            cfa_plus: info.cfa_above_sp as _,
            pc_offset: pc,
            fp_offset: fp,
            link_offset: found.3.flatten().unwrap_or(0),
            base: Base::SavedAtSp,
            pc: Slot::Sp,
            fp: Slot::Sp,
            kind: Kind::Signal,
        }
    }

    /// The rule of code that keeps frame pointers, or is thought to.
    pub(super) fn from_frame_chain(arch: Arch, state: FrameProgress) -> Self {
        let info = arch.info();
        let word = i16::from(info.word_bytes);
        let guess = Self { kind: Kind::Guess, pc: Slot::Cfa, ..Self::at_sp(0) };
        match (state, &info.frame_chain) {
            // The call has pushed the return address, and the function nothing or the frame pointer.
            (FrameProgress::Unset, Some(_)) if info.link.is_none() => {
                Self { cfa_offset: word.into(), pc_offset: -word, ..guess }
            }
            (FrameProgress::HalfSet, Some(_)) if info.link.is_none() => Self {
                cfa_offset: i32::from(word) * 2,
                pc_offset: -word,
                fp: Slot::Cfa,
                fp_offset: -2 * word,
                ..guess
            },
            (FrameProgress::Set | FrameProgress::Unknown, Some(chain)) if chain.base == info.fp => {
                match (chain.return_slot, chain.caller_sp) {
                    (ReturnSlot::Frame(pc_offset), Some(caller_sp)) => Self {
                        base: Base::Fp,
                        cfa_offset: i32::from(caller_sp) + i32::from(info.cfa_above_sp),
                        pc: Slot::Fp,
                        pc_offset,
                        fp: Slot::Fp,
                        fp_offset: chain.saved_base,
                        ..guess
                    },
                    _ => Self::NOT_COVERED,
                }
            }
            _ => Self::NOT_COVERED,
        }
    }
}

/// The base of the address, what is added to it and to a word that is saved there, and where the second part of an
/// entry begins.
fn canonical_frame_address(rule: &CfaRule, info: &ArchInfo) -> Option<(Base, i32, i16, i16)> {
    let base = |register: RegisterId, sp: Base, fp: Base| match register {
        register if register == info.sp => Some(sp),
        register if register == info.fp => Some(fp),
        _ => None,
    };
    let (base, offset, plus, from) = match rule {
        CfaRule::Register(register, offset) => (base(*register, Base::Sp, Base::Fp)?, *offset, 0, 0),
        CfaRule::Expression(expression) => match expression.shape(info)? {
            ExpressionShape::RegisterPlus { register, offset } => {
                (base(register, Base::Sp, Base::Fp)?, offset, 0, 0)
            }
            ExpressionShape::SavedPlus { register, offset, plus } => {
                (base(register, Base::SavedAtSp, Base::SavedAtFp)?, offset, plus, 0)
            }
            ExpressionShape::LinkageTable { register, offset, from, shift } => {
                (base(register, Base::LinkageTable, Base::None)?, offset, 1 << shift.min(15), from)
            }
            _ => return None,
        },
        CfaRule::ReturnAddress(..) => return None,
    };
    let is_told = base != Base::None;
    let small = |number: u64| i16::try_from(number).ok().filter(|_| is_told);
    Some((base, i32::try_from(offset).ok()?, small(plus)?, small(from)?))
}

/// Where a register is by its rule; `None` where other registers are needed to tell.
fn slot(rule: Option<&RegisterRule>, info: &ArchInfo) -> Option<(Slot, i16)> {
    let (slot, offset) = match rule {
        None | Some(RegisterRule::SameValue) => (Slot::Kept, 0),
        Some(RegisterRule::AtCfa(offset)) => (Slot::Cfa, *offset),
        Some(RegisterRule::AtExpression(at)) => match at.shape(info)? {
            ExpressionShape::RegisterPlus { register, offset } if register == info.sp => (Slot::Sp, offset),
            ExpressionShape::RegisterPlus { register, offset } if register == info.fp => (Slot::Fp, offset),
            _ => return None,
        },
        Some(RegisterRule::Undefined) => (Slot::Lost, 0),
        _ => return None,
    };
    Some((slot, i16::try_from(offset).ok()?))
}
