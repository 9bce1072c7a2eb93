//! The threads that a tracer holds, and letting them go as they were.
//!
//! The kernel lets go whatever the tracer's *thread* still holds when that thread ends, by whatever means:
//! so an attachment lives on a thread of its own ([`super::tracer`]), and nothing stays behind: neither when
//! the program is killed, nor a thread that stops only after we have given up on it.

use std::{
    collections::{HashMap, HashSet},
    marker::PhantomData,
    sync::Arc,
    time::{Duration, Instant},
};

use prospect_process::{FrozenThread, NoRegisters, ThreadId, ThreadState};

use super::{
    LiveError, arch,
    hold::Threads,
    identity::Identity,
    procfs::TaskDirectory,
    ptrace::{self, Stop, Waited},
    stopping::{self, HeldThread, HoldState, Stopping},
};

/// How often it is looked whether a thread that is held has ended, for which its parent waits too.
const WATCH: Duration = Duration::from_millis(50);

/// The same of a thread that was given up, is held no more, and stands as soon as the kernel lets it.
const WATCH_GIVEN_UP: Duration = Duration::from_millis(1);

/// The threads of a process that the calling thread holds, each for as many as want it held, until this is dropped.
#[derive(Debug)]
pub(crate) struct Attachment {
    identity: Arc<Identity>,
    tracees: HashMap<ThreadId, Tracee>,
    /// It is held for us by another process.
    lent: Option<ThreadId>,
    /// Only the thread that stopped them can let them go.
    _not_send: PhantomData<*const ()>,
}

/// One thread that is ours.
#[derive(Debug)]
struct Tracee {
    /// Where it stands; `None` as long as it has not stopped.
    stop: Option<Stop>,
    /// Before it was stopped.
    state: ThreadState,
    /// How many want it held. With none, it was given up and can be let go only when it has stopped.
    holds: u32,
}

/// The threads of one hold: what it gives back.
#[derive(Debug)]
pub(crate) struct Grip {
    threads: Vec<ThreadId>,
    began: Instant,
}

impl Grip {
    pub(crate) fn threads(&self) -> &[ThreadId] {
        &self.threads
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Takes the threads out of it that are not `kept`.
    pub(crate) fn split_off(&mut self, kept: impl Fn(ThreadId) -> bool) -> Self {
        let (threads, rest) = std::mem::take(&mut self.threads).into_iter().partition(|thread| kept(*thread));
        self.threads = threads;
        Self { threads: rest, began: self.began }
    }
}

impl Attachment {
    pub(crate) fn new(identity: Arc<Identity>) -> Self {
        Self { identity, tracees: HashMap::new(), lent: None, _not_send: PhantomData }
    }

    /// Holds threads, and says what they are like.
    ///
    /// # Errors
    /// When there is no such process, or none of these threads may be held. A thread that cannot be stopped
    /// is no error: it says so itself.
    pub(crate) fn hold(
        &mut self,
        which: &Threads,
        deadline: Instant,
    ) -> Result<(Grip, Vec<FrozenThread>), LiveError> {
        self.hear_of_ends();
        let identity = self.identity.clone();
        let tasks = TaskDirectory::open(identity.process())?;
        let mut stopping = Stopping::new(&identity, &tasks, deadline);
        let mut standing = Vec::new();
        let found = self.find_and_stop(which, &tasks, deadline, &mut stopping, &mut standing);
        let Stopping { threads: stopped, began, .. } = stopping;
        let mut grip = Grip { threads: Vec::with_capacity(stopped.len() + standing.len()), began };
        let mut threads = Vec::with_capacity(stopped.len() + standing.len());
        for HeldThread { thread, registers, hold } in stopped {
            if let HoldState::Seized | HoldState::Stopped(_) = hold {
                let stop = if let HoldState::Stopped(stop) = hold { Some(stop) } else { None };
                let new = Tracee { stop, state: thread.state, holds: 0 };
                let tracee = self.tracees.entry(thread.id).or_insert(new);
                tracee.stop = stop;
                tracee.holds += 1;
                grip.threads.push(thread.id);
            }
            // What ended meanwhile is not a thread of this process any more.
            if thread.not_stopped != Some(NoRegisters::Exited) {
                threads.push(FrozenThread { thread, registers, register_sets: Vec::new() });
            }
        }
        for id in &standing {
            let Some(tracee) = self.tracees.get_mut(id) else { continue };
            tracee.holds += 1;
            grip.threads.push(*id);
            threads.extend(seen_again(&tasks, *id, tracee.state));
        }
        match found {
            Ok(order) if !threads.is_empty() || !standing.is_empty() => {
                if !standing.is_empty() {
                    let place: HashMap<_, _> = order.into_iter().zip(0..).collect();
                    threads.sort_by_key(|one| place.get(&one.thread.id).copied().unwrap_or(usize::MAX));
                }
                Ok((grip, threads))
            }
            failed => {
                self.release(grip);
                Err(failed.err().unwrap_or_else(|| match which {
                    Threads::Only(threads) if !threads.is_empty() => LiveError::NoSuchThread(threads[0]),
                    _ => LiveError::NoSuchProcess(identity.process()),
                }))
            }
        }
    }

    /// Holds all threads but one that another process holds for us. There need be no others.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub(super) fn hold_beside(
        &mut self,
        lent: ThreadId,
        deadline: Instant,
    ) -> Result<(Grip, Vec<FrozenThread>), LiveError> {
        self.lent = Some(lent);
        let held = self.hold(&Threads::All, deadline);
        self.lent = None;
        held
    }

    /// Whether a thread is held already: by whomever.
    pub(super) fn has(&self, thread: ThreadId) -> bool {
        self.tracees.contains_key(&thread)
    }

    /// Stops what does not stand yet until there are no others, and returns all threads in the order in which they were
    /// found. Those that stand already, for another hold, are noted in `standing`.
    fn find_and_stop(
        &self,
        which: &Threads,
        tasks: &TaskDirectory,
        deadline: Instant,
        stopping: &mut Stopping<'_>,
        standing: &mut Vec<ThreadId>,
    ) -> Result<Vec<ThreadId>, LiveError> {
        let (mut known, mut order) = (HashSet::new(), Vec::new());
        loop {
            let all_stand = || {
                let count = (stopping.standing() + standing.len()) as u64;
                count > 0 && tasks.expected_count().is_ok_and(|expected| expected == count)
            };
            let mut new = match which {
                Threads::Only(threads) => threads.clone(),
                // All that there are stand, so that there are no others: one system call says it.
                Threads::All if all_stand() => break,
                Threads::All => tasks.task_ids()?,
            };
            new.retain(|thread| known.insert(*thread));
            if new.is_empty() {
                break;
            }
            let is_first_round = order.is_empty();
            order.extend_from_slice(&new);
            new.retain(|thread| {
                let stands = self.lent == Some(*thread)
                    || self.tracees.get(thread).is_some_and(|tracee| tracee.stop.is_some());
                if stands {
                    standing.push(*thread);
                }
                !stands
            });
            let are_seized = |thread| self.tracees.contains_key(&thread);
            stopping.stop(&new, are_seized, is_first_round && standing.is_empty())?;
            // A process whose threads are born faster than they are held ends the search here.
            if Instant::now() >= deadline {
                break;
            }
        }
        Ok(order)
    }

    /// Gives a hold back: threads that nobody else wants held go on, those that ran first. Says for how long they were
    /// held; `None` when there are none.
    pub(crate) fn release(&mut self, grip: Grip) -> Option<Duration> {
        let mut free = Vec::new();
        for id in &grip.threads {
            if let Some(tracee) = self.tracees.get_mut(id) {
                tracee.holds = tracee.holds.saturating_sub(1);
                if tracee.holds == 0 {
                    free.push(*id);
                }
            }
        }
        self.let_go(free);
        (!grip.threads.is_empty()).then(|| grip.began.elapsed())
    }

    /// Does what is due while nothing is asked for, and says when to come back for it.
    pub(crate) fn tend(&mut self) -> Duration {
        self.hear_of_ends();
        if self.tracees.values().any(|tracee| tracee.holds == 0) { WATCH_GIVEN_UP } else { WATCH }
    }

    /// A thread of ours that was killed is a zombie until we know of it: for so long its parent does not learn of the
    /// end of the process, and an `execve` of another thread waits. What was given up and has stopped since is let go.
    fn hear_of_ends(&mut self) {
        while let Some((id, waited)) = ptrace::wait_any() {
            match (waited, self.tracees.get_mut(&id)) {
                (Waited::Ended, _) => drop(self.tracees.remove(&id)),
                (Waited::Stopped(stop), Some(tracee)) => {
                    arch::restart_call(id);
                    tracee.stop = Some(stop);
                    if tracee.holds == 0 {
                        self.let_go(vec![id]);
                    }
                }
                (Waited::Stopped(_) | Waited::Nothing, _) => {}
            }
        }
    }

    /// Gives away a thread that stands, with how it does. From then on it is the calling thread that has to let it go.
    pub(super) fn give_away(&mut self, id: ThreadId) -> Option<Stop> {
        let stop = self.tracees.get(&id)?.stop?;
        self.tracees.remove(&id);
        Some(stop)
    }

    fn let_go(&mut self, threads: Vec<ThreadId>) {
        let ran = |id: &ThreadId| self.tracees.get(id).is_some_and(|one| one.state == ThreadState::Running);
        let (running, idle): (Vec<_>, Vec<_>) = threads.into_iter().partition(ran);
        for id in running.into_iter().chain(idle) {
            let Some(tracee) = self.tracees.get(&id) else { continue };
            let stop = match tracee.stop {
                Some(stop) => stop,
                // It was given up and may stand by now.
                None => match ptrace::wait(id) {
                    Waited::Stopped(stop) => {
                        arch::restart_call(id);
                        stop
                    }
                    // Not to be detached blindly, for that would take a signal from it that it is just about
                    // to get. When it has stopped, or this thread ends, it goes with its signal.
                    Waited::Nothing => continue,
                    Waited::Ended => {
                        self.tracees.remove(&id);
                        continue;
                    }
                },
            };
            let signal = if let Stop::Signal(signal) = stop { signal } else { 0 };
            // Who cannot be detached has been killed.
            let _ = ptrace::detach(id, signal);
            self.tracees.remove(&id);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let all = self.tracees.keys().copied().collect();
        self.let_go(all);
    }
}

/// What a thread that stands already is like; `None` when it is gone.
fn seen_again(tasks: &TaskDirectory, id: ThreadId, before: ThreadState) -> Option<FrozenThread> {
    let mut thread = tasks.thread(id).ok()?.thread;
    let registers = stopping::registers(id);
    if let (Err(reason), None) = (&registers, &thread.not_stopped) {
        thread.not_stopped = Some(reason.clone());
    } else if registers.is_ok() {
        thread.state = before;
    }
    Some(FrozenThread { thread, registers: registers.ok(), register_sets: Vec::new() })
}
