//! Freezing: copy what must be of one moment, let the process run on, read the copy.

use std::{collections::HashMap, sync::OnceLock};

use crate::{
    Addr, CapturedMemory, Mappings, Memory, Modules, Process, ProcessId, ProcessInfo, RegisterSet, Registers,
    Target, TargetError, Thread, ThreadId, memory::ReadRequest,
};

/// What a freeze copies.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FreezePlan {
    /// At most this many bytes of stacks, over all threads together. A thread's share is what is left
    /// divided by the threads that are left, so that few threads may have deep stacks.
    pub stack_bytes: usize,
    /// Whether floating point and vector registers are copied too ([`RegisterSet`]).
    pub register_sets: bool,
}

impl FreezePlan {
    /// The least of a stack that a thread gets, however many threads there are.
    pub const LEAST_STACK_BYTES: usize = 8 << 10;

    /// Registers and stacks: enough to walk every thread.
    #[must_use]
    pub fn stacks() -> Self {
        Self { stack_bytes: 32 << 20, register_sets: false }
    }

    /// The same with another limit on stack bytes.
    #[must_use]
    pub fn with_stack_bytes(mut self, bytes: usize) -> Self {
        self.stack_bytes = bytes;
        self
    }

    /// The same, and whether floating point and vector registers are copied too.
    #[must_use]
    pub fn with_register_sets(mut self, copied: bool) -> Self {
        self.register_sets = copied;
        self
    }
}

impl Default for FreezePlan {
    fn default() -> Self {
        Self::stacks()
    }
}

/// The bytes of register sets, as the system gave them.
pub type RegisterSets = Vec<(RegisterSet, Box<[u8]>)>;

/// One thread of a [`FrozenProcess`].
#[derive(Clone, Debug)]
pub struct FrozenThread {
    /// What is known of it.
    pub thread: Thread,
    /// Its registers, where it was held still.
    pub registers: Option<Registers>,
    /// Its other registers, as far as they were asked for.
    pub register_sets: RegisterSets,
}

/// A process as plain data: what a freeze leaves, and what every dump format is read into.
#[derive(Debug)]
pub struct FrozenProcess {
    info: ProcessInfo,
    threads: Vec<Thread>,
    registers: HashMap<ThreadId, Registers>,
    register_sets: HashMap<(ThreadId, RegisterSet), Box<[u8]>>,
    memory: CapturedMemory,
    mappings: Mappings,
    modules: OnceLock<Modules>,
    processes: [ProcessId; 1],
}

impl FrozenProcess {
    /// A process of these parts. Its modules are found when they are first asked for.
    #[must_use]
    pub fn new(
        info: ProcessInfo,
        threads: Vec<FrozenThread>,
        memory: CapturedMemory,
        mappings: Mappings,
    ) -> Self {
        let registers = threads.iter().filter_map(|one| Some((one.thread.id, one.registers?))).collect();
        let (mut all, mut register_sets) = (Vec::with_capacity(threads.len()), HashMap::new());
        for FrozenThread { thread, register_sets: sets, .. } in threads {
            register_sets.extend(sets.into_iter().map(|(set, bytes)| ((thread.id, set), bytes)));
            all.push(thread);
        }
        Self {
            processes: [info.id],
            info,
            threads: all,
            registers,
            register_sets,
            memory,
            mappings,
            modules: OnceLock::new(),
        }
    }

    /// Reads what was not copied from `source`: code and constants of the process as it runs on.
    #[must_use]
    pub fn over(mut self, source: Box<dyn Memory + Send>) -> Self {
        self.memory = self.memory.over(source);
        self
    }

    /// The copied memory.
    #[must_use]
    pub fn captured(&self) -> &CapturedMemory {
        &self.memory
    }
}

impl Process for FrozenProcess {
    fn info(&self) -> &ProcessInfo {
        &self.info
    }

    fn threads(&self) -> &[Thread] {
        &self.threads
    }

    fn registers(&self, thread: ThreadId) -> Option<Registers> {
        self.registers.get(&thread).copied()
    }

    fn register_set(&self, thread: ThreadId, set: RegisterSet) -> Option<&[u8]> {
        self.register_sets.get(&(thread, set)).map(|bytes| &**bytes)
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    fn modules(&self) -> &Modules {
        self.modules
            .get_or_init(|| Modules::find(&self.mappings, &self.memory, self.info.executable.as_deref()))
    }
}

impl Target for FrozenProcess {
    fn processes(&self) -> &[ProcessId] {
        &self.processes
    }

    fn process(&self, id: ProcessId) -> Result<&dyn Process, TargetError> {
        if id == self.info.id { Ok(self) } else { Err(TargetError::NoSuchProcess(id)) }
    }
}

/// Copies what `plan` says from a process that stands still.
#[must_use]
pub fn freeze(process: &dyn Process, plan: &FreezePlan) -> FrozenProcess {
    freeze_with(process, plan, Vec::new())
}

/// The same, and copies these ranges of memory besides: where each begins, and how long it is.
#[must_use]
pub fn freeze_with(process: &dyn Process, plan: &FreezePlan, also: Vec<(Addr, usize)>) -> FrozenProcess {
    let threads: Vec<FrozenThread> = process
        .threads()
        .iter()
        .map(|thread| FrozenThread {
            thread: thread.clone(),
            registers: process.registers(thread.id),
            register_sets: register_sets(process, thread.id, plan),
        })
        .collect();
    let registers = threads.iter().filter_map(|one| one.registers.as_ref());
    let mut windows = stack_windows(plan, registers, process.mappings());
    windows.extend(also);
    let memory = capture(windows, process.memory(), Vec::new());
    FrozenProcess::new(process.info().clone(), threads, memory, process.mappings().clone())
}

fn register_sets(process: &dyn Process, thread: ThreadId, plan: &FreezePlan) -> RegisterSets {
    let sets = process.info().arch.info().other_sets.iter().filter(|_| plan.register_sets);
    sets.filter_map(|set| Some((*set, process.register_set(thread, *set)?.into()))).collect()
}

/// Copies the stacks of the threads with these registers, as far as `plan` has room: each from sp (and the
/// red zone below it) to the end of its mapping. On a stack that grows down that is just the part in
/// use. They are copied into `room`: memory that was written before the process was stopped saves the time
/// that fresh memory costs.
#[must_use]
pub fn capture_stacks<'a>(
    plan: &FreezePlan,
    registers: impl Iterator<Item = &'a Registers>,
    mappings: &Mappings,
    memory: &dyn Memory,
    room: Vec<u8>,
) -> CapturedMemory {
    capture(stack_windows(plan, registers, mappings), memory, room)
}

/// Copies ranges of memory, each from its start on as far as it can be read, into `room`.
fn capture(windows: Vec<(Addr, usize)>, memory: &dyn Memory, mut room: Vec<u8>) -> CapturedMemory {
    room.resize(windows.iter().map(|(_, length)| length).sum(), 0);
    let mut bytes = room;
    let mut rest = bytes.as_mut_slice();
    let mut requests = Vec::with_capacity(windows.len());
    for (at, length) in windows {
        let (buffer, after) = rest.split_at_mut(length);
        rest = after;
        requests.push(ReadRequest { at, buffer, done: 0 });
    }
    memory.read_many(&mut requests);
    let mut offset = 0;
    let ranges: Vec<(Addr, usize, usize)> = requests
        .iter()
        .map(|request| {
            let range = (request.at, request.done, offset);
            offset += request.buffer.len();
            range
        })
        .collect();
    CapturedMemory::new(bytes, ranges)
}

/// Start and length of the part of each stack that `plan` has room for.
fn stack_windows<'a>(
    plan: &FreezePlan,
    registers: impl Iterator<Item = &'a Registers>,
    mappings: &Mappings,
) -> Vec<(Addr, usize)> {
    let mut in_use: Vec<(Addr, usize)> = registers
        .filter_map(|registers| {
            let sp = registers.sp()?;
            let red_zone = u64::from(registers.arch().info().red_zone_bytes);
            let mapping = mappings.at(sp)?;
            let start = mapping.range.start.max(Addr(sp.0.saturating_sub(red_zone)));
            Some((start, usize::try_from(mapping.range.end.0 - start.0).ok()?))
        })
        .collect();
    // The small ones first: what they leave over goes to the deep ones.
    in_use.sort_by_key(|(start, length)| (*length, *start));
    let (mut left, mut count) = (plan.stack_bytes, in_use.len());
    for (_, length) in &mut in_use {
        let share = (left / count).max(FreezePlan::LEAST_STACK_BYTES);
        *length = share.min(*length);
        left = left.saturating_sub(*length);
        count -= 1;
    }
    in_use
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Advice, Arch, Mapping, MemoryError, Permissions};

    struct Counting;
    impl Memory for Counting {
        fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
            for (index, byte) in buffer.iter_mut().enumerate() {
                *byte = (at.0 as usize + index) as u8;
            }
            Ok(buffer.len())
        }
    }

    fn process(stack: u64, sps: &[u64]) -> FrozenProcess {
        let mapping = |start: u64| Mapping {
            range: Addr(start)..Addr(start + stack),
            permissions: Permissions { read: true, write: true, ..Permissions::default() },
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        };
        let arch = Arch::X86_64;
        let threads = sps.iter().enumerate().map(|(index, sp)| {
            let mut registers = Registers::unknown(arch);
            registers.set(arch.info().sp, *sp);
            let thread = Thread::new(ThreadId(index as u32));
            FrozenThread { thread, registers: Some(registers), register_sets: Vec::new() }
        });
        FrozenProcess::new(
            ProcessInfo::new(ProcessId(1), arch),
            threads.collect(),
            CapturedMemory::default(),
            Mappings::new(sps.iter().map(|sp| mapping(sp & !0xf_ffff)).collect()),
        )
        .over(Box::new(Counting))
    }

    #[test]
    fn a_freeze_copies_from_the_red_zone_to_the_end_of_the_stack() {
        let frozen = freeze(&process(0x2000, &[0x10_0ff8]), &FreezePlan::stacks());
        let copy = frozen.captured().captured(Addr(0x10_0ff8 - 128)).unwrap();
        assert_eq!(copy.len(), 0x2000 - 0xff8 + 128);
        assert_eq!(copy[0], 0x78);
        assert!(frozen.captured().captured(Addr(0x10_0ff8 - 129)).is_none());
    }

    #[test]
    fn deep_stacks_share_what_the_shallow_ones_leave() {
        let plan = FreezePlan::stacks().with_stack_bytes(0x20000);
        let frozen = freeze(&process(0x80000, &[0x10_0100, 0x27_ff00, 0x30_0100]), &plan);
        assert_eq!(frozen.captured().captured(Addr(0x27_ff00)).unwrap().len(), 0x100);
        let deep = frozen.captured().captured(Addr(0x10_0100)).unwrap().len();
        assert!(deep > 0xfe00, "{deep:#x}");
        assert!(frozen.captured().captured_bytes() <= 0x20000);
    }

    #[test]
    fn every_thread_gets_a_little_however_many_there_are() {
        let plan = FreezePlan::stacks().with_stack_bytes(0);
        let frozen = freeze(&process(0x8000, &[0x10_0100, 0x20_0100]), &plan);
        assert_eq!(frozen.captured().captured_bytes(), 2 * FreezePlan::LEAST_STACK_BYTES);
    }
}
