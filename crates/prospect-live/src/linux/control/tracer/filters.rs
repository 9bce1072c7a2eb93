//! What is decided where a thread has stopped: conditions, counts, records.

use prospect_process::{
    Addr, Arch, MemoryError, ProcessId, Registers, ThreadId,
    agent::{AgentContext, AgentFault},
    control::{Record, Then, Trap, TrapCounts, TrapId},
};

use super::{space::Space, tracee::General};
use crate::linux::monotonic_clock;

/// A record has no more memory than this.
const RECORD_BYTES: usize = 1 << 20;

/// A trap, and what came of it.
#[derive(Debug)]
pub(super) struct TrapState {
    pub(super) trap: Trap,
    /// In which processes it is.
    pub(super) processes: Vec<u32>,
    pub(super) counts: TrapCounts,
    /// Of its condition.
    variables: Vec<(u16, u64)>,
}

/// How often traps were hit that are counted together.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Together {
    matched: u64,
    taken: u64,
}

/// What comes of a hit.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) stops: bool,
    pub(super) fault: Option<AgentFault>,
    pub(super) record: Option<Record>,
}

impl TrapState {
    pub(super) fn new(trap: Trap, process: u32) -> Self {
        let (counts, variables) = (TrapCounts::default(), Vec::new());
        Self { trap, processes: vec![process], counts, variables }
    }

    /// A thread that stands here.
    pub(super) fn hit(
        &mut self,
        id: u64,
        process: u32,
        thread: u32,
        space: &Space,
        general: Option<&General>,
        together: Option<&mut Together>,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let Self { trap, counts, variables, .. } = self;
        let filter = &trap.filter;
        if filter.thread.is_some_and(|only| only.0 != thread) {
            return verdict;
        }
        counts.hits += 1;
        let mut context = Context { space, general, variables, memory: Vec::new(), bytes: 0 };
        if let Some(condition) = &filter.condition {
            match condition.evaluate(&mut context) {
                Ok(Some(0)) => return verdict,
                Ok(_) => {}
                Err(fault) => {
                    counts.faults += 1;
                    verdict.fault = Some(fault);
                    verdict.stops = true;
                    return verdict;
                }
            }
        }
        counts.matched += 1;
        let mut alone = Together { matched: counts.matched - 1, taken: counts.taken };
        let all = together.unwrap_or(&mut alone);
        all.matched += 1;
        if all.matched <= filter.ignore {
            return verdict;
        }
        all.taken += 1;
        counts.taken += 1;
        if let Some(collection) = &filter.collect {
            let fault = collection.memory.as_ref().and_then(|memory| memory.evaluate(&mut context).err());
            let mut registers = Registers::unknown(context.arch());
            for id in &collection.registers {
                if let Some(value) = context.register(u16::from(id.0)) {
                    registers.set(*id, value);
                }
            }
            counts.faults += u64::from(fault.is_some());
            verdict.record = Some(Record {
                trap: TrapId(id),
                process: ProcessId(process),
                thread: ThreadId(thread),
                time: monotonic_clock(),
                registers,
                memory: context.memory,
                fault,
            });
        }
        verdict.stops = match filter.then {
            Then::Stop => true,
            Then::GoOn => false,
            Then::StopAt(number) => all.taken == number,
        };
        verdict
    }
}

struct Context<'a> {
    space: &'a Space,
    general: Option<&'a General>,
    variables: &'a mut Vec<(u16, u64)>,
    memory: Vec<(Addr, Vec<u8>)>,
    bytes: usize,
}

impl AgentContext for Context<'_> {
    fn arch(&self) -> Arch {
        self.general.map_or(self.space.arch, General::arch)
    }

    fn register(&mut self, number: u16) -> Option<u64> {
        self.general?.get(prospect_process::RegisterId(u8::try_from(number).ok()?))
    }

    fn read(&mut self, at: Addr, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.space.read_plain(at.0, buffer)
    }

    fn collect(&mut self, at: Addr, length: u64, to_nul: bool) -> Result<(), AgentFault> {
        let length = usize::try_from(length).ok().filter(|length| self.bytes + length <= RECORD_BYTES);
        let mut bytes = vec![0; length.ok_or(AgentFault::NoRoom)?];
        let mut there = self.space.read_available(at.0, &mut bytes);
        if to_nul && let Some(end) = bytes[..there].iter().position(|byte| *byte == 0) {
            there = end + 1;
        }
        // Some of it is better than nothing, but none is a fault.
        if there == 0 && !bytes.is_empty() {
            return Err(AgentFault::Memory(MemoryError { at, why: prospect_process::Unreadable::Unmapped }));
        }
        bytes.truncate(there);
        self.bytes += there;
        self.memory.push((at, bytes));
        Ok(())
    }

    fn variable(&mut self, number: u16) -> u64 {
        self.variables.iter().find(|(one, _)| *one == number).map_or(0, |(_, value)| *value)
    }

    fn set_variable(&mut self, number: u16, value: u64) {
        match self.variables.iter_mut().find(|(one, _)| *one == number) {
            Some((_, old)) => *old = value,
            None => self.variables.push((number, value)),
        }
    }
}
