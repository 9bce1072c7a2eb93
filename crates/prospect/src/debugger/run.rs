//! Letting processes run, and what it means that they stop.

use std::time::{Duration, Instant};

use prospect_debug::{
    breakpoint::{BreakAt, BreakpointId, Catch, Site},
    call,
    condition::RecordedMoment,
};
use prospect_live::monotonic_clock;
use prospect_process::{
    Addr, Process, ProcessId, Registers, SignalInfo, Target as _, ThreadId,
    control::{
        CallPhase, Control as _, Event, EventKind, Follow, NewProcess, Record, Resume, Then, TrapId,
        TrapPlace,
    },
};
use prospect_stack::{StepContext, Walker};
use prospect_symbols::Binaries;

use super::{DebugError, Debugger, Decision, Hit, Moment, ProcessState, Stop, calls};
use crate::Session;

/// So many frames are walked for a condition or a log.
const FRAMES: usize = 8;

/// So many frames may the runtime of a language have on top.
const FRAMES_OF_RUNTIME: usize = 32;

/// How names of functions of the runtimes of C++ and Rust begin.
const RUNTIME: [&str; 7] = ["__cxa_", "_Unwind_", "std::", "core::", "alloc::", "__rustc", "rust_"];

/// What comes of a hit.
enum Outcome {
    /// It does not count.
    Nothing,
    /// It counts, and goes on.
    GoesOn(Hit),
    /// It counts, and all stop.
    Stops(Hit),
}

impl Debugger {
    /// Lets all threads of all processes run. What comes of it, [`wait`](Self::wait) says.
    ///
    /// # Errors
    /// When there is nothing that could run.
    pub fn resume(&mut self) -> Result<(), DebugError> {
        self.resume_as(&Resume::all())
    }

    /// Lets threads run as is said.
    ///
    /// # Errors
    /// When there is nothing that could run.
    pub fn resume_as(&mut self, how: &Resume) -> Result<(), DebugError> {
        self.controlled.resume(how)?;
        self.resumed = Some(how.clone());
        Ok(())
    }

    /// Lets all run until something stops them, as [`resume`](Self::resume) and [`wait`](Self::wait).
    ///
    /// # Errors
    /// When there is nothing that could run, or the target fails.
    pub fn go(&mut self, within: Option<Duration>) -> Result<Option<Stop>, DebugError> {
        self.resume()?;
        let deadline = within.map(|within| Instant::now() + within);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if let Some(stop) = self.wait(left)? {
                return Ok(Some(stop));
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
        }
    }

    /// Waits until all stand since something has happened. `None` when nothing has in that time, or when there are
    /// [hits](Self::take_hits) to be taken; all run on then. With no time at all it deals with what has happened already, as is due when the
    /// descriptor can be read from. Libraries that come, conditions that are false and handlers that say so do not stop anything.
    ///
    /// # Errors
    /// When the target fails.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Stop>, DebugError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let event = self.controlled.wait(left);
            for record in self.controlled.take_records() {
                self.recorded(&record);
            }
            let Some(event) = event? else { return Ok(None) };
            if let Some(stop) = self.happened(event)? {
                self.resumed = None;
                return Ok(Some(stop));
            }
            let how = self.resumed.clone().unwrap_or_else(Resume::all);
            self.controlled.resume(&how)?;
            if !self.hits.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Deals with something that all stand for. `None`: they go on.
    pub(super) fn happened(&mut self, event: Event) -> Result<Option<Stop>, DebugError> {
        self.know(event.process);
        let mut stop = Stop { event, hits: Vec::new(), out_of_scope: Vec::new(), problems: Vec::new() };
        let (process, thread) = (stop.event.process, stop.event.thread);
        let is_told = match &stop.event.kind {
            EventKind::Trapped { traps, faults } => {
                if self.breakpoints.is_loader(&stop.event.kind) {
                    self.update(process)?;
                }
                for (trap, fault) in faults {
                    if let Some((breakpoint, _)) = self.breakpoints.of_trap(*trap) {
                        let at = &breakpoint.wanted.at;
                        stop.problems.push(format!("{at}: the condition has no value: {fault}"));
                    }
                }
                let traps = traps.clone();
                for trap in traps {
                    self.trapped(trap, thread, &mut stop);
                }
                // One that somebody has set besides.
                let is_other = |trap: &TrapId| !self.is_ours(*trap);
                matches!(&stop.event.kind, EventKind::Trapped { traps, .. } if traps.iter().any(is_other))
            }
            EventKind::Forked { child, by } => {
                let (child, by) = (*child, *by);
                self.forked(process, child, by)?;
                self.told_by(&mut stop, |place| matches!(place, TrapPlace::Fork));
                false
            }
            EventKind::Executed { .. } => {
                self.breakpoints.executed(&mut self.controlled, process);
                self.watched
                    .retain(|id, _| self.breakpoints.get(*id).is_some_and(|one| !one.sites.is_empty()));
                self.update(process)?;
                self.told_by(&mut stop, |place| matches!(place, TrapPlace::Exec));
                false
            }
            EventKind::Ended(ending) => {
                let ending = *ending;
                self.breakpoints.ended(&mut self.controlled, process);
                self.gone(process, ProcessState::Ended(ending));
                true
            }
            EventKind::CallEntry { number, .. } => {
                let number = u32::try_from(*number).unwrap_or(u32::MAX);
                self.told_by(&mut stop, |place| {
                    matches!(place, TrapPlace::Call { numbers, phase }
                        if *phase != CallPhase::Exit && numbers.contains(number))
                });
                false
            }
            EventKind::CallExit { number, .. } => {
                let number = number.and_then(|number| u32::try_from(number).ok());
                self.told_by(&mut stop, |place| {
                    matches!(place, TrapPlace::Call { numbers, phase }
                        if *phase != CallPhase::Entry && number.is_none_or(|number| numbers.contains(number)))
                });
                false
            }
            EventKind::Signal { signal, .. } => {
                let number = signal.cast_unsigned();
                self.told_by(
                    &mut stop,
                    |place| matches!(place, TrapPlace::Signal(numbers) if numbers.contains(number)),
                );
                false
            }
            EventKind::ThreadCreated(_) => {
                self.told_by(&mut stop, |place| matches!(place, TrapPlace::ThreadCreated));
                false
            }
            EventKind::ThreadExited => {
                self.told_by(&mut stop, |place| matches!(place, TrapPlace::ThreadExited));
                false
            }
            _ => true,
        };
        let stops = is_told || !(stop.hits.is_empty() && stop.out_of_scope.is_empty());
        Ok(stops.then_some(stop))
    }

    /// A process may stay under control without a word of how it was made, where its calls are filtered.
    fn know(&mut self, process: ProcessId) {
        if !self.sessions.contains_key(&process)
            && let Ok(view) = self.controlled.process(process)
        {
            self.sessions.insert(process, self.options.beside(view, &self.binaries));
        }
    }

    fn is_ours(&self, trap: TrapId) -> bool {
        self.breakpoints.of_trap(trap).is_some()
            || self.breakpoints.is_loader(&EventKind::Trapped { traps: vec![trap], faults: Vec::new() })
            || self.watched.values().any(|watched| watched.ends_at(trap))
    }

    /// A process has made another one.
    fn forked(&mut self, parent: ProcessId, child: ProcessId, by: NewProcess) -> Result<(), DebugError> {
        if self.follow == Follow::Parent {
            return Ok(());
        }
        // One that uses its parent's memory has none of its own to look at, nor traps, until it runs another program.
        if by != NewProcess::Vfork {
            self.breakpoints.forked(parent, child);
            if self.controlled.processes().contains(&child) {
                self.update(child)?;
            }
        }
        if self.follow == Follow::Child && by != NewProcess::Vfork {
            self.breakpoints.ended(&mut self.controlled, parent);
            self.gone(parent, ProcessState::LetGo);
        }
        Ok(())
    }

    /// What stops that is told without a trap: all breakpoints of that kind in the process.
    fn told_by(&mut self, stop: &mut Stop, is_meant: impl Fn(&TrapPlace) -> bool) {
        let (process, thread) = (stop.event.process, stop.event.thread);
        let all = self.breakpoints.list().iter();
        let meant = all.filter(|one| matches!(&one.wanted.at, BreakAt::Trap(place) if is_meant(place)));
        let of_thread = meant.filter(|one| one.wanted.thread.is_none_or(|only| only == thread));
        let sites = of_thread.filter_map(|one| one.sites.iter().find(|site| site.process == process));
        let traps: Vec<TrapId> = sites.map(|site| site.trap).collect();
        for trap in traps {
            self.trapped(trap, thread, stop);
        }
    }

    /// A thread stands at a trap.
    fn trapped(&mut self, trap: TrapId, thread: ThreadId, stop: &mut Stop) {
        let process = stop.event.process;
        if let Some(id) = self.frame_ended(trap, process, thread) {
            stop.out_of_scope.push(id);
            let _ = self.remove(id);
            return;
        }
        let Some((breakpoint, site)) = self.breakpoints.of_trap(trap) else { return };
        let (id, site) = (breakpoint.id, site.clone());
        match self.hit(id, &site, process, thread, &stop.event.kind, &mut stop.problems) {
            Outcome::Nothing => {}
            Outcome::GoesOn(hit) => {
                if self.points.get(&id).is_some_and(|point| point.log.is_some()) {
                    self.hits.push(hit);
                }
            }
            Outcome::Stops(hit) => {
                stop.hits.push(hit);
                if self.points.get(&id).is_some_and(|point| point.wanted.temporary) {
                    let _ = self.remove(id);
                }
            }
        }
    }

    fn hit(
        &mut self,
        id: BreakpointId,
        site: &Site,
        process: ProcessId,
        thread: ThreadId,
        event: &EventKind,
        problems: &mut Vec<String>,
    ) -> Outcome {
        let Self { controlled, sessions, binaries, plans, points, watched, matched, .. } = self;
        let Some(point) = points.get(&id) else { return Outcome::Nothing };
        let at = site.place.as_ref().map(|place| place.at).filter(|_| super::is_code(&point.wanted.at));
        let (Ok(view), Some(session), Some(plan)) =
            (controlled.process(process), sessions.get(&process), plans.get(&(id, at)))
        else {
            return Outcome::Nothing;
        };
        let Some(registers) = view.registers(thread) else { return Outcome::Nothing };
        let needs_frames = plan.condition.is_some() || plan.template.is_some();
        let mut walker = Walker::new(view.info().arch).frame_limit(FRAMES);
        let stack = needs_frames.then(|| walker.walk(&registers, &StepContext::new(view, binaries)));
        let frames = stack.as_ref().map_or(&[][..], |stack| &stack.frames);
        let scope = session.at_moment(view, thread, frames);
        if let (Some(condition), Some(scope)) = (&plan.condition, &scope) {
            match condition.is_true(scope) {
                Ok(false) => return Outcome::Nothing,
                Ok(true) => {}
                Err(error) => problems.push(format!("the condition has no value: {error}")),
            }
            *matched.entry(id).or_default() += 1;
        }
        let was_recorded = plan.filter.collect.is_some();
        let log = scope.as_ref().and_then(|scope| Some(plan.template.as_ref()?.write(scope)));
        let text = log.or_else(|| match (&point.wanted.at, event) {
            (BreakAt::Trap(TrapPlace::Call { .. }), EventKind::CallExit { result, .. }) => {
                Some(format!("= {result}"))
            }
            (BreakAt::Trap(TrapPlace::Call { .. }), _) => Some(calls::arguments(view, &registers)),
            (BreakAt::Trap(TrapPlace::Data { .. }), _) => watched.get_mut(&id).map(|one| one.changed(view)),
            (BreakAt::Trap(TrapPlace::Fork), EventKind::Forked { child, .. }) => {
                Some(format!("process {child}"))
            }
            (BreakAt::Catch(catch), _) => said(*catch, view, &registers),
            _ => None,
        });
        let name = match event {
            EventKind::Signal { signal, .. } => SignalInfo::of_number(*signal).name().map(str::to_owned),
            EventKind::CallEntry { .. } => call_name(view.info().arch, &registers),
            EventKind::CallExit { number, .. } => number
                .and_then(|number| call::name(view.info().arch, u32::try_from(number).ok()?))
                .map(str::to_owned),
            _ => None,
        };
        let time = monotonic_clock();
        let at = match &point.wanted.at {
            BreakAt::Catch(_) => cause(view, session, binaries, &registers),
            _ => registers.pc().filter(|_| site.place.is_some()),
        };
        let hit = Hit { breakpoint: id, process, thread, time, at, name, text };
        let (then, is_asked) = (point.then, plan.filter.then == Then::Stop);
        let ignored = if plan.condition.is_some() { point.wanted.ignore } else { 0 };
        let Some(taken @ 1..) = self.breakpoints.asked(id).checked_sub(ignored) else {
            return Outcome::Nothing;
        };
        if let Some(handler) = self.handlers.get_mut(&id)
            && let (Ok(view), Some(session)) = (self.controlled.process(process), self.sessions.get(&process))
        {
            return match handler(&hit, Moment { process: view, session, thread }) {
                Decision::Stop => Outcome::Stops(hit),
                Decision::GoOn => Outcome::GoesOn(hit),
            };
        }
        match then {
            Then::GoOn => Outcome::GoesOn(hit),
            Then::StopAt(number) if is_asked && taken != number => Outcome::GoesOn(hit),
            // It is told already, as a record.
            Then::StopAt(_) if was_recorded => Outcome::Nothing,
            _ => Outcome::Stops(hit),
        }
    }

    /// A hit that nobody has stopped for longer than it took to write it down.
    pub(super) fn recorded(&mut self, record: &Record) {
        self.know(record.process);
        let Self { sessions, breakpoints, points, plans, watched, .. } = self;
        let Some((breakpoint, site)) = breakpoints.of_trap(record.trap) else { return };
        let id = breakpoint.id;
        let (Some(session), Some(point)) = (sessions.get(&record.process), points.get(&id)) else { return };
        let moment = RecordedMoment::new(session.process(), record);
        let arch = session.process().info().arch;
        let at = site.place.as_ref().map(|place| place.at).filter(|_| super::is_code(&point.wanted.at));
        let template = plans.get(&(id, at)).and_then(|plan| plan.template.as_ref());
        let (mut text, mut name) = (None, None);
        match &point.wanted.at {
            BreakAt::Trap(TrapPlace::Call { .. }) => {
                text = Some(calls::arguments(&moment, &record.registers));
                name = call_name(arch, &record.registers);
            }
            BreakAt::Trap(TrapPlace::Data { .. }) => {
                text = watched.get_mut(&id).map(|one| one.changed(&moment));
            }
            _ => {}
        }
        if let Some(template) = template {
            let frames = session.innermost_frame(&record.registers).map(|frame| [frame]);
            let scope = frames.as_ref().and_then(|frames| session.at_moment(&moment, record.thread, frames));
            text = scope.map(|scope| template.write(&scope));
        }
        let hit = Hit {
            breakpoint: id,
            process: record.process,
            thread: record.thread,
            time: record.time,
            at: at.or_else(|| record.registers.pc().filter(|_| site.place.is_some())),
            name,
            text,
        };
        self.hits.push(hit);
    }
}

fn call_name(arch: prospect_process::Arch, registers: &Registers) -> Option<String> {
    calls::number(arch, registers)
        .map(|number| call::name(arch, number).map_or_else(|| number.to_string(), str::to_owned))
}

/// What is thrown or panicked with.
fn said(catch: Catch, process: &dyn Process, registers: &Registers) -> Option<String> {
    let thrown = catch.thrown(process, registers).map(|thrown| thrown.type_name);
    thrown.or_else(|| catch.panicked(process, registers).map(|panicked| panicked.message))
}

/// Where something was done that the runtime of a language was called for: in the first frame that is not of it.
fn cause(
    process: &dyn Process,
    session: &Session,
    binaries: &Binaries,
    registers: &Registers,
) -> Option<Addr> {
    let mut walker = Walker::new(process.info().arch).frame_limit(FRAMES_OF_RUNTIME);
    let stack = walker.walk(registers, &StepContext::new(process, binaries));
    let is_runtime = |at: Addr| {
        let frames = session.resolve(at).frames;
        let Some(name) = frames.last().and_then(|frame| frame.function.as_deref()) else { return false };
        let name = name.strip_prefix('<').unwrap_or(name);
        RUNTIME.iter().any(|start| name.starts_with(start))
    };
    let mut places = stack.frames.iter().map(prospect_stack::Frame::for_lookup);
    places.find(|at| !is_runtime(*at)).or_else(|| registers.pc())
}
