//! One run of the command.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use prospect::{
    OpenOptions, Session,
    debug::{
        breakpoint::{BreakpointId, BreakpointSpec, Breakpoints, Wanted},
        call,
        condition::RecordedMoment,
    },
    live::{Controlled, Events, Wait, monotonic_clock},
    process::{
        Addr, Arch, Process, ProcessId, Target as _, ThreadId,
        agent::{Assembler, Opcode},
        control::{
            CallPhase, Collection, Control as _, DataAccess, Ending, Event, EventKind, Filter, Leave,
            Numbers, Record, Resume, Then, Trap, TrapCounts, TrapId, TrapPlace,
        },
    },
    stack::{StepContext, Walker},
    symbols::Binaries,
    value::expression::Expression,
};

use super::{
    Args, failure,
    plan::{Plan, called, calls},
};
use crate::{
    exit::{self, Failure, Outcome, Result},
    report::{self, Called, Hit, HitKind, Total},
};

/// So long is waited for an event before other things are looked at.
const TURN: Duration = Duration::from_millis(100);

/// A path is no longer (`PATH_MAX`).
const LONGEST_PATH: u64 = 4096;

/// What is waited for besides breakpoints.
#[derive(Debug)]
enum Other {
    Call { name: String },
    Watch { text: String, at: Addr, bytes: u8, last: Vec<u8> },
}

pub(super) struct Trace<'a> {
    args: &'a Args,
    options: OpenOptions,
    controlled: Controlled,
    process: ProcessId,
    binaries: Arc<Binaries>,
    session: Session,
    breakpoints: Breakpoints,
    plans: HashMap<Addr, Plan>,
    others: Vec<(TrapId, Other)>,
    /// How often a condition was true that was evaluated at a stop.
    matched: HashMap<BreakpointId, u64>,
    interrupted: Arc<AtomicBool>,
    began: Duration,
    shown: u64,
}

impl<'a> Trace<'a> {
    pub(super) fn new(args: &'a Args, options: OpenOptions, controlled: Controlled) -> Result<Self> {
        let process =
            *controlled.processes().first().ok_or_else(|| Failure::failed("there is no process"))?;
        let view = controlled.process(process).map_err(Failure::failed)?;
        let binaries = options.new_binaries();
        let session = options.beside(view, &binaries);
        Ok(Self {
            args,
            options,
            process,
            binaries,
            session,
            controlled,
            breakpoints: Breakpoints::new(process),
            plans: HashMap::new(),
            others: Vec::new(),
            matched: HashMap::new(),
            interrupted: Arc::default(),
            began: monotonic_clock(),
            shown: 0,
        })
    }

    pub(super) fn run(mut self, specs: Vec<BreakpointSpec>) -> Result {
        self.watch_interrupts()?;
        for spec in specs {
            let Args { entry, hardware, ignore, .. } = *self.args;
            self.breakpoints.add(Wanted { entry, hardware, ignore, ..Wanted::at(spec) });
        }
        self.update()?;
        self.set_calls()?;
        self.set_watches()?;
        for breakpoint in self.breakpoints.list() {
            let spec = &breakpoint.wanted.spec;
            for problem in &breakpoint.problems {
                exit::tell(format_args!("{spec}: {problem}"));
            }
            if breakpoint.is_pending() {
                exit::tell(format_args!("{spec}: nothing is found yet; a library may bring it"));
            }
        }
        let why = self.follow();
        // Whatever has happened, the target is let go before anything else is done.
        let totals = self.totals();
        if self.controlled.processes().contains(&self.process) {
            self.controlled.detach(self.process, Leave::AsItWas).map_err(|error| failure(&error))?;
        }
        let why = why?;
        drop(self.controlled);
        if self.args.json { report::totals_json(&totals, &why) } else { report::totals_text(&totals, &why) }?;
        self.binaries.store();
        let is_nowhere =
            |total: &Total| total.kind == HitKind::Breakpoint && total.places == 0 && total.hits == 0;
        Ok(if totals.iter().any(is_nowhere) { Outcome::Partial } else { Outcome::Complete })
    }

    /// The first Ctrl-C ends the work, the second one the command.
    fn watch_interrupts(&self) -> Result<()> {
        let events = Events::new()?;
        events.waker().wake_on_interrupt()?;
        let (interrupter, flag) = (self.controlled.interrupter(), self.interrupted.clone());
        let wait = move || {
            if events.handle_events(Wait::Forever).is_ok() {
                flag.store(true, Ordering::Relaxed);
                interrupter.interrupt();
            }
        };
        // Without it, Ctrl-C ends the program at the second time.
        let _ = thread::Builder::new().name("interrupt".into()).spawn(wait);
        Ok(())
    }

    /// Looks at the modules that there are now, and puts breakpoints where they lead to.
    fn update(&mut self) -> Result<()> {
        let view = self.controlled.process(self.process).map_err(Failure::failed)?;
        self.session = self.options.beside(view, &self.binaries);
        let mut addresses = HashMap::new();
        for breakpoint in self.breakpoints.list() {
            if let BreakpointSpec::Expression(text) = &breakpoint.wanted.spec {
                addresses.insert(text.clone(), self.address(text).map(|(at, _)| at));
            }
        }
        let evaluate = |text: &str| addresses.get(text).cloned().unwrap_or(Err("it has no value".into()));
        let Self { args, controlled, binaries, session, breakpoints, plans, .. } = self;
        breakpoints
            .update(controlled, binaries, &evaluate, &mut |_, place| {
                let plan = plans.entry(place.at).or_insert_with(|| Plan::new(args, session, place.at));
                plan.filter.clone()
            })
            .map_err(|error| failure(&error))
    }

    /// What an expression means where the process stands: its address, and how many bytes are there.
    fn address(&self, text: &str) -> std::result::Result<(Addr, Option<u64>), String> {
        let view = self.controlled.process(self.process).map_err(|error| error.to_string())?;
        let thread = ThreadId::from(self.process);
        let registers = view.registers(thread).ok_or("the process does not stand")?;
        let frame = self.session.innermost_frame(&registers).ok_or("the process does not stand")?;
        let frames = [frame];
        let scope = self.session.at_moment(view, thread, &frames).ok_or("there is no frame")?;
        let object = Expression::parse(text, &|_| false).and_then(|expression| expression.evaluate(&scope));
        let object = object.map_err(|error| format!("`{text}`: {error}"))?;
        if let Some(at) = object.address() {
            return Ok((at, object.ty.size()));
        }
        let number = object.integer(&scope).map_err(|error| format!("`{text}`: {error}"))?;
        Ok((Addr(u64::try_from(number).map_err(|_| format!("`{text}` is no address"))?), None))
    }

    fn arch(&self) -> Arch {
        self.session.process().info().arch
    }

    fn then(&self) -> Then {
        match self.args.limit {
            _ if self.args.stack => Then::Stop,
            Some(limit) => Then::StopAt(limit),
            None => Then::GoOn,
        }
    }

    fn set(&mut self, place: TrapPlace, collect: Collection, other: Other) -> Result<()> {
        let (then, silent, thread) = (self.then(), self.args.silent, self.args.thread.map(ThreadId));
        let collect = Some(collect).filter(|_| !silent && then != Then::Stop);
        let filter = Filter { thread, ignore: self.args.ignore, collect, then, ..Filter::default() };
        let trap = self.controlled.set_trap(self.process, Trap { place, filter }).map_err(Failure::failed)?;
        self.others.push((trap, other));
        Ok(())
    }

    fn set_calls(&mut self) -> Result<()> {
        let arch = self.arch();
        if self.args.syscall.is_empty() {
            return Ok(());
        }
        let known = call::registers(arch);
        let known =
            known.ok_or_else(|| Failure::failed("system calls of this architecture are not known"))?;
        let id = |name: &str| arch.info().by_name(name);
        let registers: Vec<_> =
            known.arguments.iter().chain([&known.number]).filter_map(|name| id(name)).collect();
        for name in &self.args.syscall {
            let number = call::number(arch, name);
            let numbers = match number {
                _ if name == "all" => Numbers::All,
                Some(number) => Numbers::Only(vec![number]),
                None => return Err(Failure::usage(format_args!("there is no system call `{name}`"))),
            };
            let name = number.and_then(|number| call::name(arch, number)).unwrap_or(name);
            let mut code = Assembler::new();
            let paths = call::paths(name);
            for register in paths.iter().filter_map(|path| id(known.arguments[*path])) {
                code.register(register).constant(LONGEST_PATH).op(Opcode::TraceString);
            }
            let memory = if paths.is_empty() { None } else { Some(code.finish().map_err(Failure::failed)?) };
            let place = TrapPlace::Call { numbers, phase: CallPhase::Entry };
            let collect = Collection { registers: registers.clone(), memory };
            self.set(place, collect, Other::Call { name: name.to_owned() })?;
        }
        Ok(())
    }

    fn set_watches(&mut self) -> Result<()> {
        for text in &self.args.watch {
            let (at, size) = self.address(text).map_err(Failure::failed)?;
            let size =
                size.and_then(|size| u8::try_from(size).ok()).filter(|size| matches!(size, 1 | 2 | 4 | 8));
            let wrong = || {
                Failure::failed(format_args!("`{text}` has not 1, 2, 4 or 8 bytes, and cannot be watched"))
            };
            let bytes = size.ok_or_else(wrong)?;
            let mut code = Assembler::new();
            code.constant(at.0).constant(bytes.into()).op(Opcode::Trace);
            let memory = Some(code.finish().map_err(Failure::failed)?);
            let info = self.arch().info();
            let collect = Collection { registers: vec![info.pc, info.sp, info.fp], memory };
            let mut last = vec![0; usize::from(bytes)];
            let view = self.controlled.process(self.process).map_err(Failure::failed)?;
            view.memory().read(at, &mut last).map_err(Failure::failed)?;
            let place = TrapPlace::Data { at, bytes, access: DataAccess::Write };
            self.set(place, collect, Other::Watch { text: text.clone(), at, bytes, last })?;
        }
        Ok(())
    }

    /// Lets the target run until there is a reason to end; says which.
    fn follow(&mut self) -> Result<String> {
        let deadline = self.args.timeout.map(|timeout| Instant::now() + timeout);
        let mut runs = false;
        loop {
            if !runs {
                self.controlled.resume(&Resume::all()).map_err(|error| failure(&error))?;
                runs = true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let event = self.controlled.wait(Some(left.map_or(TURN, |left| left.min(TURN))));
            for record in self.controlled.take_records() {
                self.recorded(&record)?;
            }
            let event = event.map_err(|error| failure(&error))?;
            if let Some(event) = event {
                runs = false;
                if let Some(why) = self.happened(&event)? {
                    return Ok(why);
                }
            }
            if self.args.limit.is_some_and(|limit| self.shown >= limit) {
                return Ok("the limit is reached".into());
            }
            if self.interrupted.load(Ordering::Relaxed) {
                return Ok("interrupted".into());
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok("the time is over".into());
            }
        }
    }

    /// Something that all stand for; why it is the end, if it is.
    fn happened(&mut self, event: &Event) -> Result<Option<String>> {
        match &event.kind {
            EventKind::Trapped { traps, faults } => {
                if self.breakpoints.is_loader(&event.kind) {
                    self.update()?;
                }
                for (trap, fault) in faults {
                    if self.breakpoints.of_trap(*trap).is_some() {
                        exit::tell(format_args!("the condition has no value: {fault}"));
                    }
                }
                for trap in traps {
                    self.stopped(*trap, event.thread)?;
                }
            }
            EventKind::CallEntry { .. } => {
                let arch = self.arch();
                let number = self.syscall_number(event.thread);
                let matching = |(_, other): &&(TrapId, Other)| {
                    matches!(other, Other::Call { name } if name == "all"
                        || number.is_some_and(|number| call::number(arch, name) == Some(number)))
                };
                if let Some((trap, _)) = self.others.iter().find(matching) {
                    self.stopped(*trap, event.thread)?;
                }
            }
            EventKind::Executed { .. } if event.process == self.process => {
                self.breakpoints.executed(&mut self.controlled);
                self.plans.clear();
                self.update()?;
            }
            EventKind::Ended(ending) if event.process == self.process => {
                return Ok(Some(match ending {
                    Ending::Exited(status) => format!("the process has ended with status {status}"),
                    Ending::Signalled(signal) => format!("the process was ended by signal {signal}"),
                    Ending::Unknown => "the process has ended".into(),
                }));
            }
            EventKind::Interrupted => return Ok(Some("interrupted".into())),
            _ => {}
        }
        Ok(None)
    }

    fn syscall_number(&self, thread: ThreadId) -> Option<u32> {
        let registers = self.controlled.process(self.process).ok()?.registers(thread)?;
        let number = self.arch().info().by_name(call::registers(self.arch())?.number)?;
        u32::try_from(registers.get(number)?).ok()
    }

    /// A trap that a thread stands at.
    fn stopped(&mut self, trap: TrapId, thread: ThreadId) -> Result<()> {
        let hit = self.hit_of_stop(trap, thread)?;
        let Some(hit) = hit else { return Ok(()) };
        self.show(&hit)
    }

    fn hit_of_stop(&mut self, trap: TrapId, thread: ThreadId) -> Result<Option<Hit>> {
        let time = monotonic_clock().saturating_sub(self.began);
        let Self { controlled, session, binaries, breakpoints, plans, matched, args, others, .. } = self;
        let view = controlled.process(self.process).map_err(Failure::failed)?;
        let Some(registers) = view.registers(thread) else { return Ok(None) };
        let stack = Walker::new(view.info().arch).walk(&registers, &StepContext::new(view, binaries));
        let shown = || -> Vec<Called> {
            let frames = stack.frames.iter().filter(|_| args.stack);
            frames.flat_map(|frame| calls(session, frame.code.addr(), frame.for_lookup())).collect()
        };
        if let Some((breakpoint, place)) = breakpoints.of_trap(trap) {
            let Some(plan) = plans.get(&place.at) else { return Ok(None) };
            let scope = session.at_moment(view, thread, &stack.frames);
            if let (Some(condition), Some(scope)) = (&plan.condition, &scope) {
                match condition.is_true(scope) {
                    Ok(false) => return Ok(None),
                    Ok(true) => {}
                    Err(error) => exit::tell(format_args!("the condition has no value: {error}")),
                }
            }
            let id = breakpoint.id;
            let label = breakpoint.wanted.spec.to_string();
            // The one that the limit stopped was recorded too.
            let is_recorded = !plan.stops() && !args.silent;
            let text = scope.as_ref().and_then(|scope| Some(plan.template.as_ref()?.write(scope)));
            let hit = Hit {
                kind: HitKind::Breakpoint,
                time,
                thread,
                label,
                place: Some(plan.place.clone()),
                text,
                stack: shown(),
            };
            if plan.stops() {
                *matched.entry(id).or_default() += 1;
            }
            if is_recorded || !breakpoints.counts(trap) {
                return Ok(None);
            }
            return Ok(Some(hit));
        }
        let Some((_, other)) = others.iter_mut().find(|(known, _)| *known == trap) else { return Ok(None) };
        if !args.stack && !args.silent {
            return Ok(None);
        }
        let stack = shown();
        Ok(Some(other_hit(other, session, view, thread, time, stack)))
    }

    /// A hit that nobody has stopped for longer than it took to write it down.
    fn recorded(&mut self, record: &Record) -> Result<()> {
        if self.args.limit.is_some_and(|limit| self.shown >= limit) {
            return Ok(());
        }
        let time = record.time.saturating_sub(self.began);
        let Self { session, breakpoints, plans, others, .. } = self;
        let moment = RecordedMoment::new(session.process(), record);
        let hit = if let Some((breakpoint, place)) = breakpoints.of_trap(record.trap) {
            let Some(plan) = plans.get(&place.at) else { return Ok(()) };
            let label = breakpoint.wanted.spec.to_string();
            let text = plan.template.as_ref().and_then(|template| {
                let frames = [session.innermost_frame(&record.registers)?];
                let scope = session.at_moment(&moment, record.thread, &frames)?;
                Some(template.write(&scope))
            });
            let place = Some(plan.place.clone());
            let hit = Hit {
                kind: HitKind::Breakpoint,
                time,
                thread: record.thread,
                label,
                place,
                text,
                stack: Vec::new(),
            };
            if !breakpoints.counts(record.trap) {
                return Ok(());
            }
            hit
        } else {
            let Some((_, other)) = others.iter_mut().find(|(known, _)| *known == record.trap) else {
                return Ok(());
            };
            other_hit(other, session, &moment, record.thread, time, Vec::new())
        };
        self.show(&hit)
    }

    fn show(&mut self, hit: &Hit) -> Result<()> {
        if self.args.limit.is_some_and(|limit| self.shown >= limit) {
            return Ok(());
        }
        self.shown += 1;
        if self.args.silent {
            return Ok(());
        }
        Ok(if self.args.json { report::hit_json(hit) } else { report::hit_text(hit) }?)
    }

    fn totals(&mut self) -> Vec<Total> {
        let mut totals = Vec::new();
        for breakpoint in self.breakpoints.list() {
            let counts = self.breakpoints.totals(&mut self.controlled, breakpoint.id);
            let plans = breakpoint.places.iter().filter_map(|(place, _)| self.plans.get(&place.at));
            let is_ours = self.plans.values().any(|plan| plan.condition.is_some());
            let own = self.matched.get(&breakpoint.id).copied().unwrap_or_default();
            let mut notes: Vec<String> = plans.flat_map(|plan| plan.notes.clone()).collect();
            notes.extend(breakpoint.problems.iter().cloned());
            notes.dedup();
            totals.push(Total {
                kind: HitKind::Breakpoint,
                label: breakpoint.wanted.spec.to_string(),
                places: breakpoint.places.len(),
                hits: counts.hits,
                matched: if is_ours { own } else { counts.matched },
                faults: counts.faults,
                notes,
            });
        }
        for (trap, other) in &self.others {
            let TrapCounts { hits, matched, faults, .. } = self.controlled.counts(*trap);
            let (kind, label) = match other {
                Other::Call { name } => (HitKind::Syscall, name.clone()),
                Other::Watch { text, .. } => (HitKind::Watch, text.clone()),
            };
            totals.push(Total { kind, label, places: 1, hits, matched, faults, notes: Vec::new() });
        }
        totals
    }
}

/// What a system call or a watched variable has to say.
fn other_hit(
    other: &mut Other,
    session: &Session,
    process: &dyn Process,
    thread: ThreadId,
    time: Duration,
    stack: Vec<Called>,
) -> Hit {
    let info = process.info().arch.info();
    let registers = process.registers(thread);
    let register = |name: &str| registers.and_then(|registers| registers.get(info.by_name(name)?));
    match other {
        Other::Call { name } => {
            let known = call::registers(process.info().arch);
            let number = known.and_then(|known| u32::try_from(register(known.number)?).ok());
            let label = number.and_then(|number| call::name(process.info().arch, number)).unwrap_or(name);
            let paths = call::paths(label);
            let argument = |(index, name): (usize, &&str)| {
                let Some(value) = register(name) else { return "?".into() };
                let path = paths.contains(&index).then(|| process.memory().read_c_string(Addr(value), 4096));
                match path {
                    Some(Ok(path)) => format!("\"{}\"", String::from_utf8_lossy(&path).escape_debug()),
                    _ if value < 1 << 16 => value.to_string(),
                    // Errors and `AT_FDCWD`, whether as numbers of 32 or 64 bits.
                    _ if (value as u32).cast_signed() > -4096
                        && matches!(value >> 32, 0 | 0xffff_ffff)
                        && value >> 31 & 1 == 1 =>
                    {
                        (value as u32).cast_signed().to_string()
                    }
                    _ => format!("{value:#x}"),
                }
            };
            let arguments = known.iter().flat_map(|known| known.arguments.iter().enumerate().map(argument));
            let text = arguments.collect::<Vec<_>>().join(", ");
            let label = label.to_owned();
            Hit { kind: HitKind::Syscall, time, thread, label, place: None, text: Some(text), stack }
        }
        Other::Watch { text: label, at, bytes, last } => {
            let mut now = vec![0; usize::from(*bytes)];
            let read = process.memory().read(*at, &mut now);
            let number =
                |bytes: &[u8]| info.unsigned(bytes).map_or_else(|| "?".into(), |number| number.to_string());
            let text = match read {
                Ok(()) => format!("{} -> {}", number(last), number(&now)),
                Err(error) => format!("{} -> <{error}>", number(last)),
            };
            *last = now;
            let place = registers.and_then(|registers| registers.pc()).map(|at| called(session, at));
            Hit { kind: HitKind::Watch, time, thread, label: label.clone(), place, text: Some(text), stack }
        }
    }
}
