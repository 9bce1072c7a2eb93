//! One run of the command.

use std::{
    collections::{HashMap, HashSet},
    thread,
    time::{Duration, Instant},
};

use prospect::{
    Debugger, OpenOptions, Session,
    debug::breakpoint::{BreakAt, BreakpointId, BreakpointSpec},
    debugger::{Hit as Found, Stop},
    live::{Events, Launch, Wait, monotonic_clock},
    process::{
        Addr, ProcessId, ThreadId,
        control::{DataAccess, Ending, EventKind, Leave, TrapPlace},
    },
};

use super::{
    Args, debug_failure,
    points::{self, Asked},
};
use crate::{
    exit::{self, Failure, Outcome, Result},
    report::{self, Called, Hit, HitKind, Total},
};

/// So long is waited for an event before other things are looked at.
const TURN: Duration = Duration::from_millis(100);

/// What is said of system calls by name.
const SLOWS: &str =
    "the program stops at all system calls; one that is started with --kill-on-exit, only at these";

/// What is traced.
pub(super) enum Traced {
    Process(ProcessId),
    Program(Launch),
}

pub(super) struct Trace<'a> {
    args: &'a Args,
    debugger: Debugger,
    process: ProcessId,
    asked: HashMap<BreakpointId, Asked>,
    /// The names of places.
    places: HashMap<(ProcessId, Addr), Called>,
    /// Problems that were told.
    told: HashSet<String>,
    began: Duration,
    shown: u64,
}

impl<'a> Trace<'a> {
    pub(super) fn new(args: &'a Args, options: OpenOptions, traced: Traced) -> Result<Self> {
        let debugger = match traced {
            Traced::Process(process) => Debugger::attach(options, process),
            Traced::Program(program) => Debugger::launch(options, program),
        };
        let debugger = debugger.map_err(|error| debug_failure(&error))?;
        let process = *debugger.processes().first().ok_or_else(|| Failure::failed("there is no process"))?;
        Ok(Self {
            args,
            debugger,
            process,
            asked: HashMap::new(),
            places: HashMap::new(),
            told: HashSet::new(),
            began: monotonic_clock(),
            shown: 0,
        })
    }

    pub(super) fn run(mut self, specs: Vec<BreakpointSpec>) -> Result {
        self.watch_interrupts()?;
        let arch = self.session()?.process().info().arch;
        for asked in points::of(self.args, specs, arch)? {
            let id = self.debugger.add(asked.point.clone()).map_err(|error| debug_failure(&error))?;
            self.asked.insert(id, asked);
        }
        self.set_watches()?;
        self.tell_problems();
        let why = self.follow();
        // Whatever has happened, the target is let go before anything else is done.
        let totals = self.totals();
        if self.args.kill_on_exit {
            // It ends with its tracer, and so does what it has made.
        } else if self.debugger.processes().contains(&self.process) {
            self.debugger.detach(self.process, Leave::AsItWas).map_err(|error| debug_failure(&error))?;
        }
        let why = why?;
        let binaries = self.debugger.binaries().clone();
        drop(self.debugger);
        if self.args.json { report::totals_json(&totals, &why) } else { report::totals_text(&totals, &why) }?;
        binaries.store();
        let is_nowhere = |total: &Total| {
            matches!(total.kind, HitKind::Breakpoint | HitKind::Catch) && total.places == 0 && total.hits == 0
        };
        Ok(if totals.iter().any(is_nowhere) { Outcome::Partial } else { Outcome::Complete })
    }

    fn session(&self) -> Result<&Session> {
        self.debugger.session(self.process).map_err(|error| debug_failure(&error))
    }

    /// The first Ctrl-C ends the work, the second one the command.
    fn watch_interrupts(&self) -> Result<()> {
        let events = Events::new()?;
        events.waker().wake_on_interrupt()?;
        let handle = self.debugger.stop_handle();
        let wait = move || {
            if events.handle_events(Wait::Forever).is_ok() {
                handle.stop();
            }
        };
        // Without it, Ctrl-C ends the program at the second time.
        let _ = thread::Builder::new().name("interrupt".into()).spawn(wait);
        Ok(())
    }

    fn set_watches(&mut self) -> Result<()> {
        let thread = ThreadId::from(self.process);
        for text in &self.args.watch {
            // What it is at is found there.
            let point = points::point(self.args, BreakAt::Trap(TrapPlace::Exec));
            let asked = Asked { kind: HitKind::Watch, label: text.clone(), point: point.clone() };
            let id = self.debugger.watch(thread, text, DataAccess::Write, point);
            self.asked.insert(id.map_err(|error| debug_failure(&error))?, asked);
        }
        Ok(())
    }

    /// Says once what is wrong with each.
    fn tell_problems(&mut self) {
        for breakpoint in self.debugger.breakpoints() {
            let Some(asked) = self.asked.get(&breakpoint.id) else { continue };
            let label = &asked.label;
            let mut problems = breakpoint.problems.clone();
            if breakpoint.is_pending() {
                problems.push("nothing is found yet; a library may bring it".into());
            }
            for problem in problems {
                let problem = format!("{label}: {problem}");
                if self.told.insert(problem.clone()) {
                    exit::tell(format_args!("{problem}"));
                }
            }
        }
    }

    /// Lets the target run until there is a reason to end; says which.
    fn follow(&mut self) -> Result<String> {
        let deadline = self.args.timeout.map(|timeout| Instant::now() + timeout);
        let mut runs = false;
        loop {
            if !runs {
                self.debugger.resume().map_err(|error| debug_failure(&error))?;
                runs = true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let stop = self.debugger.wait(Some(left.map_or(TURN, |left| left.min(TURN))));
            for hit in self.debugger.take_hits() {
                self.show(&hit, false)?;
            }
            if let Some(stop) = stop.map_err(|error| debug_failure(&error))? {
                runs = false;
                if let Some(why) = self.stopped(&stop)? {
                    return Ok(why);
                }
            }
            if self.args.limit.is_some_and(|limit| self.shown >= limit) {
                return Ok("the limit is reached".into());
            }
            if self.debugger.check_and_clear_stop() {
                return Ok("interrupted".into());
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok("the time is over".into());
            }
        }
    }

    /// All stand; why it is the end, if it is.
    fn stopped(&mut self, stop: &Stop) -> Result<Option<String>> {
        for problem in &stop.problems {
            exit::tell(format_args!("{problem}"));
        }
        for hit in &stop.hits {
            self.show(hit, true)?;
        }
        Ok(match &stop.event.kind {
            EventKind::Ended(ending) if stop.event.process == self.process => Some(match ending {
                Ending::Exited(status) => format!("the process has ended with status {status}"),
                Ending::Signalled(signal) => format!("the process was ended by signal {signal}"),
                Ending::Unknown => "the process has ended".into(),
            }),
            EventKind::Interrupted => Some("interrupted".into()),
            _ => None,
        })
    }

    fn show(&mut self, found: &Found, stands: bool) -> Result<()> {
        if self.args.limit.is_some_and(|limit| self.shown >= limit) {
            return Ok(());
        }
        self.shown += 1;
        let Some(asked) = self.asked.get(&found.breakpoint) else { return Ok(()) };
        if self.args.silent {
            return Ok(());
        }
        let session = self.debugger.session(found.process).ok();
        let mut stack = Vec::new();
        if stands
            && self.args.stack
            && let Some(session) = session
        {
            let walked = self.debugger.walk(found.thread).map_err(|error| debug_failure(&error))?;
            stack = walked
                .frames
                .iter()
                .flat_map(|frame| calls(session, frame.code.addr(), frame.for_lookup()))
                .collect();
        }
        let place = found.at.and_then(|at| {
            let named = || session.map(|session| calls(session, at, at).remove(0));
            let known = self.places.get(&(found.process, at)).cloned();
            let place = known.or_else(named)?;
            self.places.insert((found.process, at), place.clone());
            Some(place)
        });
        let label = found.name.clone().unwrap_or_else(|| asked.label.clone());
        let hit = Hit {
            kind: asked.kind,
            time: found.time.saturating_sub(self.began),
            thread: found.thread,
            label,
            place,
            text: found.text.clone(),
            stack,
        };
        Ok(if self.args.json { report::hit_json(&hit) } else { report::hit_text(&hit) }?)
    }

    fn totals(&mut self) -> Vec<Total> {
        let mut totals = Vec::new();
        for breakpoint in self.debugger.breakpoints().to_vec() {
            let Some(asked) = self.asked.get(&breakpoint.id) else { continue };
            let Ok(counts) = self.debugger.counts(breakpoint.id) else { continue };
            let mut notes = self.debugger.notes(breakpoint.id);
            notes.extend(breakpoint.problems.iter().cloned());
            notes.dedup();
            if asked.kind == HitKind::Syscall && asked.label != "all" && self.args.filtered_calls().is_none()
            {
                notes.push(SLOWS.to_owned());
            }
            totals.push(Total {
                kind: asked.kind,
                label: asked.label.clone(),
                places: breakpoint.most_sites,
                hits: counts.hits,
                matched: counts.matched,
                faults: counts.faults,
                notes,
            });
        }
        totals
    }
}

/// The calls of a frame: `lookup` is in the instruction that it is about.
fn calls(session: &Session, at: Addr, lookup: Addr) -> Vec<Called> {
    let frames = session.resolve(lookup).frames;
    let mut calls: Vec<Called> = frames
        .into_iter()
        .map(|frame| Called {
            address: at,
            function: frame.function,
            file: frame.file,
            line: frame.line,
            inlined: frame.inlined,
        })
        .collect();
    if calls.is_empty() {
        calls.push(Called { address: at, function: None, file: None, line: None, inlined: false });
    }
    calls
}
