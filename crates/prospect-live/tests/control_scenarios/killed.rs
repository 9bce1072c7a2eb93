//! Somebody else kills the program with `SIGKILL`, whatever it or its holder is at: its end is an event, and nothing hangs.

use std::{
    thread,
    time::{Duration, Instant},
};

use prospect_process::{
    Addr, ProcessId, Target as _, ThreadId,
    control::{Action, Control as _, Ending, EventKind, Filter, Leave, Resume, Trap, TrapPlace},
};
use prospect_testing::{Random, Signal, require, rounds, send, state};

use crate::launched::{Launched, PATIENCE, go_on};

const KILLED: EventKind = EventKind::Ended(Ending::Signalled(9));

fn kill(process: ProcessId) {
    assert!(send(Signal::Kill, process.0));
}

/// Until all of its threads are on their way to their end.
fn await_death(process: ProcessId) {
    let deadline = Instant::now() + PATIENCE;
    while !matches!(state(process.0, process.0), None | Some('Z' | 'X')) {
        assert!(Instant::now() < deadline, "{:?}", state(process.0, process.0));
        thread::yield_now();
    }
}

/// In the midst of all that its threads do at a breakpoint: before it, in the copy of its instruction, behind it; and where the instruction
/// has none, while the others are held for it.
#[test]
fn while_its_threads_come_to_a_breakpoint() {
    for round in rounds() {
        let mut random = Random::new(u64::from(round) + 1);
        for name in ["controlled", "controlled-unmoved"] {
            for _ in 0..4 {
                let mut launched = require!(Launched::start(name, &["count", "100000000", "8"]));
                launched.at_work(go_on());
                launched.controlled.resume(&Resume::all()).unwrap();
                thread::sleep(Duration::from_micros(random.below(20_000) as u64));
                kill(launched.process);
                assert_eq!(launched.wait().kind, KILLED, "{name}");
                assert!(launched.controlled.processes().is_empty());
                assert!(launched.controlled.resume(&Resume::all()).is_err(), "there is nothing left");
            }
        }
    }
}

#[test]
fn while_it_runs_and_nobody_looks() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["checksum"]));
        launched.controlled.resume(&Resume::all()).unwrap();
        kill(launched.process);
        await_death(launched.process);
        assert_eq!(launched.wait().kind, KILLED);
    }
}

/// What is asked of a process that has been killed is answered, by an error where it cannot be.
#[test]
fn while_it_stands() {
    for _ in rounds() {
        for what in 0..8 {
            let mut launched = require!(Launched::start("controlled", &["count", "1000000", "4"]));
            let (at, change) = (launched.symbol("work"), launched.symbol("change"));
            let trap = launched.at_work(Filter::default());
            let event = launched.next(&Resume::all());
            assert!(matches!(event.kind, EventKind::Trapped { .. }), "{event:?}");
            let (process, thread) = (launched.process, event.thread);
            kill(process);
            await_death(process);
            let control = &mut launched.controlled;
            match what {
                0 => {}
                1 => drop(control.clear_trap(trap)),
                2 => drop(control.set_trap(
                    process,
                    Trap { place: TrapPlace::Code { at: change, hardware: false }, filter: go_on() },
                )),
                3 => drop(control.write_memory(process, at, &[0x90])),
                4 => drop(control.borrow_thread(thread)),
                5 => assert!(control.process(process).is_err() || read(control, process, at)),
                6 => {
                    let _ = control.detach(process, Leave::AsItWas);
                    continue;
                }
                _ => {
                    let _ = control.kill(process);
                    continue;
                }
            }
            // It may be told to go on, and its end is told then.
            let deadline = Instant::now() + PATIENCE;
            loop {
                assert!(Instant::now() < deadline, "{what}: its end is not told");
                if launched.controlled.resume(&Resume::all()).is_err() {
                    assert!(launched.controlled.processes().is_empty(), "{what}");
                    break;
                }
                // Others may have come to the breakpoint before they were killed.
                if launched.wait().kind == KILLED {
                    break;
                }
            }
        }
    }
}

fn read(control: &prospect_live::Controlled, process: ProcessId, at: Addr) -> bool {
    let mut byte = [0];
    // Either is right: its memory may be there still.
    let _ = control.process(process).unwrap().memory().read(at, &mut byte);
    true
}

#[test]
fn while_a_thread_is_stepped() {
    for round in rounds() {
        let mut random = Random::new(u64::from(round) + 7);
        for alone in [true, false] {
            let mut launched = require!(Launched::start("controlled", &["count", "100000000", "2"]));
            let trap = launched.at_work(Filter::default());
            let event = launched.next(&Resume::all());
            let (process, thread): (_, ThreadId) = (launched.process, event.thread);
            launched.controlled.clear_trap(trap);
            // It never leaves this range.
            let everywhere = Action::StepWhileIn(vec![Addr(0)..Addr(u64::MAX)]);
            let how =
                if alone { Resume::only(thread, everywhere) } else { Resume::thread(thread, everywhere) };
            let killer = thread::spawn({
                let delay = random.below(10_000) as u64;
                move || {
                    thread::sleep(Duration::from_micros(delay));
                    kill(process);
                }
            });
            launched.controlled.resume(&how).unwrap();
            let deadline = Instant::now() + PATIENCE;
            loop {
                assert!(Instant::now() < deadline);
                match launched.wait().kind {
                    KILLED => break,
                    // The other one had come to the breakpoint at the same time.
                    EventKind::Trapped { .. } => launched.controlled.resume(&how).unwrap(),
                    other => panic!("{other:?}"),
                }
            }
            killer.join().unwrap();
        }
    }
}

#[test]
fn while_it_is_taken_and_let_go() {
    for round in rounds() {
        let mut random = Random::new(u64::from(round) + 3);
        for _ in 0..3 {
            let fixture = require!(prospect_testing::fixture("controlled"));
            let mut command = fixture.command(&["count", "100000000", "8"]);
            let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
            let process = ProcessId(child.id());
            let killer = thread::spawn({
                let delay = random.below(20_000) as u64;
                move || {
                    thread::sleep(Duration::from_micros(delay));
                    kill(process);
                }
            });
            let deadline = Instant::now() + PATIENCE;
            while let Ok(mut controlled) = prospect_live::Controlled::attach(process) {
                assert!(Instant::now() < deadline);
                let _ = controlled.detach(process, Leave::AsItWas);
            }
            killer.join().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
        }
    }
}
