//! What is prepared below the stack of a thread for the case that nobody is left when its call has come to its end.

use super::{
    super::{
        parking::{JUMP_TO_ITSELF, MOST_CODE, Parking, pops_behind},
        replaced::Kept,
        way::{self, Errand, Layout},
    },
    Borrowed, CALL_MASK,
};
use crate::linux::{arch::CallConvention, ptrace};

/// Below the stack pointer, and in use: "The Stack Frame" in the System V ABI for AMD64.
const RED_ZONE: u64 = 128;

impl Borrowed {
    /// Prepares the way behind a call in `room`. Says what a clone is told then, besides its flags.
    pub(super) fn prepare_way(&mut self, errand: Errand, room: &mut [u8; way::MOST]) -> [u64; 2] {
        (self.own.way, self.own.finds_back) = (Kept::NOTHING, false);
        let Some(convention) = self.convention() else { return [0; 2] };
        if !self.can_be_parked(convention) {
            return [0; 2];
        }
        self.own.parking = self.parking;
        let below = self.own.home.stack_pointer().wrapping_sub(RED_ZONE);
        self.way_back(errand, convention, below, room).unwrap_or_else(|| {
            self.way_to_parking(convention, below, room);
            [0; 2]
        })
    }

    /// Whether the code is there that is to be run behind a call.
    fn can_be_parked(&self, convention: &CallConvention) -> bool {
        let Parking { call, pops, .. } = self.parking;
        let mut code = [0; MOST_CODE];
        let read = ptrace::read_memory_at(self.id, call, &mut code).unwrap_or(0);
        call != 0 && pops_behind(code.get(..read).unwrap_or_default(), convention.instruction) == Some(pops)
    }

    /// Whether there are these bytes.
    fn has_code(&self, at: u64, code: &[u8]) -> bool {
        let mut found = [0; MOST_CODE];
        let Some(found) = found.get_mut(..code.len()) else { return false };
        at != 0 && ptrace::read_memory_at(self.id, at, found).is_ok() && found == code
    }

    /// The way on which it finds back by itself.
    fn way_back(
        &mut self,
        errand: Errand,
        convention: &CallConvention,
        below: u64,
        room: &mut [u8; way::MOST],
    ) -> Option<[u64; 2]> {
        let parking = self.parking;
        if !convention.sigreturn.iter().any(|code| self.has_code(parking.sigreturn, code)) {
            return None;
        }
        let mut state = [0; ptrace::EXTENDED_SET_BYTES];
        let state = way::state_of(self.id, &mut state)?;
        let layout = Layout::below(below, parking, state.len())?;
        if layout.base < self.stack_begin? {
            return None;
        }
        let read = |at, code: &mut [u8]| {
            ptrace::read_memory_at(self.id, at, code).is_ok_and(|read| read == code.len())
        };
        let home = (&self.own.going_on().with_own_call(read), self.own.mask);
        let bytes = room.get_mut(..layout.length())?;
        layout.write(errand, home, (convention, parking, CALL_MASK), state, bytes)?;
        self.own.way = Kept::of(self.id, layout.base, layout.length())?;
        self.own.finds_back = true;
        Some(layout.clone_arguments())
    }

    /// The way to where it stays: the last word is where the return goes to.
    fn way_to_parking(&mut self, convention: &CallConvention, below: u64, room: &mut [u8; way::MOST]) {
        let Parking { pops, stay, .. } = self.parking;
        let word_bytes = convention.word_bytes;
        let length = usize::try_from(pops).unwrap_or(0).saturating_add(1).saturating_mul(word_bytes);
        let at = below.wrapping_sub(length as u64) & !(word_bytes as u64 - 1);
        let way = Kept::of(self.id, at, length).filter(|_| self.has_code(stay, &JUMP_TO_ITSELF));
        if let (Some(way), Some(bytes)) = (way, room.get_mut(length - word_bytes..length)) {
            bytes.iter_mut().zip(stay.to_le_bytes()).for_each(|(byte, value)| *byte = value);
            self.own.way = way;
        }
    }
}
