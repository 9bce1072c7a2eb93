//! One call of a thread that is held: from where it stands through the call, and back.

use std::time::Instant;

use super::{
    super::{
        replaced::Replaced,
        trouble::Trouble,
        way::{self, Errand},
    },
    Borrowed, CALL_MASK, FAULTS, wait, wait_long,
};
use crate::linux::{
    arch::{CallConvention, CallRegisters, RESTARTS},
    ptrace::{self, CALL_STOP, Stop, Waited},
};

/// So often a call that did not even begin, because something was about to happen to the thread, is tried again.
const ATTEMPTS: u32 = 32;

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
    pub(in crate::linux::snapshot) fn clone_process(
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
}
