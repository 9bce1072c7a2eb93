//! A process as it was before its signal handler ran.

use prospect_process::{
    Mappings, Memory, Modules, Process, ProcessInfo, RegisterId, RegisterSet, RegisterSets, Registers,
    Thread, ThreadId,
};

/// The same process, with the thread that crashed first, with the registers that it crashed with.
pub(super) struct Crashed<'a> {
    process: &'a dyn Process,
    threads: Vec<Thread>,
    thread: ThreadId,
    registers: Option<Registers>,
    sets: &'a RegisterSets,
}

impl<'a> Crashed<'a> {
    pub(super) fn new(
        process: &'a dyn Process,
        thread: ThreadId,
        signal: Option<(u8, &[u8])>,
        registers: Option<Registers>,
        sets: &'a RegisterSets,
    ) -> Self {
        let mut threads = process.threads().to_vec();
        if let Some(place) = threads.iter().position(|one| one.id == thread) {
            if let (Some((number, info)), Some(one)) = (signal, threads.get_mut(place)) {
                (one.signals.current, one.signals.info) = (number, Some(info.into()));
            }
            threads[..=place].rotate_right(1);
        }
        let registers = registers.map(|mut registers| {
            // What the kernel does not save there, as bases of segments, a handler does not change. It is in no system
            // call then.
            let Some(now) = process.registers(thread) else { return registers };
            for (id, register) in (0..).map(RegisterId).zip(now.arch().info().registers) {
                if let (None, Some(value)) = (registers.get(id), now.get(id)) {
                    let is_call = register.name.starts_with("orig_");
                    registers.set(id, if is_call { u64::MAX } else { value });
                }
            }
            registers
        });
        Self { process, threads, thread, registers, sets }
    }
}

impl Process for Crashed<'_> {
    fn info(&self) -> &ProcessInfo {
        self.process.info()
    }

    fn threads(&self) -> &[Thread] {
        &self.threads
    }

    fn registers(&self, thread: ThreadId) -> Option<Registers> {
        self.registers.filter(|_| thread == self.thread).or_else(|| self.process.registers(thread))
    }

    fn register_set(&self, thread: ThreadId, set: RegisterSet) -> Option<&[u8]> {
        let saved = self.sets.iter().find(|(one, _)| *one == set);
        let saved = saved.filter(|_| thread == self.thread).map(|(_, bytes)| &**bytes);
        saved.or_else(|| self.process.register_set(thread, set))
    }

    fn memory(&self) -> &dyn Memory {
        self.process.memory()
    }

    fn mappings(&self) -> &Mappings {
        self.process.mappings()
    }

    fn modules(&self) -> &Modules {
        self.process.modules()
    }
}
