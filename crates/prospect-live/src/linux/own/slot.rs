//! Where a thread leaves its answer.
//!
//! A slot is made before its thread is signalled and is never freed: a thread that was given up may still get its
//! signal, seconds later, and then finds that nobody waits for it any more. The slot is used again when that has
//! happened, or when its thread has ended.
//!
//! ```text
//!           ask                 handler                    handler
//!   Idle ───────────► Asked ───────────────► Answering ───────────────► Done
//!    ▲                  │ ▲                                               │
//!    │          give up │ │ ask again                                     │ take
//!    │ handler          ▼ │                                               │
//!    ├──────────── Abandoned                                              │
//!    └────────────────────────────────────────────────────────────────────┘
//! ```
#![expect(
    unsafe_code,
    reason = "an atomic number says whether the thread or who asks it may touch the answer"
)]

use std::{
    cell::UnsafeCell,
    ffi::c_void,
    mem, ptr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicPtr, AtomicU32, Ordering},
    },
};

use prospect_process::{Registers, ThreadId};

use super::{
    super::arch,
    round::{Copies, Round, StackCopy},
    system,
};

/// Nobody waits, and no signal is on its way.
const IDLE: u32 = 0;
/// A signal is on its way, and somebody waits.
const ASKED: u32 = 1;
/// The handler is at it: the answer and the round are its own.
const ANSWERING: u32 = 2;
/// The answer is there.
const DONE: u32 = 3;
/// A signal is on its way, and nobody waits.
const ABANDONED: u32 = 4;

/// What a thread says of itself.
#[derive(Clone, Copy, Debug)]
struct Answer {
    registers: Registers,
    stack: StackCopy,
}

/// One thread's place; see the module.
pub(super) struct Slot {
    phase: AtomicU32,
    thread: AtomicU32,
    round: AtomicPtr<Round>,
    /// The handler's while `ANSWERING`, else of whoever has the [turn](super::turn).
    answer: UnsafeCell<Answer>,
}

// SAFETY: `phase` says who may touch `answer`; all else is atomic.
unsafe impl Sync for Slot {}
// SAFETY: nothing in it belongs to one thread.
unsafe impl Send for Slot {}

/// What a slot was when its thread was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AskedFrom {
    /// No signal was on its way.
    Idle,
    /// The signal of an older question had not been handled.
    Abandoned,
    /// The handler is at work on an older question, so that the thread was not asked.
    Answering,
}

/// What became of a question that was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum GivenUp {
    /// The thread finds that nobody waits, if it ever answers.
    Abandoned,
    /// The answer came, and was thrown away.
    Answered,
    /// The thread is about to answer: what it was told to use must stay.
    Answering,
}

impl Slot {
    fn new() -> Self {
        Self {
            phase: AtomicU32::new(IDLE),
            thread: AtomicU32::new(0),
            round: AtomicPtr::new(ptr::null_mut()),
            answer: UnsafeCell::new(Answer {
                registers: Registers::unknown(arch::ARCH),
                stack: StackCopy::NONE,
            }),
        }
    }

    /// Whether a signal may still be on its way to the thread, or its handler is at work.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase.load(Ordering::Acquire), ASKED | ANSWERING | ABANDONED)
    }

    /// Forgets a thread that has ended, and can answer no more.
    pub(super) fn reset(&self) {
        self.phase.store(IDLE, Ordering::Release);
    }

    /// Asks a thread, which is to use `round`. Only who has the turn asks.
    ///
    /// # Safety
    /// `round` stays until the question was [answered](Self::take), or [given up](Self::give_up) other than as
    /// [`GivenUp::Answering`].
    unsafe fn ask(&self, thread: ThreadId, round: *const Round) -> AskedFrom {
        if self.phase.load(Ordering::Acquire) == ANSWERING {
            return AskedFrom::Answering;
        }
        // The handler reads these only after it has found `ASKED`.
        self.thread.store(thread.0, Ordering::Relaxed);
        self.round.store(round.cast_mut(), Ordering::Relaxed);
        // From `ABANDONED` the handler may take it away meanwhile; nobody changes the other two.
        match self.phase.compare_exchange(ABANDONED, ASKED, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => AskedFrom::Abandoned,
            Err(_) => {
                self.phase.store(ASKED, Ordering::Release);
                AskedFrom::Idle
            }
        }
    }

    /// The answer, once it is there; the slot is idle then.
    fn take(&self) -> Option<Answer> {
        if self.phase.load(Ordering::Acquire) != DONE {
            return None;
        }
        // SAFETY: the handler is done with it, and there is no other until somebody asks.
        let answer = unsafe { *self.answer.get() };
        self.reset();
        Some(answer)
    }

    /// Waits no longer.
    fn give_up(&self) -> GivenUp {
        match self.phase.compare_exchange(ASKED, ABANDONED, Ordering::AcqRel, Ordering::Acquire) {
            Err(ANSWERING) => GivenUp::Answering,
            Err(DONE) => {
                self.reset();
                GivenUp::Answered
            }
            Err(IDLE) => GivenUp::Answered,
            _ => GivenUp::Abandoned,
        }
    }

    /// Answers for the calling thread where this slot is its own and somebody waits; says whether.
    /// Safe in a signal handler.
    ///
    /// # Safety
    /// `context` is the third argument of the calling signal handler.
    pub(super) unsafe fn answer(&self, context: *const c_void) -> bool {
        let change =
            |from, to| self.phase.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok();
        loop {
            let phase = self.phase.load(Ordering::Acquire);
            // Others may send this signal too, with any number.
            if self.thread.load(Ordering::Relaxed) != system::thread_id() {
                return false;
            }
            match phase {
                ASKED if change(ASKED, ANSWERING) => break,
                ABANDONED if change(ABANDONED, IDLE) => return false,
                // Somebody else was quicker.
                ASKED | ABANDONED => {}
                _ => return false,
            }
        }
        // SAFETY: while the phase is `ANSWERING` the answer is this handler's, and who asked keeps the round.
        let (answer, round) = unsafe { (&mut *self.answer.get(), &*self.round.load(Ordering::Relaxed)) };
        // SAFETY: the caller vouches for the context.
        unsafe { arch::interrupted(context, &mut answer.registers) };
        answer.stack = round.copy_stack(&answer.registers);
        self.phase.store(DONE, Ordering::Release);
        true
    }
}

/// A question that one thread has not answered yet. Dropping it gives it up.
pub(super) struct Question {
    slot: &'static Slot,
    round: Arc<Round>,
    settled: bool,
    renewed: bool,
}

impl Question {
    /// Asks a thread through its slot; `None` when its handler is still at work on an older question.
    pub(super) fn new(slot: &'static Slot, thread: ThreadId, round: &Arc<Round>) -> Option<Self> {
        let round = round.clone();
        // SAFETY: the round is kept here; the drop leaves it for good where the handler is still at work.
        let asked = unsafe { slot.ask(thread, Arc::as_ptr(&round)) };
        let renewed = asked == AskedFrom::Abandoned;
        (asked != AskedFrom::Answering).then(|| Self { slot, round, settled: false, renewed })
    }

    /// Whether an older question had not been handled when this one was asked: where its signal was still on its way
    /// before, it is to this one that the thread answers.
    pub(super) fn is_renewed(&self) -> bool {
        self.renewed
    }

    /// The registers, once the thread has answered; its stack is added to `copies`.
    pub(super) fn answer(&mut self, copies: &mut Copies) -> Option<Registers> {
        let answer = self.slot.take()?;
        self.settled = true;
        self.round.copied(answer.stack, copies);
        Some(answer.registers)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.settled && self.slot.give_up() == GivenUp::Answering {
            mem::forget(self.round.clone());
        }
    }
}

/// So many slots are made first, and with each further piece twice as many as with the one before.
const FIRST_SLOTS: usize = 64;
const PIECES: usize = 24;

/// All slots there ever were. A piece that was made stays.
static SLOTS: [OnceLock<Box<[Slot]>>; PIECES] = [const { OnceLock::new() }; PIECES];

/// The piece that a slot is in, and its place there.
fn place(number: usize) -> Option<(usize, usize)> {
    let shifted = number.checked_add(FIRST_SLOTS)?;
    let piece = (shifted / FIRST_SLOTS).ilog2() as usize;
    (piece < PIECES).then(|| (piece, shifted - (FIRST_SLOTS << piece)))
}

/// A slot that was made. Safe in a signal handler.
pub(super) fn existing(number: usize) -> Option<&'static Slot> {
    let (piece, index) = place(number)?;
    SLOTS[piece].get()?.get(index)
}

/// A slot, made now if it was not yet; `None` when there are too many.
pub(super) fn made(number: usize) -> Option<&'static Slot> {
    let (piece, index) = place(number)?;
    SLOTS[piece].get_or_init(|| (0..FIRST_SLOTS << piece).map(|_| Slot::new()).collect()).get(index)
}

#[cfg(test)]
mod tests {
    use prospect_process::Mappings;

    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let first: Vec<_> = (0..200).map(|number| place(number).unwrap()).collect();
        assert_eq!((first[0], first[63], first[64]), ((0, 0), (0, 63), (1, 0)));
        assert_eq!((first[191], first[192]), ((1, 127), (2, 0)));
        assert_eq!(place(usize::MAX), None);
        assert!(existing(1 << 20).is_none(), "what was not made is not there");
        assert!(ptr::eq(made(70).unwrap(), existing(70).unwrap()));
    }

    #[test]
    fn a_question_that_was_given_up_can_be_asked_again() {
        let slot = made(71).unwrap();
        let round = Arc::new(Round::new(Mappings::default(), 1, 0).unwrap());
        let question = Question::new(slot, ThreadId(1), &round).unwrap();
        assert!(slot.is_open() && !question.is_renewed());
        drop(question);
        assert_eq!(slot.phase.load(Ordering::SeqCst), ABANDONED);
        assert!(slot.is_open(), "its thread may still answer");
        let mut question = Question::new(slot, ThreadId(1), &round).unwrap();
        assert!(question.is_renewed() && question.answer(&mut Copies::default()).is_none());
        slot.phase.store(DONE, Ordering::SeqCst);
        assert!(question.answer(&mut Copies::default()).is_some());
        drop(question);
        assert!(!slot.is_open());
        assert_eq!(Arc::strong_count(&round), 1);
    }

    #[test]
    fn what_a_handler_works_with_stays() {
        let slot = made(72).unwrap();
        let round = Arc::new(Round::new(Mappings::default(), 1, 0).unwrap());
        let question = Question::new(slot, ThreadId(1), &round).unwrap();
        slot.phase.store(ANSWERING, Ordering::SeqCst);
        drop(question);
        assert_eq!(Arc::strong_count(&round), 2, "the round is never given back");
        assert!(slot.is_open());
        assert!(Question::new(slot, ThreadId(1), &round).is_none());
        slot.phase.store(DONE, Ordering::SeqCst);
        // That answer was to the older question.
        let mut question = Question::new(slot, ThreadId(1), &round).unwrap();
        assert!(!question.is_renewed() && question.answer(&mut Copies::default()).is_none());
        slot.reset();
    }
}
