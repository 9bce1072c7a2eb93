//! The registers of a frame, in little room.

use std::fmt;

use prospect_process::{Addr, Arch, RegisterId, RegisterInfo, Registers, arch::MAX_REGISTERS};

/// The values of a frame's general registers, each known or not.
///
/// A stack of many frames is mostly registers, so that their size is what walks cost. Of a frame that made a
/// call no more is known than what its callee must give back: those registers, and pc, have room here, which
/// is a quarter of [`Registers`]. The others are kept apart where one of them is known: in the innermost frame,
/// and in those that a signal interrupted.
#[derive(Clone)]
pub struct FrameRegisters {
    /// A bit for each register that is known.
    known: u64,
    /// The values of the registers that have a slot. Of one that is not known it is anything.
    slots: [u64; SLOTS],
    /// The values of the other registers by their index, where one has ever been known.
    others: Option<Box<[u64; MAX_REGISTERS]>>,
    arch: Arch,
}

/// What [`FrameRegisters`] needs to know of an architecture, derived from its table.
#[derive(Clone, Copy)]
struct Layout {
    /// The slot of each register, or [`NO_SLOT`].
    slot: [u8; MAX_REGISTERS],
    slots: usize,
    /// A bit for each register that a called function gives back.
    preserved: u64,
}

const NO_SLOT: u8 = u8::MAX;

/// By [`Arch`], in the order of its variants.
static LAYOUTS: [Layout; Arch::ALL.len()] = layouts();

/// As many as the architecture with the most preserved registers needs.
const SLOTS: usize = {
    let (layouts, mut most, mut index) = (layouts(), 0, 0);
    while index < layouts.len() {
        if layouts[index].slots > most {
            most = layouts[index].slots;
        }
        index += 1;
    }
    most
};

const fn layouts() -> [Layout; Arch::ALL.len()] {
    let none = Layout { slot: [NO_SLOT; MAX_REGISTERS], slots: 0, preserved: 0 };
    let mut layouts = [none; Arch::ALL.len()];
    let mut index = 0;
    while index < layouts.len() {
        let arch = Arch::ALL[index];
        let (info, layout) = (arch.info(), &mut layouts[arch as usize]);
        let mut register = 0;
        while register < info.registers.len() {
            let preserved = info.registers[register].preserved;
            if preserved {
                layout.preserved |= 1 << register;
            }
            if preserved || register == info.pc.0 as usize {
                layout.slot[register] = layout.slots as u8;
                layout.slots += 1;
            }
            register += 1;
        }
        index += 1;
    }
    layouts
}

impl FrameRegisters {
    /// Registers of `arch` of which none is known.
    #[must_use]
    pub fn unknown(arch: Arch) -> Self {
        Self { known: 0, slots: [0; SLOTS], others: None, arch }
    }

    /// What a caller's registers are, as far as its callee, whose registers these are, must have kept them.
    #[must_use]
    pub fn preserved(&self) -> Self {
        let known = self.known & LAYOUTS[self.arch as usize].preserved;
        Self { known, slots: self.slots, others: None, arch: self.arch }
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
        let slot = LAYOUTS[self.arch as usize].slot[usize::from(id.0)];
        match self.slots.get(usize::from(slot)) {
            Some(value) => Some(*value),
            None => self.others.as_ref().map(|others| others[usize::from(id.0)]),
        }
    }

    /// Makes a register known. Bits beyond the architecture's word are cut off.
    ///
    /// # Panics
    /// When the id is beyond every architecture's table.
    #[inline]
    pub fn set(&mut self, id: RegisterId, value: u64) {
        let value = value & self.arch.info().word_mask();
        let slot = LAYOUTS[self.arch as usize].slot[usize::from(id.0)];
        match self.slots.get_mut(usize::from(slot)) {
            Some(place) => *place = value,
            None => {
                let others = self.others.get_or_insert_with(|| Box::new([0; MAX_REGISTERS]));
                others[usize::from(id.0)] = value;
            }
        }
        self.known |= 1 << id.0;
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
mod tests {
    use super::*;

    #[test]
    fn they_hold_what_the_wide_ones_hold() {
        for arch in Arch::ALL {
            for some in [u64::MAX, 0, 0x5555_5555_5555_5555, 0x3333_3333_3333_3333] {
                let mut wide = Registers::unknown(arch);
                let mut frame = FrameRegisters::unknown(arch);
                for index in 0..arch.info().registers.len() as u8 {
                    if some >> index & 1 == 1 {
                        wide.set(RegisterId(index), u64::MAX - u64::from(index));
                        frame.set(RegisterId(index), u64::MAX - u64::from(index));
                    }
                }
                assert_eq!(FrameRegisters::from(wide), frame);
                assert_eq!(frame.expand(), wide);
                assert_eq!((frame.pc(), frame.sp(), frame.fp()), (wide.pc(), wide.sp(), wide.fp()));
                assert_eq!(format!("{frame:?}"), format!("{wide:?}"));
                for index in 0..arch.info().registers.len() as u8 {
                    frame.forget(RegisterId(index));
                    assert_eq!(frame.get(RegisterId(index)), None);
                    assert_eq!(frame == FrameRegisters::from(wide), wide.get(RegisterId(index)).is_none());
                    wide.forget(RegisterId(index));
                }
            }
        }
    }

    #[test]
    fn a_caller_has_what_its_callee_gives_back_and_it_takes_no_room_apart() {
        for arch in Arch::ALL {
            let info = arch.info();
            let mut frame = FrameRegisters::unknown(arch);
            for index in 0..info.registers.len() as u8 {
                frame.set(RegisterId(index), u64::from(index) + 1);
            }
            assert!(frame.others.is_some());
            let mut caller = frame.preserved();
            let expected = info.preserved().map(|id| (info.register(id).name, u64::from(id.0) + 1));
            assert!(caller.known().map(|(row, value)| (row.name, value)).eq(expected));
            caller.set(info.pc, 5);
            assert!(caller.others.is_none());
            assert_ne!(caller, frame);
        }
    }

    #[test]
    fn ids_beyond_every_table_are_unknown() {
        let mut frame = FrameRegisters::unknown(Arch::X86_64);
        for id in [48, 63, 64, 200, 255].map(RegisterId) {
            frame.forget(id);
            assert_eq!(frame.get(id), None);
        }
        assert!(size_of::<FrameRegisters>() <= 128);
    }
}
