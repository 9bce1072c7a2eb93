//! A copy of all threads of one's own process.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use prospect_process::{
    Addr, CapturedMemory, FreezePlan, FrozenProcess, FrozenThread, Memory as _, NoRegisters, ProcessId,
    ThreadId, ThreadState,
};

use super::{
    super::{
        Freeze, LiveError, arch,
        procfs::{self, SyscallState, TaskDirectory, ThreadFacts},
    },
    OwnMemory, current_registers, handler,
    round::{Copies, Round},
    slot::Question,
    system,
    turn::Turn,
};

/// How long a thread is waited for that blocks the signal, or that the kernel does not let go (state `D`).
const GRACE: Duration = Duration::from_millis(10);

/// When threads that have not answered are looked at first, and the longest time between two looks.
const FIRST_LOOK: Duration = Duration::from_micros(500);
const LONGEST_LOOK: Duration = Duration::from_millis(8);

/// How often threads are listed: those that are born while others are asked are asked too, but a process that never
/// stops starting threads must not keep us.
const LISTINGS: usize = 4;

/// One's own process, all threads of which can be copied without another process that stops them.
///
/// Each thread is asked with a signal, whose handler copies its registers and its stack and lets it go on at once: no
/// thread ever waits for another, and each is seen at a moment of its own, a little apart from the others'.
///
/// **What a thread notices.** A signal interrupts system calls. Most go on by themselves (`SA_RESTART`); those that the
/// kernel never restarts fail with `EINTR`, as with every other signal: `poll`, `select`, `epoll_wait`, `nanosleep`,
/// `semop`, `io_getevents`, and sockets with a timeout among them (`man 7 signal`). Threads that block the signal, or
/// wait for it with `sigwait`, are not sent it. `errno` stays as it was. The handler runs on the alternate stack where
/// the thread has one; elsewhere it takes about as much of the thread's stack as the kernel needs to save
/// its registers.
///
/// **The signal** is a real-time signal that nobody handles, or [one of your choice](Self::signal). Its handler stays for
/// good: an answer may come after nobody waits for it any more.
///
/// After a `fork` in the middle of a freeze by another thread, the child cannot freeze itself
/// ([`LiveError::OwnTurn`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnProcess {
    signal: Option<i32>,
}

/// A thread, and how far it has come.
struct Asked {
    frozen: FrozenThread,
    stage: Stage,
}

enum Stage {
    /// It blocks the signal and has not been sent it.
    HeldBack,
    /// It has been sent it.
    Sent(Question),
    /// It has answered, or was given up.
    Settled,
}

/// What `/proc` says of a thread that is to be asked.
struct Reachable {
    facts: ThreadFacts,
    /// The signal would not be handled now.
    blocked: bool,
    /// The signal was sent, and the thread has not got it yet.
    pending: bool,
}

impl OwnProcess {
    /// Threads are asked with a real-time signal that nobody handles, found when it is first needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Threads are asked with this signal, which nobody may handle yet.
    #[must_use]
    pub fn signal(mut self, signal: i32) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Copies registers and stacks of all threads, those of the calling one too. Threads that start while
    /// this looks may be missing.
    ///
    /// No thread is waited for longer than `timeout`. One that has not answered says why
    /// ([`Thread::not_stopped`](prospect_process::Thread::not_stopped)); where it waits in the kernel, pc, sp and
    /// its stack are there all the same.
    ///
    /// [`Freeze::pause`] is `None`: nothing stood still. Not for signal handlers.
    ///
    /// # Errors
    /// When the signal is handled by somebody else, another thread is freezing this process all the time, or `/proc`
    /// cannot be read.
    pub fn freeze(&self, plan: &FreezePlan, timeout: Duration) -> Result<Freeze, LiveError> {
        let deadline = Instant::now() + timeout;
        let mut turn = Turn::take(deadline)?;
        let signal = turn.signal(self.signal)?;
        let process = ProcessId(std::process::id());
        let mut info = procfs::process_info(process)?;
        info.arch = arch::ARCH;
        let mut freezing = Freezing {
            tasks: TaskDirectory::open(process)?,
            turn: &mut turn,
            signal,
            deadline,
            copies: Copies::default(),
        };
        let (mut known, mut threads) = (HashSet::new(), Vec::new());
        for _ in 0..LISTINGS {
            let listed = freezing.tasks.task_ids()?;
            if known.is_empty() {
                freezing.turn.settle(&listed.iter().copied().collect());
            }
            let new: Vec<ThreadId> = listed.into_iter().filter(|thread| known.insert(*thread)).collect();
            if new.is_empty() {
                break;
            }
            let left = plan.stack_bytes.saturating_sub(freezing.copies.bytes.len());
            threads.extend(freezing.ask_all(&new, left)?);
            if Instant::now() >= deadline {
                break;
            }
        }
        let Copies { bytes, ranges } = freezing.copies;
        let mappings = procfs::mappings(process)?;
        let copy = CapturedMemory::new(bytes, ranges);
        let process = FrozenProcess::new(info, threads, copy, mappings).over(Box::new(OwnMemory));
        Ok(Freeze { process, pause: None })
    }
}

/// A freeze at work.
struct Freezing<'a> {
    tasks: TaskDirectory,
    turn: &'a mut Turn,
    signal: i32,
    deadline: Instant,
    copies: Copies,
}

impl Freezing<'_> {
    /// Asks these threads and waits until each has answered, has ended, or is given up.
    fn ask_all(&mut self, ids: &[ThreadId], bytes: usize) -> Result<Vec<FrozenThread>, LiveError> {
        let mappings = procfs::mappings(self.tasks.process())?;
        let round = Arc::new(Round::new(mappings, ids.len(), bytes).map_err(LiveError::NoMemory)?);
        // All that takes time is done before the first signal is sent, so that the answers are of about one moment.
        let reachable: Vec<Reachable> = ids.iter().filter_map(|id| self.reach(*id)).collect();
        let mut all: Vec<Asked> = Vec::with_capacity(reachable.len());
        for one in reachable {
            let thread = one.facts.thread.clone();
            let mut asked = Asked {
                frozen: FrozenThread { thread, registers: None, register_sets: Vec::new() },
                stage: Stage::HeldBack,
            };
            self.send(&mut asked, &one, &round);
            all.push(asked);
        }
        let own = ThreadId(system::thread_id());
        if let Some(own) = all.iter_mut().find(|asked| asked.frozen.thread.id == own) {
            let registers = current_registers();
            round.copy_stack_to(&registers, &mut self.copies);
            own.frozen.registers = Some(registers);
        }
        self.wait(&mut all, &round);
        // What ended meanwhile is not a thread of this process any more.
        all.retain(|asked| asked.frozen.thread.not_stopped != Some(NoRegisters::Exited));
        Ok(all.into_iter().map(|asked| asked.frozen).collect())
    }

    /// What `/proc` says of a thread now; `None` when it has ended.
    fn reach(&self, id: ThreadId) -> Option<Reachable> {
        let facts = self.tasks.thread_in_detail(id).ok()?;
        let status = procfs::thread_status(self.tasks.process(), id).ok()?;
        let bit = 1 << (self.signal - 1);
        let blocked = status.blocked_signals & bit != 0 || waits_for(&facts, bit);
        Some(Reachable { facts, blocked, pending: status.pending_signals & bit != 0 })
    }

    /// Sends a thread the signal, unless there is no use in it.
    fn send(&mut self, asked: &mut Asked, to: &Reachable, round: &Arc<Round>) {
        let id = asked.frozen.thread.id;
        if id.0 == system::thread_id() || asked.frozen.thread.not_stopped.is_some() {
            asked.stage = Stage::Settled;
            return;
        }
        if to.blocked {
            return;
        }
        let refused = |why: String| Some(NoRegisters::Refused(why));
        asked.stage = Stage::Settled;
        let Some((number, slot)) = self.turn.slot(id) else {
            asked.frozen.thread.not_stopped = refused("there are too many threads".into());
            return;
        };
        let Some(question) = Question::new(slot, id, round) else {
            asked.frozen.thread.not_stopped = refused("it still answers an earlier question".into());
            return;
        };
        // One that was pending, and not handled when the question was renewed, is on its way still: no second one is
        // queued, however often a thread is asked.
        let sent =
            if to.pending && question.is_renewed() { Ok(()) } else { handler::ask(id, self.signal, number) };
        match sent {
            Ok(()) => asked.stage = Stage::Sent(question),
            Err(libc::ESRCH) => asked.frozen.thread.not_stopped = Some(NoRegisters::Exited),
            Err(error) => {
                let error = std::io::Error::from_raw_os_error(error);
                asked.frozen.thread.not_stopped = refused(format!("a signal cannot be sent to it: {error}"));
            }
        }
    }

    fn wait(&mut self, all: &mut [Asked], round: &Arc<Round>) {
        let began = Instant::now();
        let (mut interval, mut next_look) = (FIRST_LOOK, began + FIRST_LOOK);
        loop {
            let seen = handler::answers();
            let mut waiting = false;
            for asked in all.iter_mut() {
                if let Stage::Sent(question) = &mut asked.stage
                    && let Some(registers) = question.answer(&mut self.copies)
                {
                    asked.frozen.registers = Some(registers);
                    asked.stage = Stage::Settled;
                }
                waiting |= !matches!(asked.stage, Stage::Settled);
            }
            if !waiting {
                return;
            }
            let now = Instant::now();
            if now >= next_look.min(self.deadline) {
                for asked in all.iter_mut().filter(|asked| !matches!(asked.stage, Stage::Settled)) {
                    self.look(asked, round, now >= began + GRACE, now >= self.deadline);
                }
                interval = (interval * 2).min(LONGEST_LOOK);
                next_look = Instant::now() + interval;
                continue;
            }
            handler::wait_for_more_than(seen, next_look.min(self.deadline) - now);
        }
    }

    /// Sends a thread the signal that it had blocked, or gives it up where there is no use in waiting longer.
    fn look(&mut self, asked: &mut Asked, round: &Arc<Round>, after_grace: bool, too_late: bool) {
        let Some(now) = self.reach(asked.frozen.thread.id) else {
            asked.frozen.thread.not_stopped = Some(NoRegisters::Exited);
            asked.stage = Stage::Settled;
            return;
        };
        if matches!(asked.stage, Stage::HeldBack) && !now.blocked && !too_late {
            self.send(asked, &now, round);
            return;
        }
        // One that has got the signal is about to answer, with all signals blocked, and may wait for memory meanwhile.
        let hopeless = (after_grace || too_late) && (matches!(asked.stage, Stage::HeldBack) || now.pending);
        let reason = match &now.facts.thread.not_stopped {
            Some(ended) => ended.clone(),
            None if hopeless && now.blocked => NoRegisters::SignalBlocked,
            None if hopeless && now.facts.thread.state == ThreadState::Uninterruptible => {
                NoRegisters::Uninterruptible
            }
            None if too_late => NoRegisters::Deadline,
            None => return,
        };
        asked.stage = Stage::Settled;
        asked.frozen.thread = now.facts.thread;
        asked.frozen.thread.not_stopped = Some(reason);
        asked.frozen.registers = now.facts.registers;
        if let Some(registers) = &asked.frozen.registers {
            round.copy_stack_to(registers, &mut self.copies);
        }
    }
}

/// Whether a thread waits in `sigwait` for a signal of `mask`: it would take it for one of its own.
fn waits_for(facts: &ThreadFacts, mask: u64) -> bool {
    let state = facts.thread.syscall.as_ref().and_then(|line| procfs::syscall::parse(line.as_bytes()));
    let Some(SyscallState::InCall { number, arguments: [set, ..], .. }) = state else { return false };
    let mut bytes = [0; 8];
    libc::c_long::try_from(number) == Ok(libc::SYS_rt_sigtimedwait)
        && OwnMemory.read(Addr(set), &mut bytes).is_ok()
        && u64::from_ne_bytes(bytes) & mask != 0
}
