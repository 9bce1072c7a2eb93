//! Holding the threads of a process still, and letting them go as they were.
//!
//! The order is what keeps the pause short: what can be known without stopping (names, states) is read
//! first; threads that wait in the kernel where nothing wakes them are given their chance before any other
//! is held; idle threads are held next, which costs them nothing; the running ones last, and they are let
//! go first.
//!
//! The kernel lets go whatever the tracer's *thread* still holds when that thread ends, by whatever means:
//! so an attachment lives on a thread of its own ([`super::tracer`]), and nothing stays behind: neither when
//! the program is killed, nor a thread that stops only after we have given up on it.

use std::{
    collections::HashSet,
    io,
    marker::PhantomData,
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

use prospect_process::{
    Arch, FrozenThread, NoRegisters, ProcessId, Registers, Thread, ThreadId, ThreadState,
};

use super::{
    LiveError,
    procfs::{self, TaskDirectory, ThreadFacts},
    ptrace::{self, Stop, Waited},
};

/// How long a thread that the kernel does not let stop (state `D`) is waited for.
const GRACE: Duration = Duration::from_millis(10);

/// How long threads that have not stopped yet are looked at again and again: on another processor they need a few
/// microseconds. After that they may need ours.
const IMPATIENCE: Duration = Duration::from_micros(40);

/// The facts of so many threads take longer than starting a thread does.
const WORTH_A_THREAD: usize = 50;

/// The longest sleep between two looks at threads that have not stopped yet.
const LONGEST_SLEEP: Duration = Duration::from_micros(500);

/// One thread, held or not.
#[derive(Debug)]
struct HeldThread {
    thread: Thread,
    registers: Option<Registers>,
    hold: Hold,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hold {
    /// It is not ours.
    Not,
    /// It is ours and has not stopped.
    Seized,
    /// It stands.
    Stopped(Stop),
}

/// The threads of a process, held by the calling thread until this is dropped.
#[derive(Debug)]
pub(crate) struct Attachment {
    process: ProcessId,
    threads: Vec<HeldThread>,
    /// When the first thread was asked to stop.
    began: Instant,
    deadline: Instant,
    /// Only the thread that stopped them can let them go.
    _not_send: PhantomData<*const ()>,
}

impl Attachment {
    /// Holds every thread of a process, or `only` one.
    ///
    /// # Errors
    /// When there is no such process, or none of its threads may be held. A thread that cannot be stopped
    /// is no error: it says so itself.
    pub(crate) fn stop(
        process: ProcessId,
        only: Option<ThreadId>,
        deadline: Instant,
    ) -> Result<Self, LiveError> {
        let tasks = TaskDirectory::open(process)?;
        let now = Instant::now();
        let mut attachment =
            Self { process, threads: Vec::new(), began: now, deadline, _not_send: PhantomData };
        let mut known = HashSet::new();
        loop {
            let mut new = match only {
                Some(thread) => vec![thread],
                // All that there are stand, so that there are no others: one system call says it.
                None if attachment.all_stand(&tasks) => break,
                None => tasks.task_ids()?,
            };
            new.retain(|thread| known.insert(*thread));
            if new.is_empty() {
                break;
            }
            let first_round = attachment.threads.is_empty();
            attachment.hold(&tasks, &new, first_round)?;
            // A process whose threads are born faster than they are held ends the search here.
            if Instant::now() >= deadline {
                break;
            }
        }
        // What ended meanwhile is not a thread of this process any more.
        attachment.threads.retain(|held| held.thread.not_stopped != Some(NoRegisters::Exited));
        if attachment.threads.is_empty() {
            return Err(match only {
                Some(thread) => LiveError::NoSuchThread(thread),
                None => LiveError::NoSuchProcess(process),
            });
        }
        Ok(attachment)
    }

    /// Whether as many threads stand as there are.
    fn all_stand(&self, tasks: &TaskDirectory) -> bool {
        let stands = |held: &&HeldThread| matches!(held.hold, Hold::Stopped(_)) && held.registers.is_some();
        let count = self.threads.iter().filter(stands).count() as u64;
        count > 0 && tasks.expected_count().is_ok_and(|expected| expected == count)
    }

    /// Seizes `new` threads and waits until they stand.
    fn hold(&mut self, tasks: &TaskDirectory, new: &[ThreadId], first_round: bool) -> Result<(), LiveError> {
        let start = self.threads.len();
        let mut refused = None;
        for ThreadFacts { thread, .. } in facts(tasks, new) {
            let id = thread.id;
            let mut held = HeldThread { thread, registers: None, hold: Hold::Not };
            if held.thread.not_stopped.is_none() {
                match ptrace::seize(id) {
                    Ok(()) => held.hold = Hold::Seized,
                    Err(error) => {
                        let Ok(facts) = tasks.thread_in_detail(id) else { continue };
                        held.thread = facts.thread;
                        if let Some(error) = why_not_seized(self.process, &mut held.thread, error) {
                            refused.get_or_insert(error);
                        }
                    }
                }
            }
            self.threads.push(held);
        }
        let nothing_held = !self.threads.iter().any(|held| held.hold == Hold::Seized);
        if let Some(error) = refused.filter(|_| first_round && nothing_held) {
            return Err(LiveError::refused(self.process, error));
        }
        if first_round {
            self.began = Instant::now();
        }
        let in_state = |held: &[HeldThread], wanted: fn(ThreadState) -> bool| {
            let indices = (start..).zip(&held[start..]);
            let chosen = indices.filter(|(_, held)| held.hold == Hold::Seized && wanted(held.thread.state));
            chosen.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let stuck = in_state(&self.threads, |state| state == ThreadState::Uninterruptible);
        if !stuck.is_empty() {
            self.interrupt_and_wait(tasks, stuck);
            if first_round && !self.threads.iter().any(|held| matches!(held.hold, Hold::Stopped(_))) {
                self.began = Instant::now();
            }
        }
        let idle = in_state(&self.threads, |state| {
            !matches!(state, ThreadState::Uninterruptible | ThreadState::Running)
        });
        self.interrupt_and_wait(tasks, idle);
        let running = in_state(&self.threads, |state| state == ThreadState::Running);
        self.interrupt_and_wait(tasks, running);
        Ok(())
    }

    /// Interrupts the threads with these indices and waits until each stands, has ended, or is given up.
    fn interrupt_and_wait(&mut self, tasks: &TaskDirectory, mut waiting: Vec<usize>) {
        for index in &waiting {
            // An error means that it has ended, which waiting for it shows.
            let _ = ptrace::interrupt(self.threads[*index].thread.id);
        }
        let began = Instant::now();
        let (mut last_progress, mut sleep) = (began, Duration::from_micros(20));
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|index| !look_at(&mut self.threads[*index]));
            let now = Instant::now();
            if waiting.len() < before {
                last_progress = now;
                continue;
            }
            if now < last_progress + IMPATIENCE {
                ptrace::yield_processor();
                continue;
            }
            let (in_grace, in_time) = (now < began + GRACE, now < self.deadline);
            if !in_grace || !in_time {
                waiting.retain(|index| !give_up(&mut self.threads[*index], tasks, in_time));
            }
            thread::sleep(sleep);
            sleep = (sleep * 2).min(LONGEST_SLEEP);
        }
    }

    /// What the threads are like: to be taken once.
    pub(crate) fn take_threads(&mut self) -> Vec<FrozenThread> {
        let take = |held: &mut HeldThread| {
            let rest = Thread { state: held.thread.state, ..Thread::new(held.thread.id) };
            let thread = std::mem::replace(&mut held.thread, rest);
            FrozenThread { thread, registers: held.registers.take() }
        };
        self.threads.iter_mut().map(take).collect()
    }

    /// Lets all threads go on, and says for how long they were held; `None` when none was.
    pub(crate) fn release(mut self) -> Option<Duration> {
        let held = self.threads.iter().any(|held| held.hold != Hold::Not);
        self.detach_all();
        held.then(|| self.began.elapsed())
    }

    fn detach_all(&mut self) {
        let (running, idle): (Vec<_>, Vec<_>) = std::mem::take(&mut self.threads)
            .into_iter()
            .filter(|held| held.hold != Hold::Not)
            .partition(|held| held.thread.state == ThreadState::Running);
        for held in running.iter().chain(&idle) {
            let stop = match held.hold {
                Hold::Stopped(stop) => stop,
                // It was given up and may stand by now.
                _ => match ptrace::wait(held.thread.id) {
                    Waited::Stopped(stop) => stop,
                    // Not to be detached blindly, for that would take a signal from it that it is just about
                    // to get. When this thread ends, the kernel lets it go with its signal.
                    Waited::Nothing | Waited::Ended => continue,
                },
            };
            let signal = if let Stop::Signal(signal) = stop { signal } else { 0 };
            // Who cannot be detached has been killed.
            let _ = ptrace::detach(held.thread.id, signal);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.detach_all();
    }
}

/// What is known of threads, without those that are gone by now: they are not threads of this process any more.
/// The kernel takes microseconds for each, so that many are shared out over the processors.
fn facts(tasks: &TaskDirectory, threads: &[ThreadId]) -> Vec<ThreadFacts> {
    let of = |part: &[ThreadId]| part.iter().filter_map(|id| tasks.thread(*id).ok()).collect::<Vec<_>>();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(threads.len() / WORTH_A_THREAD);
    if workers < 2 {
        return of(threads);
    }
    let (own, others) = threads.split_at(threads.len().div_ceil(workers));
    thread::scope(|scope| {
        let others: Vec<_> = others.chunks(own.len()).map(|part| scope.spawn(|| of(part))).collect();
        let mut all = of(own);
        others.into_iter().for_each(|worker| all.extend(worker.join().unwrap_or_default()));
        all
    })
}

/// Says in `thread` why it could not be seized, and returns the error where that is a refusal.
fn why_not_seized(process: ProcessId, thread: &mut Thread, error: io::Error) -> Option<io::Error> {
    // One that ended between the listing and now is refused too; what is known of it says so.
    if thread.not_stopped.is_some() {
        return None;
    }
    let ended = error.raw_os_error() == Some(libc::ESRCH);
    thread.not_stopped = Some(match tracer_of(process, thread.id) {
        _ if ended => NoRegisters::Exited,
        Some(tracer) => NoRegisters::Refused(format!("it is traced already by process {tracer}")),
        None => NoRegisters::Refused(error.to_string()),
    });
    (!ended).then_some(error)
}

/// Who traces a thread: there can be only one.
fn tracer_of(process: ProcessId, thread: ThreadId) -> Option<ProcessId> {
    let tracer = procfs::thread_status(process, thread).ok()?.tracer;
    (tracer != 0).then_some(ProcessId(tracer))
}

/// Whether a thread that was to stop stands, or has ended: then there is nothing more to wait for.
fn look_at(held: &mut HeldThread) -> bool {
    match ptrace::wait(held.thread.id) {
        Waited::Nothing => false,
        Waited::Ended => {
            held.hold = Hold::Not;
            held.thread.not_stopped = Some(NoRegisters::Exited);
            true
        }
        Waited::Stopped(stop) => {
            held.hold = Hold::Stopped(stop);
            match registers(held.thread.id) {
                Ok(registers) => held.registers = Some(registers),
                Err(reason) => held.thread.not_stopped = Some(reason),
            }
            true
        }
    }
}

/// The registers of a thread that stands.
pub(crate) fn registers(thread: ThreadId) -> Result<Registers, NoRegisters> {
    let mut bytes = [0; ptrace::REGISTER_SET_BYTES];
    // An error: it was killed while it stood.
    let length = ptrace::register_set(thread, &mut bytes).map_err(|_| NoRegisters::Exited)?;
    let unknown = || format!("its register set of {length} bytes is of no architecture that is known");
    let arch = Arch::from_regset_bytes(length).ok_or_else(|| NoRegisters::Refused(unknown()))?;
    Ok(Registers::from_regset(arch, &bytes[..length]))
}

/// Whether there is no use in waiting longer for a thread; says why it was given up.
fn give_up(held: &mut HeldThread, tasks: &TaskDirectory, in_time: bool) -> bool {
    let id = held.thread.id;
    let Ok(ThreadFacts { mut thread, registers: waiting, .. }) = tasks.thread_in_detail(id) else {
        held.thread.not_stopped = Some(NoRegisters::Exited);
        return true;
    };
    match thread.state {
        _ if thread.not_stopped.is_some() => {}
        ThreadState::Uninterruptible => thread.not_stopped = Some(NoRegisters::Uninterruptible),
        // It stands, and that was reported to somebody else who waits for every child of this program.
        ThreadState::Traced if registers(id).is_ok() => {
            held.hold = Hold::Stopped(Stop::Interrupted);
            held.registers = registers(id).ok();
            return true;
        }
        _ if in_time => return false,
        _ => thread.not_stopped = Some(NoRegisters::Deadline),
    }
    held.registers = waiting;
    held.thread = thread;
    true
}
