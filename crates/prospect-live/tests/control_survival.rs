//! Whoever controls a process may be killed at any moment, and the process goes on as it was.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    env,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use prospect_live::{Controlled, LiveMemory};
use prospect_process::{
    Addr, Memory as _, ProcessId, Target as _,
    control::{Action, Control as _, EventKind, Filter, Resume, Then, Trap, TrapPlace},
};
use prospect_testing::{Computing, Fixture, Random, fixture, require, rounds, tracer};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where the function is that traps are set at.
fn work(fixture: &Fixture, process: ProcessId) -> Addr {
    let live = prospect_live::LiveProcess::open(process).unwrap();
    let stopped = live.stop(PATIENCE).unwrap();
    let bias = prospect_process::Process::modules(&stopped).executable().unwrap().bias;
    Addr(bias.wrapping_add(fixture.symbol("work")))
}

/// No test, unless it is run by one: controls a process until it is killed, in one of several ways.
#[test]
fn as_a_tool() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (Some(process), Some(at), Some(way)) =
        (number("CONTROL_TARGET"), number("CONTROL_AT"), number("CONTROL_WAY"))
    else {
        return;
    };
    let process = ProcessId(u32::try_from(process).unwrap());
    let mut controlled = Controlled::attach(process).unwrap();
    let then = if way == 0 { Then::GoOn } else { Then::Stop };
    let place = TrapPlace::Code { at: Addr(at), hardware: false };
    let set = |controlled: &mut Controlled| {
        let filter = Filter { then, ..Filter::default() };
        controlled.set_trap(process, Trap { place: place.clone(), filter }).unwrap()
    };
    let mut trap = set(&mut controlled);
    let mut how = Resume::all();
    loop {
        controlled.resume(&how).unwrap();
        let Some(event) = controlled.wait(Some(PATIENCE)).unwrap() else { continue };
        match (way, event.kind) {
            // Set and taken away at each stop.
            (1, EventKind::Trapped { .. }) => {
                controlled.clear_trap(trap);
                trap = set(&mut controlled);
            }
            // From each hit on a few steps.
            (_, EventKind::Trapped { .. }) => how = Resume::only(event.thread, Action::Step),
            (_, EventKind::Stepped) => how = Resume::all(),
            (_, EventKind::Ended(_)) => return,
            _ => {}
        }
    }
}

/// Where a process may run, as it says.
fn processors(process: ProcessId) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0)).unwrap();
    status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap().to_owned()
}

/// The tracer of a process is killed: nobody is left that could put anything back but the program that made it.
#[test]
fn a_hot_thread_gets_its_processors_back_also_when_its_tracer_is_killed() {
    let fixture = require!(fixture("controlled"));
    let mut launch = prospect_live::Launch::new(fixture.path(), ["calls", "1000000000"]);
    launch.streams = [prospect_live::Stdio::Null, prospect_live::Stdio::Null, prospect_live::Stdio::Inherit];
    let mut controlled = Controlled::launch(&launch).unwrap();
    let process = controlled.processes()[0];
    let own = processors(process);
    let getppid = prospect_process::control::Numbers::Only(vec![110]);
    let phase = prospect_process::control::CallPhase::Entry;
    let place = TrapPlace::Call { numbers: getppid, phase };
    let filter = Filter { then: Then::GoOn, ..Filter::default() };
    controlled.set_trap(process, Trap { place, filter }).unwrap();
    controlled.resume(&Resume::all()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // Where there is one processor only, it is there already.
    while thread::available_parallelism().unwrap().get() > 1 && processors(process) == own {
        assert!(Instant::now() < deadline, "it is never kept where its tracer is");
        thread::yield_now();
    }
    let kill = |number: u32| Command::new("kill").args(["-KILL", &number.to_string()]).status().unwrap();
    assert!(kill(tracer(process.0)).success());
    assert!(controlled.wait(Some(PATIENCE)).is_err(), "nobody is left to answer");
    drop(controlled);
    assert_eq!(processors(process), own);
    assert_eq!(tracer(process.0), 0);
    assert!(kill(process.0).success());
}

fn survives(way: u64, program: &str) {
    let fixture = require!(fixture(program));
    let mut target = Computing::start(&mut fixture.command(&["checksum"]));
    let process = ProcessId(target.pid());
    let at = work(&fixture, process);
    let code = || {
        let mut bytes = [0; 32];
        LiveMemory::new(process).read(at, &mut bytes).unwrap();
        bytes
    };
    let (before, own, mut random) = (code(), processors(process), Random::new(way));
    for round in 0..8 * rounds().end {
        let mut tool = Command::new(env::current_exe().unwrap());
        tool.args(["as_a_tool", "--exact", "--nocapture", "--test-threads=1"]);
        tool.env("CONTROL_TARGET", process.0.to_string()).env("CONTROL_AT", at.0.to_string());
        tool.env("CONTROL_WAY", way.to_string()).stdout(Stdio::null()).process_group(0);
        let mut tool = tool.spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while tracer(process.0) == 0 {
            assert!(Instant::now() < deadline && tool.try_wait().unwrap().is_none(), "it is never traced");
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(random.below(30_000) as u64));
        tool.kill().unwrap();
        assert_eq!(tool.wait().unwrap().signal(), Some(9), "it was killed, and did not end by itself");
        while tracer(process.0) != 0 {
            assert!(Instant::now() < deadline, "it stays traced");
            thread::yield_now();
        }
        assert_eq!((code(), processors(process)), (before, own.clone()), "round {round}");
        target.assert_goes_on();
    }
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.0)).unwrap();
    let anonymous_code =
        maps.lines().filter(|line| line.contains("r-xp 00000000 00:00 0") && !line.contains('['));
    assert_eq!(anonymous_code.count(), 0, "{maps}");
    assert!(Controlled::attach(process).is_ok_and(|controlled| controlled.processes() == [process]));
    target.assert_goes_on();
}

#[test]
fn while_hits_are_counted() {
    survives(0, "controlled");
}

#[test]
fn while_traps_are_set_and_cleared() {
    survives(1, "controlled");
}

#[test]
fn while_it_is_stepped() {
    survives(2, "controlled");
}

#[test]
fn while_others_are_held_for_an_instruction() {
    survives(0, "controlled-unmoved");
}
