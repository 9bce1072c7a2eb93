//! What of a process's memory tells the most: its stacks, and what can be reached from them.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use prospect_process::{
    Addr, Content, Mapping, Memory, MemoryError, Modules, Process, Registers, Thread,
    auxv::{self, Auxv},
    thread_pointer,
};

use crate::{
    elf_core::{is_zero_until_touched, page_bytes},
    pages::PageSet,
    writing::windows,
};

/// Of what is pointed to, so much before it and from it on belongs to it.
const BEFORE_BYTES: u64 = 512;
const AFTER_BYTES: u64 = 4096;
/// Memory is looked through in pieces of this size.
const CHUNK_BYTES: usize = 256 << 10;
/// The vdso has a few pages; other mappings that are kept whole are not larger either.
const MOST_WHOLE_BYTES: u64 = 1 << 20;

/// How far [`reach`] goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReachPlan {
    bytes: u64,
    depth: u32,
    scan_bytes: u64,
    deadline: Option<Instant>,
}

impl ReachPlan {
    /// Stacks, what registers point to, and what can be reached from the stacks in `depth` steps: with 1, what words on the
    /// stacks point to; with 0, the stacks alone.
    #[must_use]
    pub fn new(depth: u32) -> Self {
        Self { bytes: u64::MAX, depth, scan_bytes: 64 << 20, deadline: None }
    }

    /// At most so many bytes of memory that was touched. What a debugger needs to find modules and threads is taken in any case.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// At most so many bytes are looked through for addresses, which bounds the time: 64 MiB where nothing else is said.
    #[must_use]
    pub fn scan_bytes(mut self, bytes: u64) -> Self {
        self.scan_bytes = bytes;
        self
    }

    /// From then on, no memory is looked through for addresses any more.
    #[must_use]
    pub fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }
}

/// What was reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Reached {
    /// Whole pages.
    pub pages: PageSet,
    /// How many bytes of them were touched.
    pub bytes: u64,
    /// Whether it ended for want of room or time, and not because there was nothing more within the plan.
    pub is_cut: bool,
}

/// Takes pages of a process that stands still, the most telling ones first, until `plan` is done: what debuggers need to find
/// modules and threads, stacks, what registers point to, what words on the stacks point to, and then step by step what words
/// in the pages taken so far point to where that is writable. The thread that died comes first, then those of the process in
/// their order.
///
/// Only pages in `within` are taken: ranges by address that do not overlap. Memory that was never touched is not taken.
#[must_use]
pub fn reach(process: &dyn Process, within: &[Range<Addr>], plan: &ReachPlan) -> Reached {
    let writable = |range: &&Range<Addr>| {
        process.mappings().at(range.start).is_some_and(|mapping| mapping.permissions.write)
    };
    let mut reach = Reach {
        process,
        page_bytes: page_bytes(process),
        all: within.to_vec(),
        writable: within.iter().filter(writable).cloned().collect(),
        left_bytes: plan.bytes,
        left_scan: plan.scan_bytes,
        deadline: plan.deadline,
        reached: Reached::default(),
        fresh: PageSet::default(),
        buffer: vec![0; CHUNK_BYTES],
    };
    reach.take_essentials();
    let stacks = reach.take_stacks();
    for registers in in_order(process) {
        let words: Vec<u64> = registers.known().map(|(_, value)| value).collect();
        reach.take_targets(&words, false);
    }
    reach.fresh = PageSet::default();
    for step in 0..plan.depth {
        let from = std::mem::take(&mut reach.fresh);
        if step == 0 {
            stacks.iter().for_each(|stack| reach.scan(stack.clone(), false));
        } else {
            from.iter().for_each(|range| reach.scan(range, true));
        }
        if reach.fresh.is_empty() {
            break;
        }
    }
    reach.reached
}

/// The parts of stacks in use, in the order of [`reach`]: each from sp, and the red zone below it, to the end of its mapping.
#[must_use]
pub fn stacks(process: &dyn Process) -> Vec<Range<Addr>> {
    let red_zone = u64::from(process.info().arch.info().red_zone_bytes);
    let stack = |registers: &Registers| {
        let sp = registers.sp()?;
        let mapping = process.mappings().at(sp)?;
        Some(mapping.range.start.max(Addr(sp.0.saturating_sub(red_zone)))..mapping.range.end)
    };
    in_order(process).iter().filter_map(stack).collect()
}

/// The thread that died first (`man 7 signal`: it has a signal, and what is known of it).
fn in_order(process: &dyn Process) -> Vec<Registers> {
    let mut threads: Vec<&Thread> = process.threads().iter().collect();
    threads.sort_by_key(|thread| !(thread.signals.info.is_some() && thread.signals.current != 0));
    threads.iter().filter_map(|thread| process.registers(thread.id)).collect()
}

struct Reach<'a> {
    process: &'a dyn Process,
    page_bytes: u64,
    /// What may be taken, by address; and of that, what is writable.
    all: Vec<Range<Addr>>,
    writable: Vec<Range<Addr>>,
    left_bytes: u64,
    left_scan: u64,
    deadline: Option<Instant>,
    reached: Reached,
    /// What was taken in this step.
    fresh: PageSet,
    buffer: Vec<u8>,
}

impl Reach<'_> {
    /// What a debugger needs before it can look at anything: the headers and build-ids of modules, the dynamic linker's list
    /// of them, the kernel's own code, and the threads' descriptors with what lists them.
    fn take_essentials(&mut self) {
        let process = self.process;
        let (arch, mappings) = (process.info().arch, process.mappings());
        let recorder = Recorder { memory: process.memory(), seen: Mutex::default() };
        // What it takes to find the modules is what these here read.
        let modules = Modules::find(mappings, &recorder, process.info().executable.as_deref());
        let _ = modules.loaded_files(arch, &recorder);
        let _ = modules.loader_trap(arch, &recorder);
        let seen = recorder.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        seen.iter().for_each(|range| self.take(range, true));

        let info = arch.info();
        let vector = &process.info().kernel.auxiliary_vector;
        let vdso = Auxv::parse(vector, info.word_bytes, info.big_endian).get(auxv::VDSO).map(Addr);
        let of_threads: Vec<Range<Addr>> = [modules.loader(), modules.thread_library(), modules.c_library()]
            .into_iter()
            .flatten()
            .map(|module| module.range.clone())
            .collect();
        let whole = |mapping: &&Mapping| {
            let is_state = mapping.permissions.write
                && of_threads.iter().any(|range| range.contains(&mapping.range.start));
            let is_vdso = vdso.is_some_and(|at| mapping.range.contains(&at));
            (is_state || is_vdso) && mapping.bytes() <= MOST_WHOLE_BYTES
        };
        mappings.iter().filter(whole).for_each(|mapping| self.take(mapping.range.clone(), true));
        for thread in process.threads() {
            if let Some(Addr(at)) = thread_pointer(process, thread.id) {
                self.take(Addr(at.saturating_sub(AFTER_BYTES))..Addr(at.saturating_add(AFTER_BYTES)), true);
            }
        }
    }

    /// The stacks. Three quarters of the room are theirs;
    /// each gets the same share of what those before it have left, so that no deep one takes the room of all others.
    fn take_stacks(&mut self) -> Vec<Range<Addr>> {
        let mut stacks = stacks(self.process);
        let mut room = self.left_bytes / 4 * 3;
        let count = stacks.len() as u64;
        for (index, stack) in stacks.iter_mut().enumerate() {
            let share = room / (count - index as u64);
            stack.end = stack.end.min(Addr(stack.start.0.saturating_add(share)));
            let before = self.left_bytes;
            self.take(stack.clone(), false);
            room = room.saturating_sub(before - self.left_bytes);
        }
        stacks
    }

    /// Looks through memory for addresses, and takes what they point to.
    fn scan(&mut self, range: Range<Addr>, only_writable: bool) {
        let info = self.process.info().arch.info();
        let word_bytes = u64::from(info.word_bytes);
        let parts: Vec<Range<Addr>> = self.reached.pages.within(range).collect();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut words = Vec::new();
        for part in parts {
            let mut at = Addr(part.start.0.checked_next_multiple_of(word_bytes).unwrap_or(u64::MAX));
            while at < part.end {
                let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if is_late || self.left_scan == 0 || self.left_bytes < self.page_bytes {
                    self.reached.is_cut = true;
                    break;
                }
                let wanted = (part.end.0 - at.0).min(buffer.len() as u64) as usize;
                let read = self.process.memory().read_available(at, &mut buffer[..wanted]);
                self.left_scan = self.left_scan.saturating_sub(wanted as u64);
                words.clear();
                words.extend(
                    buffer[..read].chunks_exact(word_bytes as usize).filter_map(|word| info.word(word)),
                );
                self.take_targets(&words, only_writable);
                at = at.wrapping_add(wanted as u64);
            }
        }
        self.buffer = buffer;
    }

    /// Takes the pages that words point to, in the order of the words as far as that does not take them apart.
    fn take_targets(&mut self, words: &[u64], only_writable: bool) {
        let spans = if only_writable { &self.writable } else { &self.all };
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return };
        let bounds = first.start..last.end;
        let mut targets: Vec<Range<Addr>> = Vec::new();
        for word in words {
            let at = Addr(self.process.info().code_address(*word));
            if !bounds.contains(&at) {
                continue;
            }
            let place = spans.partition_point(|span| span.start <= at);
            let Some(span) =
                place.checked_sub(1).map(|place| &spans[place]).filter(|span| span.contains(&at))
            else {
                continue;
            };
            let start = Addr(at.0.saturating_sub(BEFORE_BYTES)).max(span.start);
            let around = start..Addr(at.0.saturating_add(AFTER_BYTES)).min(span.end);
            targets.push(around);
        }
        targets.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<Addr>> = Vec::new();
        for target in targets {
            match joined.last_mut() {
                Some(last) if last.end >= target.start => last.end = last.end.max(target.end),
                _ => joined.push(target),
            }
        }
        joined.into_iter().for_each(|range| self.take(range, false));
    }

    /// Takes the pages of a range that may be taken and are not yet; as many as there is room for.
    fn take(&mut self, range: Range<Addr>, in_any_case: bool) {
        let page = self.page_bytes;
        let end = range.end.0.checked_next_multiple_of(page).unwrap_or(range.end.0);
        let pages = Addr(range.start.0 / page * page)..Addr(end);
        let first = self.all.partition_point(|span| span.end <= pages.start);
        let mut wanted = Vec::new();
        for span in self.all[first..].iter().take_while(|span| span.start < pages.end) {
            wanted.extend(self.reached.pages.gaps(span.start.max(pages.start)..span.end.min(pages.end)));
        }
        for gap in wanted.into_iter().flat_map(windows) {
            let holes = self.process.mappings().at(gap.start).is_some_and(is_zero_until_touched);
            for (mut part, content) in self.process.memory().contents(gap) {
                let is_hole = content == Content::Untouched && holes;
                if is_hole || content == Content::Missing {
                    continue;
                }
                let bytes = part.end.0 - part.start.0;
                if bytes > self.left_bytes && !in_any_case {
                    self.reached.is_cut = true;
                    part.end = Addr(part.start.0 + self.left_bytes / page * page);
                }
                let bytes = part.end.0.saturating_sub(part.start.0);
                if self.reached.pages.insert(part.clone()) {
                    self.left_bytes = self.left_bytes.saturating_sub(bytes);
                    self.reached.bytes += bytes;
                    self.fresh.insert(part);
                } else {
                    self.reached.is_cut = true;
                }
            }
        }
    }
}

/// Remembers what was read.
struct Recorder<'a> {
    memory: &'a dyn Memory,
    seen: Mutex<PageSet>,
}

impl Memory for Recorder<'_> {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let read = self.memory.read_up_to(at, buffer)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(at..Addr(at.0.saturating_add(read as u64)));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use prospect_process::{
        Advice, Arch, CapturedMemory, FrozenProcess, FrozenThread, Mappings, Permissions, ProcessId,
        ProcessInfo, ThreadId,
    };

    use super::*;

    const PAGE: u64 = 4096;
    const STACK: u64 = 0x70_0000;
    const HEAP: u64 = 0x10_0000;

    /// Two stacks of four pages, and 64 pages whose first words are given: numbers of pages that they point to.
    fn process(links: &[(u64, u64)], on_stacks: [u64; 2]) -> FrozenProcess {
        let page = |number: u64| HEAP + number * PAGE + 1024;
        let mut heap = vec![0; 64 * PAGE as usize];
        for (from, to) in links {
            heap[(from * PAGE) as usize..][..8].copy_from_slice(&page(*to).to_le_bytes());
        }
        let mapping = |start: u64, pages: u64| Mapping {
            range: Addr(start)..Addr(start + pages * PAGE),
            permissions: Permissions { read: true, write: true, ..Permissions::default() },
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        };
        let mut mappings = vec![mapping(HEAP, 64)];
        let (mut bytes, mut ranges, mut threads) =
            (heap.clone(), vec![(Addr(HEAP), heap.len(), 0)], Vec::new());
        for (index, target) in on_stacks.into_iter().enumerate() {
            let start = STACK + index as u64 * 16 * PAGE;
            mappings.push(mapping(start, 4));
            let mut stack = vec![0; 4 * PAGE as usize];
            stack[3 * PAGE as usize..][..8].copy_from_slice(&page(target).to_le_bytes());
            ranges.push((Addr(start), stack.len(), bytes.len()));
            bytes.extend(stack);
            let mut registers = Registers::unknown(Arch::X86_64);
            registers.set(Arch::X86_64.info().sp, start + 2 * PAGE + 512);
            let thread = Thread::new(ThreadId(index as u32 + 1));
            threads.push(FrozenThread { thread, registers: Some(registers), register_sets: Vec::new() });
        }
        // The second one died.
        threads[1].thread.signals.current = 11;
        threads[1].thread.signals.info = Some(vec![0; 128].into());
        let info = ProcessInfo::new(ProcessId(1), Arch::X86_64);
        FrozenProcess::new(info, threads, CapturedMemory::new(bytes, ranges), Mappings::new(mappings))
    }

    fn heap_pages(process: &FrozenProcess, plan: &ReachPlan) -> (Vec<u64>, Reached) {
        let within: Vec<_> = process.mappings().iter().map(|mapping| mapping.range.clone()).collect();
        let reached = reach(process, &within, plan);
        let is_reached = |number: &u64| reached.pages.contains(Addr(HEAP + number * PAGE));
        ((0..64).filter(is_reached).collect(), reached)
    }

    #[test]
    fn each_step_goes_one_pointer_further() {
        // An object ends on the page after the one that it begins on.
        let process = process(&[(10, 20), (20, 30), (30, 10)], [10, 40]);
        let at = |depth| heap_pages(&process, &ReachPlan::new(depth)).0;
        assert_eq!(at(0), [0; 0]);
        assert_eq!(at(1), [10, 11, 40, 41]);
        assert_eq!(at(2), [10, 11, 20, 21, 40, 41]);
        assert_eq!(at(3), [10, 11, 20, 21, 30, 31, 40, 41]);
        assert_eq!(at(9), at(3));
        let (_, reached) = heap_pages(&process, &ReachPlan::new(9));
        assert!(!reached.is_cut);
        assert_eq!(reached.bytes, 12 * PAGE);
        for stack in [STACK, STACK + 16 * PAGE] {
            let pages = (0..4).map(|page| reached.pages.contains(Addr(stack + page * PAGE)));
            assert_eq!(pages.collect::<Vec<_>>(), [false, false, true, true], "from sp on");
        }
    }

    #[test]
    fn who_died_comes_first() {
        let process = process(&[], [10, 40]);
        let (pages, reached) = heap_pages(&process, &ReachPlan::new(1).bytes(6 * PAGE));
        assert_eq!(pages, [40, 41]);
        assert!(reached.is_cut);
        assert_eq!(reached.bytes, 6 * PAGE);
        let (pages, reached) = heap_pages(&process, &ReachPlan::new(9).scan_bytes(1));
        assert!(pages.len() == 2 && reached.is_cut, "{pages:?}");
    }

    #[test]
    fn when_it_is_late_stacks_are_all_there_is() {
        let process = process(&[], [10, 40]);
        let (pages, reached) = heap_pages(&process, &ReachPlan::new(9).deadline(Some(Instant::now())));
        assert_eq!((pages, reached.bytes), (Vec::new(), 4 * PAGE));
        assert!(reached.is_cut);
    }
}
