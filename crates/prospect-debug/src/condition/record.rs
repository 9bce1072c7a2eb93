//! What was collected at a hit, as a process of that moment.

use prospect_process::{
    CapturedMemory, Mappings, Memory, Modules, Process, ProcessInfo, Registers, Thread, ThreadId,
    control::Record,
};

/// The moment of a hit: of the thread that hit, the registers that were collected, and no memory but what was. All else
/// is of the process as it was seen before.
pub struct RecordedMoment<'a> {
    base: &'a dyn Process,
    thread: ThreadId,
    registers: Registers,
    memory: CapturedMemory,
}

impl<'a> RecordedMoment<'a> {
    /// The moment of a record of this process.
    #[must_use]
    pub fn new(base: &'a dyn Process, record: &Record) -> Self {
        let mut bytes = Vec::new();
        let mut ranges = Vec::with_capacity(record.memory.len());
        for (at, part) in &record.memory {
            ranges.push((*at, part.len(), bytes.len()));
            bytes.extend_from_slice(part);
        }
        let memory = CapturedMemory::new(bytes, ranges);
        Self { base, thread: record.thread, registers: record.registers, memory }
    }
}

impl std::fmt::Debug for RecordedMoment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordedMoment").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl Process for RecordedMoment<'_> {
    fn info(&self) -> &ProcessInfo {
        self.base.info()
    }

    fn threads(&self) -> &[Thread] {
        self.base.threads()
    }

    fn registers(&self, thread: ThreadId) -> Option<Registers> {
        (thread == self.thread).then_some(self.registers)
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn mappings(&self) -> &Mappings {
        self.base.mappings()
    }

    fn modules(&self) -> &Modules {
        self.base.modules()
    }
}
