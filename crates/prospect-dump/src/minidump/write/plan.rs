//! Which memory is in a minidump.

use std::ops::Range;

use prospect_process::{Addr, Memory, Thread, ThreadId};

use super::{SoftError, subject::Subject};
use crate::{
    PageSet,
    elf_core::{Bounds, Piece, Selection, cut, is_zero_until_touched, page_bytes, pieces},
    writing::{Limits, Part, WriteError},
};

/// So much code around each thread's program counter.
const CODE_BYTES: u64 = 256;
/// The vdso has a few pages. It is in no file.
const MOST_VDSO_BYTES: u64 = 64 << 10;
/// What every stack gets, as far as it is so long, however many there are.
const LEAST_STACK_BYTES: u64 = 2 << 10;
/// More soft errors of one kind say nothing new.
const MOST_ERRORS: usize = 64;

/// The memory of a minidump.
pub(super) struct Plan {
    /// By address, without overlaps, in the order of the file.
    pub(super) parts: Vec<Part>,
    /// Whether it is an image of the memory, and not only of what stacks need.
    pub(super) is_full: bool,
    /// The stack of each thread, as far as it is there.
    pub(super) stacks: Vec<(ThreadId, Range<Addr>)>,
    /// Stacks that threads have left for others, and will come back to.
    pub(super) interrupted: Vec<Range<Addr>>,
    /// What is missing.
    pub(super) errors: Vec<SoftError>,
    /// Where each part begins in the file, behind the beginning of the first.
    offsets: Vec<u64>,
    pub(super) bytes: u64,
}

impl Plan {
    /// The memory that `subject` says, of about `room` bytes at most.
    ///
    /// # Errors
    /// When it takes too long, or is cancelled.
    pub(super) fn make(
        subject: &Subject<'_>,
        memory: &dyn Memory,
        holes: bool,
        room: Option<u64>,
        limits: &Limits<'_>,
    ) -> Result<Self, WriteError> {
        let mut errors = Vec::new();
        let mut set = PageSet::default();
        let options = subject.options;
        // A dump has what it has.
        let is_dumped = options.full == Some(Selection::Dumped);
        let kept = (!is_dumped).then(|| code(subject).into_iter().chain(vdso(subject)));
        for range in kept.into_iter().flatten().chain(options.app_memory.iter().cloned()) {
            add(memory, range, &mut set, &mut errors);
        }
        let mut budget = options.stack_bytes;
        if let Some(room) = room {
            budget = budget.min(room.saturating_sub(set.bytes()));
        }
        let Stacks { own: stacks, interrupted } = stacks(subject, memory, budget, &mut set, &mut errors);
        if is_dumped {
            errors.clear();
        }
        let is_full = options.full.is_some() || options.depth.is_some();
        let mut zero = Vec::new();
        if is_full {
            add_selected(subject, memory, holes, room, limits, (&mut set, &mut zero))?;
        }
        if let Some(strings) = subject.strings() {
            let plain: PageSet = options.app_memory.iter().cloned().collect();
            let kept = plain.within(strings.clone()).collect::<Vec<_>>();
            set = [Addr(0)..strings.start, strings.end..Addr(u64::MAX)]
                .into_iter()
                .flat_map(|side| set.within(side).collect::<Vec<_>>())
                .chain(kept)
                .collect();
        }
        let parts: Vec<Part> = split(&set, &zero);
        let (mut offsets, mut bytes) = (Vec::with_capacity(parts.len()), 0);
        for part in &parts {
            offsets.push(bytes);
            bytes += part.range.end.0 - part.range.start.0;
        }
        Ok(Self { parts, is_full, stacks, interrupted, errors, offsets, bytes })
    }

    /// The part that an address is in.
    pub(super) fn part(&self, at: Addr) -> Option<usize> {
        let index = self.parts.partition_point(|part| part.range.end <= at);
        self.parts.get(index).filter(|part| part.range.contains(&at)).map(|_| index)
    }

    /// How far behind the beginning of all memory an address is in the file.
    pub(super) fn offset_of(&self, at: Addr) -> Option<u64> {
        let index = self.part(at)?;
        Some(self.offsets[index] + (at.0 - self.parts[index].range.start.0))
    }

    /// The stack of a thread.
    pub(super) fn stack(&self, thread: ThreadId) -> Option<&Range<Addr>> {
        self.stacks.iter().find(|(id, _)| *id == thread).map(|(_, range)| range)
    }
}

/// What was chosen, and of that what is zero where it was never touched.
fn split(set: &PageSet, zero: &[Range<Addr>]) -> Vec<Part> {
    let zero: PageSet = zero.iter().cloned().collect();
    let mut parts = Vec::new();
    for range in set.iter() {
        let mut next = range.start;
        let mut push = |range: Range<Addr>, untouched_is_zero| {
            if range.start < range.end {
                parts.push(Part { range, untouched_is_zero });
            }
        };
        for part in zero.within(range.clone()) {
            push(next..part.start, false);
            next = part.end;
            push(part, true);
        }
        push(next..range.end, false);
    }
    parts
}

/// As a core would have it, within `room`.
fn add_selected(
    subject: &Subject<'_>,
    memory: &dyn Memory,
    holes: bool,
    room: Option<u64>,
    limits: &Limits<'_>,
    (set, zero): (&mut PageSet, &mut Vec<Range<Addr>>),
) -> Result<(), WriteError> {
    let (process, options) = (subject.process, subject.options);
    let selection = options.full.unwrap_or(Selection::Kernel);
    let narrow = process.info().arch.info().word_bytes == 4;
    let fits = |mapping: &prospect_process::Mapping| !narrow || mapping.range.end.0 <= 1 << 32;
    let mut pieces = pieces(process, memory, selection, page_bytes(process), holes, fits);
    let bounds = Bounds { limit: room.map(|room| room.saturating_sub(set.bytes())), depth: options.depth };
    if bounds.limit.is_some() || bounds.depth.is_some() {
        cut(process, memory, &mut pieces, bounds, holes, limits)?;
    }
    for (mapping, Piece { range, length }) in pieces {
        let range = range.start..range.start.wrapping_add(length);
        if length > 0 && set.insert(range.clone()) && is_zero_until_touched(mapping) {
            zero.push(range);
        }
    }
    Ok(())
}

/// The code around each program counter.
fn code(subject: &Subject<'_>) -> Vec<Range<Addr>> {
    let around = |thread: &Thread| {
        let pc = subject.registers(thread.id)?.pc()?;
        let mapping = subject.process.mappings().at(pc)?;
        let start = Addr(pc.0.saturating_sub(CODE_BYTES / 2)).max(mapping.range.start);
        let end = Addr(pc.0.saturating_add(CODE_BYTES / 2)).min(mapping.range.end);
        (mapping.permissions.execute && start < end).then_some(start..end)
    };
    let ranges: PageSet = subject.process.threads().iter().filter_map(around).collect();
    ranges.iter().collect()
}

/// What the kernel gives every process to run.
fn vdso(subject: &Subject<'_>) -> Option<Range<Addr>> {
    let at = Addr(subject.auxv.get(prospect_process::auxv::VDSO).unwrap_or(0));
    let named = || subject.process.mappings().iter().find(|mapping| mapping.name == b"[vdso]");
    let mapping = subject.process.mappings().at(at).or_else(named)?;
    (mapping.bytes() <= MOST_VDSO_BYTES).then(|| mapping.range.clone())
}

/// Adds what of a range can be read, from its start on.
fn add(memory: &dyn Memory, range: Range<Addr>, set: &mut PageSet, errors: &mut Vec<SoftError>) -> Addr {
    let end = readable(memory, &range);
    if end < range.end && errors.len() < MOST_ERRORS {
        errors.push(SoftError::MemoryNotRead { start: end, bytes: range.end.0 - end.0 });
    }
    if set.insert(range.start..end) { end } else { range.start }
}

/// Up to where a range can be read.
fn readable(memory: &dyn Memory, range: &Range<Addr>) -> Addr {
    let mut buffer = Vec::new();
    let mut at = range.start;
    while at < range.end {
        if let Some(copied @ [_, ..]) = memory.at_hand(at) {
            at = at.wrapping_add(copied.len() as u64).min(range.end);
            continue;
        }
        if buffer.is_empty() {
            buffer.resize(((range.end.0 - at.0) as usize).min(64 << 10), 0);
        }
        let wanted = ((range.end.0 - at.0) as usize).min(buffer.len());
        let read = memory.read_available(at, &mut buffer[..wanted]);
        at = at.wrapping_add(read as u64);
        if read < wanted {
            break;
        }
    }
    at
}

/// Which stacks are in the dump.
struct Stacks {
    own: Vec<(ThreadId, Range<Addr>)>,
    interrupted: Vec<Range<Addr>>,
}

/// Adds the stacks, of `budget` bytes together, and what threads have beside them, and says what is there of each.
fn stacks(
    subject: &Subject<'_>,
    memory: &dyn Memory,
    budget: u64,
    set: &mut PageSet,
    errors: &mut Vec<SoftError>,
) -> Stacks {
    let threads = subject.process.threads().iter().map(|thread| thread.id);
    let mut stacks: Vec<(ThreadId, Range<Addr>)> =
        threads.filter_map(|thread| Some((thread, subject.stack(thread)?))).collect();
    if subject.options.skip_stacks_if_mapping_unreferenced {
        match subject.principal() {
            Some(principal) => stacks.retain(|(thread, stack)| {
                // A stack without end is not looked through.
                let most = Addr(stack.start.0.saturating_add(subject.options.stack_bytes));
                let refers = subject.refers_to(*thread, &(stack.start..stack.end.min(most)), &principal);
                if !refers && Some(*thread) == subject.blamed {
                    errors.push(SoftError::PrincipalMappingNotReferenced);
                }
                refers
            }),
            None => {
                let at = subject.options.principal_mapping_address.unwrap_or(Addr(0));
                errors.push(SoftError::PrincipalMappingNotFound(at));
                stacks.clear();
            }
        }
    }
    let own = stacks.len();
    let interrupted = |(thread, stack): &(ThreadId, Range<Addr>)| {
        Some((*thread, subject.interrupted_stack(memory, *thread, stack)?))
    };
    let interrupted: Vec<_> = stacks.iter().filter_map(interrupted).collect();
    let beside: Vec<_> =
        stacks.iter_mut().filter_map(|(thread, stack)| subject.beside(memory, *thread, stack)).collect();
    stacks.extend(interrupted);
    share(&mut stacks, subject.blamed, budget, errors);
    for (_, stack) in &mut stacks {
        stack.end = add(memory, stack.clone(), set, errors);
    }
    for range in beside {
        add(memory, range, set, errors);
    }
    let interrupted = stacks.split_off(own).into_iter().map(|(_, stack)| stack);
    let interrupted = interrupted.filter(|stack| stack.start < stack.end).collect();
    stacks.retain(|(_, stack)| stack.start < stack.end);
    Stacks { own: stacks, interrupted }
}

/// Cuts stacks so that they have `budget` bytes together: the blamed thread's first, which has half of it whatever the others
/// need; then the short ones, so that what they leave goes to the deep ones.
fn share(
    stacks: &mut [(ThreadId, Range<Addr>)],
    blamed: Option<ThreadId>,
    budget: u64,
    errors: &mut Vec<SoftError>,
) {
    let length = |stack: &Range<Addr>| stack.end.0 - stack.start.0;
    let total = stacks.iter().map(|(_, stack)| length(stack)).fold(0, u64::saturating_add);
    if total <= budget {
        return;
    }
    let is_blamed = |thread: ThreadId| Some(thread) == blamed;
    let others = stacks.iter().filter(|(thread, _)| !is_blamed(*thread)).map(|(_, stack)| length(stack));
    let others = others.fold(0, u64::saturating_add);
    let mut order: Vec<usize> = (0..stacks.len()).collect();
    order.sort_by_key(|index| (!is_blamed(stacks[*index].0), length(&stacks[*index].1)));
    let (mut left, mut count, mut cut) = (budget, order.len() as u64, (0, 0));
    for index in order {
        let (thread, stack) = &mut stacks[index];
        let fair =
            if is_blamed(*thread) { (left / 2).max(left.saturating_sub(others)) } else { left / count };
        let (before, most) = (length(stack), fair.max(LEAST_STACK_BYTES));
        stack.end = stack.end.min(Addr(stack.start.0.saturating_add(most)));
        let kept = length(stack);
        if kept < before {
            cut = (cut.0 + 1, before - kept + cut.1);
        }
        left = left.saturating_sub(kept);
        count -= 1;
    }
    errors.push(SoftError::StacksCut { count: cut.0, bytes: cut.1 });
}
