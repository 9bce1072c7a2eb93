//! What is known at an instruction, as directions from a frame's registers to its caller's.

use prospect_process::{Arch, RegisterId};

use super::state::{CFA, FP, SP, Slot, State, Value};

/// Room for the preserved registers besides sp: six on x86_64, four on i386.
const MOST_SAVED: usize = 6;
/// By the number of an instruction's register, its place in the table, which is DWARF's.
const X86_64: [u8; 16] = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];

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
    arch: Arch,
    /// By instruction number: the preserved ones besides sp.
    preserved: Vec<u8>,
    rows: Vec<Row>,
}

impl Rows {
    pub(super) fn new(arch: Arch) -> Self {
        let info = arch.info();
        let is_preserved = |number: &u8| *number != SP && info.register(id(arch, *number)).preserved;
        let numbers = 0..if arch == Arch::X86_64 { 16 } else { 8 };
        let preserved = numbers.filter(is_preserved).take(MOST_SAVED).collect();
        Self { arch, preserved, rows: Vec::new() }
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
        let mut row = Row { cfa: self.cfa(state), saved: [nothing; MOST_SAVED], count: 0 };
        for (place, number) in row.saved.iter_mut().zip(&self.preserved) {
            *place = (id(self.arch, *number), self.saved(*number, state));
            row.count += 1;
        }
        row
    }

    fn cfa(&self, state: &State) -> CfaPlace {
        if state.get(FP) == Value::Zero && !state.slots().iter().any(|slot| slot.value == Value::Entry(FP)) {
            return CfaPlace::Outermost;
        }
        for register in [SP, FP].iter().chain(&self.preserved) {
            if let Value::At(CFA, offset) = state.get(*register) {
                return CfaPlace::Register(id(self.arch, *register), offset.saturating_neg());
            }
        }
        for slot in state.slots() {
            let Value::At(CFA, offset) = slot.value else { continue };
            if let Some((register, at)) = self.reach(slot.base, slot.offset, state) {
                return CfaPlace::Word(register, at, offset.saturating_neg());
            }
        }
        // Registers that a call may change are known in the innermost frame only.
        for number in 0..16 {
            if let Value::At(CFA, offset) = state.get(number) {
                return CfaPlace::Register(id(self.arch, number), offset.saturating_neg());
            }
        }
        CfaPlace::Unknown
    }

    fn saved(&self, number: u8, state: &State) -> Saved {
        let entry = Value::Entry(number);
        if state.get(number) == entry {
            return Saved::In(id(self.arch, number));
        }
        // What lies further below sp than the red zone reaches, a signal handler may have overwritten.
        let red_zone = i32::from(self.arch.info().red_zone_bytes);
        let is_gone = |slot: &Slot| match state.get(SP) {
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
        other.map_or(Saved::Lost, |other| Saved::In(id(self.arch, *other)))
    }

    /// How to get to an address from sp or a preserved register.
    fn reach(&self, base: u32, offset: i32, state: &State) -> Option<(RegisterId, i32)> {
        [SP, FP].iter().chain(&self.preserved).find_map(|register| match state.get(*register) {
            Value::At(mine, from) if mine == base => {
                Some((id(self.arch, *register), offset.checked_sub(from)?))
            }
            _ => None,
        })
    }
}

pub(super) fn id(arch: Arch, number: u8) -> RegisterId {
    match arch {
        Arch::X86_64 => RegisterId(X86_64[usize::from(number & 15)]),
        _ => RegisterId(number & 7),
    }
}
