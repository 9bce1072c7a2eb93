//! `prospect stack --every`: looking again and again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use prospect::{
    OpenOptions, Session, Watch,
    live::{Event, Wait},
    process::{ProcessId, ThreadId},
};

use crate::{
    exit::Result,
    report::{self, LookReport, StackReport},
};

/// The rounds of looks at the same processes.
pub(super) struct Rounds {
    watch: Watch,
    every: Duration,
    /// The most rounds.
    count: Option<u64>,
    json: bool,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    /// The processes in the order in which they were asked for.
    processes: Vec<ProcessId>,
    /// Those that were seen at least once.
    seen: HashSet<ProcessId>,
    /// Of the round that is going on, from 1.
    number: u64,
    /// When it was to begin, and when it did.
    due: Instant,
    at: SystemTime,
    since: Duration,
    /// Whether there is to be no other round.
    over: bool,
    /// Of each thread that was walked: its stack, and at how many looks before it was the same.
    stacks: HashMap<ProcessId, HashMap<ThreadId, (u64, u64)>>,
}

impl Rounds {
    pub(super) fn new(options: OpenOptions, every: Duration, count: Option<u64>, json: bool) -> Result<Self> {
        let watch = Watch::new(options)?;
        watch.waker().wake_on_interrupt()?;
        let now = Instant::now();
        let state = State {
            processes: Vec::new(),
            seen: HashSet::new(),
            number: 0,
            due: now,
            at: SystemTime::now(),
            since: Duration::ZERO,
            over: false,
            stacks: HashMap::new(),
        };
        Ok(Self { watch, every, count, json, began: now, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more process to look at.
    pub(super) fn add(&self, process: ProcessId) -> Result<()> {
        self.watch.add(process)?;
        let mut state = self.state();
        if !state.processes.contains(&process) {
            state.processes.push(process);
        }
        Ok(())
    }

    /// Says that a round begins.
    pub(super) fn begin(&self) -> Result<()> {
        let mut state = self.state();
        state.number += 1;
        (state.at, state.since) = (SystemTime::now(), self.began.elapsed());
        if !self.json && !self.watch.is_empty() {
            report::look_text(&state.look())?;
        }
        Ok(())
    }

    /// Looks at a process once more.
    pub(super) fn look(&self, process: ProcessId) -> Result<Session> {
        Ok(self.watch.look(process)?)
    }

    /// The processes that are to be looked at.
    pub(super) fn processes(&self) -> Vec<ProcessId> {
        let live: HashSet<ProcessId> = self.watch.processes().into_iter().collect();
        self.state().processes.iter().copied().filter(|process| live.contains(process)).collect()
    }

    /// Whether a process is still to be looked at in this round: nothing has come in between.
    pub(super) fn is_wanted(&self, process: ProcessId) -> Result<bool> {
        self.handle_events(Wait::No)?;
        let state = self.state();
        let has_ended = state.seen.contains(&process) && self.watch.has_ended(process);
        Ok(!state.over && !has_ended)
    }

    /// Whether a process has ended after it was seen: that it cannot be seen any more is no failure then.
    pub(super) fn has_ended(&self, process: ProcessId) -> bool {
        self.state().seen.contains(&process) && self.watch.has_ended(process)
    }

    /// There is to be no other round.
    pub(super) fn end(&self) {
        self.state().over = true;
    }

    /// Adds to a report when it was made, and which stacks are what they were before.
    pub(super) fn note(&self, process: ProcessId, report: &mut StackReport) {
        let mut state = self.state();
        state.seen.insert(process);
        let before = state.stacks.remove(&process).unwrap_or_default();
        let mut now = HashMap::new();
        for stack in &report.threads {
            let (id, Some(print)) = (stack.thread.id, stack.fingerprint()) else { continue };
            let unchanged =
                before.get(&id).filter(|(known, _)| *known == print).map_or(0, |(_, looks)| looks + 1);
            now.insert(id, (print, unchanged));
            report.unchanged.insert(id, unchanged);
        }
        state.stacks.insert(process, now);
        report.look = Some(state.look());
    }

    /// Waits for the next round, and says meanwhile what happens. Returns what is to be looked at in it; `None` when there
    /// is no other round.
    pub(super) fn next(&self) -> Result<Option<Vec<ProcessId>>> {
        let due = {
            let mut state = self.state();
            state.over |= self.count.is_some_and(|count| state.number >= count);
            state.due = next_due(state.due, self.every, Instant::now());
            state.due
        };
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let is_over = self.state().over;
            self.handle_events(if is_over || left.is_zero() { Wait::No } else { Wait::AtMost(left) })?;
            if self.watch.is_empty() || self.state().over {
                return Ok(None);
            }
            if left.is_zero() {
                self.begin()?;
                return Ok(Some(self.processes()));
            }
        }
    }

    fn handle_events(&self, wait: Wait) -> Result<()> {
        for event in self.watch.handle_events(wait)? {
            match event {
                Event::Ended { process, ending } if self.json => report::ended_json(process, ending)?,
                Event::Ended { .. } => report::event_text(&event)?,
                // Ctrl-C.
                _ => self.end(),
            }
        }
        Ok(())
    }
}

/// When the next round is to begin: rounds that took too long leave some out.
fn next_due(due: Instant, every: Duration, now: Instant) -> Instant {
    let late = now.saturating_duration_since(due).as_nanos() % every.as_nanos().max(1);
    let late = Duration::from_nanos(u64::try_from(late).unwrap_or(u64::MAX));
    // A time that no clock reaches is as good as any.
    now.max(due).checked_add(every.saturating_sub(late)).unwrap_or(now + Duration::from_secs(1 << 32))
}

impl State {
    fn look(&self) -> LookReport {
        LookReport { number: self.number, at: self.at, since: self.since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_keep_their_beat() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let every = Duration::from_millis(100);
        assert_eq!(next_due(at(0), every, at(30)), at(100));
        assert_eq!(next_due(at(100), every, at(199)), at(200));
        assert_eq!(next_due(at(100), every, at(200)), at(300));
        assert_eq!(next_due(at(100), every, at(1234)), at(1300));
        assert!(next_due(at(0), Duration::from_nanos(1), at(100_000)) > at(100_000));
        assert!(next_due(at(0), Duration::MAX, at(5)) > at(1_000_000_000));
    }
}
