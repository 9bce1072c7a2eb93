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

mod call;
mod instruction;
mod way_behind;

use std::{
    hint,
    ops::Range,
    time::{Duration, Instant},
};

use prospect_process::ThreadId;

use super::{parking::Parking, raw, replaced::Replaced, trouble::Trouble, vigil::Witness};
use crate::linux::{
    arch::{CallConvention, CallRegisters, restart_call},
    ptrace::{self, Stop, Waited},
};

pub(in crate::linux) use call::Told;

/// How long a thread is looked at again and again before it is waited for.
const EAGER: Duration = Duration::from_micros(20);

/// Between two looks at a thread that finds back by itself.
const NEXT_LOOK: Duration = Duration::from_micros(200);

/// So often a thread may be about to get a signal when it is to be borrowed.
const SIGNALS: u32 = 64;

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
                // It gets what it was about to get, and stops before it runs on. Its call begins again where no handler
                // runs: while it is traced, signals wake it that it ignores.
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
