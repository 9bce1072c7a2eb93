//! Programs under control, in terms of their source: breakpoints, conditions, logs, steps.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod standing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prospect::{
    OpenOptions, Session,
    debug::{
        breakpoint::{Breakpoints, Wanted},
        condition::{Compiled, RecordedMoment, Template},
        step::{self, Plain, Step, StepEnd, Stepping},
    },
    live::Controlled,
    process::{
        Addr, ProcessId, Target as _, ThreadId,
        control::{Control as _, Event, EventKind, Filter, Resume, Then},
    },
    symbols::Binaries,
    value::expression::Expression,
};
use prospect_testing::{Fixture, Missing, fixture, require, rounds};
use standing::PATIENCE;

struct Debugged {
    fixture: Fixture,
    controlled: Controlled,
    process: ProcessId,
    binaries: Arc<Binaries>,
    session: Session,
    breakpoints: Breakpoints,
}

impl Debugged {
    fn start(name: &str, arguments: &[&str]) -> Result<Self, Missing> {
        let fixture = fixture(name)?;
        let controlled = Controlled::launch(&standing::launch(&fixture, arguments)).unwrap();
        let process = controlled.processes()[0];
        let options = OpenOptions::new();
        let binaries = options.new_binaries();
        let session = options.beside(controlled.process(process).unwrap(), &binaries);
        let breakpoints = Breakpoints::new();
        Ok(Self { fixture, controlled, process, binaries, session, breakpoints })
    }

    fn update(&mut self, filter: &mut dyn FnMut(&Session, Addr) -> Filter) {
        let Self { controlled, binaries, session, breakpoints, process, .. } = self;
        *session = OpenOptions::new().beside(controlled.process(*process).unwrap(), binaries);
        let no = |_: &str| Err("no expressions".to_owned());
        breakpoints
            .update(controlled, *process, binaries, &no, &mut |_, place| {
                Ok(filter(session, place.unwrap().at))
            })
            .unwrap();
    }

    fn at(&mut self, spec: &str, filter: &mut dyn FnMut(&Session, Addr) -> Filter) {
        self.breakpoints.add(Wanted::at(spec.parse().unwrap()));
        self.update(filter);
    }

    /// The next event but the loader's.
    fn next(&mut self) -> Event {
        let deadline = Instant::now() + PATIENCE;
        self.controlled.resume(&Resume::all()).unwrap();
        loop {
            assert!(Instant::now() < deadline, "no event came");
            let Some(event) = self.controlled.wait(Some(Duration::from_secs(5))).unwrap() else { continue };
            if !self.breakpoints.is_loader(&event.kind) {
                return event;
            }
            self.update(&mut |_, _| Filter::default());
            self.controlled.resume(&Resume::all()).unwrap();
        }
    }

    /// Where a thread stands: function and line.
    fn place(&self, thread: ThreadId) -> (String, u64) {
        standing::place(&self.session, self.controlled.process(self.process).unwrap(), thread)
    }

    fn step(&mut self, thread: ThreadId, how: &Step) -> StepEnd {
        let how = Stepping::new(how.clone(), PATIENCE);
        let mut driver = Plain::new(&mut self.controlled);
        step::step(&mut driver, &self.binaries, self.process, thread, &how).unwrap()
    }

    fn line(&self, mark: &str) -> u64 {
        self.fixture.line_of(mark)
    }
}

#[test]
fn lines_are_stepped_over_into_and_out_of() {
    for _ in rounds() {
        let mut debugged = require!(Debugged::start("steps", &[]));
        debugged.at("main", &mut |_, _| Filter::default());
        let thread = debugged.next().thread;
        let at = |debugged: &Debugged, function: &str, mark: &str| {
            assert_eq!(debugged.place(thread), (function.to_owned(), debugged.line(mark)));
        };
        at(&debugged, "main", "main_first");
        assert_eq!(debugged.step(thread, &Step::Over), StepEnd::Done);
        at(&debugged, "main", "main_call");
        assert_eq!(debugged.step(thread, &Step::Into), StepEnd::Done);
        at(&debugged, "callee", "callee_first");
        let StepEnd::Returned(returned) = debugged.step(thread, &Step::Out) else {
            panic!("it did not return")
        };
        assert_eq!(returned.integer.map(|number| number as u32), Some(6));
        assert_eq!(debugged.place(thread).0, "main");
        assert_eq!(debugged.step(thread, &Step::Over), StepEnd::Done);
        at(&debugged, "main", "main_recursion");
        // Over a call that recurses.
        assert_eq!(debugged.step(thread, &Step::Over), StepEnd::Done);
        assert_eq!(debugged.place(thread).0, "main", "what is inlined is stepped over");
        assert!(debugged.place(thread).1 > debugged.line("main_recursion"));
    }
}

#[test]
fn a_step_in_a_recursion_stays_in_its_frame() {
    for _ in rounds() {
        let mut debugged = require!(Debugged::start("steps", &[]));
        debugged.at("recursive", &mut |_, _| Filter { then: Then::StopAt(1), ..Filter::default() });
        let thread = debugged.next().thread;
        for mark in ["recursive_call", "recursive_end"] {
            while debugged.place(thread).1 != debugged.line(mark) {
                assert_eq!(debugged.step(thread, &Step::Over), StepEnd::Done);
                assert_eq!(debugged.place(thread).0, "recursive");
            }
        }
        let StepEnd::Returned(returned) = debugged.step(thread, &Step::Out) else {
            panic!("it did not return")
        };
        // Of the outermost of four calls.
        assert_eq!(returned.integer.map(|number| number as u32), Some(4));
        assert_eq!(debugged.place(thread).0, "main");
    }
}

#[test]
fn a_line_has_a_breakpoint_in_each_inlined_copy() {
    for _ in rounds() {
        let mut debugged = require!(Debugged::start("steps", &[]));
        let line = debugged.line("inlined");
        debugged.at(&format!("steps.c:{line}"), &mut |_, _| Filter::default());
        assert_eq!(debugged.breakpoints.list()[0].sites.len(), 2);
        for _ in 0..2 {
            let event = debugged.next();
            assert!(matches!(event.kind, EventKind::Trapped { .. }), "{event:?}");
            assert_eq!(debugged.place(event.thread), ("inlined".to_owned(), line));
        }
        assert!(matches!(debugged.next().kind, EventKind::Ended(_)));
    }
}

/// What is compiled and what is evaluated at a stop are the same, at every hit.
#[test]
fn conditions_are_the_same_next_to_the_stop_and_in_the_front_half() {
    for _ in rounds() {
        let mut debugged = require!(Debugged::start("controlled", &["count", "12", "1"]));
        let conditions = [
            "number == 7",
            "number * 3 - 1 > 10 && text[0] == 't'",
            "number % 4 == 1 || !number",
            "-number < -5",
            "(unsigned char)(number + 250) < 3",
            "*text + number == 120",
            "text + 1 > text && text[number & 3] != 'x'",
            "counted >= 4",
            "&counted != 0 && *&counted == number",
            "number << 2 >= 0x10 && (number >> 1 | 1) == 3",
            "~number == -3",
            "$rdi == 5",
        ];
        let texts = conditions.map(|text| Expression::parse(text, &|_| false).unwrap());
        let mut programs = Vec::new();
        debugged.at("work", &mut |session, at| {
            programs = texts
                .iter()
                .map(|text| match session.compile(at, text) {
                    Compiled::Yes(program) => program,
                    Compiled::No(why) => panic!("{text:?} is not compiled: {why}"),
                })
                .collect();
            Filter::default()
        });
        let place = debugged.breakpoints.list()[0].sites[0].place.as_ref().unwrap().at;
        // One trap for each, which goes on; its counts say what came of it.
        let traps: Vec<_> = programs
            .into_iter()
            .map(|program| {
                let filter = Filter { condition: Some(program), then: Then::GoOn, ..Filter::default() };
                let place = prospect::process::control::TrapPlace::Code { at: place, hardware: false };
                let trap = prospect::process::control::Trap { place, filter };
                debugged.controlled.set_trap(debugged.process, trap).unwrap()
            })
            .collect();
        let mut evaluated = vec![0; texts.len()];
        for _ in 0..12 {
            let thread = debugged.next().thread;
            let view = debugged.controlled.process(debugged.process).unwrap();
            let frames = [debugged.session.innermost_frame(&view.registers(thread).unwrap()).unwrap()];
            let scope = debugged.session.at_moment(view, thread, &frames).unwrap();
            for (index, text) in texts.iter().enumerate() {
                evaluated[index] += u64::from(text.is_true(&scope).unwrap());
            }
        }
        let compiled: Vec<u64> = traps.iter().map(|trap| debugged.controlled.counts(*trap).matched).collect();
        assert_eq!(compiled, evaluated, "{conditions:?}");
        assert!(evaluated.iter().any(|count| *count > 0 && *count < 12), "{evaluated:?}");
        assert_eq!(evaluated[0], 1);
    }
}

#[test]
fn what_cannot_be_compiled_says_why() {
    for _ in rounds() {
        let mut debugged = require!(Debugged::start("controlled", &["count", "1", "1"]));
        debugged.at("work", &mut |session, at| {
            for (text, why) in
                [("number > 1.5", "fraction"), ("text == \"text\"", "texts"), ("nothing > 1", "nothing")]
            {
                let text = Expression::parse(text, &|_| false).unwrap();
                let Compiled::No(reason) = session.compile(at, &text) else {
                    panic!("{text:?} was compiled")
                };
                assert!(reason.contains(why), "{reason}");
            }
            Filter::default()
        });
    }
}

#[test]
fn a_log_is_written_from_records_alone() {
    for _ in rounds() {
        let mut debugged = require!(Debugged::start("controlled", &["count", "5", "1"]));
        let template = Template::parse("{number} {number:x} {text:s} {*text}", &|_| false).unwrap();
        debugged.at("work", &mut |session, at| {
            let collect = Some(session.compile_template(at, &template).unwrap());
            Filter { collect, then: Then::GoOn, ..Filter::default() }
        });
        let session = OpenOptions::new()
            .beside(debugged.controlled.process(debugged.process).unwrap(), &debugged.binaries);
        debugged.controlled.resume(&Resume::all()).unwrap();
        let (mut written, mut session, deadline) = (Vec::new(), session, Instant::now() + PATIENCE);
        loop {
            assert!(Instant::now() < deadline, "it did not end");
            let event = debugged.controlled.wait(Some(Duration::from_secs(5))).unwrap();
            for record in debugged.controlled.take_records() {
                let moment = RecordedMoment::new(session.process(), &record);
                let frames = [session.innermost_frame(&record.registers).unwrap()];
                let scope = session.at_moment(&moment, record.thread, &frames).unwrap();
                written.push(template.write(&scope));
            }
            match event.map(|event| event.kind) {
                Some(EventKind::Ended(_)) => break,
                Some(_) => {
                    let view = debugged.controlled.process(debugged.process).unwrap();
                    session = OpenOptions::new().beside(view, &debugged.binaries);
                    debugged.controlled.resume(&Resume::all()).unwrap();
                }
                None => {}
            }
        }
        let expected: Vec<String> =
            (0..5).map(|number| format!("{number} {number:#x} text 116 't'")).collect();
        assert_eq!(written, expected);
    }
}
