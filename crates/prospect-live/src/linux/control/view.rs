//! A process under control that stands.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use prospect_process::{
    Mappings, Memory, Modules, Process, ProcessInfo, RegisterSet, Registers, Thread, ThreadId,
};

use super::{
    channel::Channel,
    memory::{Hidden, PlainMemory},
    tracer::GENERAL,
    wire::{Reply, Request},
};
use crate::linux::{LiveMemory, procfs, procfs::TaskDirectory};

/// All of it is asked for when it is looked at: most stops are looked at little.
#[derive(Debug)]
pub(super) struct View {
    info: Arc<ProcessInfo>,
    channel: Arc<Channel>,
    memory: PlainMemory,
    threads: OnceLock<Vec<Thread>>,
    registers: OnceLock<HashMap<ThreadId, Held>>,
    mappings: OnceLock<Mappings>,
    modules: OnceLock<Modules>,
}

/// The registers of one thread.
#[derive(Debug, Default)]
struct Held {
    general: OnceLock<Option<Registers>>,
    others: HashMap<RegisterSet, OnceLock<Option<Box<[u8]>>>>,
}

impl View {
    pub(super) fn new(info: Arc<ProcessInfo>, channel: Arc<Channel>, hidden: Hidden) -> Self {
        Self {
            memory: PlainMemory::new(LiveMemory::new(info.id), hidden),
            info,
            channel,
            threads: OnceLock::new(),
            registers: OnceLock::new(),
            mappings: OnceLock::new(),
            modules: OnceLock::new(),
        }
    }

    fn ids(&self) -> Vec<ThreadId> {
        match self.channel.ask(&Request::Threads(self.info.id)) {
            Ok(Reply::Threads(threads)) => threads,
            _ => Vec::new(),
        }
    }

    fn held(&self, thread: ThreadId) -> Option<&Held> {
        let others = || self.info.arch.info().other_sets.iter().map(|set| (*set, OnceLock::new())).collect();
        let all = || {
            let held = |id| (id, Held { general: OnceLock::new(), others: others() });
            self.ids().into_iter().map(held).collect()
        };
        self.registers.get_or_init(all).get(&thread)
    }

    fn set(&self, thread: ThreadId, set: RegisterSet) -> Option<Vec<u8>> {
        match self.channel.ask(&Request::Registers(thread, set)) {
            Ok(Reply::Registers(bytes)) => bytes,
            _ => None,
        }
    }

    /// Its memory map, which may be another one than before.
    pub(super) fn forget_mappings(&mut self) {
        self.mappings = OnceLock::new();
        self.modules = OnceLock::new();
    }
}

impl Process for View {
    fn info(&self) -> &ProcessInfo {
        &self.info
    }

    fn threads(&self) -> &[Thread] {
        self.threads.get_or_init(|| {
            let tasks = TaskDirectory::open(self.info.id).ok();
            let thread = |id| {
                let known = tasks.as_ref().and_then(|tasks| tasks.thread(id).ok());
                let mut thread = known.map_or_else(|| Thread::new(id), |facts| facts.thread);
                // That it is traced is our own doing.
                thread.not_stopped = None;
                thread
            };
            self.ids().into_iter().map(thread).collect()
        })
    }

    fn registers(&self, thread: ThreadId) -> Option<Registers> {
        let held = self.held(thread)?;
        *held.general.get_or_init(|| {
            let bytes = self.set(thread, RegisterSet(GENERAL))?;
            Some(Registers::from_regset(self.info.arch, &bytes))
        })
    }

    fn register_set(&self, thread: ThreadId, set: RegisterSet) -> Option<&[u8]> {
        let slot = self.held(thread)?.others.get(&set)?;
        slot.get_or_init(|| self.set(thread, set).map(Vec::into_boxed_slice)).as_deref()
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn mappings(&self) -> &Mappings {
        self.mappings.get_or_init(|| procfs::mappings(self.info.id).unwrap_or_default())
    }

    fn modules(&self) -> &Modules {
        let find = || Modules::find(self.mappings(), &self.memory, self.info.executable.as_deref());
        self.modules.get_or_init(find)
    }
}
