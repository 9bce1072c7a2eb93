//! What the guardian does: a process of its own that outlives the program that wants the snapshot.
//!
//! A thread whose registers are replaced for a system call must not lose its tracer in the middle of it, and a copy of a
//! process must not run, nor stay, when nobody wants it any more. So both are in the hands of a small process that nobody
//! has a reason to end: it holds one thread of the target for a moment, keeps the child, and when it is told to finish, or
//! the program is no more, it ends the child, makes the target wait for it, so that no zombie stays, and ends.
//!
//! It is forked from a program of many threads: nothing here allocates memory or takes a lock.

use std::{
    os::fd::{AsRawFd as _, BorrowedFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use prospect_process::{Arch, ProcessId, RegisterSet, ThreadId};

use super::{
    borrowed::{Borrowed, Told, Trouble, wait_long},
    channel::{Channel, Message, PAYLOAD_BYTES, Word},
    places::Places,
    raw,
    replaced::Replaced,
};
use crate::linux::{
    arch::{self, CallConvention},
    ptrace::{self, Stop, Waited},
    wall_clock::monotonic_clock,
};

/// `PTRACE_O_SUSPEND_SECCOMP` of `include/uapi/linux/ptrace.h`: its filters see nothing of what a tracee is made to do.
const SUSPEND_FILTERS: i32 = 1 << 21;

/// `PTRACE_O_EXITKILL`: the tracee ends with its tracer.
const END_WITH_US: i32 = 1 << 20;

/// How long a thread is given to stop before another one is tried.
const STOP_WITHIN: Duration = Duration::from_millis(100);

/// How long a thread is given to come to its call: at the processor's own pace, or never (a frozen group).
const CALL_WITHIN: Duration = Duration::from_secs(1);

/// Between two attempts to make the target wait for its child, at most.
const RETRY: Duration = Duration::from_millis(100);

/// `NT_PRSTATUS`.
pub(super) const GENERAL: RegisterSet = RegisterSet(1);

/// How often it is looked whether a thread that was too late has stopped since.
const WATCH: Duration = Duration::from_millis(5);

/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// How long threads that were late are waited for at the end.
const LATE_WITHIN: Duration = Duration::from_secs(10);

/// As many threads as one message asks for, and as are looked at where another one is needed.
pub(super) const MOST_THREADS: usize = 512;

/// Called with a name at each step: for tests that end the program at each of them.
pub(super) type Witness = Option<fn(&'static str)>;

/// The guardian's side.
pub(super) struct Vigil {
    pub(super) target: ProcessId,
    /// Says when the target has ended.
    pub(super) target_end: RawFd,
    /// Says when the program has ended: others may have inherited its end of the channel.
    pub(super) program_end: RawFd,
    pub(super) channel: Channel,
    pub(super) witness: Witness,
    /// Where threads are sent to for their calls.
    places: Arc<Places>,
    borrowed: Option<Borrowed>,
    /// That worked before, and is asked first.
    preferred: Option<ThreadId>,
    child: Option<Child>,
    /// Threads that were asked to stop, did not in time, and will be let go when they do.
    late: Late,
}

/// The copy of the target.
#[derive(Clone, Copy)]
struct Child {
    /// Its number here, and as the target has it.
    id: ProcessId,
    number: i64,
    has_ended: bool,
}

/// A few threads, by number.
#[derive(Default)]
struct Late {
    threads: [u32; 32],
}

impl Late {
    fn slot(&mut self, number: u32) -> Option<&mut u32> {
        self.threads.iter_mut().find(|one| **one == number)
    }

    fn has_room(&mut self) -> bool {
        self.slot(0).is_some()
    }

    fn is_empty(&self) -> bool {
        self.threads.iter().all(|one| *one == 0)
    }

    fn add(&mut self, thread: ThreadId) {
        if let Some(slot) = self.slot(0) {
            *slot = thread.0;
        }
    }

    /// Whether it was one of them; now it is not.
    fn remove(&mut self, thread: ThreadId) -> bool {
        self.slot(thread.0).map(|slot| *slot = 0).is_some()
    }
}

impl Vigil {
    pub(super) fn new(
        target: ProcessId,
        target_end: BorrowedFd<'_>,
        program_end: BorrowedFd<'_>,
        channel: Channel,
        witness: Witness,
        places: Arc<Places>,
    ) -> Self {
        Self {
            target,
            target_end: target_end.as_raw_fd(),
            program_end: program_end.as_raw_fd(),
            channel,
            witness,
            places,
            borrowed: None,
            preferred: None,
            child: None,
            late: Late::default(),
        }
    }

    fn pass(&self, point: &'static str) {
        if let Some(witness) = self.witness {
            witness(point);
        }
    }

    /// Does what it is told until it has finished, and ends the process.
    pub(super) fn keep(mut self) -> ! {
        let mut kept = [self.target_end, self.program_end, self.channel.descriptor()];
        kept.sort_unstable();
        raw::leave_everything_but(&kept);
        ptrace::hurry();
        self.pass("guardian: begun");
        let mut payload = [0; PAYLOAD_BYTES];
        while let Some(message) = self.hear(&mut payload) {
            match message.word {
                Word::Hold => self.hold(&mut payload, message),
                Word::Clone => self.clone_target(),
                Word::Recover => self.recover(&payload, message),
                _ => break,
            }
        }
        self.finish();
        raw::exit()
    }

    /// The next request; `None` when there will be none.
    fn hear(&mut self, payload: &mut [u8]) -> Option<Message> {
        loop {
            match self.channel.receive(payload) {
                Ok(message) => return Some(message),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
            let most = if !self.late.is_empty() { WATCH } else { FOR_EVER };
            let [_, has_ended] = raw::poll([self.channel.descriptor(), self.program_end], most);
            if has_ended {
                return None;
            }
            self.hear_of_tracees();
        }
    }

    /// Hears what there is of tracees. What was seized and did not stop in time, and has by now, goes on as it would have.
    /// What is none of those that we know is the child that was just made.
    fn hear_of_tracees(&mut self) -> Option<(ThreadId, Waited)> {
        while let Some((id, waited)) = ptrace::wait_any() {
            if self.late.remove(id) {
                if let Waited::Stopped(stop) = waited {
                    arch::restart_call(id);
                    let signal = if let Stop::Signal(signal) = stop { signal } else { 0 };
                    let _ = ptrace::detach(id, signal);
                }
            } else if let Some(child) = self.child.as_mut().filter(|child| child.id.0 == id.0) {
                child.has_ended = waited == Waited::Ended;
            } else if self.borrowed.as_ref().is_some_and(|borrowed| borrowed.id == id) {
                self.borrowed = None;
            } else {
                return Some((id, waited));
            }
        }
        None
    }

    fn take(&mut self, id: ThreadId, deadline: Instant, look: impl FnOnce()) -> Result<Borrowed, Trouble> {
        let facts = facts(self.target, id).ok_or(Trouble::Ended)?;
        if !facts.is_usable || !self.late.has_room() {
            return Err(Trouble::Unusable);
        }
        let options = if facts.has_filter { SUSPEND_FILTERS } else { 0 };
        match Borrowed::take(id, options, deadline, look) {
            Err(Trouble::Late) => {
                self.late.add(id);
                Err(Trouble::Late)
            }
            Err(Trouble::System(libc::EPERM | libc::EINVAL)) if facts.has_filter => Err(Trouble::Filter),
            taken => taken.map(|borrowed| {
                let stack = borrowed.own.home.stack_pointer();
                let stack = self.places.stacks.iter().find(|stacks| stacks.contains(&stack));
                borrowed.with_witness(self.witness).with_parking(self.places.parking, stack)
            }),
        }
    }

    /// Holds the first of these threads that can be used, and sends its registers. The number says how many nanoseconds
    /// there are for that; they are left to the last one.
    fn hold(&mut self, payload: &mut [u8; PAYLOAD_BYTES], message: Message) {
        let Message { number, length, .. } = message;
        let deadline = Instant::now() + Duration::from_nanos(u64::try_from(number).unwrap_or(0));
        let mut wanted = [0u32; MOST_THREADS];
        let mut count = 0;
        let (words, _) = payload.get(..length).unwrap_or_default().as_chunks::<4>();
        for (wanted, word) in wanted.iter_mut().zip(words) {
            *wanted = u32::from_ne_bytes(*word);
            count += 1;
        }
        let mut refusals = 0;
        for (index, id) in wanted.iter().take(count).enumerate() {
            let id = ThreadId(*id);
            let is_last = index + 1 == count;
            let until = if is_last { deadline } else { deadline.min(Instant::now() + STOP_WITHIN) };
            let mut registers = 0;
            let taken = self.take(id, until, || registers = copy_registers(id, payload));
            let trouble = match taken {
                Ok(borrowed) if borrowed.convention().is_some() => {
                    self.pass("guardian: held");
                    self.borrowed = Some(borrowed);
                    self.preferred = Some(id);
                    self.let_late_ones_go(deadline.min(Instant::now() + CALL_WITHIN));
                    let registers = payload.get(..registers).unwrap_or_default();
                    let _ = self.channel.send(Word::Held, i64::from(id.0), registers);
                    return;
                }
                Ok(borrowed) => {
                    borrowed.let_go();
                    Trouble::Unknown
                }
                Err(trouble) => trouble,
            };
            // Registers are copied only from a thread that stands, and none of those before it did.
            if let Some(room) = payload.get_mut(refusals..refusals + 8) {
                let (thread, code) = room.split_at_mut(4);
                thread.copy_from_slice(&id.0.to_ne_bytes());
                code.copy_from_slice(&trouble.code().to_ne_bytes());
                refusals += 8;
            }
        }
        let _ = self.channel.send(Word::NotHeld, 0, payload.get(..refusals).unwrap_or_default());
    }

    /// Waits for those that were asked to stop before: nobody else can hold them as long as they are ours.
    fn let_late_ones_go(&mut self, deadline: Instant) {
        loop {
            self.hear_of_tracees();
            let left = deadline.saturating_duration_since(Instant::now());
            if self.late.is_empty() || left.is_zero() {
                return;
            }
            raw::await_news(left.min(WATCH));
        }
    }

    /// Makes the thread that is held clone its process, lets it go, and keeps the child.
    ///
    /// The child shares the table of open files, so that nothing that the target closes stays open, and leaves it as soon as
    /// the target runs on. It is stopped from its birth on; its end tells the target nothing, and an ordinary wait of the
    /// target does not see it.
    fn clone_target(&mut self) {
        const FLAGS: u64 = (libc::CLONE_FILES | libc::CLONE_PTRACE) as u64;
        let Some(mut borrowed) = self.borrowed.take() else {
            let _ = self.channel.send(Word::NotCloned, i64::from(Trouble::Ended.code()), &[]);
            return;
        };
        self.pass("guardian: before the clone");
        let (channel, witness) = (&self.channel, self.witness);
        let pass = |point| {
            if let Some(witness) = witness {
                witness(point)
            }
        };
        let deadline = Instant::now() + CALL_WITHIN;
        let made = borrowed.clone_process(FLAGS, deadline, |told| match told {
            Told::Replacing(own) => {
                let _ = channel.send(Word::Replacing, 0, &own.write());
            }
            Told::Done(result) => {
                pass("guardian: at the end of the clone");
                if result > 0 {
                    let _ = channel.send(Word::Cloned, result, &[]);
                }
            }
        });
        self.pass("guardian: registers put back");
        let thread = borrowed.id;
        match made {
            Ok(number @ 1..) => {
                let own = borrowed.own;
                borrowed.let_go();
                let since = u64::try_from(monotonic_clock().as_nanos()).unwrap_or(0);
                self.pass("guardian: thread let go");
                let child = self.find_child(thread, number);
                self.child = Some(child);
                self.pass("guardian: child found");
                if !child.has_ended {
                    own.put_memory(ThreadId(child.id.0));
                    self.leave_files(child.id);
                }
                self.pass("guardian: child kept");
                let _ = self.channel.send(Word::LetGo, i64::from(child.id.0), &since.to_ne_bytes());
            }
            made => {
                borrowed.let_go();
                self.pass("guardian: thread let go without a child");
                let trouble = match made {
                    Ok(error) => Trouble::System(i32::try_from(-error).unwrap_or(libc::EINVAL)),
                    Err(trouble) => trouble,
                };
                let _ = self.channel.send(Word::NotCloned, i64::from(trouble.code()), &[]);
            }
        }
    }

    /// The child that was just made, which stops before it runs.
    fn find_child(&mut self, parent: ThreadId, number: i64) -> Child {
        loop {
            match self.hear_of_tracees() {
                Some((id, waited)) if id != parent => {
                    // Without us it would have run on until now, though not far.
                    let _ = ptrace::set_options(id, END_WITH_US | libc::PTRACE_O_TRACESYSGOOD);
                    return Child { id: ProcessId(id.0), number, has_ended: waited == Waited::Ended };
                }
                Some(_) => {}
                None => raw::await_news(Duration::from_millis(100)),
            }
        }
    }

    /// Makes the child give up the table of files that it shares with the target, by the one system call that it ever does:
    /// what the target holds open, and whom that belongs to, must not depend on how long the child lives.
    fn leave_files(&self, child: ProcessId) {
        /// `CLOSE_RANGE_UNSHARE` of `include/uapi/linux/close_range.h`: the table becomes its own first. Linux 5.9.
        const UNSHARE: u64 = 1 << 1;
        let id = ThreadId(child.0);
        let filter = facts(child, id).is_some_and(|facts| facts.has_filter);
        let options = END_WITH_US | libc::PTRACE_O_TRACESYSGOOD | if filter { SUSPEND_FILTERS } else { 0 };
        if ptrace::set_options(id, options).is_err() {
            return;
        }
        let all = u64::from(u32::MAX);
        let number = |calls: &CallConvention| calls.close_range;
        if let Ok(mut child) = Borrowed::standing(id, || {}) {
            let _ = child.call(number, [0, all, UNSHARE, 0], Instant::now() + CALL_WITHIN, |_| {});
        }
    }

    /// Undoes what there is to undo.
    fn finish(&mut self) {
        self.pass("guardian: finishing");
        if let Some(borrowed) = self.borrowed.take() {
            borrowed.let_go();
            self.pass("guardian: thread let go unused");
        }
        self.end_child();
        // Those that our end would let go are told of an interruption that they do not know of.
        self.let_late_ones_go(Instant::now() + LATE_WITHIN);
        let _ = self.channel.send(Word::Finished, 0, &[]);
    }

    fn end_child(&mut self) {
        let Some(child) = self.child.take() else { return };
        if !child.has_ended {
            raw::kill(child.id);
            self.pass("guardian: child killed");
            while wait_long(ThreadId(child.id.0)) != Waited::Ended {}
        }
        self.pass("guardian: child ended");
        let mut pause = Duration::from_millis(1);
        while !self.has_target_ended() {
            if self.reap(child.number) {
                self.pass("guardian: child waited for");
                return;
            }
            self.pass("guardian: child not waited for yet");
            raw::poll([self.target_end], pause);
            pause = (pause * 2).min(RETRY);
            self.hear_of_tracees();
        }
    }

    /// Goes on where another guardian was killed: gives the thread back what is its own, and finds the child.
    fn recover(&mut self, payload: &[u8], message: Message) {
        let Some(own) = payload.get(..message.length).and_then(Replaced::read) else { return };
        self.pass("guardian: recovering");
        let mut number = message.number;
        if facts(self.target, own.thread).is_some() {
            // The first call of all is the clone: without a child known, it is the one that was made.
            let is_clone = number == 0;
            let recovered = Borrowed::recover(&own, |result| {
                if is_clone && result > 0 {
                    let _ = self.channel.send(Word::Cloned, result, &[]);
                    number = result;
                }
            });
            self.preferred = recovered.is_ok().then_some(own.thread);
        }
        self.pass("guardian: recovered");
        if number > 0 {
            let id = find_child(self.target, own.thread, number);
            self.child = Some(Child { id: id.unwrap_or(ProcessId(0)), number, has_ended: id.is_none() });
        }
    }

    fn has_target_ended(&self) -> bool {
        let [has_ended] = raw::poll([self.target_end], Duration::ZERO);
        has_ended
    }

    /// Makes a thread of the target wait for the child, whose zombie would else stay for as long as the target lives.
    fn reap(&mut self, child: i64) -> bool {
        let mut threads = [ThreadId(0); MOST_THREADS];
        let count = raw::threads(self.target, &mut threads);
        let flags = (libc::__WALL | libc::WNOHANG) as u64;
        let arguments = [child.cast_unsigned(), 0, flags, 0];
        for id in self.preferred.into_iter().chain(threads.into_iter().take(count)) {
            let Ok(mut borrowed) = self.take(id, Instant::now() + STOP_WITHIN, || {}) else { continue };
            self.pass("guardian: held to wait for the child");
            let deadline = Instant::now() + CALL_WITHIN;
            let channel = &self.channel;
            let tell = |told: Told<'_>| {
                if let Told::Replacing(own) = told {
                    let _ = channel.send(Word::Replacing, 0, &own.write());
                }
            };
            let result = borrowed.call(|calls| calls.wait4, arguments, deadline, tell);
            self.pass("guardian: registers put back again");
            borrowed.let_go();
            // That there is no such child means that somebody else was faster, or it belongs to another parent by now.
            if result.is_ok_and(|result| result == child || result == -i64::from(libc::ECHILD)) {
                return true;
            }
        }
        false
    }
}

/// The child of a thread by the number that it has for its parent.
fn find_child(process: ProcessId, parent: ThreadId, number: i64) -> Option<ProcessId> {
    let mut children = [0; 16 << 10];
    let path = raw::Path::new(format_args!("/proc/{process}/task/{parent}/children"))?;
    let children = raw::read_file(&path, &mut children)?;
    children.split(|byte| *byte == b' ').filter_map(raw::leading_number).find_map(|child| {
        let mut text = [0; 4096];
        let text = raw::read_file(&raw::Path::new(format_args!("/proc/{child}/status"))?, &mut text)?;
        let numbers = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
        let last = numbers.trim_ascii_end().rsplit(|byte| *byte == b'\t').next()?;
        (i64::from(raw::leading_number(last)?) == number).then_some(ProcessId(child))
    })
}

struct ThreadFacts {
    /// It may stop when it is asked to, and nobody else traces it.
    is_usable: bool,
    has_filter: bool,
}

/// What decides whether a thread can be used: `None` when it is gone.
fn facts(process: ProcessId, thread: ThreadId) -> Option<ThreadFacts> {
    let mut text = [0; 4096];
    let path = raw::Path::new(format_args!("/proc/{process}/task/{thread}/status"))?;
    let text = raw::read_file(&path, &mut text)?;
    let field = |name: &[u8]| {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_ascii_start())
    };
    let number = |name: &[u8]| field(name).and_then(raw::leading_number).unwrap_or(0);
    let state = field(b"State:").and_then(<[u8]>::first).copied();
    Some(ThreadFacts {
        is_usable: !matches!(state, None | Some(b'Z' | b'X' | b'D')) && number(b"TracerPid:") == 0,
        has_filter: number(b"Seccomp:") != 0,
    })
}

/// Copies all registers of a thread that stands: for each set its number, its length and its bytes. Says how long that is.
fn copy_registers(thread: ThreadId, room: &mut [u8; PAYLOAD_BYTES]) -> usize {
    let mut used = 0;
    let mut general = [0; ptrace::REGISTER_SET_BYTES];
    let Ok(length) = ptrace::register_set(thread, &mut general) else { return 0 };
    let mut add = |note: u32, fill: &mut dyn FnMut(&mut [u8]) -> usize| {
        let Some((head, rest)) = room.get_mut(used..).and_then(|room| room.split_at_mut_checked(8)) else {
            return;
        };
        let length = fill(rest);
        let (number, size) = head.split_at_mut(4);
        number.copy_from_slice(&note.to_ne_bytes());
        size.copy_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
        used += 8 + length;
    };
    add(GENERAL.0, &mut |rest| {
        let general = general.get(..length).unwrap_or_default();
        rest.get_mut(..general.len()).map_or(0, |rest| {
            rest.copy_from_slice(general);
            general.len()
        })
    });
    for set in Arch::from_regset_bytes(length).map_or(&[][..], |arch| arch.info().other_sets) {
        // The kernel wants room for whole elements, which are of 4 to 16 bytes (`ptrace_regset` in `kernel/ptrace.c`).
        add(set.0, &mut |rest| {
            let whole = rest.len() & !15;
            let room = rest.get_mut(..whole).unwrap_or_default();
            ptrace::other_register_set(thread, *set, room).unwrap_or(0)
        });
    }
    used
}

/// Registers as [`copy_registers`] has written them.
pub(super) fn register_sets(mut bytes: &[u8]) -> Vec<(RegisterSet, &[u8])> {
    let mut sets = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let (Some(note), Some(length)) = (word(0), word(4)) else { break };
        let Some((set, rest)) = rest.split_at_checked(length as usize) else { break };
        sets.push((RegisterSet(note), set));
        bytes = rest;
    }
    sets
}
