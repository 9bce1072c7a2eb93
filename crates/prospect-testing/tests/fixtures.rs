//! The helpers themselves: every fixture builds, a target is surely ended, a heartbeat is felt.

use prospect_testing::{CATALOGUE, Heartbeat, Signal, fixture, note_skipped, require, send, state};

#[test]
fn every_fixture_builds() {
    let mut missing = Vec::new();
    for recipe in CATALOGUE {
        match fixture(recipe.name) {
            Ok(fixture) => assert!(fixture.path().exists(), "{}", recipe.name),
            Err(reason) => missing.push((recipe.name, reason)),
        }
    }
    for (name, reason) in missing {
        note_skipped(&format!("fixture {name}"), &reason);
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = CATALOGUE.iter().map(|recipe| recipe.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CATALOGUE.len());
}

#[test]
fn a_target_ends_with_its_guard() {
    let deep = require!(fixture("deep"));
    let mut running = deep.start(&["5"]);
    let pid = running.pid();
    running.assert_unharmed();
    assert!(send(Signal::Stop, pid));
    assert!(running.wait_for_states(|states| states == "T"));
    drop(running);
    assert_eq!(state(pid, pid), None);
}

#[test]
fn a_target_ends_when_its_test_panics() {
    let deep = require!(fixture("deep"));
    let (sender, receiver) = std::sync::mpsc::channel();
    let failed = std::thread::spawn(move || {
        let running = deep.start(&["5"]);
        sender.send(running.pid()).unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(failed.is_err());
    let pid = receiver.recv().unwrap();
    assert_eq!(state(pid, pid), None);
}

#[test]
fn a_heartbeat_stops_with_the_target() {
    let threads = require!(fixture("threads"));
    let (heartbeat, running) = Heartbeat::start(&mut threads.command(&["3", "5"]));
    heartbeat.assert_beats();
    assert_eq!(heartbeat.counters().len(), 4);
    assert!(send(Signal::Stop, running.pid()));
    assert!(running.wait_for_states(|states| states == "TTTT"));
    let before = heartbeat.counters();
    std::thread::sleep(std::time::Duration::from_millis(30));
    assert_eq!(before, heartbeat.counters());
}

#[test]
fn marks_are_found() {
    let deep = require!(fixture("deep"));
    assert!(deep.line_of("f0") < deep.line_of("f1"));
}
