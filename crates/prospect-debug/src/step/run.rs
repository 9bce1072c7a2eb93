//! Letting a thread run, until it is where it was to go.

use std::time::{Duration, Instant};

use prospect_process::{
    Addr, Process, ProcessId, Target, ThreadId,
    control::{Action, Control, ControlError, Event, EventKind, Filter, Resume, Trap, TrapId, TrapPlace},
};
use prospect_symbols::Binaries;

use super::{Returned, StepError, line::Position};

/// So long is waited for a target to stand that was told to.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// How it went.
pub(super) enum Ran {
    Done,
    Interrupted(Event),
    TimeOver,
}

pub(super) struct Runner<'a> {
    target: &'a mut dyn Target,
    binaries: &'a Binaries,
    process: ProcessId,
    thread: ThreadId,
    deadline: Instant,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        target: &'a mut dyn Target,
        binaries: &'a Binaries,
        process: ProcessId,
        thread: ThreadId,
        within: Duration,
    ) -> Self {
        Self { target, binaries, process, thread, deadline: Instant::now() + within }
    }

    fn view(&self) -> Result<&dyn Process, StepError> {
        let gone = |_| StepError::Control(ControlError::NotControlled(self.process));
        self.target.process(self.process).map_err(gone)
    }

    fn control(&mut self) -> Result<&mut dyn Control, StepError> {
        self.target.control().ok_or_else(|| ControlError::Unsupported("be run".into()).into())
    }

    pub(super) fn position(&self) -> Result<Position, StepError> {
        let view = self.view()?;
        let not_stopped = || StepError::NotStopped(self.thread);
        let registers = view.registers(self.thread).ok_or_else(not_stopped)?;
        Position::of(view, self.binaries, &registers).ok_or_else(not_stopped)
    }

    /// The next event; `None` when the time is over, and all stand then.
    fn wait(&mut self) -> Result<Option<Event>, StepError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let give_up = Instant::now() + left + STOPS_WITHIN;
        let control = self.control()?;
        let mut left = left;
        loop {
            // Records end a wait too.
            if let Some(event) = control.wait(Some(left))? {
                let is_ours = event.kind == EventKind::Interrupted && left.is_zero();
                return Ok(Some(event).filter(|_| !is_ours));
            }
            if Instant::now() >= give_up {
                return Ok(None);
            }
            left = left.min(give_up.saturating_duration_since(Instant::now()).saturating_sub(STOPS_WITHIN));
            if left.is_zero() {
                control.interrupter().interrupt();
                if let Some(event) = control.wait(Some(STOPS_WITHIN))? {
                    return Ok(Some(event).filter(|event| event.kind != EventKind::Interrupted));
                }
            }
        }
    }

    /// Steps the thread.
    pub(super) fn run(&mut self, action: Action) -> Result<Ran, StepError> {
        let thread = self.thread;
        self.control()?.resume(&Resume::thread(thread, action))?;
        Ok(match self.wait()? {
            None => Ran::TimeOver,
            Some(event) if event.thread == thread && event.kind == EventKind::Stepped => Ran::Done,
            Some(event) => Ran::Interrupted(event),
        })
    }

    /// Lets the thread run to an address, in the frame with this canonical frame address if that is said.
    pub(super) fn run_to(&mut self, at: Addr, cfa: Option<Addr>) -> Result<Ran, StepError> {
        if cfa.is_none() && self.position()?.pc == at {
            return Ok(Ran::Done);
        }
        let filter = Filter { thread: Some(self.thread), ..Filter::default() };
        let (process, place) = (self.process, TrapPlace::Code { at, hardware: false });
        let trap = self.control()?.set_trap(process, Trap { place, filter })?;
        let ran = self.run_to_trap(trap, cfa);
        // The process may have ended.
        if let Ok(control) = self.control() {
            control.clear_trap(trap);
        }
        ran
    }

    fn run_to_trap(&mut self, trap: TrapId, cfa: Option<Addr>) -> Result<Ran, StepError> {
        loop {
            self.control()?.resume(&Resume::all())?;
            let Some(event) = self.wait()? else { return Ok(Ran::TimeOver) };
            let EventKind::Trapped { traps, .. } = &event.kind else { return Ok(Ran::Interrupted(event)) };
            if !traps.contains(&trap) {
                return Ok(Ran::Interrupted(event));
            }
            // A recursive call returns to the same place, in another frame.
            let is_there = cfa.is_none() || self.position()?.cfa == cfa;
            match (is_there, traps.len()) {
                (true, 1) => return Ok(Ran::Done),
                (_, 1) => {}
                _ => return Ok(Ran::Interrupted(event)),
            }
        }
    }

    /// What a function has returned that has returned just now.
    pub(super) fn returned(&self) -> Returned {
        let Ok(view) = self.view() else { return Returned::default() };
        let info = view.info().arch.info();
        let registers = view.registers(self.thread);
        let integer = ["rax", "eax", "x0", "r0"].iter().find_map(|name| registers?.get(info.by_name(name)?));
        let vector = info.wide_named("xmm0").and_then(|(number, _)| {
            let register = info.wide_register(number)?;
            register.bytes(view.register_set(self.thread, register.set())?)
        });
        Returned { integer, vector }
    }
}
