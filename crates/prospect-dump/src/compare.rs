//! What differs between two looks at a process, or at two processes of the same program.

use std::{collections::HashMap, hash::Hash, ops::Range};

use prospect_process::{
    Addr, Content, Mapping, Memory, Module, Process, RegisterSet, Registers, Thread, ThreadId,
};

use crate::{elf_core::page_bytes, writing::windows};

/// What became of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change<T> {
    /// Only the first one had it.
    Removed(T),
    /// Only the second one has it.
    Added(T),
    /// Both have it, and it is not the same.
    Changed {
        /// In the first one.
        before: T,
        /// In the second one.
        after: T,
    },
}

impl<T> Change<T> {
    /// In the second one; else in the first one.
    #[must_use]
    pub fn latest(&self) -> &T {
        match self {
            Self::Removed(it) | Self::Added(it) | Self::Changed { after: it, .. } => it,
        }
    }
}

/// What differs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Differences {
    /// Threads, by number.
    pub threads: Vec<ThreadChange>,
    /// Mappings, by address. Those that follow each other in memory and in their file, and may be used alike, count as one.
    pub mappings: Vec<Change<Mapping>>,
    /// Modules, by path: where they are, and which build.
    pub modules: Vec<Change<Module>>,
    /// Memory that both have mapped.
    pub memory: MemoryDifferences,
}

impl Differences {
    /// Whether nothing was found that differs. Memory that [could not be compared](MemoryDifferences::uncompared) may.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
            && self.mappings.is_empty()
            && self.modules.is_empty()
            && self.memory.changed_pages == 0
    }
}

/// What became of a thread.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadChange {
    /// Its number.
    pub id: ThreadId,
    /// Its general registers; none of them known where it has none.
    pub registers: Change<Registers>,
    /// Its other registers that differ.
    pub sets: Vec<RegisterSet>,
}

/// So many ranges are kept.
const MOST_RANGES: usize = 1 << 16;

/// What differs in memory that both have mapped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct MemoryDifferences {
    /// The size of a page, in bytes: what is counted.
    pub page_bytes: u64,
    /// How many pages were compared, byte for byte.
    pub compared_pages: u64,
    /// How many of them differ.
    pub changed_pages: u64,
    /// Where they are, by address; none goes over the end of a mapping.
    pub changed: Vec<Range<Addr>>,
    /// How many pages are not in `changed` because there were too many ranges.
    pub more_pages: u64,
    /// How many bytes neither has itself: they are left to the files that were mapped.
    pub of_files: u64,
    /// How many bytes cannot be compared because one of the two does not have them.
    pub uncompared: u64,
}

/// What differs. All memory that both have is read, piece by piece: however much it is, little is kept.
#[must_use]
pub fn compare(before: &dyn Process, after: &dyn Process) -> Differences {
    let mappings = [before, after].map(joined);
    let by_start = |mapping: &Mapping| mapping.range.start;
    let mut changed_mappings = changes(&mappings[0], &mappings[1], by_start, is_same_mapping);
    join_ends(&mut changed_mappings);
    let modules = [before, after].map(|process| process.modules().iter().cloned().collect::<Vec<_>>());
    let is_same = |one: &Module, other: &Module| one.range == other.range && one.build_id == other.build_id;
    Differences {
        threads: threads(before, after),
        modules: changes(&modules[0], &modules[1], |module| module.path.clone(), is_same),
        memory: memory([before, after], [&mappings[0], &mappings[1]]),
        mappings: changed_mappings,
    }
}

fn threads(before: &dyn Process, after: &dyn Process) -> Vec<ThreadChange> {
    let registers = |process: &dyn Process, id| {
        process.registers(id).unwrap_or_else(|| Registers::unknown(process.info().arch))
    };
    let sets = |id: ThreadId| -> Vec<RegisterSet> {
        let all = before.info().arch.info().other_sets.iter();
        all.copied().filter(|set| before.register_set(id, *set) != after.register_set(id, *set)).collect()
    };
    let is_same = |one: &Thread, other: &Thread| {
        let [before, after] = [registers(before, one.id), registers(after, other.id)];
        let values = |registers: &Registers| {
            registers.known().map(|(register, value)| (register.name, value)).collect::<Vec<_>>()
        };
        values(&before) == values(&after) && sets(one.id).is_empty()
    };
    let mut all: Vec<ThreadChange> = changes(before.threads(), after.threads(), |thread| thread.id, is_same)
        .into_iter()
        .map(|change| {
            let id = change.latest().id;
            let (registers, sets) = match change {
                Change::Removed(_) => (Change::Removed(registers(before, id)), Vec::new()),
                Change::Added(_) => (Change::Added(registers(after, id)), Vec::new()),
                Change::Changed { .. } => {
                    (Change::Changed { before: registers(before, id), after: registers(after, id) }, sets(id))
                }
            };
            ThreadChange { id, registers, sets }
        })
        .collect();
    all.sort_by_key(|change| change.id);
    all
}

/// What differs between two lists, in the order of the first; what is new comes last.
fn changes<T: Clone, K: Hash + Eq>(
    before: &[T],
    after: &[T],
    key: impl Fn(&T) -> K,
    is_same: impl Fn(&T, &T) -> bool,
) -> Vec<Change<T>> {
    // Of several with the same key, those in the same place of their order are meant. The last is taken first.
    let mut left: HashMap<K, Vec<usize>> = HashMap::new();
    for (index, one) in after.iter().enumerate().rev() {
        left.entry(key(one)).or_default().push(index);
    }
    let mut is_met = vec![false; after.len()];
    let mut all = Vec::new();
    for one in before {
        match left.get_mut(&key(one)).and_then(Vec::pop) {
            Some(index) => {
                is_met[index] = true;
                if !is_same(one, &after[index]) {
                    all.push(Change::Changed { before: one.clone(), after: after[index].clone() });
                }
            }
            None => all.push(Change::Removed(one.clone())),
        }
    }
    let new = after.iter().zip(is_met).filter(|(_, is_met)| !is_met);
    all.extend(new.map(|(one, _)| Change::Added(one.clone())));
    all
}

/// The memory map; what belongs together is one.
fn joined(process: &dyn Process) -> Vec<Mapping> {
    let mut all: Vec<Mapping> = Vec::new();
    for mapping in process.mappings().iter() {
        match all.last_mut() {
            Some(last) if continues(last, mapping) => last.range.end = mapping.range.end,
            _ => all.push(mapping.clone()),
        }
    }
    all
}

fn continues(last: &Mapping, next: &Mapping) -> bool {
    let offset = last.offset.saturating_add(last.bytes());
    last.range.end == next.range.start
        && last.permissions == next.permissions
        && is_same_file(last, next)
        && (last.file.is_none() || offset == next.offset)
}

/// The numbers of files are not kept in dumps, and memory without a file may have a name in one of them.
fn is_same_file(one: &Mapping, other: &Mapping) -> bool {
    one.file.is_some() == other.file.is_some() && (one.file.is_none() || one.name == other.name)
}

fn is_same_mapping(one: &Mapping, other: &Mapping) -> bool {
    one.range == other.range
        && one.permissions == other.permissions
        && is_same_file(one, other)
        && (one.file.is_none() || one.offset == other.offset)
}

/// A stack grows downwards: what has the same end, and another start, is the same mapping.
fn join_ends(changes: &mut Vec<Change<Mapping>>) {
    let is_added = |change: &Change<Mapping>| matches!(change, Change::Added(_));
    let ends: HashMap<Addr, Mapping> = changes
        .iter()
        .filter(|change| is_added(change))
        .map(|change| (change.latest().range.end, change.latest().clone()))
        .collect();
    let mut joined = Vec::new();
    for change in changes.iter_mut() {
        if let Change::Removed(before) = change
            && let Some(after) = ends.get(&before.range.end).filter(|after| is_same_file(before, after))
        {
            joined.push(after.range.start);
            *change = Change::Changed { before: before.clone(), after: after.clone() };
        }
    }
    changes.retain(|change| !(is_added(change) && joined.contains(&change.latest().range.start)));
    changes.sort_by_key(|change| change.latest().range.start);
}

/// So much is read at once.
const PIECE_BYTES: usize = 256 << 10;

fn memory(processes: [&dyn Process; 2], mappings: [&[Mapping]; 2]) -> MemoryDifferences {
    let mut reader = Comparer {
        memories: processes.map(Process::memory),
        buffers: [vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]],
        found: MemoryDifferences { page_bytes: page_bytes(processes[0]), ..MemoryDifferences::default() },
        may_extend: false,
    };
    let ranges = mappings.map(|all| all.iter().map(|one| (one.range.clone(), ())).collect::<Vec<_>>());
    for (range, (), ()) in overlaps(&ranges[0], &ranges[1]) {
        reader.may_extend = false;
        windows(range).for_each(|window| reader.window(window));
    }
    reader.found
}

/// Where two lists of ranges that are in order have something in common, and what each says of it.
fn overlaps<'a, A: Copy, B: Copy>(
    one: &'a [(Range<Addr>, A)],
    other: &'a [(Range<Addr>, B)],
) -> impl Iterator<Item = (Range<Addr>, A, B)> + 'a {
    let (mut first, mut second) = (0, 0);
    std::iter::from_fn(move || {
        loop {
            let ((a, of_a), (b, of_b)) = (one.get(first)?, other.get(second)?);
            let common = a.start.max(b.start)..a.end.min(b.end);
            if a.end <= b.end {
                first += 1;
            } else {
                second += 1;
            }
            if common.start < common.end {
                return Some((common, *of_a, *of_b));
            }
        }
    })
}

struct Comparer<'a> {
    memories: [&'a dyn Memory; 2],
    buffers: [Vec<u8>; 2],
    found: MemoryDifferences,
    /// Whether the next page is of the same mapping as the last.
    may_extend: bool,
}

impl Comparer<'_> {
    fn window(&mut self, window: Range<Addr>) {
        let [before, after] = self.memories.map(|memory| memory.contents(window.clone()));
        for (range, before, after) in overlaps(&before, &after) {
            let bytes = range.end.0 - range.start.0;
            match (before, after) {
                (Content::Untouched, Content::Untouched) => {}
                (Content::Missing | Content::File, Content::Missing | Content::File) => {
                    self.found.of_files = self.found.of_files.saturating_add(bytes);
                }
                (Content::Missing, _) | (_, Content::Missing) => self.uncompared(bytes),
                _ => self.range(range),
            }
        }
    }

    fn uncompared(&mut self, bytes: u64) {
        self.found.uncompared = self.found.uncompared.saturating_add(bytes);
    }

    fn range(&mut self, range: Range<Addr>) {
        let page = self.found.page_bytes;
        let mut at = range.start;
        while at < range.end {
            let wanted = (range.end.0 - at.0).min(PIECE_BYTES as u64) as usize;
            let mut read = wanted;
            for (memory, buffer) in self.memories.iter().zip(&mut self.buffers) {
                if let Err(error) = memory.read(at, &mut buffer[..wanted]) {
                    read = read.min(error.at.0.saturating_sub(at.0) as usize);
                }
            }
            self.pages(at, read);
            at = at.wrapping_add(read as u64);
            if read < wanted {
                let page_end = at.0.saturating_add(1).checked_next_multiple_of(page);
                let next = page_end.map_or(range.end, Addr).min(range.end);
                self.uncompared(next.0 - at.0);
                at = next;
            }
        }
    }

    /// Compares what was read, `length` bytes from `at` on.
    fn pages(&mut self, at: Addr, length: usize) {
        let page = self.found.page_bytes;
        let [before, after] = &self.buffers;
        let (before, after) = (&before[..length], &after[..length]);
        self.found.compared_pages += (length as u64).div_ceil(page);
        if before == after {
            return;
        }
        let pages = before.chunks(page as usize).zip(after.chunks(page as usize));
        for (index, (before, after)) in pages.enumerate() {
            if before == after {
                continue;
            }
            let start = at.wrapping_add(index as u64 * page);
            let end = start.wrapping_add(before.len() as u64);
            self.found.changed_pages += 1;
            let has_room = self.found.changed.len() < MOST_RANGES;
            match self.found.changed.last_mut() {
                Some(last) if last.end == start && self.may_extend => last.end = end,
                _ if has_room => {
                    self.found.changed.push(start..end);
                    self.may_extend = true;
                }
                _ => self.found.more_pages += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prospect_process::{
        Advice, Arch, CapturedMemory, FrozenProcess, FrozenThread, Mappings, Permissions, ProcessId,
        ProcessInfo,
    };

    use super::*;

    const AT: u64 = 0x10_0000;
    const PAGE: u64 = 0x1000;

    fn mapping((start, end): (u64, u64)) -> Mapping {
        Mapping {
            range: Addr(start)..Addr(end),
            permissions: Permissions { read: true, write: true, ..Permissions::default() },
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        }
    }

    /// Threads have numbers and a pc; `pages` are at [`AT`], each full of its number; where it is 0, it is missing.
    fn process(threads: &[(u32, u64)], mappings: &[(u64, u64)], pages: &[u8]) -> FrozenProcess {
        let thread = |(id, pc): &(u32, u64)| {
            let mut registers = Registers::unknown(Arch::X86_64);
            registers.set(Arch::X86_64.info().pc, *pc);
            FrozenThread {
                thread: Thread::new(ThreadId(*id)),
                registers: Some(registers),
                register_sets: Vec::new(),
            }
        };
        let bytes = pages.iter().flat_map(|page| vec![*page; PAGE as usize]).collect();
        let place = |index: usize| (Addr(AT + index as u64 * PAGE), PAGE as usize, index * PAGE as usize);
        let there = (0..pages.len()).filter(|index| pages[*index] > 0).map(place);
        FrozenProcess::new(
            ProcessInfo::new(ProcessId(1), Arch::X86_64),
            threads.iter().map(thread).collect(),
            CapturedMemory::new(bytes, there),
            Mappings::new(mappings.iter().copied().map(mapping).collect()),
        )
    }

    #[test]
    fn what_is_equal_has_no_differences() {
        let one = || process(&[(1, 5), (2, 6)], &[(AT, AT + 2 * PAGE)], &[1, 2]);
        let found = compare(&one(), &one());
        assert!(found.is_empty(), "{found:?}");
        assert_eq!((found.memory.compared_pages, found.memory.uncompared), (2, 0));
        // In how many pieces memory is mapped makes no difference.
        let pieces = process(&[(1, 5), (2, 6)], &[(AT, AT + PAGE), (AT + PAGE, AT + 2 * PAGE)], &[1, 2]);
        assert!(compare(&one(), &pieces).is_empty());
    }

    #[test]
    fn what_is_there_twice_is_met_in_its_order() {
        let both = [("a", 1), ("b", 2), ("a", 3)];
        let changes = |after: &[(&'static str, u8)]| {
            changes(&both, after, |one| one.0, |one, other| one == other).len()
        };
        assert_eq!([changes(&both), changes(&both[..2]), changes(&both[1..])], [0, 1, 2]);
    }

    #[test]
    fn threads_come_go_and_move() {
        let before = process(&[(3, 5), (2, 6), (1, 7)], &[], &[]);
        let after = process(&[(1, 7), (2, 9), (4, 5)], &[], &[]);
        let found = compare(&before, &after).threads;
        let pc = |registers: &Registers| registers.pc().unwrap().0;
        let rows: Vec<_> = found
            .iter()
            .map(|one| match &one.registers {
                Change::Removed(gone) => (one.id.0, Some(pc(gone)), None),
                Change::Added(new) => (one.id.0, None, Some(pc(new))),
                Change::Changed { before, after } => (one.id.0, Some(pc(before)), Some(pc(after))),
            })
            .collect();
        assert_eq!(rows, [(2, Some(6), Some(9)), (3, Some(5), None), (4, None, Some(5))]);
    }

    #[test]
    fn mappings_grow_at_both_ends() {
        let before = process(&[], &[(AT, AT + PAGE), (0x50_0000, 0x50_2000), (0x70_0000, 0x70_1000)], &[]);
        let after = process(&[], &[(AT, AT + 2 * PAGE), (0x4f_f000, 0x50_2000), (0x90_0000, 0x90_1000)], &[]);
        let ranges = |change: &Change<Mapping>| {
            let range = |mapping: &Mapping| (mapping.range.start.0, mapping.range.end.0);
            match change {
                Change::Removed(gone) => (Some(range(gone)), None),
                Change::Added(new) => (None, Some(range(new))),
                Change::Changed { before, after } => (Some(range(before)), Some(range(after))),
            }
        };
        let rows: Vec<_> = compare(&before, &after).mappings.iter().map(ranges).collect();
        assert_eq!(
            rows,
            [
                (Some((AT, AT + PAGE)), Some((AT, AT + 2 * PAGE))),
                (Some((0x50_0000, 0x50_2000)), Some((0x4f_f000, 0x50_2000))),
                (Some((0x70_0000, 0x70_1000)), None),
                (None, Some((0x90_0000, 0x90_1000))),
            ]
        );
    }

    #[test]
    fn changed_pages_are_ranges() {
        let ranges = [(AT, AT + 7 * PAGE)];
        let before = process(&[], &ranges, &[1, 2, 3, 4, 5, 0, 0]);
        let after = process(&[], &ranges, &[1, 9, 9, 4, 9, 6, 0]);
        let found = compare(&before, &after).memory;
        let page = |index: u64| Addr(AT + index * PAGE);
        assert_eq!(found.changed, [page(1)..page(3), page(4)..page(5)]);
        assert_eq!((found.compared_pages, found.changed_pages), (5, 3));
        assert_eq!((found.uncompared, found.of_files), (PAGE, PAGE));
        // Another mapping begins a range of its own.
        let cut = [(AT, AT + 2 * PAGE), (AT + 3 * PAGE, AT + 5 * PAGE)];
        let found = compare(&before, &process(&[], &cut, &[1, 9, 9, 9, 5])).memory;
        assert_eq!(found.changed, [page(1)..page(2), page(3)..page(4)]);
    }
}
