//! What the guardian does: a process of its own that outlives the program that wants the snapshot.
//!
//! A thread whose registers are replaced for a system call must not lose its tracer in the middle of it, and a copy of a
//! process must not run, nor stay, when nobody wants it any more. So both are in the hands of a small process that nobody
//! has a reason to end: it holds one thread of the target for a moment, keeps the child, and when it is told to finish, or
//! the program is no more, it ends the child, makes the target wait for it, so that no zombie stays, and ends.
//!
//! It is forked from a program of many threads: nothing here allocates memory or takes a lock.

mod child;
mod facts;
mod late;

use std::{
    os::fd::{AsRawFd as _, BorrowedFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use prospect_process::{ProcessId, ThreadId};

use super::{
    borrowed::{Borrowed, Told},
    channel::{Channel, Message, PAYLOAD_BYTES, Word},
    places::Places,
    raw, register_copy,
    replaced::Replaced,
    trouble::Trouble,
};
use crate::linux::{
    arch,
    ptrace::{self, Stop, Waited},
    wall_clock::monotonic_clock,
};

use child::Child;
use facts::{child_by_number, facts};
use late::Late;

/// `PTRACE_O_SUSPEND_SECCOMP` of `include/uapi/linux/ptrace.h`: its filters see nothing of what a tracee is made to do.
const SUSPEND_FILTERS: i32 = 1 << 21;

/// How long a thread is given to stop before another one is tried.
const STOP_WITHIN: Duration = Duration::from_millis(100);

/// How long a thread is given to come to its call: at the processor's own pace, or never (a frozen group).
const CALL_WITHIN: Duration = Duration::from_secs(1);

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
            let taken = self.take(id, until, || registers = register_copy::write(id, payload));
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
            let id = child_by_number(self.target, own.thread, number);
            self.child = Some(Child { id: id.unwrap_or(ProcessId(0)), number, has_ended: id.is_none() });
        }
    }
}
