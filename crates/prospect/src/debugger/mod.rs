//! Programs under control, in terms of their source: what front ends of debuggers stand on.
//!
//! A [`Debugger`] holds a group of processes that stop and run together, and the breakpoints that are in each of them. It launches or
//! attaches, runs them until something happens that somebody wants to know, and restarts them with the same breakpoints. What is decided
//! next to the stop, and what at a stop of all, it finds out by itself.

mod begin;
mod calls;
mod error;
mod hit;
mod inspect;
mod past;
mod point;
mod returned;
mod run;
mod step;
mod watch;

use std::{
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use prospect_debug::{
    breakpoint::{BreakAt, Breakpoint, BreakpointId, BreakpointSpec, Breakpoints},
    step::StepMemo,
};
use prospect_live::{Controlled, Launch};
use prospect_process::{
    Addr, Process, ProcessId, Target as _, ThreadId,
    control::{
        Control, Ending, Filter, Follow, Interrupter, Leave, Resume, Trap, TrapCounts, TrapId, TrapPlace,
    },
};
use prospect_symbols::Binaries;

pub use error::DebugError;
pub use hit::{Decision, Handler, Hit, Moment, Stop};
pub use point::{Log, Point};
pub use step::Stepped;

use crate::{OpenOptions, Session};
use point::Plan;
use watch::Watched;

/// How it is with a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProcessState {
    /// All its threads stand.
    Stands,
    /// It runs.
    Runs,
    /// It has ended.
    Ended(Ending),
    /// It was let go, and is not ours any more.
    LetGo,
}

/// Processes under control, with their breakpoints. When it is dropped, they are let go as they were.
pub struct Debugger {
    options: OpenOptions,
    binaries: Arc<Binaries>,
    controlled: Controlled,
    /// How it was started.
    program: Option<Launch>,
    follow: Follow,
    /// Where new processes are heard of.
    forks: Option<TrapId>,
    breakpoints: Breakpoints,
    points: HashMap<BreakpointId, Point>,
    handlers: HashMap<BreakpointId, Handler>,
    watched: HashMap<BreakpointId, Watched>,
    plans: HashMap<(BreakpointId, Option<Addr>), Plan>,
    /// How often a condition was true that was evaluated at a stop.
    matched: HashMap<BreakpointId, u64>,
    sessions: HashMap<ProcessId, Session>,
    gone: HashMap<ProcessId, ProcessState>,
    resumed: Option<Resume>,
    hits: Vec<Hit>,
    stop_wanted: Arc<AtomicBool>,
    step_memo: StepMemo,
}

impl std::fmt::Debug for Debugger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Debugger").field("controlled", &self.controlled).finish_non_exhaustive()
    }
}

/// Asks a running target to stop; can be kept and used by any thread.
#[derive(Clone, Debug)]
pub struct StopHandle {
    wanted: Arc<AtomicBool>,
    interrupter: Interrupter,
}

impl StopHandle {
    /// Asks, and returns at once. That it was asked is remembered: [`Debugger::check_and_clear_stop`].
    pub fn stop(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.interrupter.interrupt();
    }
}

impl Debugger {
    /// The processes that are under control now.
    #[must_use]
    pub fn processes(&self) -> &[ProcessId] {
        self.controlled.processes()
    }

    /// How it is with a process; `None` for one that never was under this control.
    #[must_use]
    pub fn state(&self, process: ProcessId) -> Option<ProcessState> {
        if self.controlled.processes().contains(&process) {
            let runs = self.resumed.is_some();
            return Some(if runs { ProcessState::Runs } else { ProcessState::Stands });
        }
        self.gone.get(&process).copied()
    }

    /// A process, to be looked at while it stands.
    ///
    /// # Errors
    /// When it has ended, was let go, or never was under this control.
    pub fn process(&self, process: ProcessId) -> Result<&dyn Process, DebugError> {
        self.controlled.process(process).map_err(|_| match self.gone.get(&process) {
            Some(ProcessState::Ended(ending)) => DebugError::Ended(process, *ending),
            Some(_) => DebugError::LetGo(process),
            None => DebugError::NoProcess(process),
        })
    }

    /// What names mean in a process: its modules as they were when libraries last came or went.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    pub fn session(&self, process: ProcessId) -> Result<&Session, DebugError> {
        self.process(process)?;
        self.sessions.get(&process).ok_or(DebugError::NoProcess(process))
    }

    /// The files of modules.
    #[must_use]
    pub fn binaries(&self) -> &Arc<Binaries> {
        &self.binaries
    }

    /// What memory, registers and traps of one's own are written with. Traps that are set here are none of the breakpoints; what they stop
    /// is told as it is.
    pub fn control(&mut self) -> &mut dyn Control {
        &mut self.controlled
    }

    /// What is done with processes that one of these makes. Those that stay under control have all breakpoints.
    ///
    /// # Errors
    /// When there is nothing left to be told so.
    pub fn follow(&mut self, follow: Follow) -> Result<(), DebugError> {
        self.follow = follow;
        self.controlled.follow(follow);
        let wanted = follow != Follow::Parent;
        match (self.forks, self.controlled.processes().first().copied()) {
            (Some(trap), _) if !wanted => {
                self.controlled.clear_trap(trap);
                self.forks = None;
            }
            (None, Some(process)) if wanted => {
                let trap = Trap { place: TrapPlace::Fork, filter: Filter::default() };
                self.forks = Some(self.controlled.set_trap(process, trap)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets a process go, as it was: no trap is left in it.
    ///
    /// # Errors
    /// When something of it could not be undone; it is let go all the same.
    pub fn detach(&mut self, process: ProcessId, leave: Leave) -> Result<(), DebugError> {
        self.process(process)?;
        self.breakpoints.ended(&mut self.controlled, process);
        let done = self.controlled.detach(process, leave);
        self.gone(process, ProcessState::LetGo);
        Ok(done?)
    }

    /// Ends a process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self, process: ProcessId) -> Result<(), DebugError> {
        self.process(process)?;
        self.controlled.kill(process)?;
        self.breakpoints.ended(&mut self.controlled, process);
        self.gone(process, ProcessState::Ended(Ending::Signalled(9)));
        Ok(())
    }

    fn gone(&mut self, process: ProcessId, state: ProcessState) {
        self.gone.insert(process, state);
        self.sessions.remove(&process);
    }

    /// What makes a running target stop from any thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { wanted: self.stop_wanted.clone(), interrupter: self.controlled.interrupter() }
    }

    /// Whether a [`StopHandle`] was used since this was last asked.
    pub fn check_and_clear_stop(&self) -> bool {
        self.stop_wanted.swap(false, Ordering::SeqCst)
    }

    /// All breakpoints, with where they are and why they are not elsewhere.
    #[must_use]
    pub fn breakpoints(&self) -> &[Breakpoint] {
        self.breakpoints.list()
    }

    /// What a breakpoint is to be.
    #[must_use]
    pub fn point(&self, id: BreakpointId) -> Option<&Point> {
        self.points.get(&id)
    }

    /// Adds a breakpoint, and sets it in all processes. Where it leads nowhere yet, it waits for libraries; what is wrong with places that
    /// were found, or with its condition or log there, [`breakpoints`](Self::breakpoints) says: it is not set there.
    ///
    /// # Errors
    /// When a process cannot be looked at.
    pub fn add(&mut self, point: Point) -> Result<BreakpointId, DebugError> {
        self.add_with(point, None)
    }

    /// The same, with a handler that is asked at each hit that counts.
    ///
    /// # Errors
    /// When a process cannot be looked at.
    pub fn add_with(&mut self, point: Point, handler: Option<Handler>) -> Result<BreakpointId, DebugError> {
        let id = self.breakpoints.add(point.wanted.clone());
        self.points.insert(id, point);
        if let Some(handler) = handler {
            self.handlers.insert(id, handler);
        }
        self.update_all()?;
        Ok(id)
    }

    /// Takes a breakpoint away.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn remove(&mut self, id: BreakpointId) -> Result<(), DebugError> {
        if !self.breakpoints.remove(&mut self.controlled, id) {
            return Err(DebugError::NoBreakpoint(id));
        }
        self.points.remove(&id);
        self.handlers.remove(&id);
        self.matched.remove(&id);
        self.plans.retain(|(of, _), _| *of != id);
        if let Some(watched) = self.watched.remove(&id) {
            watched.forget(&mut self.controlled);
        }
        Ok(())
    }

    /// Enables or disables a breakpoint. Its hits stay counted.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn enable(&mut self, id: BreakpointId, enabled: bool) -> Result<(), DebugError> {
        if !self.breakpoints.enable(&mut self.controlled, id, enabled) {
            return Err(DebugError::NoBreakpoint(id));
        }
        self.update_all()
    }

    /// Passes over so many more hits of a breakpoint, from now on, over all its places.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn ignore(&mut self, id: BreakpointId, hits: u64) -> Result<(), DebugError> {
        if !self.breakpoints.ignore(&mut self.controlled, id, hits) {
            return Err(DebugError::NoBreakpoint(id));
        }
        if let Some(point) = self.points.get_mut(&id) {
            point.wanted.ignore = hits;
        }
        self.update_all()
    }

    /// Changes the condition of a breakpoint.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn set_condition(&mut self, id: BreakpointId, condition: Option<String>) -> Result<(), DebugError> {
        let point = self.points.get_mut(&id).ok_or(DebugError::NoBreakpoint(id))?;
        point.condition = condition;
        self.plans.retain(|(of, _), _| *of != id);
        let was_enabled = self.breakpoints.get(id).is_some_and(|one| one.is_enabled);
        self.breakpoints.enable(&mut self.controlled, id, false);
        self.enable(id, was_enabled)
    }

    /// What came of a breakpoint so far, over all its places and processes.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn counts(&mut self, id: BreakpointId) -> Result<TrapCounts, DebugError> {
        if self.breakpoints.get(id).is_none() {
            return Err(DebugError::NoBreakpoint(id));
        }
        let mut counts = self.breakpoints.totals(&mut self.controlled, id);
        // Where the condition was asked elsewhere, all had matched there.
        if self.plans.iter().any(|((of, _), plan)| *of == id && plan.condition.is_some()) {
            counts.matched = self.matched.get(&id).copied().unwrap_or_default();
            let ignored = self.points.get(&id).map_or(0, |point| point.wanted.ignore);
            counts.taken = counts.matched.saturating_sub(ignored);
        }
        Ok(counts)
    }

    /// Why a breakpoint is slower than it could be: sentences.
    #[must_use]
    pub fn notes(&self, id: BreakpointId) -> Vec<String> {
        let plans = self.plans.iter().filter(|((of, _), _)| *of == id);
        let mut notes: Vec<String> = plans.flat_map(|(_, plan)| plan.notes.iter().cloned()).collect();
        notes.sort();
        notes.dedup();
        notes
    }

    /// What hits have told that went on, in their order, since this was last asked.
    pub fn take_hits(&mut self) -> Vec<Hit> {
        std::mem::take(&mut self.hits)
    }

    fn update_all(&mut self) -> Result<(), DebugError> {
        for process in self.controlled.processes().to_vec() {
            self.update(process)?;
        }
        Ok(())
    }

    /// Looks at the modules that there are now, and puts breakpoints where they lead to.
    fn update(&mut self, process: ProcessId) -> Result<(), DebugError> {
        let view = self.process(process)?;
        let session = self.options.beside(view, &self.binaries);
        self.sessions.insert(process, session);
        let mut addresses = HashMap::new();
        for breakpoint in self.breakpoints.list() {
            if let BreakAt::Code(BreakpointSpec::Expression(text)) = &breakpoint.wanted.at {
                let thread = ThreadId::from(process);
                let found = self.address(thread, text).map(|(at, _)| at).map_err(|error| error.to_string());
                addresses.insert(text.clone(), found);
            }
        }
        let evaluate = |text: &str| addresses.get(text).cloned().unwrap_or(Err("it has no value".into()));
        let Self { controlled, binaries, sessions, breakpoints, plans, points, handlers, .. } = self;
        let session = sessions.get(&process).ok_or(DebugError::NoProcess(process))?;
        breakpoints.update(controlled, process, binaries, &evaluate, &mut |breakpoint, place| {
            let Some(point) = points.get(&breakpoint.id) else { return Ok(Filter::default()) };
            let at = place.filter(|_| is_code(&breakpoint.wanted.at)).map(|place| place.at);
            let stops = handlers.contains_key(&breakpoint.id) || breakpoint.wanted.temporary;
            let plan = Plan::new(point, session, at, stops)?;
            let filter = plan.filter.clone();
            plans.insert((breakpoint.id, at), plan);
            Ok(filter)
        })?;
        Ok(())
    }
}

fn is_code(at: &BreakAt) -> bool {
    matches!(at, BreakAt::Code(_) | BreakAt::Catch(_) | BreakAt::Trap(TrapPlace::Code { .. }))
}

/// Can be read from when there is news: [`Debugger::wait`] does not wait then.
impl AsFd for Debugger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.controlled.as_fd()
    }
}
