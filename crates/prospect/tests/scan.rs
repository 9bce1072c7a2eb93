//! Callers that are found by nothing but the words on the stack, with misleading ones below the right one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use prospect::{
    OpenOptions,
    stack::{
        StepperGroup, Trust, Walker,
        steppers::{CfiStepper, ScanStepper},
    },
};
use prospect_testing::{Fixture, fixture, require};

/// The frames from the innermost function of the program's own on: their pc and function, and how far they are
/// trusted.
fn walk(fixture: &Fixture, how: &str) -> Vec<(u64, String, Trust)> {
    let running = fixture.start(&[how]);
    let session = OpenOptions::new().open(running.pid()).unwrap();
    let steppers = StepperGroup::new().then(CfiStepper::default()).then(ScanStepper::default());
    let mut walker = Walker::with_steppers(steppers);
    let stack = session.walk_with(&mut walker, session.process().threads()[0].id).unwrap();
    let program = session.process().modules().executable().unwrap();
    let own = stack.frames.iter().filter(|frame| program.range.contains(&frame.for_lookup()));
    own.map(|frame| {
        let name = session.resolve(frame.for_lookup()).frames.pop().and_then(|frame| frame.function);
        (frame.code.addr().to_link(program.bias).0, name.unwrap_or_default(), frame.trust)
    })
    .collect()
}

const PROVED: [(&str, &str); 4] = [
    ("directly", "call_directly"),
    ("plt", "call_through_a_linkage_table"),
    ("memory", "call_through_memory"),
    ("jump", "call_a_jump"),
];
const POSSIBLE: [(&str, &str); 2] = [("register", "call_through_a_register"), ("method", "call_a_method")];

#[test]
fn the_caller_is_the_one_whose_call_led_here() {
    let fixture = require!(fixture("wander"));
    for (ways, trust) in [(&PROVED[..], Trust::ScannedCall), (&POSSIBLE, Trust::Scanned)] {
        for (how, caller) in ways {
            let frames = walk(&fixture, how);
            let names: Vec<&str> = frames.iter().map(|(_, name, _)| name.as_str()).collect();
            assert_eq!(names.get(..4), Some(&["block", "innermost", caller, "main"][..]), "{how}: {names:?}");
            assert_eq!(frames[2].2, trust, "{how}");
        }
    }
}

#[test]
fn nor_are_names_needed_for_that() {
    let (named, stripped) = (require!(fixture("wander")), require!(fixture("wander-stripped")));
    for (how, _) in PROVED.iter().chain(&POSSIBLE) {
        let pcs = |frames: Vec<(u64, String, Trust)>| -> Vec<u64> {
            frames.into_iter().take(4).map(|(pc, ..)| pc).collect()
        };
        assert_eq!(pcs(walk(&stripped, how)), pcs(walk(&named, how)), "{how}");
    }
}
