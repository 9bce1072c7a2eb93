//! A process of this machine.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prospect_process::{
    Addr, FreezePlan, FrozenProcess, FrozenThread, Mappings, NoRegisters, Process, ProcessId, ProcessInfo,
    Registers, Thread, ThreadId, capture_stacks,
};

use super::{
    Ending, LiveError, LiveMemory, Stopped, Threads,
    core_facts::CoreFacts,
    hold::{Hold, Holds},
    identity::Identity,
    own::OwnProcess,
    present::present_bytes,
    procfs::{
        self, ProcError, RepeatedMap, TaskDirectory, ThreadFacts,
        auxv::{self, Auxv},
    },
    register_room::{RegisterRoom, WantedSets},
    stopping,
};

/// What a thread's stack is expected to take, and the least that is expected of all together.
const TYPICAL_STACK_BYTES: usize = 8 << 10;
const LEAST_ROOM_BYTES: usize = 256 << 10;
/// More threads than these are rare, and room for their registers is made when they are there.
const MOST_EXPECTED: usize = 10_000;

/// A process of this machine. Opening one reads files of `/proc` and touches nothing.
///
/// It stays that process: when it has ended and its number was given to another one, all of this says that it
/// [has ended](LiveError::Ended). What is held of it by several is held until the last of them lets go.
#[derive(Debug)]
pub struct LiveProcess {
    info: ProcessInfo,
    image: Image,
    memory: LiveMemory,
    holds: Arc<Holds>,
    /// What [`pause`](Self::pause) holds; no thread is in two of them.
    paused: Mutex<Vec<Hold>>,
}

/// A process that was stopped for a moment, copied, and runs on.
#[derive(Debug)]
pub struct Freeze {
    /// The copy. What was not copied is read from the process as it runs on.
    pub process: FrozenProcess,
    /// From when the first thread was asked to stop to when the last one was let go; `None` when none was held.
    pub pause: Option<Duration>,
}

/// What tells one program that a process runs from the next one.
#[derive(PartialEq, Eq, Debug, Default)]
struct Image {
    executable: Option<Vec<u8>>,
    /// What the kernel has told it, with addresses that are random for each `execve`.
    auxv: Auxv,
}

impl Image {
    /// Empty where nothing is to be seen: it may belong to somebody else, or have ended.
    fn of(id: ProcessId) -> Self {
        Self {
            executable: procfs::executable(id).ok().flatten().map(|link| link.path),
            auxv: auxv::read(id, procfs::host_arch()).unwrap_or_default(),
        }
    }
}

impl LiveProcess {
    /// Opens a process.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn open(id: ProcessId) -> Result<Self, LiveError> {
        let identity = Arc::new(Identity::of(id)?);
        let image = Image::of(id);
        let info = procfs::process_info(id)?;
        identity.check()?;
        let (memory, holds) = (LiveMemory::of(identity.clone()), Holds::of(identity));
        Ok(Self { info, image, memory, holds, paused: Mutex::default() })
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

    /// Whether it runs another program (`execve`) than when this was asked last, or it was opened. If so,
    /// [`info`](Self::info) is known anew. Not before the kernel has put it in place.
    ///
    /// A program that runs itself again is recognised by where the kernel has put it, and not at all where that is not
    /// random.
    ///
    /// # Errors
    /// When it is gone.
    pub fn has_executed(&mut self) -> Result<bool, LiveError> {
        let image = self.of_itself(|id| Ok(Image::of(id)))?;
        // In the middle of it there is a new program already, without arguments.
        if image == self.image || image == Image::default() || procfs::is_executing(self.info.id) {
            return Ok(false);
        }
        self.info = self.of_itself(procfs::process_info)?;
        self.image = image;
        Ok(true)
    }

    /// Whether all of its threads have ended. A zombie, whose parent has not waited for it, has.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.identity().has_ended()
    }

    /// How it ended, as far as the system says: see [`Ending`]. `None` when it has not.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.has_ended().then(|| self.identity().ending())
    }

    /// Its memory map now.
    ///
    /// # Errors
    /// When it is gone, or the system does not let us look.
    pub fn mappings(&self) -> Result<Mappings, LiveError> {
        self.of_itself(procfs::mappings)
    }

    /// Its threads now, with what the kernel says of each.
    ///
    /// # Errors
    /// When it is gone.
    pub fn threads(&self) -> Result<Vec<Thread>, LiveError> {
        self.of_itself(|id| {
            let tasks = TaskDirectory::open(id)?;
            let ids = tasks.task_ids()?;
            Ok(ids.into_iter().filter_map(|id| Some(tasks.thread_in_detail(id).ok()?.thread)).collect())
        })
    }

    /// What `/proc` and the system say of it as texts.
    ///
    /// # Errors
    /// When it has ended.
    pub fn proc_texts(&self) -> Result<procfs::ProcTexts, LiveError> {
        self.of_itself(|id| Ok(procfs::texts(id)))
    }

    /// The environment that it was started with; why it cannot be read, where it cannot.
    ///
    /// # Errors
    /// When it has ended.
    pub fn environment(&self) -> Result<io::Result<Vec<u8>>, LiveError> {
        self.of_itself(|id| Ok(procfs::environment(id)))
    }

    /// Its file descriptors; why they cannot be listed, where they cannot.
    ///
    /// # Errors
    /// When it has ended.
    pub fn descriptors(&self) -> Result<io::Result<Vec<procfs::Descriptor>>, LiveError> {
        self.of_itself(|id| Ok(procfs::descriptors(id)))
    }

    /// The processes that it has started and their children, nearest first; at most `limit` of them.
    ///
    /// # Errors
    /// When it is gone.
    pub fn descendants(&self, limit: usize) -> Result<Vec<procfs::Child>, LiveError> {
        self.of_itself(|id| procfs::descendants(id, limit))
    }

    /// Stops all threads for as long as the result lives. What does not stop before `timeout` is over is
    /// reported and left alone.
    ///
    /// # Errors
    /// When the process is gone, or the system does not let us trace it.
    pub fn stop(&self, timeout: Duration) -> Result<Stopped, LiveError> {
        self.stop_threads(Threads::All, timeout)
    }

    /// Stops all threads as [`stop`](Self::stop) does, and copies their floating point and vector registers too.
    ///
    /// # Errors
    /// When the process is gone, or the system does not let us trace it.
    pub fn stop_with_register_sets(&self, timeout: Duration) -> Result<Stopped, LiveError> {
        let (hold, threads) = self.hold(Threads::All, timeout)?;
        let threads = self.still_itself(self.holds.run(move |_| {
            let mut threads = threads;
            stopping::add_register_sets(&mut threads);
            Ok(threads)
        }))?;
        Ok(Stopped::new(self.info.clone(), hold, threads))
    }

    /// Stops all threads as [`stop_with_register_sets`](Self::stop_with_register_sets) does, with all that a core says of a
    /// process besides: [`KernelFacts`](prospect_process::KernelFacts), [`Signals`](prospect_process::Signals) and
    /// [`Advice`](prospect_process::Advice). What takes long of it is read before the process is stopped; what it asks for in
    /// between ([`Advice`](prospect_process::Advice) of memory that was mapped meanwhile) is not seen.
    ///
    /// # Errors
    /// When the process is gone, or the system does not let us trace it.
    pub fn stop_for_core(&self, timeout: Duration) -> Result<Stopped, LiveError> {
        self.refuse_itself()?;
        let facts = CoreFacts::read(self)?;
        let (hold, threads) = self.hold(Threads::All, timeout)?;
        let threads = self.still_itself(self.holds.run(move |_| {
            let mut threads = threads;
            stopping::add_register_sets(&mut threads);
            stopping::add_signals(&mut threads);
            Ok(threads)
        }))?;
        let (info, mappings) = facts.now(&threads);
        Ok(Stopped::new(info, hold, threads).with_mappings(mappings))
    }

    /// Stops one thread for as long as the result lives.
    ///
    /// # Errors
    /// When there is no such thread, or the system does not let us trace it.
    pub fn stop_thread(&self, thread: ThreadId, timeout: Duration) -> Result<Stopped, LiveError> {
        self.stop_threads(thread, timeout)
    }

    /// Stops these threads for as long as the result lives; the others run on. Of threads that are gone by now there is
    /// nothing in the result.
    ///
    /// # Errors
    /// When there is none of them, or the system does not let us trace it.
    pub fn stop_threads(&self, threads: impl Into<Threads>, timeout: Duration) -> Result<Stopped, LiveError> {
        let (hold, threads) = self.hold(threads.into(), timeout)?;
        Ok(Stopped::new(self.info.clone(), hold, threads))
    }

    /// Stops threads until [`resume`](Self::resume) is called for them, or this is dropped. Pausing a thread twice is as
    /// pausing it once; beside that, it can be held by a [`Stopped`] or seen by a [`freeze`](Self::freeze), and stays
    /// paused after that. Says what the threads are like.
    ///
    /// # Errors
    /// When there is none of them, or the system does not let us trace it.
    pub fn pause(
        &self,
        threads: impl Into<Threads>,
        timeout: Duration,
    ) -> Result<Vec<FrozenThread>, LiveError> {
        let mut paused = self.lock_paused();
        let (mut hold, threads) = self.hold(threads.into(), timeout)?;
        let before: HashSet<ThreadId> = paused.iter().flat_map(Hold::threads).copied().collect();
        hold.keep(|thread| !before.contains(&thread));
        paused.push(hold);
        paused.retain(|hold| !hold.threads().is_empty());
        Ok(threads)
    }

    /// Lets paused threads go on, in any order; of those that are not paused nothing changes.
    pub fn resume(&self, threads: impl Into<Threads>) {
        let threads = threads.into();
        let mut paused = self.lock_paused();
        paused.iter_mut().for_each(|hold| hold.keep(|thread| !threads.includes(thread)));
        paused.retain(|hold| !hold.threads().is_empty());
    }

    /// The threads that are [paused](Self::pause).
    #[must_use]
    pub fn paused(&self) -> Vec<ThreadId> {
        self.lock_paused().iter().flat_map(Hold::threads).copied().collect()
    }

    /// Ends all [pauses](Self::pause), and leaves the process stopped: see [`Stopped::leave_stopped`].
    ///
    /// # Errors
    /// When it has ended, or the system does not let us send it a signal.
    pub fn leave_stopped(&self) -> Result<(), LiveError> {
        let mut paused = self.lock_paused();
        self.identity().signal(libc::SIGSTOP)?;
        paused.clear();
        Ok(())
    }

    fn lock_paused(&self) -> MutexGuard<'_, Vec<Hold>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, which: Threads, timeout: Duration) -> Result<(Hold, Vec<FrozenThread>), LiveError> {
        self.refuse_itself()?;
        self.still_itself(self.holds.hold(which, Instant::now() + timeout))
    }

    /// What `read` learns of its number, if it is its own afterwards.
    pub(super) fn of_itself<T>(
        &self,
        read: impl FnOnce(ProcessId) -> Result<T, ProcError>,
    ) -> Result<T, LiveError> {
        let read = read(self.info.id).map_err(LiveError::from);
        self.identity().check()?;
        self.still_itself(read)
    }

    /// The same result; that there is no such process means that it has ended.
    pub(super) fn still_itself<T>(&self, result: Result<T, LiveError>) -> Result<T, LiveError> {
        result.map_err(|error| match error {
            LiveError::NoSuchProcess(id) => LiveError::Ended(id),
            other => other,
        })
    }

    pub(super) fn holds(&self) -> &Holds {
        &self.holds
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        self.holds.identity()
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
        let deadline = Instant::now() + timeout;
        // Most threads use less of their stack than this.
        let threads = self.of_itself(|id| TaskDirectory::open(id)?.expected_count())?;
        let room = usize::try_from(threads).unwrap_or(usize::MAX).saturating_mul(TYPICAL_STACK_BYTES);
        let room = present_bytes(room.max(LEAST_ROOM_BYTES).min(plan.stack_bytes));
        let of_all = usize::try_from(threads).unwrap_or(usize::MAX).min(MOST_EXPECTED);
        let mut sets = plan.register_sets.then(|| RegisterRoom::new(WantedSets::Values, of_all));
        let (id, plan) = (self.info.id, plan.clone());
        let (mut threads, sets, copy, mappings, pause) =
            self.still_itself(self.holds.run(move |attachment| {
                let memory = LiveMemory::new(id);
                let map = RepeatedMap::new(id);
                let (grip, threads) = attachment.hold(&Threads::All, deadline)?;
                if let Some(sets) = &mut sets {
                    sets.copy(&threads);
                }
                let mappings = map.now(id);
                let registers = threads.iter().filter_map(|one| one.registers.as_ref());
                let copy = capture_stacks(&plan, registers, &mappings, &memory, room);
                let pause = attachment.release(grip);
                Ok((threads, sets, copy, mappings, pause))
            }))?;
        // What stays is asked for by the thread that stays.
        if let Some(sets) = sets {
            sets.hand_out(&mut threads);
        }
        Ok(Freeze { process: self.frozen(threads, copy, mappings), pause })
    }

    /// The same, and copies the memory besides that `also` asks for when it sees the process stand still: where
    /// each range begins, and how long it is. The process is held for as long as `also` takes.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn freeze_with(
        &self,
        plan: &FreezePlan,
        timeout: Duration,
        also: impl FnOnce(&dyn Process) -> Vec<(Addr, usize)>,
    ) -> Result<Freeze, LiveError> {
        let stopped = self.stop(timeout)?;
        let also = also(&stopped);
        let rest = LiveMemory::of(self.identity().clone());
        let process = prospect_process::freeze_with(&stopped, plan, also).over(Box::new(rest));
        Ok(Freeze { process, pause: stopped.resume() })
    }

    /// Copies what can be seen without stopping anything: each thread at another moment, and registers only
    /// of those that wait in the kernel (pc and sp).
    ///
    /// # Errors
    /// When the process is gone, or the system does not let us look.
    pub fn glance(&self, plan: &FreezePlan) -> Result<FrozenProcess, LiveError> {
        let (threads, mappings) = self.of_itself(|id| {
            let tasks = TaskDirectory::open(id)?;
            let mappings = procfs::mappings(id)?;
            let ids = tasks.task_ids()?;
            let seen = ids.into_iter().filter_map(|id| Some(seen_running(tasks.thread_in_detail(id).ok()?)));
            Ok((seen.collect::<Vec<FrozenThread>>(), mappings))
        })?;
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
        let rest = LiveMemory::of(self.identity().clone());
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
    FrozenThread { thread, registers, register_sets: Vec::new() }
}

/// The architecture that the threads' registers are of.
pub(super) fn running_arch(threads: &[FrozenThread]) -> Option<prospect_process::Arch> {
    threads.iter().find_map(|one| one.registers.as_ref()).map(Registers::arch)
}
