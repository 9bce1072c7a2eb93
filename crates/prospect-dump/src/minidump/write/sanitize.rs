//! Stacks without the strings, keys and numbers on them: what is no address and no small number is replaced.

use std::ops::Range;

use prospect_process::{Addr, Content, Memory, MemoryError, Process, Registers};

use super::Options;

impl Options<'_> {
    /// What stands in the place of a word in a sanitised dump, in so many bytes as a word has. It is what `minidump-writer` and
    /// Breakpad write.
    pub const SANITIZED: u64 = 0x0def_aced_0def_aced;
}

/// Numbers up to this, and from its negative on, say nothing of anybody.
const SMALL: u64 = 4096;

/// Decides over words.
pub(super) struct Sanitizer<'a> {
    process: &'a dyn Process,
    /// The parts of stacks that are in the dump, by address.
    stacks: Vec<Range<Addr>>,
    /// What stays as it is.
    plain: &'a [Range<Addr>],
}

impl<'a> Sanitizer<'a> {
    pub(super) fn new(
        process: &'a dyn Process,
        mut stacks: Vec<Range<Addr>>,
        plain: &'a [Range<Addr>],
    ) -> Self {
        stacks.sort_by_key(|stack| stack.start);
        Self { process, stacks, plain }
    }

    /// Registers, but those that say where the thread is, with their words replaced.
    pub(super) fn registers(&self, registers: &Registers) -> Registers {
        let mut clean = *registers;
        let info = registers.arch().info();
        for (row, value) in registers.known() {
            let Some(id) = info.by_name(row.name) else { continue };
            let is_place = [info.pc, info.sp].contains(&id);
            if u16::from(row.bytes) == u16::from(info.word_bytes) && !is_place && !self.is_harmless(value) {
                clean.set(id, Options::SANITIZED & info.word_mask());
            }
        }
        clean
    }

    /// Whether a word may be seen: an address, or a small number.
    fn is_harmless(&self, word: u64) -> bool {
        let info = self.process.info();
        let table = info.arch.info();
        if word <= SMALL || word.wrapping_neg() & table.word_mask() <= SMALL {
            return true;
        }
        let at = Addr(info.code_address(word));
        let Some(mapping) = self.process.mappings().at(at) else { return false };
        // Letters can happen to be an address too: most of all in 32 bits.
        let bytes = word.to_le_bytes();
        let bytes = &bytes[..usize::from(table.word_bytes)];
        let is_text = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
        !is_text || mapping.permissions.execute || self.is_on_stack(at)
    }

    fn is_on_stack(&self, at: Addr) -> bool {
        let index = self.stacks.partition_point(|stack| stack.end <= at);
        self.stacks.get(index).is_some_and(|stack| stack.contains(&at))
    }

    /// Whether memory stays as it is, and up to where that is so.
    fn is_plain(&self, at: Addr) -> (bool, Addr) {
        let mapping = self.process.mappings().at(at);
        let mut end = mapping.map_or(Addr(u64::MAX), |mapping| mapping.range.end);
        for range in self.plain {
            if range.contains(&at) {
                return (true, range.end);
            }
            if range.start > at {
                end = end.min(range.start);
            }
        }
        let is_code =
            mapping.is_some_and(|mapping| !mapping.permissions.write && mapping.permissions.execute);
        (is_code, end)
    }

    /// Replaces the words in `bytes`; what is less than a word at their end becomes zero.
    fn clean(&self, bytes: &mut [u8]) {
        let info = self.process.info().arch.info();
        let width = usize::from(info.word_bytes);
        let mut words = bytes.chunks_exact_mut(width);
        for word in &mut words {
            if !info.word(word).is_some_and(|value| self.is_harmless(value)) {
                let marker = Options::SANITIZED;
                if info.big_endian {
                    word.copy_from_slice(&marker.to_be_bytes()[8 - width..]);
                } else {
                    word.copy_from_slice(&marker.to_le_bytes()[..width]);
                }
            }
        }
        words.into_remainder().fill(0);
    }
}

/// The memory of a process as a dump has it.
pub(super) struct DumpMemory<'a> {
    pub(super) memory: &'a dyn Memory,
    pub(super) sanitizer: Option<&'a Sanitizer<'a>>,
    /// Whether it is worth to ask what is there before it is read.
    pub(super) is_large: bool,
}

impl Memory for DumpMemory<'_> {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let Some(sanitizer) = self.sanitizer else { return self.memory.read_up_to(at, buffer) };
        let (is_plain, end) = sanitizer.is_plain(at);
        let length = usize::try_from(end.0.saturating_sub(at.0)).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..length];
        if is_plain || buffer.is_empty() {
            return self.memory.read_up_to(at, buffer);
        }
        // Words as the process has them, whatever is asked for.
        let width = u64::from(sanitizer.process.info().arch.info().word_bytes);
        let before = (at.0 % width) as usize;
        let mut words = vec![0; (before + buffer.len()).next_multiple_of(width as usize)];
        let start = Addr(at.0 - before as u64);
        let read = self.memory.read_up_to(start, &mut words)?;
        let whole = read - read % width as usize;
        // The end of what can be read may lie within a word.
        let end = if whole > before { whole } else { read };
        if end <= before {
            let read = self.memory.read_up_to(at, &mut buffer[..1])?;
            buffer[..read].fill(0);
            return Ok(read);
        }
        sanitizer.clean(&mut words[..end]);
        let length = buffer.len().min(end - before);
        buffer[..length].copy_from_slice(&words[before..before + length]);
        Ok(length)
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        if self.is_large { self.memory.contents(range) } else { vec![(range, Content::Own)] }
    }
}
