//! Steps through code that makes them go astray, with the exact lines where they end.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod standing;

use prospect::{
    Debugger, OpenOptions,
    debug::step::{IntoRules, Step, Stepping},
    debugger::{Point, Stepped},
    process::{ThreadId, control::EventKind},
    symbols::Pattern,
    value::text::Text,
};
use prospect_testing::{Fixture, Missing, fixture, require, rounds};
use standing::PATIENCE;

struct Strides {
    fixture: Fixture,
    debugger: Debugger,
    thread: ThreadId,
}

impl Strides {
    /// Stands at a marked line.
    fn at(mark: &str) -> Result<Self, Missing> {
        Self::at_in("strides", mark)
    }

    fn at_in(name: &str, mark: &str) -> Result<Self, Missing> {
        let fixture = fixture(name)?;
        let mut debugger = Debugger::launch(OpenOptions::new(), standing::launch(&fixture, &[])).unwrap();
        let source = fixture.recipe().source;
        let mut point = Point::at(&format!("{source}:{}", fixture.line_of(mark))).unwrap();
        point.wanted.temporary = true;
        debugger.add(point).unwrap();
        let stop = debugger.go(Some(PATIENCE)).unwrap().unwrap();
        assert_eq!(stop.hits.len(), 1, "{stop:?}");
        assert!(debugger.breakpoints().is_empty());
        let strides = Self { fixture, debugger, thread: stop.event.thread };
        strides.stands_at(mark);
        Ok(strides)
    }

    fn place(&self) -> (String, u64) {
        let process = self.debugger.processes()[0];
        let session = self.debugger.session(process).unwrap();
        standing::place(session, self.debugger.process(process).unwrap(), self.thread)
    }

    fn function(&self) -> String {
        self.place().0
    }

    #[track_caller]
    fn stands_at(&self, mark: &str) {
        let (function, line) = self.place();
        assert_eq!(line, self.fixture.line_of(mark), "{mark}: in {function}");
    }

    #[track_caller]
    fn step(&mut self, how: Step) -> Stepped {
        self.debugger.step(self.thread, how, PATIENCE).unwrap()
    }

    #[track_caller]
    fn to(&mut self, how: Step, mark: &str) {
        let end = self.step(how);
        assert!(matches!(end, Stepped::Done), "{end:?}");
        self.stands_at(mark);
    }
}

#[test]
fn exceptions_that_are_caught_inside_of_a_call_do_not_end_a_step_over_it() {
    for _ in rounds() {
        let mut strides = require!(Strides::at("exceptions_inner"));
        strides.to(Step::Over, "exceptions_throw");
        // And those that leave it end where they are caught.
        strides.to(Step::Over, "exceptions_catch");
    }
}

#[test]
fn out_of_what_is_left_by_an_exception() {
    for _ in rounds() {
        let mut strides = require!(Strides::at("exceptions_throw"));
        strides.to(Step::Into, "throws_throw");
        let end = strides.step(Step::Out);
        assert!(matches!(end, Stepped::Done), "it has not returned: {end:?}");
        strides.stands_at("exceptions_catch");
    }
}

#[test]
fn jumps_back_end_where_they_land() {
    for _ in rounds() {
        let mut strides = require!(Strides::at("jump_call"));
        // It lands in the middle of the line of `setjmp`, and goes on to where the next one begins.
        strides.to(Step::Over, "jump_landed");
    }
}

#[test]
fn handlers_of_signals_are_stepped_over() {
    for _ in rounds() {
        let mut strides = require!(Strides::at("signals_before"));
        strides.to(Step::Over, "signals_raise");
        strides.to(Step::Over, "signals_after");
        // One that stands in the handler gets out of it.
        let mut strides = require!(Strides::at("handler_first"));
        let end = strides.step(Step::Out);
        assert!(matches!(end, Stepped::Returned { .. }), "{end:?}");
    }
}

#[test]
fn a_call_that_takes_the_frame_over_is_one_all_the_same() {
    for _ in rounds() {
        let mut strides = require!(Strides::at_in("strides-optimised", "tail_call"));
        while strides.function().starts_with("calls_last") {
            assert!(matches!(strides.step(Step::Over), Stepped::Done));
        }
        assert_eq!(strides.function(), "main");
        let mut strides = require!(Strides::at_in("strides-optimised", "tail_call"));
        while strides.function().starts_with("calls_last") {
            assert!(matches!(strides.step(Step::Into), Stepped::Done));
        }
        assert_eq!(strides.function(), "last(int)");
        let Stepped::Returned { registers, value } = strides.step(Step::Out) else {
            panic!("it did not return")
        };
        assert_eq!(Text::one_line(&value.unwrap()).to_string(), "7");
        assert_eq!(registers.integer.map(|number| number as u32), Some(4 + 3));
        assert_eq!(strides.function(), "main");
    }
}

#[test]
fn what_functions_return_has_their_types() {
    for _ in rounds() {
        for (mark, expected) in [
            ("whole", Some("-2")),
            ("fraction", Some("3.25")),
            ("colour", Some("GREEN")),
            ("mixed", Some("{fraction = 3.5, number = 3}")),
            ("pair", Some("{x = 3, y = -1.5}")),
            ("large", Some("{words = {3, 2, 1}}")),
            ("either", Some("{number = 3, fraction = 1.5e-323}")),
            ("nothing", None),
        ] {
            let mut strides = require!(Strides::at_in("results", mark));
            let Stepped::Returned { value, .. } = strides.step(Step::Out) else { panic!("{mark}") };
            let text = value.map(|value| Text::one_line(&value).to_string());
            assert_eq!(text.as_deref(), expected, "{mark}");
        }
    }
}

#[test]
fn the_call_that_is_meant_is_stepped_into_of_several() {
    for _ in rounds() {
        let mut strides = require!(Strides::at("main_two"));
        strides.to(Step::Into, "two_first");
        for (rules, mark) in [
            (IntoRules { only: Pattern::name("one").ok(), ..IntoRules::default() }, "one_first"),
            (IntoRules { skip: vec![Pattern::name("two").unwrap()], ..IntoRules::default() }, "one_first"),
            (IntoRules { skip_files: vec!["strides.cc".into()], ..IntoRules::default() }, "main_fraction"),
        ] {
            let mut strides = require!(Strides::at("main_two"));
            let how = Stepping { rules, ..Stepping::new(Step::Into, PATIENCE) };
            assert!(matches!(strides.debugger.step_as(strides.thread, &how), Ok(Stepped::Done)));
            strides.stands_at(mark);
        }
    }
}

#[test]
fn what_has_no_lines_is_stepped_over_unless_it_is_wanted() {
    for _ in rounds() {
        let mut strides = require!(Strides::at("signals_raise"));
        let rules = IntoRules { without_lines: true, ..IntoRules::default() };
        let how = Stepping { rules, alone: true, ..Stepping::new(Step::Into, PATIENCE) };
        assert!(matches!(strides.debugger.step_as(strides.thread, &how), Ok(Stepped::Done)));
        let process = strides.debugger.processes()[0];
        let view = strides.debugger.process(process).unwrap();
        let pc = view.registers(strides.thread).unwrap().pc().unwrap();
        let module = view.modules().at(pc).unwrap();
        assert!(!module.is_executable, "{}", module.path_lossy());
    }
}

#[test]
fn a_step_goes_on_past_breakpoints_that_do_not_stop_and_ends_at_those_that_do() {
    for _ in rounds() {
        let mut strides = require!(Strides::at("main_exceptions"));
        let mut never = Point::at("throws").unwrap();
        never.condition = Some("number > 100".into());
        strides.debugger.add(never).unwrap();
        strides.to(Step::Over, "main_jumps");
        let id = strides.debugger.add(Point::at("jumps").unwrap()).unwrap();
        let Stepped::Stopped(stop) = strides.step(Step::Over) else { panic!("it did not stop") };
        assert_eq!(stop.hits[0].breakpoint, id);
        assert!(matches!(stop.event.kind, EventKind::Trapped { .. }));
    }
}

/// Whether a step out of what was inlined, at each of its copies, ends behind that copy and in the function that it was inlined into.
#[test]
fn out_of_what_was_inlined() {
    for _ in rounds() {
        let fixture = require!(fixture("steps"));
        let mut debugger = Debugger::launch(OpenOptions::new(), standing::launch(&fixture, &[])).unwrap();
        let line = fixture.line_of("inlined");
        debugger.add(Point::at(&format!("steps.c:{line}")).unwrap()).unwrap();
        let process = debugger.processes()[0];
        for after in ["main_inlined_one", "main_inlined_two"] {
            let stop = debugger.go(Some(PATIENCE)).unwrap().unwrap();
            let thread = stop.event.thread;
            let place = |debugger: &Debugger| {
                let session = debugger.session(process).unwrap();
                standing::place(session, debugger.process(process).unwrap(), thread)
            };
            assert_eq!(place(&debugger), ("inlined".into(), line));
            let end = debugger.step(thread, Step::Out, PATIENCE).unwrap();
            assert!(matches!(end, Stepped::Done), "{end:?}");
            assert_eq!(
                place(&debugger),
                ("main".into(), fixture.line_of(after)),
                "the rest of the call's line"
            );
        }
    }
}
