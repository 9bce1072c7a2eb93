//! Functions that are called in a program from outside, and what becomes of the thread that calls them.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    env,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use prospect::{
    OpenOptions,
    debug::{
        breakpoint::{BreakpointSpec, Resolution},
        invoke::{self, Argument, Class, Invocation, InvocationEnd, Returned, Returns},
    },
    live::Controlled,
    process::{
        Addr, ProcessId, Registers, Target as _, ThreadId,
        control::{Action, Control as _, Ending, EventKind, Filter, Resume, Trap, TrapPlace},
    },
    symbols::Binaries,
};
use prospect_testing::{Computing, Missing, Random, Running, Signal, fixture, require, rounds, send, tracer};

const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> Result<(Computing, ProcessId), Missing> {
    let computing = Computing::start(&mut fixture("invoked")?.command(&[]));
    let process = ProcessId(computing.pid());
    Ok((computing, process))
}

struct Caller {
    controlled: Controlled,
    process: ProcessId,
    binaries: Arc<Binaries>,
}

impl Caller {
    fn attach(process: ProcessId) -> Self {
        let controlled = Controlled::attach(process).unwrap();
        Self { controlled, process, binaries: OpenOptions::new().new_binaries() }
    }

    fn main(&self) -> ThreadId {
        self.process.into()
    }

    fn function(&self, name: &str) -> Addr {
        let spec: BreakpointSpec = format!("invoked!{name}").parse().unwrap();
        let view = self.controlled.process(self.process).unwrap();
        let Resolution { places, .. } = spec.resolve(view, &self.binaries, true, &|_| Err(String::new()));
        places[0].at
    }

    fn registers(&self) -> Registers {
        self.controlled.process(self.process).unwrap().registers(self.main()).unwrap()
    }

    fn invoke(&mut self, what: &Invocation) -> InvocationEnd {
        let before = self.registers();
        let thread = self.main();
        let end = invoke::invoke(&mut self.controlled, &self.binaries, self.process, thread, what).unwrap();
        if !matches!(end, InvocationEnd::Exited(_)) {
            assert_eq!(self.registers(), before, "{end:?}");
        }
        end
    }

    fn call(&mut self, name: &str, arguments: Vec<Argument>, returns: Returns) -> InvocationEnd {
        let what =
            Invocation { returns, within: PATIENCE, ..Invocation::new(self.function(name), arguments) };
        self.invoke(&what)
    }

    fn call_within(&mut self, name: &str, within: Duration, all_run: bool) -> InvocationEnd {
        let what = Invocation { within, all_run, ..Invocation::new(self.function(name), Vec::new()) };
        self.invoke(&what)
    }
}

fn integer(number: u64) -> InvocationEnd {
    InvocationEnd::Returned(Returned::Integer(number))
}

#[test]
fn functions_take_and_return_what_their_convention_says() {
    for _ in rounds() {
        let (mut computing, process) = require!(start());
        let mut caller = Caller::attach(process);
        let minus = Argument::Integer(3i64.wrapping_neg() as u64);
        assert_eq!(caller.call("add", vec![minus, Argument::Integer(10)], Returns::Integer), integer(7));
        let scaled = caller.call("scale", vec![Argument::Double(1.5), Argument::Float(4.0)], Returns::Double);
        assert_eq!(scaled, InvocationEnd::Returned(Returned::Double(6.0)));
        let half = caller.call("half", vec![Argument::Float(5.0)], Returns::Float);
        assert_eq!(half, InvocationEnd::Returned(Returned::Float(2.5)));
        let text = Argument::Bytes(b"a text of some length\0".to_vec());
        assert_eq!(caller.call("length", vec![text], Returns::Integer), integer(21));
        let eight = (1..=8).map(Argument::Integer).collect();
        assert_eq!(caller.call("many", eight, Returns::Integer), integer(21 + 70 + 800));
        let classes = invoke::classify(16, &[(0..8, Class::Sse), (8..16, Class::Integer)]);
        assert_eq!(classes, [Class::Sse, Class::Integer]);
        let bytes = |first: f64, second: u64| [first.to_le_bytes(), second.to_le_bytes()].concat();
        let pair = Argument::Structure(bytes(3.0, 8), classes.clone());
        let swapped = caller.call("swap", vec![pair], Returns::Structure(16, classes));
        assert_eq!(swapped, InvocationEnd::Returned(Returned::Structure(bytes(8.0, 3))));
        let numbers: Vec<u8> = (4u64..9).flat_map(u64::to_le_bytes).collect();
        let filled = caller.call("fill", vec![Argument::Integer(4)], Returns::Structure(40, Vec::new()));
        assert_eq!(filled, InvocationEnd::Returned(Returned::Structure(numbers.clone())));
        let sum = caller.call("sum_of", vec![Argument::Structure(numbers, Vec::new())], Returns::Integer);
        assert_eq!(sum, integer(12));
        drop(caller);
        computing.assert_goes_on();
    }
}

#[test]
fn what_does_not_return_is_undone_and_said() {
    for _ in rounds() {
        let (mut computing, process) = require!(start());
        let mut caller = Caller::attach(process);
        let short = Duration::from_millis(50);
        let faults = caller.call("faults", vec![Argument::Integer(16)], Returns::Integer);
        assert!(matches!(faults, InvocationEnd::Signalled { signal: 11, .. }), "{faults:?}");
        let aborts = caller.call("aborts", Vec::new(), Returns::Integer);
        assert!(matches!(aborts, InvocationEnd::Signalled { signal: 6, .. }), "{aborts:?}");
        assert_eq!(caller.call_within("loops", short, false), InvocationEnd::TimeOver);
        assert_eq!(caller.call("jumps_out", Vec::new(), Returns::Integer), InvocationEnd::Left);
        assert_eq!(caller.call("jumps_within", Vec::new(), Returns::Integer), integer(9));
        let at = caller.function("add");
        let trap = Trap { place: TrapPlace::Code { at, hardware: false }, filter: Filter::default() };
        let trap = caller.controlled.set_trap(caller.process, trap).unwrap();
        let stopped = caller.call("add", vec![Argument::Integer(1), Argument::Integer(1)], Returns::Integer);
        assert!(
            matches!(stopped, InvocationEnd::Stopped(event) if matches!(event.kind, EventKind::Trapped { .. }))
        );
        caller.controlled.clear_trap(trap);
        drop(caller);
        computing.assert_goes_on();
        let mut caller = Caller::attach(process);
        let leaves = caller.call("leaves", vec![Argument::Integer(9)], Returns::Integer);
        assert_eq!(leaves, InvocationEnd::Exited(Ending::Exited(9)));
    }
}

#[test]
fn a_call_that_waits_for_another_thread_needs_that_thread() {
    for _ in rounds() {
        let (mut computing, process) = require!(start());
        let mut caller = Caller::attach(process);
        // Alone, unless the lock is free at this very moment: then it runs on until it is taken.
        let deadline = Instant::now() + PATIENCE;
        while caller.call_within("locks", Duration::from_millis(50), false) != InvocationEnd::TimeOver {
            assert!(Instant::now() < deadline);
            caller.controlled.resume(&Resume::all()).unwrap();
            assert_eq!(caller.controlled.wait(Some(Duration::from_millis(5))).unwrap(), None);
            caller.controlled.interrupter().interrupt();
            assert!(caller.controlled.wait(Some(PATIENCE)).unwrap().is_some());
        }
        assert_eq!(caller.call_within("locks", PATIENCE, true), integer(7));
        drop(caller);
        computing.assert_goes_on();
    }
}

/// No test, unless it is run by one: calls functions until it is killed.
#[test]
fn as_a_tool() {
    let Some(process) = env::var("INVOKE_TARGET").ok().and_then(|text| text.parse().ok()) else { return };
    let mut caller = Caller::attach(ProcessId(process));
    let (thread, at) = (caller.main(), caller.function("work"));
    loop {
        caller.call_within("loops", Duration::from_millis(3), false);
        println!("\nit calls");
        caller.call("scale", vec![Argument::Double(1.5), Argument::Float(4.0)], Returns::Double);
        // Somewhere else in the program.
        let trap = Trap { place: TrapPlace::Code { at, hardware: false }, filter: Filter::default() };
        let trap = caller.controlled.set_trap(caller.process, trap).unwrap();
        caller.controlled.resume(&Resume::all()).unwrap();
        assert!(caller.controlled.wait(Some(PATIENCE)).unwrap().is_some());
        caller.controlled.clear_trap(trap);
        for _ in 0..5 {
            caller.controlled.resume(&Resume::only(thread, Action::Step)).unwrap();
            assert!(caller.controlled.wait(Some(PATIENCE)).unwrap().is_some());
        }
    }
}

#[test]
fn a_process_that_is_killed_in_a_call_has_ended_and_says_so() {
    for _ in rounds() {
        for (delay, all_run) in [(0, true), (2_000, true), (10_000, false)] {
            let (_computing, process) = require!(start());
            let mut caller = Caller::attach(process);
            let (thread, at) = (caller.main(), caller.function("loops"));
            let end = thread::scope(|scope| {
                scope.spawn(move || {
                    thread::sleep(Duration::from_micros(delay));
                    assert!(send(Signal::Kill, process.0));
                });
                let what = Invocation { within: PATIENCE, all_run, ..Invocation::new(at, Vec::new()) };
                invoke::invoke(&mut caller.controlled, &caller.binaries, process, thread, &what)
            });
            // Killed before it began, there is no thread to make the call.
            let is_told = matches!(end, Ok(InvocationEnd::Exited(Ending::Signalled(9))) | Err(_));
            assert!(is_told, "{end:?} after {delay} us");
        }
    }
}

#[test]
fn a_thread_gets_back_what_it_had_when_the_caller_is_killed() {
    for _ in rounds() {
        let (mut computing, process) = require!(start());
        let mut random = Random::new(5);
        for _ in 0..10 {
            let mut tool = Command::new(env::current_exe().unwrap());
            tool.args(["as_a_tool", "--exact", "--nocapture", "--test-threads=1"]);
            tool.env("INVOKE_TARGET", process.0.to_string()).process_group(0);
            let mut tool = Running::start_saying(&mut tool, "it calls");
            let deadline = Instant::now() + PATIENCE;
            thread::sleep(Duration::from_micros(random.below(20_000) as u64));
            assert_eq!(tool.kill().signal(), Some(9), "it was killed, and did not end by itself");
            while tracer(process.0) != 0 {
                assert!(Instant::now() < deadline, "it stays traced");
                thread::yield_now();
            }
            computing.assert_goes_on();
        }
    }
}
