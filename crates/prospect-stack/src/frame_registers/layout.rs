//! Which registers of an architecture have room in a frame.

use prospect_process::{Arch, RegisterId, arch::MAX_REGISTERS};

/// What [`FrameRegisters`](super::FrameRegisters) needs to know of an architecture, derived from its table.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// The slot of each register, or [`NO_SLOT`].
    slot: [u8; MAX_REGISTERS],
    slots: usize,
    /// A bit for each register that a called function gives back.
    pub(super) preserved: u64,
    /// Those of them that have no slot.
    pub(super) apart: u64,
}

const NO_SLOT: u8 = u8::MAX;

/// By [`Arch`], in the order of its variants.
pub(super) static LAYOUTS: [Layout; Arch::ALL.len()] = layouts();

/// As many as AMD64 needs. Architectures with more preserved registers have the last of them kept apart: more
/// room would make the walks of all the others slower.
pub(super) const SLOTS: usize = 10;

/// Where every architecture has its program counter and its stack pointer.
pub(super) const PC_SLOT: usize = 0;
pub(super) const SP_SLOT: usize = 1;

const fn layouts() -> [Layout; Arch::ALL.len()] {
    let none = Layout { slot: [NO_SLOT; MAX_REGISTERS], slots: 0, preserved: 0, apart: 0 };
    let mut layouts = [none; Arch::ALL.len()];
    let mut index = 0;
    while index < layouts.len() {
        let arch = Arch::ALL[index];
        let (info, layout) = (arch.info(), &mut layouts[arch as usize]);
        // Every step sets these.
        layout.slot[info.pc.0 as usize] = PC_SLOT as u8;
        layout.slot[info.sp.0 as usize] = SP_SLOT as u8;
        layout.slot[info.fp.0 as usize] = 2;
        layout.slots = 3;
        let mut register = 0;
        while register < info.registers.len() {
            if info.registers[register].preserved {
                layout.preserved |= 1 << register;
                if layout.slot[register] == NO_SLOT {
                    if layout.slots < SLOTS {
                        layout.slot[register] = layout.slots as u8;
                        layout.slots += 1;
                    } else {
                        layout.apart |= 1 << register;
                    }
                }
            }
            register += 1;
        }
        index += 1;
    }
    layouts
}

impl Layout {
    /// The index of a register's slot; without one it is beyond all slots.
    #[inline]
    pub(super) fn slot(&self, id: RegisterId) -> usize {
        usize::from(self.slot[usize::from(id.0)])
    }
}
