//! The same processes looked at again and again.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::HashSet,
    os::fd::AsRawFd as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use prospect::{
    Mode, OpenError, OpenOptions, ThreadStack, Watch,
    live::{Ending, Event, LiveError, Wait},
    process::ProcessId,
    symbols::ModuleBinary,
};
use prospect_testing::{Heartbeat, Running, Signal, fixture, require, send, states, tracer};

const TIMEOUT: Wait = Wait::AtMost(Duration::from_secs(10));

fn watching(pids: &[u32]) -> Watch {
    let watch = Watch::new(OpenOptions::new()).unwrap();
    for pid in pids {
        watch.add(*pid).unwrap();
    }
    watch
}

fn functions(stack: &ThreadStack) -> Vec<String> {
    stack.calls().filter_map(|call| call.function.map(ToOwned::to_owned)).collect()
}

#[test]
fn what_one_look_has_found_is_there_for_the_next() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["40"]);
    running.settle();
    let watch = watching(&[running.pid()]);
    let look = || watch.look(ProcessId(running.pid())).unwrap().stacks(|_| true).remove(0);
    let first = look();
    assert_eq!(functions(&first).iter().filter(|name| name.starts_with('f')).count(), 40);
    let files = watch.binaries().opened();
    assert!(!files.is_empty());
    // What waits is woken by a look and waits again.
    running.settle();
    let second = look();
    assert_eq!(functions(&second), functions(&first));
    assert_eq!(second.fingerprint(), first.fingerprint());
    assert!(first.fingerprint().is_some());
    // The very same names, and no file was opened for them.
    for (old, new) in first.names.iter().zip(&second.names) {
        assert!(Arc::ptr_eq(&old.resolved, &new.resolved));
    }
    let address = |file: &Arc<ModuleBinary>| Arc::as_ptr(file).addr();
    let before: HashSet<usize> = files.iter().map(address).collect();
    assert_eq!(watch.binaries().opened().iter().map(address).collect::<HashSet<_>>(), before);
}

#[test]
fn nobody_is_attached_between_two_looks() {
    let fixture = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["12"]));
    heartbeat.assert_beats();
    let watch = watching(&[running.pid()]);
    for _ in 0..25 {
        let session = watch.look(ProcessId(running.pid())).unwrap();
        // From here on it runs as if nobody was there, also while it is walked and named.
        assert_eq!(tracer(running.pid()), 0);
        assert!(!states(running.pid()).contains(['t', 'T']));
        let before = heartbeat.counters();
        let stacks = session.stacks(|_| true);
        assert_eq!(stacks.len(), 13);
        assert!(stacks.iter().all(|stack| functions(stack).iter().any(|name| name == "leaf")));
        assert!(session.pause().is_some());
        assert_eq!(watch.handle_events(Wait::AtMost(Duration::from_millis(10))).unwrap(), []);
        heartbeat.assert_beats();
        assert!(before.iter().zip(&heartbeat.counters()).all(|(old, new)| old < new));
    }
    running.assert_unharmed();
}

#[test]
fn the_loop_goes_on_until_all_have_ended() {
    let fixture = require!(fixture("orders"));
    let targets = [fixture.start(&[]), fixture.start(&[])];
    let watch = watching(&[targets[0].pid(), targets[1].pid()]);
    assert!(watch.as_raw_fd() >= 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut looks, mut ended) = (0, Vec::new());
    while !watch.is_empty() {
        assert!(Instant::now() < deadline);
        for process in watch.processes() {
            match watch.look(process) {
                Ok(session) => looks += session.stacks(|_| true).len(),
                // It ended after the events were handled: the next ones say so.
                Err(OpenError::Live(LiveError::Ended(who))) => assert_eq!(who, process),
                Err(error) => panic!("{error}"),
            }
        }
        let (signal, target) = if ended.is_empty() { (Signal::Terminate, 0) } else { (Signal::Kill, 1) };
        assert!(send(signal, targets[target].pid()));
        ended.extend(watch.handle_events(TIMEOUT).unwrap());
    }
    let killed = Ending::Killed { signal: 9, core_dumped: false };
    let event = |target: usize, ending| Event::Ended { process: ProcessId(targets[target].pid()), ending };
    assert_eq!(ended, [event(0, Ending::Exited(7)), event(1, killed)]);
    assert!(looks >= 5, "{looks}");
    let gone = watch.look(ProcessId(targets[0].pid())).unwrap_err();
    assert!(matches!(gone, OpenError::Live(LiveError::NoSuchProcess(_))), "{gone}");
}

#[test]
fn a_target_that_dies_in_the_middle_of_a_look_is_an_answer() {
    let fixture = require!(fixture("exiting"));
    for delay in [100, 500, 1000, 2000, 4000, 8000] {
        let running = Running::start_restless(&mut fixture.command(&[&delay.to_string()]));
        let watch = Watch::new(OpenOptions::new()).unwrap();
        if watch.add(running.pid()).is_err() {
            continue;
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while !watch.is_empty() {
            assert!(Instant::now() < deadline);
            match watch.look(ProcessId(running.pid())) {
                Ok(session) => drop(session.stacks(|_| true)),
                Err(OpenError::Live(LiveError::Ended(_))) => {}
                Err(error) => panic!("{error}"),
            }
            for event in watch.handle_events(Wait::No).unwrap() {
                let ending = Ending::Exited(0);
                assert_eq!(event, Event::Ended { process: ProcessId(running.pid()), ending });
            }
        }
    }
}

#[test]
fn another_program_of_the_same_process_is_seen_as_it_is() {
    let fixture = require!(fixture("orders"));
    let running = fixture.start(&["first"]);
    let watch = watching(&[running.pid()]);
    let look = || watch.look(ProcessId(running.pid())).unwrap();
    let first = look();
    assert_eq!(first.stacks(|_| true).len(), 2);
    assert_eq!(first.process().info().command_line.last().unwrap(), b"first");
    assert!(send(Signal::User1, running.pid()));
    assert!(running.wait_for_states(|states| states.len() == 1));
    running.settle();
    let second = look();
    let stacks = second.stacks(|_| true);
    assert_eq!(second.process().info().command_line.last().unwrap(), b"again");
    assert!(stacks.len() == 1 && stacks[0].is_complete(), "{stacks:?}");
    let names = functions(&stacks[0]);
    assert!(names.iter().any(|name| name == "obey") && names.iter().any(|name| name == "main"), "{names:?}");
}

#[test]
fn several_threads_look_at_once_and_one_that_holds_is_no_hindrance() {
    let fixture = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["4"]));
    heartbeat.assert_beats();
    let watch = Watch::new(OpenOptions::new().mode(Mode::Hold)).unwrap();
    watch.add(running.pid()).unwrap();
    let held = watch.look(ProcessId(running.pid())).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let session = watch.look(ProcessId(running_pid(&held))).unwrap();
                    assert_eq!(session.stacks(|_| true).len(), 5);
                }
            });
        }
    });
    assert!(states(running.pid()).chars().all(|state| state == 't'));
    drop(held);
    heartbeat.assert_beats();
    running.assert_unharmed();
}

fn running_pid(session: &prospect::Session) -> u32 {
    session.process().info().id.0
}
