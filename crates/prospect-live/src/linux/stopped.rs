//! A process that is held still.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use prospect_process::{
    FrozenThread, Mappings, Memory, Modules, Process, ProcessId, ProcessInfo, RegisterSet, Registers, Target,
    TargetError, Thread, ThreadId,
};

use super::{LiveError, LiveMemory, hold::Hold, identity::Identity, procfs};

/// A process, or some of its threads, that stand still for as long as this or a clone of it lives.
///
/// It may be used from any thread. When the program ends, by whatever means, the process goes on. Threads that others
/// hold too stay where they are until all of them let go.
#[derive(Clone, Debug)]
pub struct Stopped(Arc<Held>);

#[derive(Debug)]
struct Held {
    /// `None` when it has ended.
    hold: Mutex<Option<Hold>>,
    identity: Arc<Identity>,
    info: ProcessInfo,
    threads: Vec<Thread>,
    registers: HashMap<ThreadId, Registers>,
    register_sets: HashMap<(ThreadId, RegisterSet), Box<[u8]>>,
    memory: LiveMemory,
    /// Read when it is first asked for: of a process that stands still it does not change.
    mappings: OnceLock<Mappings>,
    modules: OnceLock<Modules>,
    processes: [ProcessId; 1],
}

impl Stopped {
    pub(crate) fn new(info: ProcessInfo, hold: Hold, threads: Vec<FrozenThread>) -> Self {
        let registers = threads.iter().filter_map(|held| Some((held.thread.id, held.registers?))).collect();
        let (mut all, mut register_sets) = (Vec::with_capacity(threads.len()), HashMap::new());
        for FrozenThread { thread, register_sets: sets, .. } in threads {
            register_sets.extend(sets.into_iter().map(|(set, bytes)| ((thread.id, set), bytes)));
            all.push(thread);
        }
        Self(Arc::new(Held {
            identity: hold.identity().clone(),
            hold: Mutex::new(Some(hold)),
            registers,
            register_sets,
            threads: all,
            memory: LiveMemory::new(info.id),
            mappings: OnceLock::new(),
            modules: OnceLock::new(),
            processes: [info.id],
            info,
        }))
    }

    /// Lets the threads go, and says for how long they were held. `None` when a clone of this still holds them, or no
    /// thread could be held.
    #[must_use = "dropping it lets the process go too"]
    pub fn resume(self) -> Option<Duration> {
        Arc::into_inner(self.0)?.let_go()
    }

    /// Lets the threads go while this and clones of it live, and says for how long they were held; `None` when that was
    /// done before, or no thread could be held. What is read of memory from then on may be of any moment.
    pub fn let_go(&self) -> Option<Duration> {
        self.0.let_go()
    }

    /// Since when the first of its threads stands; `None` where none could be held, or they were let go.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.0.hold().as_ref()?.since()
    }

    /// The same, with its memory map.
    pub(crate) fn with_mappings(self, mappings: Mappings) -> Self {
        // It is new, so that nobody has asked for them yet.
        let _ = self.0.mappings.set(mappings);
        self
    }

    /// Lets the process go, but leaves it stopped as job control does it (`SIGSTOP`): it shows as `T`, its parent is
    /// told, no thread of it executes anything more, and `SIGCONT` makes it go on. It is always the whole process.
    ///
    /// While a clone of this or another hold lives, its threads stand for that, and are stopped afterwards.
    ///
    /// # Errors
    /// When it has ended, or the system does not let us send it a signal; then it goes on as usual.
    pub fn leave_stopped(self) -> Result<(), LiveError> {
        // It takes effect as each thread is let go, before that returns from the kernel.
        self.0.identity.signal(libc::SIGSTOP)
    }
}

impl Held {
    fn hold(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_go(&self) -> Option<Duration> {
        self.hold().take()?.release()
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

    fn register_set(&self, thread: ThreadId, set: RegisterSet) -> Option<&[u8]> {
        self.0.register_sets.get(&(thread, set)).map(|bytes| &**bytes)
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
