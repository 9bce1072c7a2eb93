//! Running a thread instruction by instruction.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::time::Duration;

use prospect_live::{LiveError, LiveProcess, StepStop, SteppedThread};
use prospect_process::{Addr, ProcessId, ThreadId};
use prospect_testing::{Running, Signal, fixture, require, send, states};

const PATIENCE: Duration = Duration::from_secs(10);

fn step_thread<T: Send>(running: &Running, work: impl FnOnce(&mut SteppedThread) -> T + Send) -> T {
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    live.step_thread(ThreadId(running.pid()), PATIENCE, work).unwrap()
}

fn pc(thread: &SteppedThread) -> Addr {
    thread.registers().unwrap().pc().unwrap()
}

/// A program that never rests.
fn busy(name: &str) -> Result<Running, prospect_testing::Missing> {
    Ok(Running::start_restless(&mut fixture(name)?.command(&[])))
}

#[test]
fn a_thread_runs_one_instruction_at_a_time_and_then_on_as_before() {
    let mut running = require!(busy("vdso"));
    step_thread(&running, |thread| {
        let mut moved = 0;
        for _ in 0..2000 {
            let before = pc(thread);
            assert_eq!(thread.step(PATIENCE).unwrap(), StepStop::Instruction);
            moved += u32::from(pc(thread) != before);
            assert!(thread.process().mappings().at(pc(thread)).is_some_and(|at| at.permissions.execute));
        }
        // Few instructions of a clock go to themselves.
        assert!(moved > 1900, "{moved}");
        assert_eq!(thread.process().threads().len(), 1);
    });
    running.assert_unharmed();
}

#[test]
fn the_trap_flag_that_steps_is_never_the_programs_own() {
    for name in ["flags", "flags-32"] {
        let mut running = match busy(name) {
            Ok(running) => running,
            Err(missing) => {
                prospect_testing::note_skipped(module_path!(), &missing);
                continue;
            }
        };
        // It is let go at each of its instructions, with the flags stored and taken back so far.
        for steps in 1..40 {
            step_thread(&running, |thread| {
                for _ in 0..steps {
                    assert_eq!(thread.step(PATIENCE).unwrap(), StepStop::Instruction);
                }
            });
        }
        running.assert_unharmed();
        assert!(running.wait_for_states(|states| states == "R"), "{name}");
        assert!(running.is_alive(), "{name} has found a trap flag that is not its own");
    }
}

#[test]
fn a_thread_that_waits_in_the_kernel_is_waited_for_no_longer_than_asked() {
    let fixture = require!(fixture("deep"));
    let mut running = fixture.start(&["3"]);
    step_thread(&running, |thread| {
        assert_eq!(thread.step(Duration::from_millis(20)).unwrap(), StepStop::Waiting);
        assert!(thread.registers().is_none());
        assert_eq!(thread.step(Duration::from_millis(20)).unwrap(), StepStop::Waiting);
    });
    running.assert_unharmed();
    assert!(running.wait_for_states(|states| states == "S"));
}

#[test]
fn a_signal_is_seen_before_its_handler_and_the_handler_is_entered() {
    let fixture = require!(fixture("every"));
    let mut running = fixture.start(&[]);
    let pid = running.pid();
    step_thread(&running, |thread| {
        let interrupted = pc(thread);
        assert!(send(Signal::User1, pid));
        let Ok(StepStop::Signal(number)) = thread.step(PATIENCE) else { panic!("no signal") };
        assert_eq!((number, pc(thread)), (10, interrupted));
        assert_eq!(thread.step(PATIENCE).unwrap(), StepStop::Handler);
        assert_ne!(pc(thread), interrupted);
        assert_eq!(thread.step(PATIENCE).unwrap(), StepStop::Instruction);
    });
    // Told to begin, it runs to its end.
    let ended = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        !running.is_alive()
    });
    assert!(ended);
}

#[test]
fn what_job_control_has_stopped_stays_stopped() {
    let mut running = require!(busy("vdso"));
    let pid = running.pid();
    assert!(send(Signal::Stop, pid) && running.wait_for_states(|states| states == "T"));
    step_thread(&running, |thread| {
        let before = pc(thread);
        assert_eq!(thread.step(Duration::from_millis(20)).unwrap(), StepStop::Waiting);
        assert!(send(Signal::Continue, pid));
        while thread.step(PATIENCE).unwrap() != StepStop::Instruction {}
        assert_ne!(pc(thread), before);
        assert!(send(Signal::Stop, pid));
        while thread.step(PATIENCE).unwrap() != StepStop::GroupStop {}
    });
    assert!(running.wait_for_states(|states| states == "T"), "{}", states(pid));
    assert!(send(Signal::Continue, pid));
    running.assert_unharmed();
}

#[test]
fn the_end_of_a_thread_is_seen() {
    let running = require!(busy("vdso"));
    let pid = running.pid();
    step_thread(&running, |thread| {
        assert!(send(Signal::Kill, pid));
        while thread.step(PATIENCE).unwrap() != StepStop::Ended {}
        assert!(thread.registers().is_none());
        assert_eq!(thread.step(PATIENCE).unwrap(), StepStop::Ended);
    });
}

#[test]
fn a_panic_while_it_stands_lets_it_go() {
    let mut running = require!(busy("vdso"));
    let result = std::panic::catch_unwind(|| {
        step_thread(&running, |thread| {
            assert_eq!(thread.step(PATIENCE).unwrap(), StepStop::Instruction);
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    });
    assert!(result.is_err());
    running.assert_unharmed();
}

#[test]
fn a_thread_that_is_not_there_is_an_error() {
    let running = require!(busy("vdso"));
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    let result = live.step_thread(ThreadId(u32::MAX >> 1), PATIENCE, |_| ());
    assert!(matches!(result, Err(LiveError::NoSuchThread(_))), "{result:?}");
}
