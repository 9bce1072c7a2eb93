//! Moments of programs that are kept and gone back to.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    env,
    os::unix::process::CommandExt as _,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use prospect_live::{Controlled, Launch, Stdio};
use prospect_process::{
    Addr, Arch, Memory as _, ProcessId, Target as _, ThreadId,
    control::{
        Control as _, Ending, Event, EventKind, Filter, Leave, Recording as _, Resume, Then, Trap, TrapId,
        TrapPlace,
    },
};
use prospect_testing::{Computing, Fixture, Running, fixture, require, state, tracer};

const PATIENCE: Duration = Duration::from_secs(60);

fn launch(fixture: &Fixture, arguments: &[&str]) -> (Controlled, ProcessId) {
    let mut launch = Launch::new(fixture.path(), arguments);
    launch.streams = [Stdio::Null, Stdio::Null, Stdio::Inherit];
    let controlled = Controlled::launch(&launch).unwrap();
    let process = controlled.processes()[0];
    (controlled, process)
}

/// Where a symbol of the program is.
fn symbol(fixture: &Fixture, controlled: &Controlled, process: ProcessId, name: &str) -> Addr {
    let bias = controlled.process(process).unwrap().modules().executable().unwrap().bias;
    Addr(bias.wrapping_add(fixture.symbol(name)))
}

fn trap(controlled: &mut Controlled, process: ProcessId, at: Addr, filter: Filter) -> TrapId {
    let place = TrapPlace::Code { at, hardware: false };
    controlled.set_trap(process, Trap { place, filter }).unwrap()
}

fn next(controlled: &mut Controlled) -> Event {
    controlled.resume(&Resume::all()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(event) = controlled.wait(Some(Duration::from_secs(5))).unwrap() {
            return event;
        }
        assert!(Instant::now() < deadline, "no event came");
    }
}

/// The first argument of the function that it stands in, and how often that was called.
fn seen(controlled: &Controlled, process: ProcessId, counted: Addr) -> (u64, u64) {
    let view = controlled.process(process).unwrap();
    let registers = view.registers(ThreadId::from(process)).unwrap();
    let first = registers.get(Arch::X86_64.info().by_name("rdi").unwrap()).unwrap();
    let mut bytes = [0; 8];
    view.memory().read(counted, &mut bytes).unwrap();
    (first, u64::from_le_bytes(bytes))
}

/// The children that a process has, also those that have ended and were not waited for.
fn children(process: ProcessId) -> String {
    std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.0)).unwrap()
}

fn await_end(process: ProcessId) {
    let deadline = Instant::now() + PATIENCE;
    while state(process.0, process.0).is_some_and(|state| state != 'Z') {
        assert!(Instant::now() < deadline, "{process} does not end");
        thread::yield_now();
    }
}

#[test]
fn a_program_goes_back_and_does_the_same_again() {
    let fixture = require!(fixture("controlled"));
    let (mut controlled, mut process) = launch(&fixture, &["children", "1"]);
    let (work, counted) = {
        let find = |name| symbol(&fixture, &controlled, process, name);
        (find("work"), find("counted"))
    };
    let _ = controlled.kill(process);
    drop(controlled);
    // In its first thread alone.
    let (mut controlled, first) = launch(&fixture, &["children", "1"]);
    process = first;
    let place = trap(&mut controlled, process, work, Filter::default());
    let run_to = |controlled: &mut Controlled, process: ProcessId, number: u64| loop {
        let event = next(controlled);
        assert_eq!(event.process, process);
        let (argument, count) = seen(controlled, process, counted);
        assert_eq!(argument, count, "{event:?}");
        if argument == number {
            return;
        }
    };
    run_to(&mut controlled, process, 5);
    let kept = controlled.checkpoint(process, "the fifth").unwrap();
    assert_eq!(controlled.checkpoints()[0].note, "the fifth");
    let at = controlled.position();
    run_to(&mut controlled, process, 30);
    let later = controlled.checkpoint(process, "the thirtieth").unwrap();
    for round in 0..3 {
        let before = process;
        process = controlled.restart(kept).unwrap();
        assert_ne!(process, before);
        assert_eq!((controlled.position(), controlled.processes()), (at.clone(), &[process][..]));
        await_end(before);
        assert_eq!(seen(&controlled, process, counted), (5, 5), "round {round}");
        run_to(&mut controlled, process, 12);
    }
    process = controlled.restart(later).unwrap();
    assert_eq!(seen(&controlled, process, counted), (30, 30));
    controlled.forget(later).unwrap();
    assert!(controlled.restart(later).is_err() && controlled.forget(later).is_err());
    assert_eq!(controlled.checkpoints().len(), 1);
    // What the program does as a child, it does; its end is seen; and it goes back also from there.
    for _ in 0..2 {
        controlled.clear_trap(place);
        let counts = trap(&mut controlled, process, work, Filter { then: Then::GoOn, ..Filter::default() });
        assert_eq!(next(&mut controlled).kind, EventKind::Ended(Ending::Exited(0)));
        process = controlled.restart(kept).unwrap();
        assert_eq!(seen(&controlled, process, counted), (5, 5));
        assert!(controlled.counts(counts).hits >= 960);
        controlled.clear_trap(counts);
    }
    // It runs on when it is let go, and nothing else stays.
    controlled.detach(process, Leave::AsItWas).unwrap();
    assert!(controlled.checkpoints().is_empty());
    drop(controlled);
    await_end(process);
}

#[test]
fn a_process_of_several_threads_says_that_it_cannot() {
    let fixture = require!(fixture("controlled"));
    let (mut controlled, process) = launch(&fixture, &["count", "1000", "2"]);
    let work = symbol(&fixture, &controlled, process, "work");
    trap(&mut controlled, process, work, Filter::default());
    next(&mut controlled);
    let error = controlled.checkpoint(process, "").unwrap_err().to_string();
    assert!(error.contains("threads"), "{error}");
    controlled.kill(process).unwrap();
}

/// No test, unless it is run by one: keeps moments of a process and goes back to them until it is killed.
#[test]
fn as_a_tool() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (Some(process), Some(at)) = (number("CHECKPOINT_TARGET"), number("CHECKPOINT_AT")) else { return };
    let mut process = ProcessId(u32::try_from(process).unwrap());
    let mut controlled = Controlled::attach(process).unwrap();
    trap(&mut controlled, process, Addr(at), Filter::default());
    next(&mut controlled);
    let kept = controlled.checkpoint(process, "").unwrap();
    for round in 0.. {
        next(&mut controlled);
        process = controlled.restart(kept).unwrap();
        println!("\nround {round}");
        let other = controlled.checkpoint(process, "").unwrap();
        controlled.forget(other).unwrap();
    }
}

#[test]
fn an_attached_process_goes_on_as_it_was_and_nothing_stays_beside_it() {
    let fixture = require!(fixture("controlled"));
    // What the copies print comes between.
    let mut target = Computing::start(&mut fixture.command(&["checksum"]));
    let process = ProcessId(target.pid());
    let controlled = Controlled::attach(process).unwrap();
    let work = symbol(&fixture, &controlled, process, "work");
    drop(controlled);
    let own: Vec<u8> = {
        let mut code = vec![0; 16];
        prospect_live::LiveMemory::new(process).read(work, &mut code).unwrap();
        code
    };
    for kill in [false, true, true] {
        if kill {
            let mut tool = Command::new(env::current_exe().unwrap());
            tool.args(["as_a_tool", "--exact", "--nocapture", "--test-threads=1"]).process_group(0);
            tool.env("CHECKPOINT_TARGET", process.0.to_string());
            tool.env("CHECKPOINT_AT", work.0.to_string());
            drop(Running::start_saying(&mut tool, "round 3"));
        } else {
            let mut controlled = Controlled::attach(process).unwrap();
            trap(&mut controlled, process, work, Filter::default());
            next(&mut controlled);
            let kept = controlled.checkpoint(process, "").unwrap();
            let other = controlled.checkpoint(process, "").unwrap();
            controlled.forget(other).unwrap();
            let copy = controlled.restart(kept).unwrap();
            assert_ne!(copy, process);
            assert_eq!(tracer(process.0), tracer(copy.0), "it stands until we leave");
            for _ in 0..1000 {
                next(&mut controlled);
            }
            controlled.detach(copy, Leave::AsItWas).unwrap();
            assert_eq!(state(copy.0, copy.0), None);
        }
        let deadline = Instant::now() + PATIENCE;
        while tracer(process.0) != 0 {
            assert!(Instant::now() < deadline, "it stays traced");
            thread::yield_now();
        }
        let mut code = vec![0; 16];
        prospect_live::LiveMemory::new(process).read(work, &mut code).unwrap();
        assert_eq!((code, children(process)), (own.clone(), String::new()), "{kill}");
        target.assert_goes_on();
    }
}
