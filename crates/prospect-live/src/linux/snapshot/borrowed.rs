//! A thread of another process that does a system call for us, and does not know of it afterwards.
//!
//! The thread is stopped by [`ptrace`], gets registers to do the call with, goes through exactly one call, and gets back what
//! it had: registers, the call that it was in (which begins again), blocked signals, its restartable sequence. It is given
//! back in a stop in which the kernel decides how an interrupted call goes on, not at the end of ours, where it would see
//! the kernel's own numbers for that.
//!
//! This runs in a process of its own that nobody ends ([`super::vigil`]): a thread whose registers were replaced must not be
//! let go by the end of its tracer. For the same reason nothing here gives up while registers are replaced: such a thread is
//! waited for until it stops or is no more. Nothing here allocates memory.

use std::{
    hint,
    ops::Range,
    time::{Duration, Instant},
};

use prospect_process::ThreadId;

use super::{
    parking::{JUMP_TO_ITSELF, MOST_CODE, Parking, pops_behind},
    raw,
    replaced::{Kept, Replaced},
    vigil::Witness,
    way::{self, Errand, Layout},
};
use crate::linux::{
    arch::{CallConvention, CallRegisters, restart_call},
    ptrace::{self, CALL_STOP, Stop, Waited},
};

/// How long a thread is looked at again and again before it is waited for.
const EAGER: Duration = Duration::from_micros(20);

/// Between two looks at a thread that finds back by itself.
const NEXT_LOOK: Duration = Duration::from_micros(200);

/// So often a call that did not even begin, because something was about to happen to the thread, is tried again.
const ATTEMPTS: u32 = 32;

/// So often a thread may be about to get a signal when it is to be borrowed.
const SIGNALS: u32 = 64;

/// Kernel-internal results of calls that did not begin, or are to begin again: `include/linux/errno.h`.
const RESTARTS: std::ops::RangeInclusive<i64> = -516..=-512;

/// `AT_SYSINFO_EHDR`: where the kernel's own library is.
const AT_SYSINFO: u64 = 33;
const VDSO_BYTES: usize = 8 << 10;

/// Signals of faults stay unblocked: the kernel resets what a process does with one that is blocked.
const FAULTS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// What a thread blocks while it does a call: all but those.
const CALL_MASK: u64 = {
    let (mut faults, mut index) = (0, 0);
    while index < FAULTS.len() {
        faults |= 1 << (FAULTS[index] - 1);
        index += 1;
    }
    !faults
};

/// Below the stack pointer, and in use: "The Stack Frame" in the System V ABI for AMD64.
const RED_ZONE: u64 = 128;

/// Why a thread cannot be borrowed, or a call not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::linux) enum Trouble {
    /// The system said so.
    System(i32),
    /// It has ended.
    Ended,
    /// It has not stopped, or not come to the call, in time.
    Late,
    /// It filters its system calls, and that cannot be suspended.
    Filter,
    /// It waits where nothing wakes it (state `D`), or is traced by another.
    Unusable,
    /// It runs code of a kind whose calls are not known.
    Unknown,
    /// There is no instruction for system calls in its reach.
    NoInstruction,
    /// Something happened to it that comes first.
    Disturbed,
}

impl Trouble {
    const OWN: [Self; 7] = [
        Self::Ended,
        Self::Late,
        Self::Filter,
        Self::Unusable,
        Self::Unknown,
        Self::NoInstruction,
        Self::Disturbed,
    ];

    pub(super) fn code(self) -> i32 {
        match self {
            Self::System(number) => number,
            own => (1..).zip(Self::OWN).find(|(_, one)| *one == own).map_or(0, |(code, _): (i32, _)| -code),
        }
    }

    pub(super) fn from_code(code: i32) -> Self {
        let own = code.checked_neg().and_then(|code| usize::try_from(code).ok()).filter(|code| *code > 0);
        own.and_then(|code| Self::OWN.get(code - 1)).copied().unwrap_or(Self::System(code))
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ESRCH) | None => Self::Ended,
            Some(number) => Self::System(number),
        }
    }
}

/// A thread that is held to do calls.
#[derive(Debug)]
pub(in crate::linux) struct Borrowed {
    pub(super) id: ThreadId,
    /// What it gets back.
    pub(in crate::linux) own: Replaced,
    /// The signal that it is to get when it is let go.
    signal: i32,
    /// Where it is sent to for its calls.
    parking: Parking,
    /// Where the unused memory below its stack pointer begins, where that is known.
    stack_begin: Option<u64>,
    witness: Witness,
}

/// What is told of a call while it is made.
pub(in crate::linux) enum Told<'a> {
    /// This is about to be replaced.
    Replacing(&'a Replaced),
    /// It has come to its end, and the thread has not got back yet what it had.
    Done(i64),
}

/// How far a call has come.
#[derive(Clone, Copy)]
enum Passed {
    /// To its end, with this result.
    Through(i64),
    /// The thread stands elsewhere, with a signal that it is about to get.
    Aside(i32),
}

impl Borrowed {
    /// Seizes a thread with these options, and makes it stand. `look` sees it as it stands, before anything is changed.
    /// A thread that is late is ours all the same, and has to be let go when it stops.
    pub(super) fn take(
        id: ThreadId,
        options: i32,
        deadline: Instant,
        look: impl FnOnce(),
    ) -> Result<Self, Trouble> {
        Self::stop(id, options, Some(deadline))?;
        let standing = Self::standing(id, look);
        if standing.is_err() {
            let _ = ptrace::detach(id, 0);
        }
        standing
    }

    fn stop(id: ThreadId, options: i32, deadline: Option<Instant>) -> Result<(), Trouble> {
        ptrace::seize_with(id, options | libc::PTRACE_O_TRACESYSGOOD)?;
        ptrace::interrupt(id)?;
        for _ in 0..SIGNALS {
            match wait(id, deadline) {
                Waited::Nothing => return Err(Trouble::Late),
                Waited::Ended => return Err(Trouble::Ended),
                // What the processor has told it of comes first: it would be taken for a fault of the call.
                Waited::Stopped(Stop::Interrupted | Stop::Group) if is_at_fault(id)? => {
                    ptrace::resume(id, 0)?
                }
                Waited::Stopped(Stop::Interrupted | Stop::Group) => return Ok(()),
                // It gets what it was about to get, and stops before it runs on. Its call begins again where no handler runs: while it
                // is traced, signals wake it that it ignores.
                Waited::Stopped(Stop::Signal(signal)) => {
                    restart_call(id);
                    ptrace::interrupt(id)?;
                    ptrace::resume(id, signal)?;
                }
            }
        }
        Err(Trouble::Late)
    }

    /// A thread of ours that stands.
    pub(in crate::linux) fn standing(id: ThreadId, look: impl FnOnce()) -> Result<Self, Trouble> {
        let mut home = CallRegisters::of(id)?;
        look();
        if home.restart_interrupted() {
            home.put(id)?;
        }
        Ok(Self {
            id,
            own: Replaced::of(id, home)?,
            signal: 0,
            parking: Parking::default(),
            stack_begin: None,
            witness: None,
        })
    }

    /// The same, with a witness of its calls.
    pub(super) fn with_witness(self, witness: Witness) -> Self {
        Self { witness, ..self }
    }

    /// The same, with instructions for its calls behind which it can be let go: as far as there are any for its kind of code,
    /// and room below its stack for the way from there. `stack` is what is known to be unused stack where it is not.
    pub(super) fn with_parking(mut self, parking: Parking, stack: Option<&Range<u64>>) -> Self {
        self.parking = parking;
        self.stack_begin = stack.map(|stack| stack.start);
        self
    }

    /// Prepares the way behind a call in `room`. Says what a clone is told then, besides its flags.
    fn prepare_way(&mut self, errand: Errand, room: &mut [u8; way::MOST]) -> [u64; 2] {
        (self.own.way, self.own.finds_back) = (Kept::NOTHING, false);
        let Some(convention) = self.convention() else { return [0; 2] };
        if !self.can_be_parked(convention) {
            return [0; 2];
        }
        self.own.parking = self.parking;
        let below = self.own.home.stack_pointer().wrapping_sub(RED_ZONE);
        self.way_back(errand, convention, below, room).unwrap_or_else(|| {
            self.way_to_parking(convention, below, room);
            [0; 2]
        })
    }

    /// Whether the code is there that is to be run behind a call.
    fn can_be_parked(&self, convention: &CallConvention) -> bool {
        let Parking { call, pops, .. } = self.parking;
        let mut code = [0; MOST_CODE];
        let read = ptrace::read_memory_at(self.id, call, &mut code).unwrap_or(0);
        call != 0 && pops_behind(code.get(..read).unwrap_or_default(), convention.instruction) == Some(pops)
    }

    /// Whether there are these bytes.
    fn has_code(&self, at: u64, code: &[u8]) -> bool {
        let mut found = [0; MOST_CODE];
        let Some(found) = found.get_mut(..code.len()) else { return false };
        at != 0 && ptrace::read_memory_at(self.id, at, found).is_ok() && found == code
    }

    /// The way on which it finds back by itself.
    fn way_back(
        &mut self,
        errand: Errand,
        convention: &CallConvention,
        below: u64,
        room: &mut [u8; way::MOST],
    ) -> Option<[u64; 2]> {
        let parking = self.parking;
        if !convention.sigreturn.iter().any(|code| self.has_code(parking.sigreturn, code)) {
            return None;
        }
        let mut state = [0; ptrace::EXTENDED_SET_BYTES];
        let state = way::state_of(self.id, &mut state)?;
        let layout = Layout::below(below, parking, state.len())?;
        if layout.base < self.stack_begin? {
            return None;
        }
        let read = |at, code: &mut [u8]| {
            ptrace::read_memory_at(self.id, at, code).is_ok_and(|read| read == code.len())
        };
        let home = (&self.own.going_on().with_own_call(read), self.own.mask);
        let bytes = room.get_mut(..layout.length())?;
        layout.write(errand, home, (convention, parking, CALL_MASK), state, bytes)?;
        self.own.way = Kept::of(self.id, layout.base, layout.length())?;
        self.own.finds_back = true;
        Some(layout.clone_arguments())
    }

    /// The way to where it stays: the last word is where the return goes to.
    fn way_to_parking(&mut self, convention: &CallConvention, below: u64, room: &mut [u8; way::MOST]) {
        let Parking { pops, stay, .. } = self.parking;
        let word_bytes = convention.word_bytes;
        let length = usize::try_from(pops).unwrap_or(0).saturating_add(1).saturating_mul(word_bytes);
        let at = below.wrapping_sub(length as u64) & !(word_bytes as u64 - 1);
        let way = Kept::of(self.id, at, length).filter(|_| self.has_code(stay, &JUMP_TO_ITSELF));
        if let (Some(way), Some(bytes)) = (way, room.get_mut(length - word_bytes..length)) {
            bytes.iter_mut().zip(stay.to_le_bytes()).for_each(|(byte, value)| *byte = value);
            self.own.way = way;
        }
    }

    /// Gives a thread back what its former tracer had replaced when it ended, at whatever moment that was. `tell` hears
    /// before that what the call has returned that it was made to do, where it is at the end of one. Waits for as long as
    /// that takes, also for one that finds back by itself. Nothing else is to be held.
    pub(super) fn recover(own: &Replaced, tell: impl FnOnce(i64)) -> Result<(), Trouble> {
        let id = own.thread;
        let mut now = Self::stop_again(id)?;
        while own.finds_back && own.has_sent_to(&now) {
            ptrace::detach(id, 0)?;
            raw::await_news(NEXT_LOOK);
            // A copy that it makes while we look is ours, and ends by itself.
            while let Some((copy, _)) = ptrace::wait_any() {
                let _ = ptrace::detach(copy, 0);
            }
            now = Self::stop_again(id)?;
        }
        if own.has_sent_to(&now) {
            if now.pc() != own.parking.call {
                tell(now.result());
            }
            own.put()?;
        } else {
            restart_call(id);
            // It ended before the registers were replaced, or behind that.
            if ptrace::blocked_signals(id)? == CALL_MASK {
                ptrace::set_signal_mask(id, own.mask)?;
            }
        }
        Ok(ptrace::detach(id, 0)?)
    }

    fn stop_again(id: ThreadId) -> Result<CallRegisters, Trouble> {
        Self::stop(id, 0, None)?;
        Ok(CallRegisters::of(id)?)
    }

    fn pass(&self, point: &'static str) {
        if let Some(witness) = self.witness {
            witness(point);
        }
    }

    /// The signal that it is about to get, if one came meanwhile.
    pub(in crate::linux) fn signal(&self) -> Option<i32> {
        (self.signal != 0).then_some(self.signal)
    }

    /// Lets the thread go, as if nothing had been.
    pub(super) fn let_go(self) {
        let _ = ptrace::detach(self.id, self.signal);
    }

    /// What its code does system calls with.
    pub(super) fn convention(&self) -> Option<&'static CallConvention> {
        self.own.home.convention()
    }

    /// Makes the thread do one system call, and returns what that returned; the thread stands as before then. `done` is
    /// called before it has got back what it had.
    pub(in crate::linux) fn call<const COUNT: usize>(
        &mut self,
        number: impl Fn(&CallConvention) -> u64,
        arguments: [u64; COUNT],
        deadline: Instant,
        tell: impl FnMut(Told<'_>),
    ) -> Result<i64, Trouble> {
        let mut all = [0; 6];
        all.iter_mut().zip(arguments).for_each(|(one, argument)| *one = argument);
        self.run(Errand::Call, number, all, deadline, tell)
    }

    /// The same: clones its process with these flags. A copy that nobody holds ends by itself.
    pub(super) fn clone_process(
        &mut self,
        flags: u64,
        deadline: Instant,
        tell: impl FnMut(Told<'_>),
    ) -> Result<i64, Trouble> {
        self.run(Errand::Clone, |calls| calls.clone, [flags, 0, 0, 0, 0, 0], deadline, tell)
    }

    fn run(
        &mut self,
        errand: Errand,
        number: impl Fn(&CallConvention) -> u64,
        mut arguments: [u64; 6],
        deadline: Instant,
        mut tell: impl FnMut(Told<'_>),
    ) -> Result<i64, Trouble> {
        let convention = self.convention().ok_or(Trouble::Unknown)?;
        let mut way = [0; way::MOST];
        let [stack, place] = self.prepare_way(errand, &mut way);
        if errand == Errand::Clone && self.own.finds_back {
            arguments[0] |= libc::CLONE_PARENT_SETTID as u64;
            (arguments[1], arguments[2]) = (stack, place);
        }
        let at = self.find_instruction(convention).ok_or(Trouble::NoInstruction)?;
        let calling = self.own.home.calling(at, self.own.stack_pointer(), number(convention), arguments);
        let way = way.get(..self.own.way.bytes().len()).unwrap_or_default();
        tell(Told::Replacing(&self.own));
        for _ in 0..ATTEMPTS {
            if self.signal != 0 {
                break;
            }
            let passed = self.replace(way, &calling).and_then(|()| self.go_through(deadline));
            let result = match passed {
                Ok(Passed::Through(result)) if !RESTARTS.contains(&result) => {
                    tell(Told::Done(result));
                    Some(result)
                }
                _ => None,
            };
            match passed {
                Ok(Passed::Through(_)) => self.leave_call()?,
                Ok(Passed::Aside(signal)) => self.signal = signal,
                Err(Trouble::Ended) => return Err(Trouble::Ended),
                Err(_) => {}
            }
            self.put_back()?;
            match (result, passed) {
                (Some(result), _) => return Ok(result),
                (None, Err(trouble)) => return Err(trouble),
                (None, Ok(_)) => {}
            }
        }
        Err(Trouble::Disturbed)
    }

    /// The mask comes last: whoever has it is on the way back.
    fn replace(&self, way: &[u8], calling: &CallRegisters) -> Result<(), Trouble> {
        if !way.is_empty() {
            ptrace::write_memory_at(self.id, self.own.stack_pointer(), way)?;
        }
        calling.put(self.id)?;
        Ok(ptrace::set_signal_mask(self.id, CALL_MASK)?)
    }

    /// From where it stands into one call and to its end.
    fn go_through(&self, deadline: Instant) -> Result<Passed, Trouble> {
        let (mut is_inside, mut is_late) = (false, false);
        self.pass("guardian: registers replaced");
        ptrace::resume_to_call(self.id, 0)?;
        loop {
            match wait(self.id, (!is_inside && !is_late).then_some(deadline)) {
                Waited::Ended => return Err(Trouble::Ended),
                Waited::Nothing if is_inside || is_late => {}
                Waited::Nothing => {
                    is_late = true;
                    ptrace::interrupt(self.id)?;
                }
                Waited::Stopped(CALL_STOP) if is_inside => {
                    return Ok(Passed::Through(CallRegisters::of(self.id)?.result()));
                }
                Waited::Stopped(CALL_STOP) => {
                    is_inside = true;
                    self.pass("guardian: in the call");
                    ptrace::resume_to_call(self.id, 0)?;
                }
                Waited::Stopped(Stop::Interrupted | Stop::Group) if is_late => return Err(Trouble::Late),
                // Job control has stopped it meanwhile. What is to stand still, does: the call is done all the same.
                Waited::Stopped(Stop::Interrupted | Stop::Group) => ptrace::resume_to_call(self.id, 0)?,
                // Nobody can block that. A second one, of a process that is stopped, is not seen before its threads are woken.
                Waited::Stopped(Stop::Signal(libc::SIGSTOP)) => {
                    ptrace::resume_to_call(self.id, libc::SIGSTOP)?
                }
                Waited::Stopped(Stop::Signal(signal)) => {
                    // A fault at the instruction that we sent it to is none of its own.
                    let is_ours =
                        FAULTS.contains(&signal) && ptrace::signal_code(self.id).is_ok_and(|code| code > 0);
                    return if is_ours { Err(Trouble::NoInstruction) } else { Ok(Passed::Aside(signal)) };
                }
            }
        }
    }

    /// From the end of a call to a stop in which an interrupted call can be put back: no instruction is run for that.
    fn leave_call(&mut self) -> Result<(), Trouble> {
        ptrace::interrupt(self.id)?;
        ptrace::resume(self.id, 0)?;
        self.pass("guardian: leaving the call");
        match wait_long(self.id) {
            Waited::Stopped(Stop::Signal(signal)) => self.signal = signal,
            Waited::Stopped(_) => {}
            Waited::Nothing | Waited::Ended => return Err(Trouble::Ended),
        }
        Ok(())
    }

    fn put_back(&self) -> Result<(), Trouble> {
        self.pass("guardian: behind the call");
        Ok(self.own.put()?)
    }

    /// Where an instruction for system calls is: on the way to the parking place, just behind the thread, where it waits in a call, or in the library that
    /// the kernel maps into every process.
    fn find_instruction(&self, convention: &CallConvention) -> Option<u64> {
        let is_there = |at: u64| {
            let mut code = [0; 2];
            let read = ptrace::read_memory_at(self.id, at, &mut code);
            read.is_ok_and(|read| read == 2) && code == convention.instruction
        };
        if self.own.stack_pointer() != 0 {
            return Some(self.own.parking.call);
        }
        let behind = self.own.home.pc().wrapping_sub(2);
        if self.own.home.waits_in_call() && is_there(behind) {
            return Some(behind);
        }
        let library = self.vdso(convention.word_bytes)?;
        let mut code = [0; VDSO_BYTES];
        let mut read = 0usize;
        // Page by page: nobody says how many there are.
        while let Some(page @ [_, ..]) = code.get_mut(read..read.saturating_add(4096).min(VDSO_BYTES)) {
            match ptrace::read_memory_at(self.id, library.wrapping_add(read as u64), page) {
                Ok(4096) => read += 4096,
                _ => break,
            }
        }
        let found = code.get(..read)?.windows(2).position(|bytes| bytes == convention.instruction)?;
        Some(library.wrapping_add(found as u64))
    }

    fn vdso(&self, word_bytes: usize) -> Option<u64> {
        let mut vector = [0; 1024];
        let path = raw::Path::new(format_args!("/proc/{}/auxv", self.id))?;
        let vector = raw::read_file(&path, &mut vector)?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        vector.chunks_exact(2 * word_bytes).find_map(|pair| {
            let (tag, value) = pair.split_at_checked(word_bytes)?;
            (word(tag) == AT_SYSINFO).then(|| word(value))
        })
    }
}

/// Whether a thread that stands is about to get one of the signals that stay unblocked.
fn is_at_fault(id: ThreadId) -> Result<bool, Trouble> {
    Ok(ptrace::pending_signals(id) & !CALL_MASK & !ptrace::blocked_signals(id)? != 0)
}

/// Waits for a tracee, until then at most.
pub(super) fn wait(id: ThreadId, deadline: Option<Instant>) -> Waited {
    let began = Instant::now();
    loop {
        let waited = ptrace::wait(id);
        if waited != Waited::Nothing || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return waited;
        }
        if began.elapsed() < EAGER {
            hint::spin_loop();
        } else {
            raw::await_news(raw::left(deadline));
        }
    }
}

/// The same, for as long as it takes.
pub(super) fn wait_long(id: ThreadId) -> Waited {
    wait(id, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_numbers_on_the_way() {
        for trouble in Trouble::OWN.into_iter().chain([Trouble::System(libc::EPERM)]) {
            assert_eq!(Trouble::from_code(trouble.code()), trouble);
        }
        assert_eq!(Trouble::from_code(i32::MIN), Trouble::System(i32::MIN));
    }
}
