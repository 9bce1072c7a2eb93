//! How a thread that was made to do a system call finds back by itself.
//!
//! A thread runs on behind the call when its tracer is killed at that moment, with registers that are not its own. So it has a
//! stack for that call, below its own, as if a signal's handler had been interrupted by it: behind the call it comes to
//! `rt_sigreturn`, for which all that it had is prepared, and the kernel gives that back: registers, those for floating point
//! among them, and blocked signals. Nobody needs to be left for that.
//!
//! One that clones its process waits for the copy on the way, whose number the kernel writes there; and the copy has a stack
//! of its own there, that leads it to its end. So whoever is killed when, no copy runs on, and none stays.
//!
//! The stack of a call (`struct rt_sigframe` of Linux `arch/x86/include/asm/sigframe.h`), from below:
//! ```text
//! words that are taken from the stack behind the call │ address of rt_sigreturn │ struct ucontext
//! ```
//! Three of them lie one behind the other, and then the registers for floating point.

use std::ops::Range;

use prospect_process::{RegisterSet, ThreadId};

use super::parking::Parking;
use crate::linux::{
    arch::{CallConvention, CallRegisters, FIRST_ARGUMENT_OFFSET, SIGNAL_CONTEXT_WORDS},
    ptrace,
};

/// As long as a way is at most.
pub(super) const MOST: usize = 4096;

/// Registers for floating point that a signal frame has: all but the tiles of AMX, which are behind them.
const MOST_STATE: usize = 2752;
/// Those that lie there, by their bits (Intel SDM volume 1, section 13.1).
const STATE_FEATURES: u64 = 0x2ff;

/// Where the kernel looks for what a signal frame has of them, and what it finds there (`struct _fpx_sw_bytes`,
/// `arch/x86/include/uapi/asm/sigcontext.h`).
const STATE_HEADER: Range<usize> = 464..488;
const STATE_BEGINS: u32 = 0x4650_5853;
const STATE_ENDS: [u8; 4] = 0x4650_5845_u32.to_le_bytes();
/// Which are in use: the header of `XSAVE`.
const STATE_IN_USE: usize = 512;

/// No process has that number: `PID_MAX_LIMIT` of `include/linux/threads.h` is less.
const NO_PROCESS: u64 = 0x7fff_ffff;

/// What a thread is to do besides a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Errand {
    /// Nothing.
    Call,
    /// The call clones its process.
    Clone,
}

/// Where the parts of a way are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Its first byte: the stack pointer for the call.
    pub(super) base: u64,
    pops: usize,
    state: usize,
}

impl Layout {
    /// As many stacks as there are.
    const STACKS: usize = 3;

    /// A way that ends below `top`, with so many bytes of registers for floating point.
    pub(super) fn below(top: u64, parking: Parking, state: usize) -> Option<Self> {
        let pops = usize::try_from(parking.pops).ok()?;
        let unplaced = Self { base: 0, pops, state };
        let base = top.checked_sub(unplaced.length() as u64)? & !63;
        Some(Self { base, ..unplaced })
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> usize {
        self.state_offset() + self.state.next_multiple_of(8)
    }

    fn state_offset(&self) -> usize {
        (Self::STACKS * self.stack_bytes()).next_multiple_of(64)
    }

    fn stack_bytes(&self) -> usize {
        8 * (self.pops + 1 + SIGNAL_CONTEXT_WORDS)
    }

    fn context_offset(&self, stack: usize) -> usize {
        stack * self.stack_bytes() + 8 * (self.pops + 1)
    }

    fn stack(&self, index: usize) -> u64 {
        self.base.wrapping_add((index * self.stack_bytes()) as u64)
    }

    /// What a clone is told besides its flags: the stack of the copy, and where its number is written.
    pub(super) fn clone_arguments(&self) -> [u64; 2] {
        [self.stack(2), self.base.wrapping_add((self.context_offset(0) + FIRST_ARGUMENT_OFFSET) as u64)]
    }

    /// Writes it: from the end of a call back to `home` with these signals blocked. Meanwhile those of `call_mask` are.
    pub(super) fn write(
        &self,
        errand: Errand,
        (home, mask): (&CallRegisters, u64),
        (convention, parking, call_mask): (&CallConvention, Parking, u64),
        state: &[u8],
        room: &mut [u8],
    ) -> Option<()> {
        let state_at = self.base.wrapping_add(self.state_offset() as u64);
        let back = home.signal_context(mask, state_at);
        let calling = |stack, number, arguments| {
            home.calling(parking.call, stack, number, arguments).signal_context(call_mask, 0)
        };
        let wait = [NO_PROCESS, 0, libc::__WALL as u64, 0, 0, 0];
        let contexts = match errand {
            Errand::Call => [back, back, back],
            Errand::Clone => [
                calling(self.stack(1), convention.wait4, wait),
                back,
                calling(self.stack(2), convention.exit_group, [0; 6]),
            ],
        };
        for (index, context) in contexts.iter().enumerate() {
            let at = self.context_offset(index);
            let words = [parking.sigreturn].into_iter().chain(*context);
            let room = room.get_mut(at - 8..)?.chunks_exact_mut(8);
            room.zip(words).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
        }
        room.get_mut(self.state_offset()..)?.get_mut(..state.len())?.copy_from_slice(state);
        Some(())
    }
}

/// The registers of a stopped thread for floating point, as a signal frame has them. `None` where they are more than there is
/// room for.
pub(super) fn state_of(thread: ThreadId, room: &mut [u8; ptrace::EXTENDED_SET_BYTES]) -> Option<&[u8]> {
    let length = ptrace::other_register_set(thread, RegisterSet::X86_EXTENDED, room).ok()?;
    let word = |at: usize| room.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (mut features, in_use) = (word(STATE_HEADER.start)?, word(STATE_IN_USE)?);
    if length > MOST_STATE {
        features &= STATE_FEATURES;
    }
    if in_use & !features != 0 {
        return None;
    }
    let size = length.min(MOST_STATE);
    let (end, number) = (size + STATE_ENDS.len(), u32::try_from(size).ok()?);
    let mut header = [0; 24];
    header[..4].copy_from_slice(&STATE_BEGINS.to_le_bytes());
    header[4..8].copy_from_slice(&(number + 4).to_le_bytes());
    header[8..16].copy_from_slice(&features.to_le_bytes());
    header[16..20].copy_from_slice(&number.to_le_bytes());
    room.get_mut(STATE_HEADER)?.copy_from_slice(&header);
    room.get_mut(size..end)?.copy_from_slice(&STATE_ENDS);
    room.get(..end)
}
