//! The registers of a frame, in little room.

mod words;

use std::fmt;

use prospect_process::{Addr, Arch, RegisterId, RegisterInfo, Registers, arch::MAX_REGISTERS};

use words::{LAYOUTS, SLOTS, Words};

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

/// The values of a frame's general registers, each known or not; and, where that is
/// [tracked](Self::track_locations), where each was found.
///
/// A stack of many frames is mostly registers, so that their size is what walks cost. Of a frame that made a
/// call no more is known than what its callee must give back: those registers, and pc, have room here, which
/// is a quarter of [`Registers`]. The others are kept apart where one of them is known: in the innermost frame,
/// and in those that a signal interrupted. So are locations.
///
/// Registers are equal when their values are, wherever those were found.
#[derive(Clone)]
pub struct FrameRegisters {
    /// A bit for each register that is known.
    known: u64,
    /// The values of the registers that have a slot. Of one that is not known it is anything.
    slots: [u64; SLOTS],
    /// All else that there may be, in one place: some bytes more in each frame, and walks take half as long
    /// again, since copies become calls.
    apart: Option<Box<Apart>>,
    arch: Arch,
}

/// What only some frames have.
#[derive(Clone, Default)]
struct Apart {
    /// The values of the registers that have no slot by their index, where one was ever set.
    values: Option<Box<[u64; MAX_REGISTERS]>>,
    /// Where registers were found, where that is tracked.
    places: Option<Places>,
}

/// Where registers were found. Of one that is not known it is anything.
#[derive(Clone)]
struct Places {
    /// A bit for each register that was read from memory.
    in_memory: u64,
    /// A bit for each register that is still in one of the thread's. Those with neither bit were computed.
    in_register: u64,
    /// The address, or the thread's register.
    words: Words,
}

impl Apart {
    /// What a caller needs of it, in whom these registers are `known`.
    #[cold]
    fn preserved(&self, arch: Arch, known: u64) -> Option<Box<Self>> {
        let has_others = known & LAYOUTS[arch as usize].apart != 0;
        let values = self.values.as_ref().filter(|_| has_others).cloned();
        let kept = |places: &Places| Places { words: places.words.of(arch, known), ..*places };
        let places = self.places.as_ref().map(kept);
        (values.is_some() || places.is_some()).then(|| Box::new(Self { values, places }))
    }
}

impl Places {
    const NONE: Self = Self { in_memory: 0, in_register: 0, words: Words::NONE };

    fn get(&self, arch: Arch, id: RegisterId) -> Location {
        let word = self.words.get(arch, id);
        match (self.in_memory >> id.0 & 1, self.in_register >> id.0 & 1) {
            (1, _) => Location::Address(Addr(word)),
            (_, 1) => Location::Register(RegisterId(word as u8)),
            _ => Location::Computed,
        }
    }

    fn set(&mut self, arch: Arch, id: RegisterId, location: Location) {
        let bit = 1 << id.0;
        self.in_memory &= !bit;
        self.in_register &= !bit;
        match location {
            Location::Address(at) => {
                self.in_memory |= bit;
                self.words.set(arch, id, at.0);
            }
            Location::Register(register) => {
                self.in_register |= bit;
                self.words.set(arch, id, u64::from(register.0));
            }
            Location::Computed => {}
        }
    }
}

impl FrameRegisters {
    /// Registers of `arch` of which none is known, nor tracked where it was found.
    #[must_use]
    pub fn unknown(arch: Arch) -> Self {
        Self { known: 0, slots: [0; SLOTS], apart: None, arch }
    }

    /// Registers of the same architecture of which none is known, tracked if these are.
    #[must_use]
    pub fn none(&self) -> Self {
        let mut none = Self::unknown(self.arch);
        if self.tracks_locations() {
            none.track_locations();
        }
        none
    }

    /// What a caller's registers are, as far as its callee, whose registers these are, must have kept them.
    #[must_use]
    pub fn preserved(&self) -> Self {
        let known = self.known & LAYOUTS[self.arch as usize].preserved;
        let apart = self.apart.as_deref().and_then(|apart| apart.preserved(self.arch, known));
        Self { known, slots: self.slots, apart, arch: self.arch }
    }

    /// Tracks from now on where each register is found. Those that are known already were computed.
    pub fn track_locations(&mut self) {
        self.apart.get_or_insert_default().places.get_or_insert(Places::NONE);
    }

    /// Tracks from now on where each register is found. Those that are known already are a thread's own.
    pub(crate) fn track_from_thread(&mut self) {
        let mut places = Places::NONE;
        for (id, _) in self.ids() {
            places.set(self.arch, id, Location::Register(id));
        }
        self.apart.get_or_insert_default().places = Some(places);
    }

    /// Whether it is tracked where registers are found.
    #[must_use]
    pub fn tracks_locations(&self) -> bool {
        self.places().is_some()
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
            None => Some(self.apart.as_ref()?.values.as_ref()?[usize::from(id.0)]),
        }
    }

    /// Where a register's value was found; `None` where it is not known, or not tracked.
    #[must_use]
    pub fn location(&self, id: RegisterId) -> Option<Location> {
        self.get(id)?;
        Some(self.places()?.get(self.arch, id))
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
        let place = self.slots.get_mut(LAYOUTS[self.arch as usize].slot(id));
        let has_slot = place.is_some();
        if let Some(place) = place {
            *place = value;
        }
        if !has_slot || self.apart.is_some() {
            self.set_apart(id, value, location);
        }
    }

    /// What is to be kept apart of a register that is set.
    #[cold]
    #[inline(never)]
    fn set_apart(&mut self, id: RegisterId, value: u64, location: Location) {
        let apart = self.apart.get_or_insert_default();
        if LAYOUTS[self.arch as usize].slot(id) >= SLOTS {
            apart.values.get_or_insert_with(|| Box::new([0; MAX_REGISTERS]))[usize::from(id.0)] = value;
        }
        if let Some(places) = &mut apart.places {
            places.set(self.arch, id, location);
        }
    }

    fn places(&self) -> Option<&Places> {
        self.apart.as_ref()?.places.as_ref()
    }

    /// A register's value, and where it was found (`Computed` where that is not tracked), to be given on with
    /// [`set_at`](Self::set_at).
    #[must_use]
    #[inline]
    pub fn located(&self, id: RegisterId) -> Option<(u64, Location)> {
        let place = |places: &Places| places.get(self.arch, id);
        Some((self.get(id)?, self.places().map_or(Location::Computed, place)))
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

impl From<&Registers> for FrameRegisters {
    fn from(registers: &Registers) -> Self {
        let mut all = Self::unknown(registers.arch());
        for index in 0..registers.arch().info().registers.len() {
            let id = RegisterId(index as u8);
            if let Some(value) = registers.get(id) {
                all.set(id, value);
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
