//! A process of this machine.

use std::{
    sync::{Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use prospect_process::{
    FreezePlan, FrozenProcess, FrozenThread, Mappings, NoRegisters, ProcessId, ProcessInfo, Registers,
    Thread, ThreadId, capture_stacks,
};

use super::{
    LiveError, LiveMemory, Stopped,
    own::OwnProcess,
    procfs::{self, TaskDirectory, ThreadFacts},
    stopped::Held,
    tracer,
};

/// What a thread's stack is expected to take, and the least that is expected of all together.
const TYPICAL_STACK_BYTES: usize = 8 << 10;
const LEAST_ROOM_BYTES: usize = 256 << 10;

/// A process of this machine. Opening one reads files of `/proc` and touches nothing.
#[derive(Debug)]
pub struct LiveProcess {
    info: ProcessInfo,
    memory: LiveMemory,
    /// The stop that is in force, so that a second one is the same one.
    held: Mutex<Weak<Held>>,
}

/// A process that was stopped for a moment, copied, and runs on.
#[derive(Debug)]
pub struct Freeze {
    /// The copy. What was not copied is read from the process as it runs on.
    pub process: FrozenProcess,
    /// From when the first thread was asked to stop to when the last one was let go; `None` when none was held.
    pub pause: Option<Duration>,
}

impl LiveProcess {
    /// Opens a process.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn open(id: ProcessId) -> Result<Self, LiveError> {
        let info = procfs::process_info(id)?;
        Ok(Self { memory: LiveMemory::new(id), info, held: Mutex::default() })
    }

    /// What is known of it as a whole, from when it was opened.
    #[must_use]
    pub fn info(&self) -> &ProcessInfo {
        &self.info
    }

    /// Its memory while it runs: two reads may be of two moments.
    #[must_use]
    pub fn memory(&self) -> &LiveMemory {
        &self.memory
    }

    /// Its memory map now.
    ///
    /// # Errors
    /// When it is gone, or the system does not let us look.
    pub fn mappings(&self) -> Result<Mappings, LiveError> {
        Ok(procfs::mappings(self.info.id)?)
    }

    /// Its threads now, with what the kernel says of each.
    ///
    /// # Errors
    /// When it is gone.
    pub fn threads(&self) -> Result<Vec<Thread>, LiveError> {
        let tasks = TaskDirectory::open(self.info.id)?;
        let ids = tasks.task_ids()?;
        Ok(ids.into_iter().filter_map(|id| Some(tasks.thread_in_detail(id).ok()?.thread)).collect())
    }

    /// The processes that it has started and their children, nearest first; at most `limit` of them.
    ///
    /// # Errors
    /// When it is gone.
    pub fn descendants(&self, limit: usize) -> Result<Vec<procfs::Child>, LiveError> {
        Ok(procfs::descendants(self.info.id, limit)?)
    }

    /// Stops all threads for as long as the result lives. What does not stop before `timeout` is over is
    /// reported and left alone. Stops of one process by one program nest.
    ///
    /// # Errors
    /// When the process is gone, or the system does not let us trace it.
    pub fn stop(&self, timeout: Duration) -> Result<Stopped, LiveError> {
        self.hold(None, timeout)
    }

    /// Stops one thread for as long as the result lives.
    ///
    /// # Errors
    /// When there is no such thread, or the system does not let us trace it.
    pub fn stop_thread(&self, thread: ThreadId, timeout: Duration) -> Result<Stopped, LiveError> {
        self.hold(Some(thread), timeout)
    }

    fn hold(&self, only: Option<ThreadId>, timeout: Duration) -> Result<Stopped, LiveError> {
        self.refuse_itself()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.upgrade() {
            return if held.only.is_none() || held.only == only {
                Ok(Stopped::from_held(held))
            } else {
                Err(LiveError::PartlyHeld(self.info.id))
            };
        }
        let stopped = Stopped::new(self.info.clone(), only, Instant::now() + timeout)?;
        *held = std::sync::Arc::downgrade(stopped.held());
        Ok(stopped)
    }

    /// Stops all threads for a moment, copies registers and stacks, and lets them go on. Of this program itself
    /// nothing is stopped: each thread is [asked with a signal](OwnProcess).
    ///
    /// # Errors
    /// When the process is gone, or the system does not let us trace it.
    pub fn freeze(&self, plan: &FreezePlan, timeout: Duration) -> Result<Freeze, LiveError> {
        if self.refuse_itself().is_err() {
            return OwnProcess::new().freeze(plan, timeout);
        }
        let memory = LiveMemory::new(self.info.id);
        let deadline = Instant::now() + timeout;
        // Written, so that its pages are there. Most threads use less of their stack than this.
        let threads = TaskDirectory::open(self.info.id)?.expected_count()?;
        let room = usize::try_from(threads).unwrap_or(usize::MAX).saturating_mul(TYPICAL_STACK_BYTES);
        let room = vec![1; room.max(LEAST_ROOM_BYTES).min(plan.stack_bytes)];
        let (parts, pause) = tracer::stopped_while(self.info.id, deadline, |stop| {
            let registers = stop.threads.iter().filter_map(|one| one.registers.as_ref());
            let copy = capture_stacks(plan, registers, &stop.mappings, &memory, room);
            (stop, copy)
        })?;
        let (stop, copy) = parts;
        Ok(Freeze { process: self.frozen(stop.threads, copy, stop.mappings), pause })
    }

    /// Copies what can be seen without stopping anything: each thread at another moment, and registers only
    /// of those that wait in the kernel (pc and sp).
    ///
    /// # Errors
    /// When the process is gone, or the system does not let us look.
    pub fn glance(&self, plan: &FreezePlan) -> Result<FrozenProcess, LiveError> {
        let tasks = TaskDirectory::open(self.info.id)?;
        let mappings = self.mappings()?;
        let ids = tasks.task_ids()?;
        let threads: Vec<FrozenThread> =
            ids.into_iter().filter_map(|id| Some(seen_running(tasks.thread_in_detail(id).ok()?))).collect();
        let registers: Vec<&Registers> = threads.iter().filter_map(|one| one.registers.as_ref()).collect();
        let copy = capture_stacks(plan, registers.into_iter(), &mappings, &self.memory, Vec::new());
        Ok(self.frozen(threads, copy, mappings))
    }

    fn frozen(
        &self,
        threads: Vec<FrozenThread>,
        copy: prospect_process::CapturedMemory,
        mappings: Mappings,
    ) -> FrozenProcess {
        let info =
            ProcessInfo { arch: running_arch(&threads).unwrap_or(self.info.arch), ..self.info.clone() };
        let rest = LiveMemory::new(info.id);
        FrozenProcess::new(info, threads, copy, mappings).over(Box::new(rest))
    }

    pub(crate) fn refuse_itself(&self) -> Result<(), LiveError> {
        if self.info.id.0 == std::process::id() { Err(LiveError::Itself(self.info.id)) } else { Ok(()) }
    }
}

/// A thread as it can be seen while it runs: its registers are those that the kernel knows of one that waits.
fn seen_running(facts: ThreadFacts) -> FrozenThread {
    let ThreadFacts { mut thread, registers, .. } = facts;
    if registers.is_none() && thread.not_stopped.is_none() {
        thread.not_stopped = Some(NoRegisters::Running);
    }
    FrozenThread { thread, registers }
}

/// The architecture that the threads' registers are of.
fn running_arch(threads: &[FrozenThread]) -> Option<prospect_process::Arch> {
    threads.iter().find_map(|one| one.registers.as_ref()).map(Registers::arch)
}
