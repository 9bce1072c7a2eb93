//! The registers of a frame, in little room.

mod layout;
mod step_rule;

use std::fmt;

use prospect_process::{Addr, Arch, RegisterId, RegisterInfo, Registers, arch::MAX_REGISTERS};

use layout::{LAYOUTS, SLOTS};
pub use step_rule::{RuleAt, StepRule};

/// Where the value of a frame's register was found: what a debugger writes to that wants the frame to go on
/// with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// It is still in this register of the *thread*: no frame further in has changed it.
    Register(RegisterId),
    /// It was saved at this address, as a word of the architecture.
    Address(Addr),
    /// It is nowhere: it was computed, as a caller's stack pointer is, or set by hand. So are selectors of
    /// segments that a signal frame has in less than a word, side by side.
    Computed,
}

/// The values of a frame's general registers, each known or not, and where each was found.
///
/// A stack of many frames is mostly registers, so that their size is what walks cost. Of a frame that made a
/// call no more is known than what its callee must give back: those registers, and pc, have room here. The others
/// are kept apart where one of them is known: in the innermost frame, and in those that a signal interrupted.
///
/// Registers are equal when their values are, wherever those were found.
#[derive(Clone)]
pub struct FrameRegisters {
    /// A bit for each register that is known.
    known: u64,
    /// The values of the registers that have a slot. Of one that is not known it is anything.
    slots: [u64; SLOTS],
    /// Where they were found.
    places: [Place; SLOTS],
    /// The registers that have no slot by their index, where one was ever set.
    apart: Option<Box<[(u64, Place); MAX_REGISTERS]>>,
    arch: Arch,
}

/// A [`Location`] in a word: 0 where it was computed, a register's index plus 1, or an address. The first
/// addresses are mapped nowhere.
#[derive(Clone, Copy)]
struct Place(u64);

impl Place {
    const COMPUTED: Self = Self(0);

    #[inline]
    fn of(location: Location) -> Self {
        match location {
            Location::Address(Addr(at)) if at > MAX_REGISTERS as u64 => Self(at),
            Location::Register(RegisterId(id)) => Self(u64::from(id) + 1),
            Location::Address(_) | Location::Computed => Self::COMPUTED,
        }
    }

    #[inline]
    fn location(self) -> Location {
        const REGISTERS: u64 = MAX_REGISTERS as u64;
        match self.0 {
            0 => Location::Computed,
            place @ 1..=REGISTERS => Location::Register(RegisterId(place as u8 - 1)),
            at => Location::Address(Addr(at)),
        }
    }
}

impl FrameRegisters {
    /// Registers of `arch` of which none is known.
    #[must_use]
    pub fn unknown(arch: Arch) -> Self {
        Self { known: 0, slots: [0; SLOTS], places: [Place::COMPUTED; SLOTS], apart: None, arch }
    }

    /// What a caller's registers are, as far as its callee, whose registers these are, must have kept them.
    #[must_use]
    pub fn preserved(&self) -> Self {
        let layout = &LAYOUTS[self.arch as usize];
        let known = self.known & layout.preserved;
        let apart = if known & layout.apart == 0 { None } else { self.apart.clone() };
        Self { known, slots: self.slots, places: self.places, apart, arch: self.arch }
    }

    /// The same registers, each with room of its own.
    #[must_use]
    pub fn expand(&self) -> Registers {
        let mut registers = Registers::unknown(self.arch);
        for (id, value) in self.ids() {
            registers.set(id, value);
        }
        registers
    }

    /// The architecture whose registers these are.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// A register's value, if it is known.
    #[must_use]
    #[inline]
    pub fn get(&self, id: RegisterId) -> Option<u64> {
        if id.0 >= MAX_REGISTERS as u8 || self.known >> id.0 & 1 == 0 {
            return None;
        }
        let slot = LAYOUTS[self.arch as usize].slot(id);
        match self.slots.get(slot) {
            Some(value) => Some(*value),
            None => Some(self.apart.as_ref()?[usize::from(id.0)].0),
        }
    }

    /// Where a register's value was found; `None` where it is not known.
    #[must_use]
    #[inline]
    pub fn location(&self, id: RegisterId) -> Option<Location> {
        Some(self.located(id)?.1)
    }

    /// A register's value, and where it was found: to be given on with [`set_at`](Self::set_at).
    #[must_use]
    #[inline]
    pub fn located(&self, id: RegisterId) -> Option<(u64, Location)> {
        let value = self.get(id)?;
        let place = match self.places.get(LAYOUTS[self.arch as usize].slot(id)) {
            Some(place) => *place,
            None => self.apart.as_ref()?[usize::from(id.0)].1,
        };
        Some((value, place.location()))
    }

    /// Makes a register known, with a value that was [computed](Location::Computed). Bits beyond the
    /// architecture's word are cut off.
    ///
    /// # Panics
    /// When the id is beyond every architecture's table.
    #[inline]
    pub fn set(&mut self, id: RegisterId, value: u64) {
        self.set_at(id, value, Location::Computed);
    }

    /// Makes a register known, with a value that was found somewhere. Bits beyond the architecture's word
    /// are cut off.
    ///
    /// # Panics
    /// When the id is beyond every architecture's table.
    #[inline]
    pub fn set_at(&mut self, id: RegisterId, value: u64, location: Location) {
        let value = value & self.arch.info().word_mask();
        self.known |= 1 << id.0;
        let slot = LAYOUTS[self.arch as usize].slot(id);
        match (self.slots.get_mut(slot), self.places.get_mut(slot)) {
            (Some(word), Some(place)) => (*word, *place) = (value, Place::of(location)),
            _ => self.set_apart(id, value, Place::of(location)),
        }
    }

    #[cold]
    #[inline(never)]
    fn set_apart(&mut self, id: RegisterId, value: u64, place: Place) {
        let apart = self.apart.get_or_insert_with(|| Box::new([(0, Place::COMPUTED); MAX_REGISTERS]));
        apart[usize::from(id.0)] = (value, place);
    }

    /// Makes a register unknown.
    pub fn forget(&mut self, id: RegisterId) {
        self.known &= !1u64.checked_shl(u32::from(id.0)).unwrap_or(0);
    }

    /// The program counter.
    #[must_use]
    #[inline]
    pub fn pc(&self) -> Option<Addr> {
        self.get(self.arch.info().pc).map(Addr)
    }

    /// The stack pointer.
    #[must_use]
    #[inline]
    pub fn sp(&self) -> Option<Addr> {
        self.get(self.arch.info().sp).map(Addr)
    }

    /// The frame-pointer register, whatever the code keeps in it.
    #[must_use]
    pub fn fp(&self) -> Option<Addr> {
        self.get(self.arch.info().fp).map(Addr)
    }

    /// Every known register with its value, in the table's order.
    pub fn known(&self) -> impl Iterator<Item = (&'static RegisterInfo, u64)> + '_ {
        self.ids().map(|(id, value)| (self.arch.info().register(id), value))
    }

    fn ids(&self) -> impl Iterator<Item = (RegisterId, u64)> + '_ {
        let ids = (0..self.arch.info().registers.len()).map(|index| RegisterId(index as u8));
        ids.filter_map(|id| Some((id, self.get(id)?)))
    }
}

/// A thread's own registers.
impl From<&Registers> for FrameRegisters {
    fn from(registers: &Registers) -> Self {
        let mut all = Self::unknown(registers.arch());
        for index in 0..registers.arch().info().registers.len() {
            let id = RegisterId(index as u8);
            if let Some(value) = registers.get(id) {
                all.set_at(id, value, Location::Register(id));
            }
        }
        all
    }
}

impl From<Registers> for FrameRegisters {
    fn from(registers: Registers) -> Self {
        Self::from(&registers)
    }
}

impl PartialEq for FrameRegisters {
    fn eq(&self, other: &Self) -> bool {
        self.arch == other.arch && self.known == other.known && self.ids().eq(other.ids())
    }
}

impl Eq for FrameRegisters {}

impl fmt::Debug for FrameRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.known().map(|(row, value)| (row.name, Addr(value)))).finish()
    }
}

#[cfg(test)]
mod tests;
