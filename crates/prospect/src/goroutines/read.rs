//! Goroutines as they are in memory.

use std::{collections::HashMap, ops::Range};

use prospect_process::{Addr, Memory, ThreadId, memory::ReadRequest};

use super::runtime::{GoRuntime, MOST_GOROUTINES};

/// How many goroutines are read in one go.
const AT_ONCE: usize = 1024;

/// What a goroutine does (`runtime.g.atomicstatus`), whether or not the garbage collector looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Idle,
    Runnable,
    Running,
    SystemCall,
    Waiting,
    Dead,
    CopyingStack,
    Preempted,
    Leaked,
    Unknown,
}

impl Status {
    fn from_number(number: u32) -> Self {
        const SCANNED: u32 = 0x1000;
        match number & !SCANNED {
            0 => Self::Idle,
            1 => Self::Runnable,
            2 => Self::Running,
            3 => Self::SystemCall,
            4 => Self::Waiting,
            // Those of threads that C has made stand ready until they are needed.
            6 | 11 => Self::Dead,
            8 => Self::CopyingStack,
            9 => Self::Preempted,
            10 => Self::Leaked,
            _ => Self::Unknown,
        }
    }
}

/// A goroutine as its runtime has it.
#[derive(Clone, Debug)]
pub(super) struct RawGoroutine {
    pub(super) id: u64,
    pub(super) status: Status,
    pub(super) stack: Range<Addr>,
    pub(super) pc: Addr,
    pub(super) sp: Addr,
    pub(super) fp: Addr,
    pub(super) call_pc: Addr,
    pub(super) call_sp: Addr,
    /// The runtime's own structure of its thread.
    thread_at: Addr,
    pub(super) thread: Option<ThreadId>,
    /// On the monotonic clock, in nanoseconds; 0 where it was not noted.
    pub(super) waiting_since: u64,
    pub(super) wait_reason: u8,
    pub(super) parent: u64,
    pub(super) created_at: Addr,
    pub(super) starts_at: Addr,
}

/// All goroutines of a process, and how many could not be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawGoroutines {
    pub(super) all: Vec<RawGoroutine>,
    pub(super) unread: u64,
}

impl RawGoroutines {
    /// Reads them, but for the dead.
    pub(crate) fn read(runtime: &GoRuntime, memory: &dyn Memory) -> Self {
        let word = u64::from(runtime.arch.info().word_bytes);
        let word_at = |at| memory.read_word(runtime.arch, at).unwrap_or(0);
        let list = Addr(word_at(runtime.list));
        let length = word_at(runtime.list.wrapping_add(word)).min(MOST_GOROUTINES);
        let (mut all, unread) = read(runtime, list, length, memory);
        all.retain(|one| one.status != Status::Dead && one.id != 0);
        let mut threads: HashMap<Addr, Option<ThreadId>> = HashMap::new();
        for one in all.iter_mut().filter(|one| one.thread_at != Addr(0)) {
            let number = || {
                let mut bytes = [0; 4];
                memory
                    .read(one.thread_at.wrapping_add(runtime.layout.thread_number as u64), &mut bytes)
                    .ok()?;
                Some(ThreadId(little(&bytes) as u32)).filter(|id| id.0 != 0)
            };
            one.thread = *threads.entry(one.thread_at).or_insert_with(number);
        }
        Self { all, unread }
    }

    /// The memory that their stacks are in, from the deepest frame that was saved on: where each begins, and how
    /// long it is. `most` bytes at most, of which each has an equal share at least.
    pub(crate) fn stacks(&self, most: usize) -> Vec<(Addr, usize)> {
        let share = (most / self.all.len().max(1)).max(LEAST_STACK_BYTES);
        let used = self.all.iter().filter_map(|one| {
            let saved = [one.sp, one.call_sp].into_iter().filter(|sp| one.stack.contains(sp));
            let start = saved.min()?;
            let length = usize::try_from(one.stack.end.0 - start.0).ok()?;
            Some((start, length.min(share)))
        });
        used.collect()
    }
}

/// The least of a stack that is copied, however many there are.
const LEAST_STACK_BYTES: usize = 2 << 10;

/// The goroutines that the first `length` pointers of a list lead to, and how many of them could not be read.
pub(super) fn read(
    runtime: &GoRuntime,
    list: Addr,
    length: u64,
    memory: &dyn Memory,
) -> (Vec<RawGoroutine>, u64) {
    let word = usize::from(runtime.arch.info().word_bytes);
    let size = runtime.layout.bytes();
    let (mut all, mut unread) = (Vec::new(), 0);
    let at_once = usize::try_from(length).map_or(AT_ONCE, |length| length.min(AT_ONCE));
    let mut pointers = vec![0; at_once * word];
    let mut room = vec![0; at_once * size];
    let mut done = 0;
    while done < length {
        let count = usize::try_from(length - done).map_or(AT_ONCE, |left| left.min(AT_ONCE));
        let at = list.wrapping_add(done * word as u64);
        let got = memory.read_available(at, &mut pointers[..count * word]);
        let places = runtime.words(&pointers[..got]);
        let mut requests: Vec<ReadRequest<'_>> = places
            .iter()
            .zip(room.chunks_exact_mut(size))
            .map(|(at, buffer)| ReadRequest { at: Addr(*at), buffer, done: 0 })
            .collect();
        memory.read_many(&mut requests);
        let whole = requests.iter().filter(|request| request.done == size);
        let before = all.len();
        all.extend(whole.map(|request| decode(runtime, request.buffer)));
        unread += (count - (all.len() - before)) as u64;
        if got < count * word {
            return (all, unread + (length - done) - count as u64);
        }
        done += count as u64;
    }
    (all, unread)
}

fn decode(runtime: &GoRuntime, bytes: &[u8]) -> RawGoroutine {
    let layout = &runtime.layout;
    let number = |at: usize, length: usize| bytes.get(at..at + length).map_or(0, little);
    let word = usize::from(runtime.arch.info().word_bytes);
    let address = |at: usize| Addr(number(at, word));
    RawGoroutine {
        id: number(layout.id, 8),
        status: Status::from_number(number(layout.status, 4) as u32),
        stack: address(0)..address(layout.stack_end),
        pc: address(layout.pc),
        sp: address(layout.sp),
        fp: address(layout.fp),
        call_pc: address(layout.call_pc),
        call_sp: address(layout.call_sp),
        thread_at: address(layout.thread),
        thread: None,
        waiting_since: number(layout.waiting_since, 8),
        wait_reason: number(layout.wait_reason, 1) as u8,
        parent: layout.parent.map_or(0, |at| number(at, 8)),
        created_at: address(layout.created_at),
        starts_at: address(layout.starts_at),
    }
}

/// A number as the machines have it whose layouts are known.
fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
