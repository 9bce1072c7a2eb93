//! What the threads need that are asked together.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use prospect_process::{Addr, FreezePlan, Mappings, Memory as _, Registers};

use super::{
    OwnMemory,
    arena::{Arena, Part},
};

/// The memory map, read when the threads to be asked were known, and the memory that they copy their stacks into.
#[derive(Debug)]
pub(super) struct Round {
    mappings: Mappings,
    arena: Arena,
    /// How many threads have not copied their stack yet.
    expected: AtomicUsize,
}

/// The copies of stacks that a freeze is made of.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) bytes: Vec<u8>,
    /// Each (start, length, offset in `bytes`).
    pub(super) ranges: Vec<(Addr, usize, usize)>,
}

impl Copies {
    pub(super) fn add(&mut self, start: Addr, bytes: &[u8]) {
        self.ranges.push((start, bytes.len(), self.bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }
}

/// The copy of a stack: where it was, and where it is in the arena of its round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StackCopy {
    pub(super) start: Addr,
    pub(super) part: Part,
}

impl StackCopy {
    pub(super) const NONE: Self = Self { start: Addr(0), part: Part::NONE };
}

impl Round {
    /// A round of so many threads, which may copy so many bytes together. Each gets a little however many they are.
    pub(super) fn new(mappings: Mappings, threads: usize, bytes: usize) -> io::Result<Self> {
        let least = threads.saturating_mul(FreezePlan::LEAST_STACK_BYTES);
        let arena = Arena::new(bytes.max(least))?;
        Ok(Self { mappings, arena, expected: AtomicUsize::new(threads) })
    }

    /// Copies the stack that is in use with these registers: from the red zone below the stack pointer to the end
    /// of the mapping, at most what is left divided by the threads that are left. Safe in a signal handler.
    pub(super) fn copy_stack(&self, registers: &Registers) -> StackCopy {
        let Some(sp) = registers.sp() else { return StackCopy::NONE };
        let (mut start, end) = self.in_use(sp, registers);
        let threads = self.expected.fetch_sub(1, Ordering::Relaxed).max(1);
        let wanted = usize::try_from(end.0.saturating_sub(start.0)).unwrap_or(usize::MAX);
        let share = |left: usize| (left / threads).max(FreezePlan::LEAST_STACK_BYTES).min(wanted);
        let part = self.arena.claim(share, |buffer| {
            let read = OwnMemory.read_available(start, buffer);
            if read > 0 {
                return read;
            }
            // The red zone can lie in another mapping, or in none.
            start = sp;
            let length = buffer.len().min(usize::try_from(end.0.saturating_sub(sp.0)).unwrap_or(usize::MAX));
            OwnMemory.read_available(sp, &mut buffer[..length])
        });
        StackCopy { start, part }
    }

    /// The red zone's start and the end of the mapping. A stack that grew since the map was read begins below its
    /// mapping; one that is newer than the map is read to the first gap.
    fn in_use(&self, sp: Addr, registers: &Registers) -> (Addr, Addr) {
        let start = Addr(sp.0.saturating_sub(u64::from(registers.arch().info().red_zone_bytes)));
        let mappings = self.mappings.as_slice();
        let index = mappings.partition_point(|mapping| mapping.range.end <= sp);
        (start, mappings.get(index).map_or(Addr(u64::MAX), |mapping| mapping.range.end))
    }

    /// Copies a stack from the thread that wants it: its own, or that of a thread that waits in the kernel.
    pub(super) fn copy_stack_to(&self, registers: &Registers, copies: &mut Copies) {
        self.copied(self.copy_stack(registers), copies);
    }

    /// Adds to `copies` what a thread has copied.
    pub(super) fn copied(&self, stack: StackCopy, copies: &mut Copies) {
        copies.add(stack.start, self.arena.bytes(stack.part));
    }
}
