//! The part of a stack that a walk is in, read in blocks.

use prospect_process::{Addr, Memory, MemoryError, Registers};

/// The size of the first block. Most walks need no more.
const FIRST_BLOCK_BYTES: usize = 4 << 10;
/// The size of the largest block.
const LARGEST_BLOCK_BYTES: usize = 64 << 10;
/// How much of the stack above sp a block should hold for one step.
const ROOM_BYTES: u64 = 1 << 10;

/// The buffer of a [`StackWindow`], used for one walk after the other.
#[derive(Debug, Default)]
pub(crate) struct StackBuffer {
    bytes: Vec<u8>,
    start: Addr,
    /// Whether the block ended before it was full: there is no more of this stack.
    is_end: bool,
    next_bytes: usize,
}

impl StackBuffer {
    /// Forgets what was read: another walk begins.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.next_bytes = FIRST_BLOCK_BYTES;
    }

    /// Reads the next block where the registers of a frame say that its stack is, unless that has been
    /// read already.
    pub(crate) fn follow(&mut self, registers: &Registers, memory: &dyn Memory) {
        let Some(sp) = registers.sp() else { return };
        if memory.at_hand(sp).is_some() {
            self.bytes.clear();
            self.start = below(sp, registers);
            return;
        }
        let ahead = (self.bytes.len() as u64).checked_sub(sp.0.wrapping_sub(self.start.0));
        let enough = ahead.is_some_and(|bytes| bytes >= ROOM_BYTES || (self.is_end && bytes > 0));
        if enough && sp >= self.start {
            return;
        }
        let start = below(sp, registers);
        let size = self.next_bytes.clamp(FIRST_BLOCK_BYTES, LARGEST_BLOCK_BYTES);
        self.next_bytes = size * 4;
        self.start = start;
        self.bytes.resize(size, 0);
        let read = memory.read_available(start, &mut self.bytes);
        self.is_end = read < size;
        self.bytes.truncate(read);
    }

    /// `memory`, with this block of it at hand.
    pub(crate) fn over<'a>(&'a self, memory: &'a dyn Memory) -> StackWindow<'a> {
        let bytes =
            if self.bytes.is_empty() { memory.at_hand(self.start).unwrap_or_default() } else { &self.bytes };
        StackWindow { bytes, start: self.start, memory }
    }
}

/// Where a block begins: the red zone below sp is part of the frame, and a frame pointer can be a little
/// behind.
fn below(sp: Addr, registers: &Registers) -> Addr {
    Addr(sp.0.saturating_sub(u64::from(registers.arch().info().red_zone_bytes)))
}

/// A process's memory with one block of it at hand, so that a step makes no system call where the
/// process is live, and no search where it is frozen.
pub(crate) struct StackWindow<'a> {
    bytes: &'a [u8],
    start: Addr,
    memory: &'a dyn Memory,
}

impl Memory for StackWindow<'_> {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let offset = usize::try_from(at.0.wrapping_sub(self.start.0)).unwrap_or(usize::MAX);
        match self.bytes.get(offset..) {
            Some(bytes) if !bytes.is_empty() => {
                let length = bytes.len().min(buffer.len());
                buffer[..length].copy_from_slice(&bytes[..length]);
                Ok(length)
            }
            _ => self.memory.read_up_to(at, buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prospect_process::{Arch, Unreadable};

    use super::*;

    /// Memory from 0x10000 to 0x40000 whose words are their own addresses.
    #[derive(Default)]
    struct Counting(AtomicUsize);
    impl Memory for Counting {
        fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if !(0x10000..0x40000).contains(&at.0) {
                return Err(MemoryError { at, why: Unreadable::Unmapped });
            }
            let length = buffer.len().min((0x40000 - at.0) as usize);
            for (index, byte) in buffer[..length].iter_mut().enumerate() {
                let here = at.0 + index as u64;
                *byte = (here & !7).to_le_bytes()[(here & 7) as usize];
            }
            Ok(length)
        }
    }

    #[test]
    fn a_walk_up_the_stack_needs_few_reads() {
        let memory = Counting::default();
        let mut buffer = StackBuffer::default();
        buffer.clear();
        let mut registers = Registers::unknown(Arch::X86_64);
        for sp in (0x10000u64..0x40000).step_by(48) {
            registers.set(Arch::X86_64.info().sp, sp);
            buffer.follow(&registers, &memory);
            let window = buffer.over(&memory);
            assert_eq!(window.read_word(Arch::X86_64, Addr(sp)).unwrap(), sp);
        }
        let reads = memory.0.load(Ordering::Relaxed);
        assert!(reads <= 12, "{reads} reads");
    }

    #[test]
    fn what_is_outside_the_block_is_read_from_memory() {
        let memory = Counting::default();
        let mut buffer = StackBuffer::default();
        buffer.clear();
        let mut registers = Registers::unknown(Arch::I386);
        registers.set(Arch::I386.info().sp, 0x20000);
        buffer.follow(&registers, &memory);
        let window = buffer.over(&memory);
        for at in [0x10000, 0x1fff8, 0x20ffe, 0x20fff, 0x3fff8] {
            let mut bytes = [0; 2];
            window.read(Addr(at), &mut bytes).unwrap();
            let mut expected = [0; 2];
            memory.read(Addr(at), &mut expected).unwrap();
            assert_eq!(bytes, expected);
        }
        assert!(window.read_word(Arch::I386, Addr(0xfff0)).is_err());
        registers.set(Arch::I386.info().sp, 0xffff_fff0);
        buffer.follow(&registers, &memory);
        assert!(buffer.over(&memory).read_word(Arch::I386, Addr(0xffff_fff0)).is_err());
        assert!(buffer.over(&memory).read_word(Arch::I386, Addr(u64::MAX)).is_err());
    }
}
