//! What is known at an instruction, as directions from a frame's registers to its caller's.

use prospect_process::{Arch, ArchInfo, RegisterId};

use super::{
    isa::Register,
    state::{Base, CFA, Slot, State, Value, followed},
};

/// Room for the preserved registers besides sp: eleven on AArch64, six on x86_64, four on i386.
const MOST_SAVED: usize = 12;

/// Where the canonical frame address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CfaPlace {
    /// Nobody knows.
    Unknown,
    /// So far from a register.
    Register(RegisterId, i32),
    /// So far (the second number) from the word that is so far (the first) from a register.
    Word(RegisterId, i32, i32),
    /// The function set the frame pointer to 0 and did not save it: it is the first of its thread.
    Outermost,
}

/// Where a register of the caller is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Saved {
    /// Nobody knows.
    Lost,
    /// In this register.
    In(RegisterId),
    /// So far from the canonical frame address.
    AtCfa(i32),
    /// So far from a register.
    AtRegister(RegisterId, i32),
}

/// The directions at an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) cfa: CfaPlace,
    pub(crate) return_address: Saved,
    saved: [(RegisterId, Saved); MOST_SAVED],
    count: u8,
}

impl Row {
    /// The caller's preserved registers besides sp.
    pub(crate) fn saved(&self) -> &[(RegisterId, Saved)] {
        &self.saved[..usize::from(self.count).min(MOST_SAVED)]
    }
}

/// The rows of a function, each once when they follow each other.
pub(super) struct Rows {
    info: &'static ArchInfo,
    /// The preserved registers besides sp.
    preserved: Vec<Register>,
    rows: Vec<Row>,
}

impl Rows {
    pub(super) fn new(arch: Arch) -> Self {
        let info = arch.info();
        let preserved = info.preserved().filter(|id| *id != info.sp && id.0 < followed(info));
        Self { info, preserved: preserved.take(MOST_SAVED).map(|id| id.0).collect(), rows: Vec::new() }
    }

    pub(super) fn last(&self) -> u16 {
        (self.rows.len().max(1) - 1) as u16
    }

    pub(super) fn add(&mut self, state: &State) -> u16 {
        let row = self.row(state);
        // A function with so many rows cannot be: it has at most 20,000 instructions.
        if self.rows.last() != Some(&row) && self.rows.len() < usize::from(u16::MAX) {
            self.rows.push(row);
        }
        self.last()
    }

    pub(super) fn finish(mut self) -> Vec<Row> {
        self.rows.shrink_to_fit();
        self.rows
    }

    fn row(&self, state: &State) -> Row {
        let nothing = (RegisterId(0), Saved::Lost);
        let return_address = match self.info.link {
            Some(link) => self.saved(link.0, state),
            // The call pushed it.
            None => Saved::AtCfa(-i32::from(self.info.word_bytes)),
        };
        let mut row = Row { cfa: self.cfa(state), return_address, saved: [nothing; MOST_SAVED], count: 0 };
        for (place, register) in row.saved.iter_mut().zip(&self.preserved) {
            *place = (RegisterId(*register), self.saved(*register, state));
            row.count += 1;
        }
        row
    }

    fn cfa(&self, state: &State) -> CfaPlace {
        let fp = self.info.fp.0;
        if state.get(fp) == Value::Number(0)
            && !state.slots().iter().any(|slot| slot.value == Value::Entry(fp))
        {
            return CfaPlace::Outermost;
        }
        let at_cfa = |register: Register| match state.get(register) {
            Value::At(CFA, offset) => Some(CfaPlace::Register(RegisterId(register), offset.saturating_neg())),
            _ => None,
        };
        let in_slot = |slot: &Slot| {
            let Value::At(CFA, offset) = slot.value else { return None };
            let (register, at) = self.reach(slot.base, slot.offset, state)?;
            Some(CfaPlace::Word(register, at, offset.saturating_neg()))
        };
        // Registers that a call may change are known in the innermost frame only.
        self.lasting()
            .find_map(at_cfa)
            .or_else(|| state.slots().iter().find_map(in_slot))
            .or_else(|| (0..followed(self.info)).find_map(at_cfa))
            .unwrap_or(CfaPlace::Unknown)
    }

    fn saved(&self, register: Register, state: &State) -> Saved {
        let entry = Value::Entry(register);
        if state.get(register) == entry {
            return Saved::In(RegisterId(register));
        }
        // What lies further below sp than the red zone reaches, a signal handler may have overwritten.
        let red_zone = i32::from(self.info.red_zone_bytes);
        let is_gone = |slot: &Slot| match state.sp() {
            Value::At(base, sp) => base == slot.base && slot.offset < sp.saturating_sub(red_zone),
            _ => false,
        };
        for slot in state.slots().iter().filter(|slot| slot.value == entry && !is_gone(slot)) {
            if slot.base == CFA {
                return Saved::AtCfa(slot.offset);
            }
            if let Some((register, at)) = self.reach(slot.base, slot.offset, state) {
                return Saved::AtRegister(register, at);
            }
        }
        let other = self.preserved.iter().find(|other| state.get(**other) == entry);
        other.map_or(Saved::Lost, |other| Saved::In(RegisterId(*other)))
    }

    /// How to get to an address from sp or a preserved register.
    fn reach(&self, base: Base, offset: i32, state: &State) -> Option<(RegisterId, i32)> {
        self.lasting().find_map(|register| match state.get(register) {
            Value::At(mine, from) if mine == base => Some((RegisterId(register), offset.checked_sub(from)?)),
            _ => None,
        })
    }

    /// sp, the frame pointer and the other preserved registers: calls give them back.
    fn lasting(&self) -> impl Iterator<Item = Register> {
        [self.info.sp.0, self.info.fp.0].into_iter().chain(self.preserved.iter().copied())
    }
}
