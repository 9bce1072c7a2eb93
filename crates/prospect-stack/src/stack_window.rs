//! The part of a stack that a walk is in, read in blocks.

use prospect_process::{Addr, Arch, Memory, MemoryError};

use crate::FrameRegisters;

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

    /// `memory`, with the stack that the registers of a frame say that it is on at hand, as far as it can be
    /// read. `at_hand` is what of the memory was used without a copy for the frame before.
    pub(crate) fn over<'a, 'm: 'a>(
        &'a mut self,
        registers: &FrameRegisters,
        memory: &'m dyn Memory,
        at_hand: &mut AtHand<'m>,
    ) -> StackWindow<'a> {
        if let Some(sp) = registers.sp() {
            if !at_hand.holds(sp) {
                *at_hand = AtHand::find(sp, registers, memory);
            }
            if at_hand.holds(sp) {
                return StackWindow { bytes: at_hand.bytes, start: at_hand.start, memory };
            }
            self.follow(sp, registers, memory);
        }
        StackWindow { bytes: &self.bytes, start: self.start, memory }
    }

    /// Reads the next block from sp on, unless that has been read already.
    fn follow(&mut self, sp: Addr, registers: &FrameRegisters, memory: &dyn Memory) {
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
}

/// A part of a stack that needs no buffer: it was copied when the process was frozen.
#[derive(Default)]
pub(crate) struct AtHand<'m> {
    bytes: &'m [u8],
    start: Addr,
}

impl<'m> AtHand<'m> {
    fn find(sp: Addr, registers: &FrameRegisters, memory: &'m dyn Memory) -> Self {
        let found = [below(sp, registers), sp].into_iter().find_map(|start| {
            let bytes = memory.at_hand(start)?;
            Some(Self { bytes, start }).filter(|found| found.holds(sp))
        });
        found.unwrap_or_default()
    }

    fn holds(&self, sp: Addr) -> bool {
        sp.0.wrapping_sub(self.start.0) < self.bytes.len() as u64
    }
}

/// Where a block begins: the red zone below sp is part of the frame, and a frame pointer can be a little
/// behind.
fn below(sp: Addr, registers: &FrameRegisters) -> Addr {
    Addr(sp.0.saturating_sub(u64::from(registers.arch().info().red_zone_bytes)))
}

/// A process's memory with one block of it at hand, so that a step makes no system call where the
/// process is live, and no search where it is frozen.
pub(crate) struct StackWindow<'a> {
    bytes: &'a [u8],
    start: Addr,
    memory: &'a dyn Memory,
}

impl StackWindow<'_> {
    /// The block.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Where it begins.
    #[inline]
    pub(crate) fn start(&self) -> Addr {
        self.start
    }
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

    fn read_word(&self, arch: Arch, at: Addr) -> Result<u64, MemoryError> {
        let offset = usize::try_from(at.0.wrapping_sub(self.start.0)).unwrap_or(usize::MAX);
        match self.bytes.get(offset..).and_then(|bytes| arch.info().word(bytes)) {
            Some(word) => Ok(word),
            None => self.memory.read_word(arch, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prospect_process::Unreadable;

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
        let mut registers = FrameRegisters::unknown(Arch::X86_64);
        for sp in (0x10000u64..0x40000).step_by(48) {
            registers.set(Arch::X86_64.info().sp, sp);
            let window = buffer.over(&registers, &memory, &mut AtHand::default());
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
        let mut registers = FrameRegisters::unknown(Arch::I386);
        registers.set(Arch::I386.info().sp, 0x20000);
        let mut at_hand = AtHand::default();
        let window = buffer.over(&registers, &memory, &mut at_hand);
        for at in [0x10000, 0x1fff8, 0x20ffe, 0x20fff, 0x3fff8] {
            let mut bytes = [0; 2];
            window.read(Addr(at), &mut bytes).unwrap();
            let mut expected = [0; 2];
            memory.read(Addr(at), &mut expected).unwrap();
            assert_eq!(bytes, expected);
        }
        assert!(window.read_word(Arch::I386, Addr(0xfff0)).is_err());
        registers.set(Arch::I386.info().sp, 0xffff_fff0);
        let window = buffer.over(&registers, &memory, &mut at_hand);
        assert!(window.read_word(Arch::I386, Addr(0xffff_fff0)).is_err());
        assert!(window.read_word(Arch::I386, Addr(u64::MAX)).is_err());
    }

    #[test]
    fn what_was_copied_is_used_where_it_lies() {
        let arch = Arch::X86_64;
        let mut bytes = vec![0; 0x300];
        for (index, chunk) in bytes.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&(0x1000 + 8 * index as u64).to_le_bytes());
        }
        // Two stacks, the second right behind the first, and a third that begins at sp.
        let ranges = [(Addr(0x1000), 0x100, 0), (Addr(0x1100), 0x100, 0x100), (Addr(0x1200), 0x100, 0x200)];
        let memory = prospect_process::CapturedMemory::new(bytes, ranges);
        let (mut buffer, mut at_hand) = (StackBuffer::default(), AtHand::default());
        let mut registers = FrameRegisters::unknown(arch);
        for sp in [0x1000, 0x1040, 0x10f8, 0x1110, 0x1200, 0x12f8, 0x1010, 0x11f0] {
            registers.set(arch.info().sp, sp);
            let window = buffer.over(&registers, &memory, &mut at_hand);
            assert!(window.bytes.len() >= (0x100 - sp % 0x100) as usize, "{sp:#x}");
            for at in (0x1000..0x1300).step_by(8) {
                assert_eq!(window.read_word(arch, Addr(at)).unwrap(), at);
            }
            assert_eq!(window.read_word(arch, Addr(0x10fc)).unwrap(), 0x1100 << 32);
            assert!(
                window.read_word(arch, Addr(0x12fc)).is_err() && window.read_word(arch, Addr(0xff8)).is_err()
            );
        }
        assert!(buffer.bytes.is_empty());
        registers.set(arch.info().sp, 0x2000);
        let window = buffer.over(&registers, &memory, &mut at_hand);
        assert!(window.bytes.is_empty() && window.read_word(arch, Addr(0x2000)).is_err());
    }
}
