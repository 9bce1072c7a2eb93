//! Live processes: stopped, frozen and read, and left as they were.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{process::Command, thread, time::Duration};

use prospect_live::{LiveError, LiveProcess};
use prospect_process::{FreezePlan, NoRegisters, Process as _, ProcessId, ThreadId, ThreadState};
use prospect_testing::{Heartbeat, Running, Signal, fixture, require, send, states, tasks, tracer};

const TIMEOUT: Duration = Duration::from_secs(5);

fn open(running: &Running) -> LiveProcess {
    LiveProcess::open(ProcessId(running.pid())).unwrap()
}

#[test]
fn a_stop_holds_every_thread_and_ends_with_its_last_holder() {
    let threads = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut threads.command(&["6"]));
    let stopped = open(&running).stop(TIMEOUT).unwrap();
    assert_eq!(stopped.threads().len(), 7);
    assert!(stopped.threads().iter().all(|thread| thread.not_stopped.is_none()));
    assert!(states(running.pid()).chars().all(|state| state == 't'), "{}", states(running.pid()));
    let before = heartbeat.counters();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(heartbeat.counters(), before, "a held process computes nothing");
    // A clone, from another thread: where the stop ends does not matter.
    let clone = stopped.clone();
    assert_eq!(stopped.resume(), None);
    assert!(states(running.pid()).contains('t'));
    let held = thread::spawn(move || clone.resume()).join().unwrap();
    assert!(held.is_some_and(|held| held > Duration::from_millis(50)), "{held:?}");
    heartbeat.assert_beats();
    running.assert_unharmed();
}

#[test]
fn stops_of_one_process_nest() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["2"]);
    let live = open(&running);
    let outer = live.stop(TIMEOUT).unwrap();
    let inner = live.stop(TIMEOUT).unwrap();
    let one = live.stop_thread(ThreadId(running.pid()), TIMEOUT).unwrap();
    drop(outer);
    drop(inner);
    assert!(states(running.pid()).contains('t'));
    drop(one);
    assert!(!states(running.pid()).contains('t'));
}

#[test]
fn one_thread_can_be_held_alone() {
    let threads = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut threads.command(&["3"]));
    let live = open(&running);
    let worker = ThreadId(tasks(running.pid())[1]);
    let stopped = live.stop_thread(worker, TIMEOUT).unwrap();
    assert_eq!(stopped.threads().len(), 1);
    assert!(stopped.registers(worker).unwrap().pc().is_some());
    assert_eq!(states(running.pid()).matches('t').count(), 1);
    drop(stopped);
    heartbeat.assert_beats();
    running.assert_unharmed();
    let nobody = live.stop_thread(ThreadId(1), TIMEOUT);
    assert!(nobody.is_err(), "thread 1 is of another process");
}

#[test]
fn a_freeze_copies_a_moment_and_lets_go() {
    let threads = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut threads.command(&["20"]));
    let freeze = open(&running).freeze(&FreezePlan::stacks(), TIMEOUT).unwrap();
    heartbeat.assert_beats();
    running.assert_unharmed();
    let frozen = freeze.process;
    assert_eq!(frozen.threads().len(), 21);
    for thread in frozen.threads() {
        let sp = frozen.registers(thread.id).unwrap().sp().unwrap();
        let copy = frozen.captured().captured(sp).unwrap();
        assert!(!copy.is_empty());
        let mut again = vec![0; copy.len().min(64)];
        frozen.memory().read(sp, &mut again).unwrap();
        assert_eq!(again[..], copy[..again.len()]);
    }
    // What was not copied comes from the process as it runs on: its code.
    let executable = frozen.modules().executable().unwrap();
    let mut magic = [0; 4];
    frozen.memory().read(executable.range.start, &mut magic).unwrap();
    assert_eq!(&magic, b"\x7fELF");
}

#[test]
fn a_process_that_its_owner_has_stopped_stays_stopped() {
    let threads = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut threads.command(&["3"]));
    assert!(send(Signal::Stop, running.pid()));
    assert!(running.wait_for_states(|states| states.chars().all(|state| state == 'T')));
    let live = open(&running);
    let freeze = live.freeze(&FreezePlan::stacks(), TIMEOUT).unwrap();
    let all = freeze.process.threads();
    assert!(all.iter().all(|thread| thread.state == ThreadState::Stopped && thread.not_stopped.is_none()));
    assert!(all.iter().all(|thread| freeze.process.registers(thread.id).is_some()));
    drop(live.stop(TIMEOUT).unwrap());
    assert!(running.wait_for_states(|states| states.chars().all(|state| state == 'T')));
    thread::sleep(Duration::from_millis(50));
    assert!(states(running.pid()).chars().all(|state| state == 'T'), "{}", states(running.pid()));
    assert_eq!(tracer(running.pid()), 0);
    assert!(send(Signal::Continue, running.pid()));
    heartbeat.assert_beats();
    running.assert_unharmed();
}

#[test]
fn a_glance_stops_nothing() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["4"]);
    running.settle();
    let live = open(&running);
    let glance = live.glance(&FreezePlan::stacks()).unwrap();
    assert_eq!(glance.threads().len(), 5);
    for thread in glance.threads() {
        let registers = glance.registers(thread.id).unwrap();
        assert!(registers.pc().is_some() && registers.sp().is_some());
        // And the arguments of the system call that it waits in.
        assert_eq!(registers.known().count(), 2 + 6);
    }
    let spin = Running::start(Command::new("sh").args(["-c", "echo READY; while :; do :; done"]));
    let glance = open(&spin).glance(&FreezePlan::stacks()).unwrap();
    assert_eq!(glance.threads()[0].not_stopped, Some(NoRegisters::Running));
}

#[test]
fn nobody_holds_oneself_or_what_is_not_there() {
    let own = LiveProcess::open(ProcessId(std::process::id())).unwrap();
    assert!(matches!(own.stop(TIMEOUT), Err(LiveError::Itself(_))));
    assert!(matches!(own.stop_thread(ThreadId(std::process::id()), TIMEOUT), Err(LiveError::Itself(_))));
    assert!(!own.threads().unwrap().is_empty(), "reading oneself is no harm");
    let mut child = Command::new("true").spawn().unwrap();
    let id = ProcessId(child.id());
    child.wait().unwrap();
    assert!(matches!(LiveProcess::open(id), Err(LiveError::NoSuchProcess(_))));
}

#[test]
fn children_are_found_with_theirs() {
    let family =
        Running::start(Command::new("sh").args(["-c", "sh -c 'echo READY; sleep 100; :' & wait; :"]));
    let live = open(&family);
    let all = live.descendants(100).unwrap();
    assert!(all.iter().any(|child| child.parent == ProcessId(family.pid())), "{all:?}");
    // End what the shell started: the guard ends the shell alone. Some end with their child.
    for child in all.iter().rev() {
        send(Signal::Kill, child.id.0);
    }
}

#[test]
fn a_process_that_is_killed_while_it_is_held_is_no_trouble() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["10"]);
    let stopped = open(&running).stop(TIMEOUT).unwrap();
    assert!(send(Signal::Kill, running.pid()));
    let mut byte = [0];
    let sp = stopped.registers(stopped.threads()[0].id).unwrap().sp().unwrap();
    // Gone or not yet: an answer either way.
    let _ = stopped.memory().read_up_to(sp, &mut byte);
    assert!(stopped.resume().is_some());
}

#[test]
fn no_signal_is_lost() {
    const SIGNALS: u64 = 20_000;
    let signals = require!(fixture("signals"));
    let (counts, mut running) = Heartbeat::start(&mut signals.command(&[]));
    let live = open(&running);
    let mut looks = 0;
    while counts.counters()[0] < SIGNALS {
        live.freeze(&FreezePlan::stacks(), TIMEOUT).unwrap();
        looks += 1;
        // One thread alone, too: signals then go to the other.
        drop(live.stop_thread(ThreadId(running.pid()), TIMEOUT).unwrap());
    }
    assert!(looks > 10, "{looks}");
    let deadline = std::time::Instant::now() + TIMEOUT;
    while counts.counters()[1] < SIGNALS && std::time::Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(counts.counters(), [SIGNALS, SIGNALS], "after {looks} looks");
    running.assert_unharmed();
}
