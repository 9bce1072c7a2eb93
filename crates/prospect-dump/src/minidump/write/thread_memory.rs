//! What a thread has beside the stack that it runs on: its own variables, and the stack that it was taken from.

use std::ops::Range;

use prospect_process::{Addr, Arch, Memory, ThreadId, module::ElfImage, thread_pointer};

use super::subject::Subject;

/// So much of a thread's descriptor is kept: where its thread-local variables are.
const DESCRIPTOR_BYTES: u64 = 64;
/// So much is kept of variables of a thread, where the program says no more.
const LEAST_BYTES: u64 = 1 << 10;
/// The most that a program may say.
const MOST_BYTES: u64 = 64 << 10;
/// Room of so many zeros between a stack and the thread's variables is left out, but for this much above the stack.
const GAP_BYTES: u64 = 512;
const KEPT_BYTES: u64 = 128;
/// The C library leaves some room for libraries that are loaded later; it lies no further below the descriptor.
const MOST_GAP_BYTES: u64 = 16 << 10;
/// So much of the stack that a thread is on is looked through for the one that it came from.
const MOST_LOOKED_THROUGH: u64 = 64 << 10;

/// How many bytes of thread-local variables the program itself has (`PT_TLS`).
pub(super) fn program_bytes(process: &dyn prospect_process::Process) -> u64 {
    let image = process
        .modules()
        .executable()
        .and_then(|program| ElfImage::read(program.first_mapping.start, process.memory()));
    let Some((range, align)) = image.and_then(|image| image.thread_local) else { return 0 };
    let length = range.end.0.saturating_sub(range.start.0).min(MOST_BYTES);
    length.next_multiple_of(align.clamp(1, MOST_BYTES))
}

impl Subject<'_> {
    /// The variables of a thread: at least `bytes` of them, and the beginning of its descriptor (Ulrich Drepper, "ELF Handling
    /// For Thread-Local Storage", section 3.4: on some processors they lie below the thread pointer, on others above it).
    fn variables(&self, thread: ThreadId, bytes: u64) -> Option<Range<Addr>> {
        let at = thread_pointer(self.process, thread).filter(|at| at.0 != 0)?.0;
        let bytes = bytes.max(self.program_bytes);
        let (start, end) = match self.process.info().arch {
            Arch::X86_64 | Arch::I386 | Arch::S390x => {
                (at.saturating_sub(bytes), at.saturating_add(DESCRIPTOR_BYTES))
            }
            arch => {
                let is_biased = matches!(arch, Arch::Ppc | Arch::Ppc64 | Arch::Ppc64le);
                let at = if is_biased { at.saturating_sub(0x7000) } else { at };
                (at.saturating_sub(DESCRIPTOR_BYTES), at.saturating_add(DESCRIPTOR_BYTES + bytes))
            }
        };
        let mapping = self.process.mappings().at(Addr(at)).filter(|mapping| mapping.permissions.read)?;
        let range = Addr(start).max(mapping.range.start)..Addr(end).min(mapping.range.end);
        (range.start < range.end).then_some(range)
    }

    /// Where a stack that begins at `from` ends, if the thread's variables lie above it.
    pub(super) fn end_of_variables(&self, thread: ThreadId, from: Addr) -> Option<Addr> {
        let variables = self.variables(thread, 0)?;
        (from < variables.end && self.is_in_one_mapping(from, variables.start)).then_some(variables.end)
    }

    /// What is kept of a thread's variables beside its stack. Between both there can be room that nobody uses: the stack ends where
    /// that begins then.
    pub(super) fn beside(
        &self,
        memory: &dyn Memory,
        thread: ThreadId,
        stack: &mut Range<Addr>,
    ) -> Option<Range<Addr>> {
        let variables = self.variables(thread, 0)?;
        if variables.end != stack.end {
            let variables = self.variables(thread, LEAST_BYTES)?;
            let is_inside = stack.start <= variables.start && variables.end <= stack.end;
            return (!is_inside && self.strings().is_none_or(|strings| !strings.contains(&variables.start)))
                .then_some(variables);
        }
        let from = stack.start.max(Addr(stack.end.0.saturating_sub(MOST_GAP_BYTES)));
        let length = variables.start.0.checked_sub(from.0)? as usize;
        let copied = memory.at_hand(from).and_then(|bytes| bytes.get(..length));
        let mut read = Vec::new();
        let bytes = match copied {
            Some(bytes) => bytes,
            None => {
                read.resize(length, 0);
                (memory.read_available(from, &mut read) == length).then_some(&*read)?
            }
        };
        let gap = longest_zeros(bytes);
        if (gap.end - gap.start) < GAP_BYTES {
            return None;
        }
        let end = stack.end;
        stack.end = Addr((from.0 + gap.start + KEPT_BYTES).next_multiple_of(16));
        Some(Addr((from.0 + gap.end) & !15)..end)
    }

    /// The stack that a thread was on before a signal, or it itself, put it on another one: what words on the stack that it is on
    /// lead to, of the mapping that a thread usually has for its stack.
    pub(super) fn interrupted_stack(
        &self,
        memory: &dyn Memory,
        thread: ThreadId,
        stack: &Range<Addr>,
    ) -> Option<Range<Addr>> {
        let (process, mappings) = (self.process, self.process.mappings());
        let usual = if thread.0 == process.info().id.0 {
            mappings.iter().find(|mapping| mapping.name == b"[stack]")
        } else {
            thread_pointer(process, thread).and_then(|at| mappings.at(at))
        }?;
        if usual.range.contains(&stack.start) || !usual.permissions.write {
            return None;
        }
        let mut bytes = vec![0; (stack.end.0 - stack.start.0).min(MOST_LOOKED_THROUGH) as usize];
        let read = memory.read_available(stack.start, &mut bytes);
        let info = process.info().arch.info();
        let aligned = stack.start.0.next_multiple_of(info.word_bytes.into()) - stack.start.0;
        let words = bytes[..read].get(aligned as usize..)?.chunks_exact(info.word_bytes.into());
        // Addresses of the thread's descriptor lead to no frame.
        let variables = self.variables(thread, 0).filter(|one| usual.range.contains(&one.start));
        let strings = self.strings().filter(|strings| usual.range.contains(&strings.start));
        let end = variables.as_ref().map_or(usual.range.end, |one| one.end);
        let end = strings.map_or(end, |strings| end.min(strings.start));
        let frames = usual.range.start..variables.map_or(end, |one| one.start.min(end));
        let lowest =
            words.filter_map(|word| info.unsigned(word).map(Addr)).filter(|at| frames.contains(at)).min()?;
        let start = Addr(lowest.0.saturating_sub(info.red_zone_bytes.into())).max(usual.range.start);
        Some(start..end)
    }

    fn is_in_one_mapping(&self, one: Addr, other: Addr) -> bool {
        self.process.mappings().at(one).is_some_and(|mapping| mapping.range.contains(&other))
    }
}

/// The longest run of zeros, in whole words.
fn longest_zeros(bytes: &[u8]) -> Range<u64> {
    const WORD: u64 = 8;
    let (mut longest, mut start) = (0..0, 0);
    let words = bytes.chunks_exact(WORD as usize).map(|word| word == [0; WORD as usize]);
    for (index, is_zero) in (0..).zip(words.chain([false])) {
        if !is_zero {
            if index - start > longest.end - longest.start {
                longest = start..index;
            }
            start = index + 1;
        }
    }
    longest.start * WORD..longest.end * WORD
}
