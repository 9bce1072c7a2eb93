//! What is known of registers and of the stack at one instruction.

use prospect_process::ArchInfo;

use super::isa::{Op, Place, REGISTERS, Register};

/// More saved values than this are not followed: there are at most eleven registers to save, and the link.
const MOST_SLOTS: usize = 16;

/// What an address is relative to: the canonical frame address, or what the instruction of a number made of
/// an address of which not all is known.
pub(super) type Base = u16;
/// The canonical frame address.
pub(super) const CFA: Base = u16::MAX;

/// Set in those of code that is analysed on its own; there are fewer instructions. The canonical frame address is the
/// same everywhere.
const ELSEWHERE: Base = 1 << 15;

/// What is known of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Unknown,
    /// What the register had when the function was entered.
    Entry(Register),
    /// This number.
    Number(i32),
    /// So far from a base.
    At(Base, i32),
}

/// A word on the stack of which something is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    pub(super) base: Base,
    pub(super) offset: i32,
    pub(super) value: Value,
}

/// All that is known at one instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    registers: [Value; REGISTERS],
    slots: [Slot; MOST_SLOTS],
    used: u8,
    /// So many registers are followed.
    count: u8,
    /// The bytes of a word.
    word: u8,
    sp: Register,
    fp: Register,
}

impl State {
    /// At a function's first instruction: sp points below what its caller keeps for it, and the return address
    /// is in a register, or was pushed.
    pub(super) fn entry(info: &ArchInfo) -> Self {
        let count = followed(info);
        // What is in the others when the function is entered, nobody wants back.
        let is_wanted = |register: Register| {
            let row = info.registers.get(usize::from(register));
            row.is_some_and(|row| row.preserved) || info.link.is_some_and(|link| link.0 == register)
        };
        let registers = std::array::from_fn(|number| match number as Register {
            register if register < count && is_wanted(register) => Value::Entry(register),
            _ => Value::Unknown,
        });
        let none = Slot { base: CFA, offset: 0, value: Value::Unknown };
        let (word, sp, fp) = (info.word_bytes, info.sp.0, info.fp.0);
        let mut state = Self { registers, slots: [none; MOST_SLOTS], used: 0, count, word, sp, fp };
        state.set(sp, Value::At(CFA, entry_sp(info)));
        state
    }

    /// The same, at the start of code that is analysed on its own: what its instructions make is told from what
    /// others made.
    pub(super) fn elsewhere(mut self) -> Self {
        let other = |value: &mut Value| {
            if let Value::At(base, _) = value {
                *base |= ELSEWHERE;
            }
        };
        self.registers.iter_mut().for_each(other);
        for slot in &mut self.slots {
            slot.base |= ELSEWHERE;
            other(&mut slot.value);
        }
        self
    }

    /// The same where an exception is caught, of which it is not known where it was thrown: what is saved may have been
    /// changed there.
    pub(super) fn where_caught(&self) -> Self {
        let mut caught = *self;
        for slot in self.slots() {
            if let Value::Entry(saved) = slot.value
                && let Some(register) = caught.registers.get_mut(usize::from(saved))
                && *register == slot.value
            {
                *register = Value::Unknown;
            }
        }
        caught
    }

    /// Whether a jump to another function would be as if that had been called in the first place.
    pub(super) fn is_as_on_entry(&self, info: &ArchInfo) -> bool {
        let is_back = |link: Register| self.get(link) == Value::Entry(link);
        self.get(self.sp) == Value::At(CFA, entry_sp(info)) && info.link.is_none_or(|link| is_back(link.0))
    }

    pub(super) fn sp(&self) -> Value {
        self.get(self.sp)
    }

    /// How many bytes sp is below where it is in another state.
    pub(super) fn depth_below(&self, other: &Self) -> Option<u32> {
        match (self.sp(), other.sp()) {
            (Value::At(base, mine), Value::At(same, theirs)) if base == same => {
                u32::try_from(theirs.checked_sub(mine)?).ok()
            }
            _ => None,
        }
    }

    pub(super) fn get(&self, register: Register) -> Value {
        self.registers.get(usize::from(register)).copied().unwrap_or(Value::Unknown)
    }

    /// Whether that is something new, as far as the frame is concerned.
    fn set(&mut self, register: Register, value: Value) -> bool {
        let Some(place) = self.registers.get_mut(usize::from(register)) else { return false };
        let before = std::mem::replace(place, value);
        // A number says nothing of the stack, but for the 0 that marks the outermost frame.
        let matters = |value: Value| match value {
            Value::Unknown => false,
            Value::Number(_) => register == self.fp,
            Value::Entry(_) | Value::At(..) => true,
        };
        before != value && (matters(before) || matters(value))
    }

    /// The words on the stack of which something is known.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots[..usize::from(self.used)]
    }

    /// Finds sp to be as another register; whether that is something new.
    pub(super) fn set_sp(&mut self, register: Register) -> bool {
        self.set(self.sp, self.get(register))
    }

    /// Does what a part of the instruction of number `at` does; whether something else is known of the frame then.
    pub(super) fn apply(&mut self, op: Op, at: Base) -> bool {
        match op {
            Op::Add { to, from, bytes } => self.set(to, self.plus(from, bytes)),
            Op::Sum { to, from, other, is_minus } => {
                let value = match (self.get(from), self.get(other)) {
                    (_, Value::Number(bytes)) if is_minus => self.plus(from, bytes.saturating_neg()),
                    (_, Value::Number(bytes)) => self.plus(from, bytes),
                    // Room for an array: what is saved below it is found from there.
                    (Value::At(..), _) => return self.rebase(to, at),
                    _ => Value::Unknown,
                };
                self.set(to, value)
            }
            Op::Number { to, value } => self.set(to, Value::Number(value)),
            Op::Align { to, from } => match self.get(from) {
                Value::At(..) => self.rebase(to, at),
                _ => self.set(to, Value::Unknown),
            },
            Op::Load { to, from } => self.set(to, self.load(self.address(from))),
            Op::Store { to, bytes, from } => {
                let value = from.map_or(Value::Unknown, |register| self.get(register));
                self.store(self.address(to), i32::from(bytes), value)
            }
            Op::Call { changed } => self.forget_below_sp() | self.forget(changed),
            Op::Forget { changed } => self.forget(changed),
        }
    }

    fn address(&self, place: Place) -> Value {
        self.plus(place.register, place.offset)
    }

    /// A register's value plus so much.
    fn plus(&self, register: Register, bytes: i32) -> Value {
        match self.get(register) {
            Value::At(base, offset) => {
                offset.checked_add(bytes).map_or(Value::Unknown, |offset| Value::At(base, offset))
            }
            Value::Number(value) => value.checked_add(bytes).map_or(Value::Unknown, Value::Number),
            other if bytes == 0 => other,
            _ => Value::Unknown,
        }
    }

    /// The same, and nothing is known of a register.
    pub(super) fn without(&self, register: Register) -> Self {
        let mut state = *self;
        state.set(register, Value::Unknown);
        state
    }

    fn forget(&mut self, changed: u32) -> bool {
        let (mut left, mut is_new) = (changed, false);
        while left != 0 {
            is_new |= self.set(left.trailing_zeros() as Register, Value::Unknown);
            left &= left - 1;
        }
        is_new
    }

    /// The word in memory at an address.
    pub(super) fn load(&self, at: Value) -> Value {
        let Value::At(base, offset) = at else { return Value::Unknown };
        let slot = self.slots().iter().find(|slot| slot.base == base && slot.offset == offset);
        slot.map_or(Value::Unknown, |slot| slot.value)
    }

    /// Writes `bytes` at an address: `value`, if they are a word. What a write to an address that is not known
    /// hits, nobody knows; that functions do not overwrite what they saved is what everyone relies on.
    fn store(&mut self, at: Value, bytes: i32, value: Value) -> bool {
        let Value::At(base, offset) = at else { return false };
        let (word, end) = (i32::from(self.word), offset.saturating_add(bytes));
        let mut is_new = self.retain(|slot| {
            slot.base != base || slot.offset >= end || slot.offset.saturating_add(word) <= offset
        });
        let is_known = matches!(value, Value::Entry(_) | Value::At(..));
        if bytes == word
            && is_known
            && let Some(free) = self.slots.get_mut(usize::from(self.used))
        {
            *free = Slot { base, offset, value };
            self.used += 1;
            is_new = true;
        }
        is_new
    }

    /// Forgets what lies below sp: a called function writes there.
    fn forget_below_sp(&mut self) -> bool {
        match self.sp() {
            Value::At(base, sp) => self.retain(|slot| slot.base != base || slot.offset >= sp),
            _ => false,
        }
    }

    /// Puts an address into a register of which nothing is known but that the instruction of number `at` makes
    /// it. What was known of the one of an earlier visit is no longer true.
    fn rebase(&mut self, register: Register, at: Base) -> bool {
        let is_old = |value: Value| matches!(value, Value::At(old, _) if old == at);
        for register in &mut self.registers {
            if is_old(*register) {
                *register = Value::Unknown;
            }
        }
        self.retain(|slot| slot.base != at && !is_old(slot.value));
        self.set(register, Value::At(at, 0));
        true
    }

    /// Keeps what is known in both. Whether that is less than before.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        let followed = usize::from(self.count);
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers).take(followed) {
            if *mine != *theirs && *mine != Value::Unknown {
                *mine = Value::Unknown;
                changed = true;
            }
        }
        if self.slots() == other.slots() {
            return changed;
        }
        changed | self.retain(|slot| other.slots().contains(slot))
    }

    /// Forgets all other slots; whether there are some.
    fn retain(&mut self, keep: impl Fn(&Slot) -> bool) -> bool {
        let before = usize::from(self.used);
        let mut kept = 0;
        for index in 0..before {
            let slot = self.slots[index];
            if keep(&slot) {
                self.slots[kept] = slot;
                kept += 1;
            }
        }
        self.used = kept as u8;
        kept != before
    }
}

/// How many registers of an architecture are followed: those before pc in its table, which instructions name.
pub(super) fn followed(info: &ArchInfo) -> Register {
    info.pc.0.min(REGISTERS as Register)
}

/// Where sp is when a function is entered, from the canonical frame address: below it lies what the callers of
/// the architecture leave there, and the return address, where a call pushes it.
fn entry_sp(info: &ArchInfo) -> i32 {
    let pushed = if info.link.is_none() { info.word_bytes } else { 0 };
    -i32::from(info.cfa_above_sp) - i32::from(pushed)
}
