//! Making threads stand still.
//!
//! The order is what keeps the pause short: what can be known without stopping (names, states) is read
//! first; threads that wait in the kernel where nothing wakes them are given their chance before any other
//! is held; idle threads are held next, which costs them nothing; the running ones last.

use std::{
    io,
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

use prospect_process::{
    Arch, FrozenThread, NoRegisters, ProcessId, Registers, Thread, ThreadId, ThreadState,
};

use super::{
    LiveError, arch,
    identity::Identity,
    patience::Patience,
    procfs::{self, TaskDirectory, ThreadFacts},
    ptrace::{self, Stop, Waited},
    register_room::{RegisterRoom, WantedSets},
    signals,
};

/// How long a thread that the kernel does not let stop (state `D`) is waited for.
const GRACE: Duration = Duration::from_millis(10);

/// The facts of so many threads take longer than starting a thread does.
const WORTH_A_THREAD: usize = 50;

/// One thread, held or not.
#[derive(Debug)]
pub(crate) struct HeldThread {
    pub(crate) thread: Thread,
    pub(crate) registers: Option<Registers>,
    pub(crate) hold: HoldState,
}

/// How far the calling thread has come with holding a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HoldState {
    /// It is not ours.
    Not,
    /// It is ours and has not stopped.
    Seized,
    /// It stands.
    Stopped(Stop),
}

/// Threads that are made to stand, round by round until there are no others.
#[derive(Debug)]
pub(crate) struct Stopping<'a> {
    identity: &'a Identity,
    tasks: &'a TaskDirectory,
    /// In the order in which they were found.
    pub(crate) threads: Vec<HeldThread>,
    /// When the first one was asked to stop.
    pub(crate) began: Instant,
    deadline: Instant,
}

impl<'a> Stopping<'a> {
    pub(crate) fn new(identity: &'a Identity, tasks: &'a TaskDirectory, deadline: Instant) -> Self {
        Self { identity, tasks, threads: Vec::new(), began: Instant::now(), deadline }
    }

    /// How many of them stand.
    pub(crate) fn standing(&self) -> usize {
        let stands =
            |held: &&HeldThread| matches!(held.hold, HoldState::Stopped(_)) && held.registers.is_some();
        self.threads.iter().filter(stands).count()
    }

    /// Seizes `new` threads, but for those that `are_seized`, and waits until they stand, or are given up.
    ///
    /// # Errors
    /// When the number of the process belongs to another one by now; then nothing was stopped. When `required` and not
    /// one of them may be held.
    pub(crate) fn stop(
        &mut self,
        new: &[ThreadId],
        are_seized: impl Fn(ThreadId) -> bool,
        required: bool,
    ) -> Result<(), LiveError> {
        let start = self.threads.len();
        let mut refused = None;
        for ThreadFacts { thread, .. } in facts(self.tasks, new) {
            let id = thread.id;
            let mut held = HeldThread { thread, registers: None, hold: HoldState::Not };
            if are_seized(id) {
                held.hold = HoldState::Seized;
            } else if held.thread.not_stopped.is_none() {
                match ptrace::seize(id) {
                    Ok(()) => held.hold = HoldState::Seized,
                    Err(error) => {
                        let Ok(facts) = self.tasks.thread_in_detail(id) else { continue };
                        held.thread = facts.thread;
                        if let Some(error) = why_not_seized(self.tasks.process(), &mut held.thread, error) {
                            refused.get_or_insert(error);
                        }
                    }
                }
            }
            self.threads.push(held);
        }
        // A seized thread has felt nothing yet.
        self.identity.check()?;
        let nothing_held = !self.threads.iter().any(|held| held.hold == HoldState::Seized);
        if let Some(error) = refused.filter(|_| required && nothing_held) {
            return Err(LiveError::refused(self.tasks.process(), error));
        }
        let nothing_stands =
            |stopping: &Self| !stopping.threads.iter().any(|held| matches!(held.hold, HoldState::Stopped(_)));
        let restart = |stopping: &mut Self| {
            if nothing_stands(stopping) {
                stopping.began = Instant::now();
            }
        };
        restart(self);
        let in_state = |held: &[HeldThread], wanted: fn(ThreadState) -> bool| {
            let indices = (start..).zip(&held[start..]);
            let chosen =
                indices.filter(|(_, held)| held.hold == HoldState::Seized && wanted(held.thread.state));
            chosen.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let stuck = in_state(&self.threads, |state| state == ThreadState::Uninterruptible);
        if !stuck.is_empty() {
            self.interrupt_and_wait(stuck);
            restart(self);
        }
        let idle = in_state(&self.threads, |state| {
            !matches!(state, ThreadState::Uninterruptible | ThreadState::Running)
        });
        self.interrupt_and_wait(idle);
        let running = in_state(&self.threads, |state| state == ThreadState::Running);
        self.interrupt_and_wait(running);
        Ok(())
    }

    /// Interrupts the threads with these indices and waits until each stands, has ended, or is given up.
    fn interrupt_and_wait(&mut self, mut waiting: Vec<usize>) {
        for index in &waiting {
            // An error means that it has ended, which waiting for it shows.
            let _ = ptrace::interrupt(self.threads[*index].thread.id);
        }
        // Reading why they do not stop takes long where they are many, and holds up what is waited for.
        let mut next_look = Instant::now() + GRACE;
        let mut patience = Patience::new();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|index| !look_at(&mut self.threads[*index], ptrace::wait));
            if waiting.len() < before {
                patience.renew();
                continue;
            }
            let now = Instant::now();
            let in_time = now < self.deadline;
            if now >= next_look || !in_time {
                waiting.retain(|index| !give_up(&mut self.threads[*index], self.tasks, in_time));
                next_look = Instant::now() + GRACE;
            }
            if let Some(index) = waiting.first().copied()
                && look_at(&mut self.threads[index], |thread| patience.wait(thread))
            {
                waiting.remove(0);
                patience.renew();
            }
        }
        patience.rest();
    }
}

/// What is known of threads, without those that are gone by now: they are not threads of this process any more.
/// The kernel takes microseconds for each, so that many are shared out over the processors.
fn facts(tasks: &TaskDirectory, threads: &[ThreadId]) -> Vec<ThreadFacts> {
    let of = |part: &[ThreadId]| part.iter().filter_map(|id| tasks.thread(*id).ok()).collect::<Vec<_>>();
    let most = threads.len() / WORTH_A_THREAD;
    // Asking how many processors there are takes reading files.
    let workers =
        if most < 2 { 1 } else { thread::available_parallelism().map_or(1, NonZero::get).min(most) };
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
///
/// A thread that is about to get a signal gets it before it is held. One that is held with it would lose it when this program
/// is killed: the kernel keeps it for who has waited for that stop (`wait_task_stopped` in `kernel/exit.c`).
fn look_at(held: &mut HeldThread, wait: impl FnOnce(ThreadId) -> Waited) -> bool {
    match wait(held.thread.id) {
        Waited::Nothing => false,
        Waited::Ended => {
            held.hold = HoldState::Not;
            held.thread.not_stopped = Some(NoRegisters::Exited);
            true
        }
        Waited::Stopped(Stop::Signal(signal)) => {
            // While it is traced, signals wake it that it ignores: its call begins again where no handler runs.
            arch::restart_call(held.thread.id);
            // Errors: it was killed, which waiting for it shows.
            let _ = ptrace::interrupt(held.thread.id).and_then(|()| ptrace::resume(held.thread.id, signal));
            false
        }
        Waited::Stopped(stop) => {
            held.hold = HoldState::Stopped(stop);
            match registers(held.thread.id) {
                Ok(registers) => {
                    arch::restart_interrupted(held.thread.id, &registers);
                    held.registers = Some(registers);
                }
                Err(reason) => held.thread.not_stopped = Some(reason),
            }
            true
        }
    }
}

/// The same of a thread that is known to stand. That may have been reported to somebody else, who waits for every child of this
/// program; or it came to stand just now.
fn stands_for_others_too(held: &mut HeldThread) -> bool {
    let mut waited = Waited::Nothing;
    let stands = look_at(held, |thread| {
        waited = ptrace::wait(thread);
        waited
    });
    if waited == Waited::Nothing {
        return look_at(held, |_| Waited::Stopped(Stop::Interrupted));
    }
    stands
}

pub(crate) fn registers(thread: ThreadId) -> Result<Registers, NoRegisters> {
    let mut bytes = [0; ptrace::REGISTER_SET_BYTES];
    // An error: it was killed while it stood.
    let length = ptrace::register_set(thread, &mut bytes).map_err(|_| NoRegisters::Exited)?;
    let unknown = || format!("its register set of {length} bytes is of no architecture that is known");
    let arch = Arch::from_regset_bytes(length).ok_or_else(|| NoRegisters::Refused(unknown()))?;
    Ok(Registers::from_regset(arch, &bytes[..length]))
}

/// Adds the other registers of those of `threads` that stand and are the calling thread's.
pub(crate) fn add_register_sets(threads: &mut [FrozenThread]) {
    let mut sets = RegisterRoom::new(WantedSets::All, 0);
    sets.copy(threads);
    sets.hand_out(threads);
}

/// Adds what the kernel keeps of the signals of those of `threads` that stand and are the calling thread's.
pub(crate) fn add_signals(threads: &mut [FrozenThread]) {
    for one in threads.iter_mut().filter(|one| one.thread.not_stopped.is_none()) {
        if let Some(registers) = &one.registers {
            one.thread.signals = signals::of(one.thread.id, registers.arch());
        }
    }
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
        ThreadState::Traced if registers(id).is_ok() => return stands_for_others_too(held),
        _ if in_time => return false,
        _ => thread.not_stopped = Some(NoRegisters::Deadline),
    }
    held.registers = waiting;
    held.thread = thread;
    true
}
