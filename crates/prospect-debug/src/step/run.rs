//! Letting a thread run, until it is where it was to go.

use std::{ops::Range, sync::Arc, time::Instant};

use prospect_process::{
    Addr, Process, ProcessId, Registers, ThreadId,
    control::{Action, Control, ControlError, Event, EventKind, Filter, Resume, Trap, TrapId, TrapPlace},
};
use prospect_stack::{StepContext, Walker};
use prospect_symbols::Binaries;

use super::{Driver, Returned, StepError, Stepping, landing::Landings, line::Position};
use crate::waiting::next_event;

/// A frame is looked for among so many.
const MOST_FRAMES: usize = 64;

/// How it went.
pub(super) enum Ran {
    Done,
    Interrupted(Event),
    TimeOver,
}

pub(super) struct Runner<'a> {
    driver: &'a mut dyn Driver,
    binaries: &'a Binaries,
    process: ProcessId,
    thread: ThreadId,
    alone: bool,
    deadline: Instant,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        driver: &'a mut dyn Driver,
        binaries: &'a Binaries,
        process: ProcessId,
        thread: ThreadId,
        how: &Stepping,
    ) -> Self {
        let deadline = Instant::now() + how.within;
        Self { driver, binaries, process, thread, alone: how.alone, deadline }
    }

    pub(super) fn thread(&self) -> ThreadId {
        self.thread
    }

    pub(super) fn view(&self) -> Result<&dyn Process, StepError> {
        let gone = |_| StepError::Control(ControlError::NotControlled(self.process));
        self.driver.target().process(self.process).map_err(gone)
    }

    fn control(&mut self) -> Result<&mut dyn Control, StepError> {
        let control = self.driver.target_mut().control();
        control.ok_or_else(|| ControlError::Unsupported("be run".into()).into())
    }

    pub(super) fn registers(&self) -> Result<Registers, StepError> {
        self.view()?.registers(self.thread).ok_or(StepError::NotStopped(self.thread))
    }

    pub(super) fn position(&self) -> Result<Position, StepError> {
        let registers = self.registers()?;
        Position::of(self.view()?, self.binaries, &registers).ok_or(StepError::NotStopped(self.thread))
    }

    /// Where a frame goes on that has called the innermost one, by however many others, and by how many.
    pub(super) fn caller_with(&self, cfa: Option<Addr>) -> Result<Option<(usize, Addr)>, StepError> {
        let (view, registers) = (self.view()?, self.registers()?);
        let Some(cfa) = cfa else { return Ok(None) };
        let mut walker = Walker::new(view.info().arch).frame_limit(MOST_FRAMES);
        let stack = walker.walk(&registers, &StepContext::new(view, self.binaries));
        let mut callers = stack.frames.iter().enumerate().skip(1);
        Ok(callers.find(|(_, frame)| frame.cfa == Some(cfa)).map(|(depth, frame)| (depth, frame.code.addr())))
    }

    /// The code of the dynamic linker, if an address lies in it.
    pub(super) fn loader_at(&self, at: Addr) -> Result<Option<Vec<Range<Addr>>>, StepError> {
        let view = self.view()?;
        let loader = view.modules().loader().filter(|module| module.range.contains(&at));
        Ok(loader.map(|module| vec![module.range.clone()]))
    }

    /// The next event; `None` when the time is over, and all stand then.
    fn wait(&mut self) -> Result<Option<Event>, StepError> {
        let (thread, deadline) = (self.thread, self.deadline);
        Ok(next_event(self.control()?, thread, deadline)?)
    }

    fn resume(&mut self, action: Action) -> Result<(), StepError> {
        let thread = self.thread;
        let how = if self.alone { Resume::only(thread, action) } else { Resume::thread(thread, action) };
        Ok(self.control()?.resume(&how)?)
    }

    /// Steps the thread.
    pub(super) fn run(&mut self, action: Action) -> Result<Ran, StepError> {
        loop {
            self.resume(action.clone())?;
            let Some(event) = self.wait()? else { return Ok(Ran::TimeOver) };
            if event.thread == self.thread && event.kind == EventKind::Stepped {
                return Ok(Ran::Done);
            }
            let before = self.registers().ok().and_then(|registers| registers.pc());
            if let Some(event) = self.driver.happened(event)? {
                return Ok(Ran::Interrupted(event));
            }
            // What it was to do may be done, where it stands at a breakpoint that lets it go on.
            if let (Action::StepWhileIn(ranges), Some(pc)) = (&action, before)
                && !ranges.iter().any(|range| range.contains(&pc))
            {
                return Ok(Ran::Done);
            }
        }
    }

    /// A trap for this thread alone.
    pub(super) fn set(&mut self, at: Addr) -> Result<TrapId, StepError> {
        let filter = Filter { thread: Some(self.thread), ..Filter::default() };
        let (process, place) = (self.process, TrapPlace::Code { at, hardware: false });
        Ok(self.control()?.set_trap(process, Trap { place, filter })?)
    }

    /// Lets the thread run to an address, in whatever frame.
    pub(super) fn run_to(&mut self, at: Addr) -> Result<Ran, StepError> {
        if self.registers()?.pc() == Some(at) {
            return Ok(Ran::Done);
        }
        let trap = self.set(at)?;
        let ran = self.run_to_traps(&[trap], |_, _| Ok(true));
        self.clear(&[trap]);
        ran
    }

    /// Where frames are left, looked for once for as long as the modules are the same.
    fn landings(&mut self) -> Result<Arc<Landings>, StepError> {
        let modules: Vec<Addr> = self.view()?.modules().iter().map(|module| module.range.start).collect();
        if let Some((process, known, landings)) = &self.driver.memo().landings
            && (process, known) == (&self.process, &modules)
        {
            return Ok(landings.clone());
        }
        let landings = Arc::new(Landings::find(self.view()?, self.binaries));
        self.driver.memo().landings = Some((self.process, modules, landings.clone()));
        Ok(landings)
    }

    /// Lets the thread run until it is back in the frame with this canonical frame address, at this place: or, when that frame
    /// or what it has called is left without returning, until it has come down in that frame or one of its callers.
    pub(super) fn run_back_to(&mut self, at: Addr, cfa: Option<Addr>) -> Result<Ran, StepError> {
        let landings = self.landings()?;
        let trap = self.set(at)?;
        let (set_ip, long_jumps) = self.set_landings(&landings);
        let mut traps = [&[trap], &set_ip[..], &long_jumps[..]].concat();
        let mut pads: Vec<Addr> = Vec::new();
        let ran = loop {
            let mut hit = trap;
            let ran = self.run_to_traps(&traps, |runner, traps| {
                hit = traps[0];
                // A recursive call returns to the same place, in another frame.
                Ok(hit != trap || cfa.is_none() || runner.position()?.cfa == cfa)
            });
            if !matches!(ran, Ok(Ran::Done)) || hit == trap {
                break ran;
            }
            if set_ip.contains(&hit) {
                match self.landing_pad() {
                    Ok(Some(pad)) if !pads.contains(&pad) => {
                        pads.push(pad);
                        traps.extend(self.set(pad).ok());
                    }
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
                continue;
            }
            if long_jumps.contains(&hit) {
                let ran = self.follow_jump();
                if !matches!(ran, Ok(Ran::Done)) {
                    break ran;
                }
            }
            match self.caller_with(cfa) {
                // It was caught in what was called.
                Ok(Some(_)) => {}
                Ok(None) => break Ok(Ran::Done),
                Err(error) => break Err(error),
            }
        };
        self.clear(&traps);
        ran
    }

    fn clear(&mut self, traps: &[TrapId]) {
        // The process may have ended.
        if let Ok(control) = self.control() {
            for trap in traps {
                control.clear_trap(*trap);
            }
        }
    }

    /// Lets it run until one of these traps is hit where that is meant.
    fn run_to_traps(
        &mut self,
        traps: &[TrapId],
        mut is_there: impl FnMut(&mut Self, &[TrapId]) -> Result<bool, StepError>,
    ) -> Result<Ran, StepError> {
        loop {
            self.resume(Action::Continue)?;
            let Some(event) = self.wait()? else { return Ok(Ran::TimeOver) };
            let EventKind::Trapped { traps: hit, .. } = &event.kind else {
                match self.driver.happened(event)? {
                    Some(event) => return Ok(Ran::Interrupted(event)),
                    None => continue,
                }
            };
            let (own, others): (Vec<TrapId>, Vec<TrapId>) = hit.iter().partition(|trap| traps.contains(trap));
            if !others.is_empty()
                && let Some(event) = self.driver.happened(event)?
            {
                return Ok(Ran::Interrupted(event));
            }
            if !own.is_empty() && is_there(self, &own)? {
                return Ok(Ran::Done);
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
