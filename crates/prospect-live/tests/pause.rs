//! One thread, some or all of them held, by several at once, and let go in any order.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::HashSet,
    io::Write as _,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use prospect_live::{LiveError, LiveProcess, Threads};
use prospect_process::{FreezePlan, Process as _, ProcessId, ThreadId};
use prospect_testing::{Heartbeat, Running, Signal, fixture, require, send, state, states, tasks, tracer};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Eight threads that count, and the first one, which counts too.
struct Counting {
    live: LiveProcess,
    heartbeat: Heartbeat,
    running: Running,
    threads: Vec<ThreadId>,
}

impl Counting {
    fn start(fixture: &prospect_testing::Fixture) -> Self {
        let (heartbeat, running) = Heartbeat::start(&mut fixture.command(&["8"]));
        heartbeat.assert_beats();
        let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
        let threads: Vec<ThreadId> = tasks(running.pid()).into_iter().map(ThreadId).collect();
        assert_eq!(threads.len(), 9);
        Self { live, heartbeat, running, threads }
    }

    /// Panics unless these threads stand still while all others count, and only these are held.
    fn assert_still(&self, still: &[usize]) {
        let held: Vec<usize> = (0..self.threads.len())
            .filter(|index| state(self.running.pid(), self.threads[*index].0) == Some('t'))
            .collect();
        assert_eq!(held, still);
        let before = self.heartbeat.counters();
        let deadline = Instant::now() + Duration::from_secs(10);
        let moves = |now: &[u64], index: usize| now[index] >= before[index] + 3;
        loop {
            let now = self.heartbeat.counters();
            for index in still {
                assert_eq!(now[*index], before[*index], "thread {index} counts");
            }
            if (0..now.len()).all(|index| still.contains(&index) || moves(&now, index)) {
                return;
            }
            assert!(Instant::now() < deadline, "{before:?} {now:?}, held: {still:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn some(&self, which: &[usize]) -> Threads {
        Threads::Only(which.iter().map(|index| self.threads[*index]).collect())
    }
}

#[test]
fn one_thread_then_two_then_all_in_another_order() {
    let fixture = require!(fixture("threads"));
    let mut target = Counting::start(&fixture);
    let all: Vec<usize> = (0..9).collect();
    let one = target.live.stop_thread(target.threads[3], TIMEOUT).unwrap();
    target.assert_still(&[3]);
    let two = target.live.stop_threads(target.some(&[3, 6]), TIMEOUT).unwrap();
    target.assert_still(&[3, 6]);
    assert_eq!(two.threads().len(), 2);
    let everything = target.live.stop(TIMEOUT).unwrap();
    target.assert_still(&all);
    // Also those that stood before are seen, in the order of the threads, as they were before they were stopped.
    let seen: Vec<ThreadId> = everything.threads().iter().map(|thread| thread.id).collect();
    assert_eq!(seen, target.threads);
    for thread in everything.threads() {
        assert!(everything.registers(thread.id).unwrap().pc().is_some());
        assert!(thread.not_stopped.is_none() && thread.state.as_str() != "traced", "{thread:?}");
    }
    assert_eq!(one.registers(target.threads[3]), everything.registers(target.threads[3]));
    assert!(one.resume().is_some());
    target.assert_still(&all);
    assert!(everything.resume().is_some());
    target.assert_still(&[3, 6]);
    let again = target.live.stop_threads(target.some(&[6, 7]), TIMEOUT).unwrap();
    drop(two);
    target.assert_still(&[6, 7]);
    drop(again);
    target.assert_still(&[]);
    target.running.assert_unharmed();
}

#[test]
fn pauses_are_a_list_of_threads() {
    let fixture = require!(fixture("threads"));
    let target = Counting::start(&fixture);
    target.live.pause(target.threads[1], TIMEOUT).unwrap();
    target.live.pause(target.some(&[1, 2]), TIMEOUT).unwrap();
    target.assert_still(&[1, 2]);
    let seen = target.live.pause(Threads::All, TIMEOUT).unwrap();
    assert_eq!(seen.len(), 9);
    target.assert_still(&(0..9).collect::<Vec<_>>());
    // Twice paused, once resumed: it runs.
    target.live.resume(target.some(&[1, 4]));
    target.assert_still(&[0, 2, 3, 5, 6, 7, 8]);
    let paused: HashSet<ThreadId> = target.live.paused().into_iter().collect();
    assert_eq!(paused.len(), 7);
    target.live.resume(target.threads[4]);
    target.live.resume(Threads::All);
    target.assert_still(&[]);
    assert!(target.live.paused().is_empty());
    target.live.pause(target.threads[5], TIMEOUT).unwrap();
    // What a walk stops for itself it lets go, and no more.
    let freeze = target.live.freeze(&FreezePlan::stacks(), TIMEOUT).unwrap();
    assert_eq!(freeze.process.threads().len(), 9);
    assert!(target.threads.iter().all(|thread| freeze.process.registers(*thread).is_some()));
    target.assert_still(&[5]);
    let Counting { live, heartbeat, mut running, .. } = target;
    drop(live);
    heartbeat.assert_beats();
    running.assert_unharmed();
}

#[test]
fn threads_that_are_not_there() {
    let fixture = require!(fixture("threads"));
    let target = Counting::start(&fixture);
    let stranger = ThreadId(std::process::id());
    assert!(matches!(target.live.stop_thread(stranger, TIMEOUT), Err(LiveError::NoSuchThread(_))));
    let both = Threads::Only(vec![stranger, target.threads[2]]);
    let stopped = target.live.stop_threads(both, TIMEOUT).unwrap();
    assert_eq!(stopped.threads().len(), 1);
    target.assert_still(&[2]);
    assert!(target.live.stop_threads(Threads::Only(Vec::new()), TIMEOUT).is_err());
    target.assert_still(&[2]);
    drop(stopped);
    target.assert_still(&[]);
}

#[test]
fn a_process_can_be_left_stopped() {
    let fixture = require!(fixture("threads"));
    let mut target = Counting::start(&fixture);
    let all_stopped = |states: &str| states.len() == 9 && states.chars().all(|state| state == 'T');
    for round in 0..3 {
        match round {
            0 => target.live.stop(TIMEOUT).unwrap().leave_stopped().unwrap(),
            // One thread was held: all are left stopped.
            1 => target.live.stop_thread(target.threads[4], TIMEOUT).unwrap().leave_stopped().unwrap(),
            _ => {
                target.live.pause(Threads::All, TIMEOUT).unwrap();
                target.live.leave_stopped().unwrap();
            }
        }
        assert!(target.running.wait_for_states(all_stopped), "{}", states(target.running.pid()));
        assert_eq!(tracer(target.running.pid()), 0);
        let before = target.heartbeat.counters();
        thread::sleep(Duration::from_millis(30));
        assert_eq!(target.heartbeat.counters(), before);
        assert!(send(Signal::Continue, target.running.pid()));
        target.heartbeat.assert_beats();
    }
    target.running.assert_unharmed();
}

#[test]
fn nothing_runs_between_the_hold_and_the_stop_that_is_left() {
    let fixture = require!(fixture("threads"));
    let target = Counting::start(&fixture);
    for _ in 0..20 {
        let stopped = target.live.stop(TIMEOUT).unwrap();
        let before = target.heartbeat.counters();
        stopped.leave_stopped().unwrap();
        let all_stopped = |states: &str| states.chars().all(|state| state == 'T');
        assert!(target.running.wait_for_states(all_stopped));
        assert_eq!(target.heartbeat.counters(), before);
        assert!(send(Signal::Continue, target.running.pid()));
    }
}

#[test]
fn many_hold_and_let_go_at_once() {
    let fixture = require!(fixture("threads"));
    let mut target = Counting::start(&fixture);
    thread::scope(|scope| {
        for index in 0..4 {
            let (live, pid) = (&target.live, target.running.pid());
            let some = [target.some(&[index, index + 1]), target.some(&[8])];
            scope.spawn(move || {
                for round in 0..100 {
                    let threads = match (round + index) % 3 {
                        0 => Threads::All,
                        kind => some[kind - 1].clone(),
                    };
                    if round % 7 == 0 {
                        live.freeze(&FreezePlan::stacks(), TIMEOUT).unwrap();
                    }
                    let stopped = live.stop_threads(threads, TIMEOUT).unwrap();
                    assert!(stopped.threads().iter().all(|thread| thread.not_stopped.is_none()));
                    for thread in stopped.threads() {
                        assert_eq!(state(pid, thread.id.0), Some('t'));
                    }
                }
            });
        }
    });
    target.assert_still(&[]);
    target.running.assert_unharmed();
}

#[test]
fn who_is_killed_while_a_thread_is_held_ends_at_once() {
    let fixture = require!(fixture("threads"));
    let mut target = Counting::start(&fixture);
    let held = target.live.stop_threads(target.some(&[0, 3]), TIMEOUT).unwrap();
    assert!(!target.live.has_ended());
    assert!(send(Signal::Kill, target.running.pid()));
    let deadline = Instant::now() + TIMEOUT;
    // Its parent learns of it, although we have not let go.
    while target.running.is_alive() {
        assert!(Instant::now() < deadline, "{}", states(target.running.pid()));
        thread::sleep(Duration::from_millis(2));
    }
    assert!(target.live.has_ended());
    assert!(matches!(target.live.stop(TIMEOUT), Err(LiveError::Ended(_))));
    drop(held);
}

#[test]
fn a_thread_that_is_held_does_not_keep_its_process_from_another_program() {
    let fixture = require!(fixture("orders"));
    let mut running = Running::start(&mut fixture.command(&[]));
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    let worker = ThreadId(*tasks(running.pid()).iter().find(|tid| **tid != running.pid()).unwrap());
    let held = live.stop_thread(worker, TIMEOUT).unwrap();
    assert!(send(Signal::User1, running.pid()));
    assert!(running.wait_for_states(|states| states.len() == 1), "{}", states(running.pid()));
    drop(held);
    assert!(!live.has_ended());
    running.assert_unharmed();
}

/// What a tool does that is killed while it holds some threads: this test runs itself again for that.
#[test]
fn a_tool_that_is_killed_while_it_holds_some_threads_leaves_them_free() {
    if let Ok(pid) = std::env::var("PAUSE_SOME_OF") {
        let live = LiveProcess::open(ProcessId(pid.parse().unwrap())).unwrap();
        let threads: Vec<ThreadId> = tasks(live.info().id.0).into_iter().map(ThreadId).collect();
        live.pause(&threads[2..5], TIMEOUT).unwrap();
        let _stopped = live.stop_threads(&threads[4..7], TIMEOUT).unwrap();
        println!("\nHOLDING");
        std::io::stdout().flush().unwrap();
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let fixture = require!(fixture("threads"));
    let mut target = Counting::start(&fixture);
    let name = "a_tool_that_is_killed_while_it_holds_some_threads_leaves_them_free";
    let mut tool = Command::new(std::env::current_exe().unwrap());
    tool.args(["--exact", name, "--nocapture"]).env("PAUSE_SOME_OF", target.running.arg());
    let tool = Running::start_saying(&mut tool, "HOLDING");
    let held = states(target.running.pid());
    drop(tool);
    assert_eq!(held.matches('t').count(), 5, "{held}");
    target.running.assert_unharmed();
    target.assert_still(&[]);
}
