//! What is known of registers and of the stack at one instruction.

/// Registers by the number that instructions give them: 4 is sp, 5 is fp.
pub(super) const SP: u8 = 4;
pub(super) const FP: u8 = 5;
/// As many general registers as 64-bit code has.
pub(super) const REGISTERS: usize = 16;

/// More saved values than this are not followed: there are six registers to save.
const MOST_SLOTS: usize = 16;

/// What an address is relative to: the canonical frame address, or what an instruction at an offset made of
/// sp by cutting bits off.
pub(super) type Base = u32;
/// The canonical frame address.
pub(super) const CFA: Base = u32::MAX;

/// What is known of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Unknown,
    /// What the register had when the function was entered.
    Entry(u8),
    /// The number 0.
    Zero,
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
    pub(super) registers: [Value; REGISTERS],
    slots: [Slot; MOST_SLOTS],
    used: usize,
    /// The bytes of a word.
    word: i32,
}

impl State {
    /// At a function's first instruction: sp points to the return address, right below the CFA.
    pub(super) fn entry(word: u8) -> Self {
        let mut registers: [Value; REGISTERS] = std::array::from_fn(|number| Value::Entry(number as u8));
        let word = i32::from(word);
        registers[usize::from(SP)] = Value::At(CFA, -word);
        let none = Slot { base: CFA, offset: 0, value: Value::Unknown };
        Self { registers, slots: [none; MOST_SLOTS], used: 0, word }
    }

    /// Whether sp points to the return address.
    pub(super) fn is_as_on_entry(&self) -> bool {
        self.get(SP) == Value::At(CFA, -self.word)
    }

    pub(super) fn get(&self, register: u8) -> Value {
        self.registers.get(usize::from(register)).copied().unwrap_or(Value::Unknown)
    }

    pub(super) fn set(&mut self, register: u8, value: Value) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = value;
        }
    }

    /// The words on the stack of which something is known.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots[..self.used]
    }

    /// A register's value plus so much.
    pub(super) fn plus(&self, register: u8, bytes: i32) -> Value {
        match self.get(register) {
            Value::At(base, offset) => {
                offset.checked_add(bytes).map_or(Value::Unknown, |offset| Value::At(base, offset))
            }
            other if bytes == 0 => other,
            _ => Value::Unknown,
        }
    }

    /// The word in memory at an address.
    pub(super) fn load(&self, at: Value) -> Value {
        let Value::At(base, offset) = at else { return Value::Unknown };
        let slot = self.slots().iter().find(|slot| slot.base == base && slot.offset == offset);
        slot.map_or(Value::Unknown, |slot| slot.value)
    }

    /// Writes `bytes` at an address: `value`, if they are a word. What a write to an address that is not known
    /// hits, nobody knows; that functions do not overwrite what they saved is what everyone relies on.
    pub(super) fn store(&mut self, at: Value, bytes: i32, value: Value) {
        let Value::At(base, offset) = at else { return };
        let (word, end) = (self.word, offset.saturating_add(bytes));
        self.retain(|slot| {
            slot.base != base || slot.offset >= end || slot.offset.saturating_add(word) <= offset
        });
        if bytes == word && value != Value::Unknown && value != Value::Zero && self.used < MOST_SLOTS {
            self.slots[self.used] = Slot { base, offset, value };
            self.used += 1;
        }
    }

    /// Moves sp down by a word and writes one there.
    pub(super) fn push(&mut self, value: Value) {
        let sp = self.plus(SP, -self.word);
        self.set(SP, sp);
        self.store(sp, self.word, value);
    }

    /// Takes the word at sp and moves sp up.
    pub(super) fn pop(&mut self) -> Value {
        let value = self.load(self.get(SP));
        self.set(SP, self.plus(SP, self.word));
        value
    }

    /// Forgets what lies below sp: a called function writes there.
    pub(super) fn forget_below_sp(&mut self) {
        if let Value::At(base, sp) = self.get(SP) {
            self.retain(|slot| slot.base != base || slot.offset >= sp);
        }
    }

    /// Makes sp a base of its own. What was known of the base from an earlier visit is no longer true.
    pub(super) fn rebase_sp(&mut self, base: Base) {
        let is_old = |value: Value| matches!(value, Value::At(old, _) if old == base);
        for register in &mut self.registers {
            if is_old(*register) {
                *register = Value::Unknown;
            }
        }
        self.retain(|slot| slot.base != base && !is_old(slot.value));
        self.set(SP, Value::At(base, 0));
    }

    /// Keeps what is known in both. Whether that is less than before.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            if *mine != *theirs && *mine != Value::Unknown {
                *mine = Value::Unknown;
                changed = true;
            }
        }
        let before = self.used;
        self.retain(|slot| other.slots().contains(slot));
        changed || self.used != before
    }

    fn retain(&mut self, keep: impl Fn(&Slot) -> bool) {
        let mut kept = 0;
        for index in 0..self.used {
            let slot = self.slots[index];
            if keep(&slot) {
                self.slots[kept] = slot;
                kept += 1;
            }
        }
        self.used = kept;
    }
}
