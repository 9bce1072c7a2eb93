//! A process that is held still.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use prospect_process::{
    Mappings, Memory, Modules, Process, ProcessId, ProcessInfo, Registers, Target, TargetError, Thread,
    ThreadId,
};

use super::{LiveError, LiveMemory, procfs, tracer::Tracer};

/// A process, or one thread of it, that stands still for as long as this or a clone of it lives.
///
/// It may be used from any thread. When the program ends, by whatever means, the process goes on.
#[derive(Clone, Debug)]
pub struct Stopped(Arc<Held>);

#[derive(Debug)]
pub(crate) struct Held {
    tracer: Tracer,
    /// The thread that is held, where it is not all of them.
    pub(crate) only: Option<ThreadId>,
    info: ProcessInfo,
    threads: Vec<Thread>,
    registers: HashMap<ThreadId, Registers>,
    memory: LiveMemory,
    /// Read when it is first asked for: of a process that stands still it does not change.
    mappings: OnceLock<Mappings>,
    modules: OnceLock<Modules>,
    processes: [ProcessId; 1],
}

impl Stopped {
    pub(crate) fn new(
        info: ProcessInfo,
        only: Option<ThreadId>,
        deadline: Instant,
    ) -> Result<Self, LiveError> {
        let (tracer, threads) = Tracer::hold(info.id, only, deadline)?;
        let registers = threads.iter().filter_map(|held| Some((held.thread.id, held.registers?)));
        Ok(Self(Arc::new(Held {
            tracer,
            only,
            registers: registers.collect(),
            threads: threads.into_iter().map(|held| held.thread).collect(),
            memory: LiveMemory::new(info.id),
            mappings: OnceLock::new(),
            modules: OnceLock::new(),
            processes: [info.id],
            info,
        })))
    }

    pub(crate) fn from_held(held: Arc<Held>) -> Self {
        Self(held)
    }

    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.0
    }

    /// Lets the process go, and says for how long it was held. `None` when a clone of this still holds it, or no
    /// thread of it could be held.
    #[must_use = "dropping it lets the process go too"]
    pub fn resume(self) -> Option<Duration> {
        Arc::into_inner(self.0)?.tracer.release()
    }
}

impl Process for Stopped {
    fn info(&self) -> &ProcessInfo {
        &self.0.info
    }

    fn threads(&self) -> &[Thread] {
        &self.0.threads
    }

    fn registers(&self, thread: ThreadId) -> Option<Registers> {
        self.0.registers.get(&thread).copied()
    }

    fn memory(&self) -> &dyn Memory {
        &self.0.memory
    }

    fn mappings(&self) -> &Mappings {
        // A kernel thread has none, and one that was killed meanwhile has none any more.
        self.0.mappings.get_or_init(|| procfs::mappings(self.0.info.id).unwrap_or_default())
    }

    fn modules(&self) -> &Modules {
        let Held { modules, memory, info, .. } = &*self.0;
        modules.get_or_init(|| Modules::find(self.mappings(), memory, info.executable.as_deref()))
    }
}

impl Target for Stopped {
    fn processes(&self) -> &[ProcessId] {
        &self.0.processes
    }

    fn process(&self, id: ProcessId) -> Result<&dyn Process, TargetError> {
        if id == self.0.info.id { Ok(self) } else { Err(TargetError::NoSuchProcess(id)) }
    }
}
