//! The facade: from a process to names, in each mode.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::time::Duration;

use prospect::{
    Mode, OpenOptions, Session,
    stack::{StackEnd, StepperGroup, Walker},
};
use prospect_testing::{Running, fixture, require, states};

fn functions(session: &Session) -> Vec<String> {
    let stacks = session.stacks(|_| true);
    let [stack] = stacks.as_slice() else { panic!("{} threads", stacks.len()) };
    assert_eq!(stack.end(), Some(&StackEnd::Outermost));
    stack.calls().filter_map(|call| call.function.map(ToOwned::to_owned)).collect()
}

fn deep(running: &Running, mode: Mode) -> Session {
    OpenOptions::new().mode(mode).timeout(Duration::from_secs(5)).open(running.pid()).unwrap()
}

#[test]
fn every_mode_sees_the_same_stack() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["40"]);
    running.settle();
    let frozen = functions(&deep(&running, Mode::Freeze));
    let held = functions(&deep(&running, Mode::Hold));
    assert_eq!(frozen, held);
    assert_eq!(frozen.iter().filter(|name| ["f0", "f1", "f2", "f3"].contains(&name.as_str())).count(), 40);
    // What was held is running until it waits again.
    running.settle();
    assert_eq!(functions(&deep(&running, Mode::NoStop)), frozen);
}

#[test]
fn a_session_that_holds_says_for_how_long_when_it_is_closed() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["3"]);
    let session = deep(&running, Mode::Hold);
    assert!(states(running.pid()).contains('t'));
    std::thread::sleep(Duration::from_millis(20));
    assert!(session.close().unwrap() >= Duration::from_millis(20));
    assert!(!states(running.pid()).contains('t'));
    let session = deep(&running, Mode::NoStop);
    assert_eq!(session.close(), None);
}

#[test]
fn an_address_is_named() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["3"]);
    running.settle();
    let session = prospect::open(running.pid()).unwrap();
    let thread = session.process().threads()[0].id;
    let stack = session.walk(thread).unwrap();
    let caller =
        stack.frames.iter().map(|frame| session.resolve(frame.for_lookup())).find(|resolved| {
            resolved.frames.last().is_some_and(|frame| frame.function.as_deref() == Some("f0"))
        });
    let caller = caller.unwrap();
    let place = caller.frames.last().unwrap();
    assert!(place.file.as_deref().unwrap().ends_with("deep.c"), "{place:?}");
    assert_eq!(place.line.map(u64::from), Some(fixture.line_of("f0")));
    assert!(session.resolve(prospect::process::Addr(8)).frames.is_empty());
}

#[test]
fn without_names_there_are_modules_and_offsets() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["3"]);
    let session = OpenOptions::new().names(false).open(running.pid()).unwrap();
    let stacks = session.stacks(|_| true);
    assert!(stacks[0].calls().all(|call| call.function.is_none()));
    assert!(stacks[0].calls().filter(|call| call.module.is_some()).count() > 5);
}

#[test]
fn a_session_walks_as_it_is_told_and_step_by_step() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["9"]);
    running.settle();
    let session = OpenOptions::new().explain(true).open(running.pid()).unwrap();
    let thread = session.process().threads()[0].id;
    let stack = session.walk(thread).unwrap();
    assert_eq!(stack.explanations.len(), stack.frames.len() + 1);
    assert!(stack.frames.iter().all(|frame| frame.pc_location().is_some()));
    let named = session.stacks(|_| true).remove(0);
    assert_eq!(named.explained_end(), stack.explanations.last());
    assert!(named.calls().all(|call| call.explanation.is_some_and(|why| why.stepper == call.frame.found_by)));

    let (mut walker, context) = (session.walker(), session.context());
    let mut frame = Walker::first_frame(&session.process().registers(thread).unwrap()).unwrap();
    let caller = walker.step(&mut frame, &context).unwrap();
    // Only of a frame that was stepped from is its canonical frame address known.
    assert_eq!((&frame, caller.cfa), (&stack.frames[0], None));
    assert_eq!((caller.code, &caller.registers), (stack.frames[1].code, &stack.frames[1].registers));
    let mut alone = Walker::with_steppers(StepperGroup::new());
    assert_eq!(session.walk_with(&mut alone, thread).unwrap().frames.len(), 1);
    let plain = prospect::open(running.pid()).unwrap().walk(thread).unwrap();
    assert!(plain.explanations.is_empty() && plain.frames == stack.frames);
    let modules = session.process().modules();
    let libraries =
        [modules.c_library(), modules.thread_library()].map(|module| module.unwrap().range.clone());
    assert!(
        libraries.iter().all(|range| stack.frames.iter().any(|frame| range.contains(&frame.for_lookup())))
    );
}
