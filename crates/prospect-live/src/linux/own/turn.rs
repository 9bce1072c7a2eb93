//! Who may ask threads now, and what one freeze leaves for the next.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use prospect_process::ThreadId;

use super::{
    super::LiveError,
    handler,
    slot::{self, Slot},
};

/// What is known from earlier freezes.
#[derive(Debug, Default)]
struct Ledger {
    /// The signal that was taken because nobody else handles it.
    signal: Option<i32>,
    /// Slots that nobody uses.
    free: Vec<usize>,
    /// How many slots were ever used.
    used: usize,
    /// The slots of threads that were asked and have not been heard of since.
    open: BTreeMap<ThreadId, usize>,
}

/// Who has the turn, and who waits for it.
#[derive(Debug)]
struct Queue {
    /// `None` while somebody has the turn.
    ledger: Option<Ledger>,
    /// The tickets of those who wait, in the order in which they came: who has just had the turn must not be
    /// quicker than one that is woken.
    waiting: VecDeque<u64>,
    next_ticket: u64,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    ledger: Some(Ledger { signal: None, free: Vec::new(), used: 0, open: BTreeMap::new() }),
    waiting: VecDeque::new(),
    next_ticket: 0,
});
static CHANGED: Condvar = Condvar::new();

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to ask threads, which one thread has at a time. No lock is held meanwhile.
#[derive(Debug)]
pub(super) struct Turn(Ledger);

impl Turn {
    /// Waits for the turn.
    ///
    /// # Errors
    /// When another thread has it until the deadline.
    pub(super) fn take(deadline: Instant) -> Result<Self, LiveError> {
        let mut queue = queue();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push_back(ticket);
        let left = deadline.saturating_duration_since(Instant::now());
        let not_yet = |queue: &mut Queue| queue.ledger.is_none() || queue.waiting.front() != Some(&ticket);
        let changed = CHANGED.wait_timeout_while(queue, left, not_yet);
        let (mut queue, timeout) = changed.unwrap_or_else(PoisonError::into_inner);
        queue.waiting.retain(|waiting| *waiting != ticket);
        // The next one may wait for nothing but this one's place.
        CHANGED.notify_all();
        match queue.ledger.take_if(|_| !timeout.timed_out()) {
            Some(ledger) => Ok(Self(ledger)),
            None => Err(LiveError::OwnTurn),
        }
    }

    /// A signal that is answered: the wanted one, or one that nobody else handles.
    pub(super) fn signal(&mut self, wanted: Option<i32>) -> Result<i32, LiveError> {
        let ledger = &mut self.0;
        if let Some(signal) = wanted {
            return handler::install(signal).map(|()| signal);
        }
        // Somebody may have replaced the handler since.
        if let Some(signal) = ledger.signal.filter(|signal| handler::install(*signal).is_ok()) {
            return Ok(signal);
        }
        let signal = handler::install_any()?;
        ledger.signal = Some(signal);
        Ok(signal)
    }

    /// The slot to ask a thread through, with its number: the one that it was asked through before, where it has
    /// not answered yet. `None` when there are too many threads.
    pub(super) fn slot(&mut self, thread: ThreadId) -> Option<(usize, &'static Slot)> {
        let ledger = &mut self.0;
        let number = ledger.open.get(&thread).copied().or_else(|| ledger.free.pop()).unwrap_or_else(|| {
            ledger.used += 1;
            ledger.used - 1
        });
        let slot = slot::made(number)?;
        ledger.open.insert(thread, number);
        Some((number, slot))
    }

    /// Takes back the slots of threads that have answered by now, and of those that are not among `living`.
    pub(super) fn settle(&mut self, living: &HashSet<ThreadId>) {
        let ledger = &mut self.0;
        let free = &mut ledger.free;
        ledger.open.retain(|thread, number| {
            let Some(slot) = slot::existing(*number) else { return false };
            let stays = living.contains(thread) && slot.is_open();
            if !stays {
                slot.reset();
                free.push(*number);
            }
            stays
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        queue().ledger = Some(mem::take(&mut self.0));
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn a_turn_is_waited_for_until_the_deadline() {
        let own = Turn::take(Instant::now() + Duration::from_secs(5)).unwrap();
        let refused = thread::spawn(|| Turn::take(Instant::now()).map(drop));
        assert!(matches!(refused.join().unwrap(), Err(LiveError::OwnTurn)));
        let waiting = thread::spawn(|| Turn::take(Instant::now() + Duration::from_secs(20)).map(drop));
        drop(own);
        assert!(waiting.join().unwrap().is_ok());
    }

    #[test]
    fn a_slot_stays_with_its_thread_until_that_has_answered_or_ended() {
        // A ledger of the test's own, which must not become everybody's.
        let mut turn = mem::ManuallyDrop::new(Turn(Ledger::default()));
        // Numbers that no freeze of another test has.
        turn.0.used = 5000;
        let (first, second) = (ThreadId(1), ThreadId(2));
        let (number, _) = turn.slot(first).unwrap();
        assert_eq!(turn.slot(first).unwrap().0, number);
        let other = turn.slot(second).unwrap().0;
        assert_ne!(other, number);
        // Neither has been asked, so that no answer can come.
        turn.settle(&HashSet::from([first, second]));
        assert!(turn.0.open.is_empty());
        assert_eq!(turn.0.free, [number, other]);
        assert_eq!(turn.slot(second).unwrap().0, other);
        assert_eq!(turn.slot(first).unwrap().0, number);
        assert_eq!(turn.0.used, 5002);
    }
}
