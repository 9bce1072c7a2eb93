//! System calls that wait begin again where somebody stops their threads, and the program never hears of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use prospect_process::{
    Target as _, ThreadId,
    control::{Action, Control as _, Ending, EventKind, Filter, Resume, Then},
};
use prospect_testing::{require, rounds};

use crate::launched::{Launched, PATIENCE, go_on};

/// How it is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Breakpoints that go on.
    Passes,
    /// All stand at each breakpoint.
    Stops,
    /// One thread is stepped from each breakpoint, while all others run.
    Steps,
    /// From outside, at any moment.
    Interrupts,
    /// Another thread is asked to step through a call that waits.
    StepsOthers,
}

/// So many stops, that calls which begin anew with all of their time can come to their end.
const STOPS: usize = 40;

fn hold(way: Way) -> Result<(), prospect_testing::Missing> {
    let mut launched = Launched::start("restarted", &["2", "60"])?;
    let filter = if matches!(way, Way::Passes) { go_on() } else { Filter::default() };
    let trap = (way != Way::Interrupts).then(|| launched.at_work(filter));
    let interrupter = launched.controlled.interrupter();
    let is_over = AtomicBool::new(false);
    let (mut stops, deadline) = (0, Instant::now() + PATIENCE);
    let mut ending = None;
    thread::scope(|scope| {
        if way == Way::Interrupts {
            scope.spawn(|| {
                for _ in 0..STOPS {
                    thread::sleep(Duration::from_millis(5));
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    interrupter.interrupt();
                }
            });
        }
        let mut plan = Resume::all();
        while ending.is_none() && Instant::now() < deadline {
            let event = launched.next(&plan);
            plan = Resume::all();
            match event.kind {
                EventKind::Trapped { .. } | EventKind::Interrupted | EventKind::Stepped => {
                    stops += 1;
                    plan = match way {
                        Way::Steps => Resume::thread(event.thread, Action::Step),
                        Way::StepsOthers => {
                            let threads = launched.view().threads();
                            let other = threads[stops % threads.len()].id;
                            Resume::thread(ThreadId(other.0), Action::Step)
                        }
                        _ => Resume::all(),
                    };
                    if stops >= STOPS
                        && let Some(trap) = trap
                    {
                        launched.controlled.clear_trap(trap);
                        plan = Resume::all();
                    }
                }
                EventKind::Ended(end) => ending = Some(end),
                other => panic!("{way:?}: {other:?}"),
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(launched.controlled.processes().is_empty(), "{way:?}: it does not end");
    let counts = trap.map(|trap| launched.controlled.counts(trap));
    let printed = launched.printed();
    assert_eq!(ending, Some(Ending::Exited(0)), "{way:?}: {printed}");
    let words: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(words[..4], ["right", "20", "wrong", "0"], "{way:?}: {printed}");
    if way == Way::Passes {
        assert_eq!(counts.map(|counts| counts.hits.to_string()).as_deref(), Some(words[5]), "{printed}");
    } else {
        assert!(stops > 0, "{way:?}");
    }
    Ok(())
}

#[test]
fn calls_that_wait_are_not_disturbed_by_breakpoints_that_go_on() {
    for _ in rounds() {
        require!(hold(Way::Passes));
    }
}

#[test]
fn calls_that_wait_are_not_disturbed_by_stops() {
    for _ in rounds() {
        require!(hold(Way::Stops));
    }
}

#[test]
fn calls_that_wait_are_not_disturbed_by_steps_of_another_thread() {
    for _ in rounds() {
        require!(hold(Way::Steps));
    }
}

#[test]
fn calls_that_wait_are_not_disturbed_by_steps_of_their_own() {
    for _ in rounds() {
        require!(hold(Way::StepsOthers));
    }
}

#[test]
fn calls_that_wait_are_not_disturbed_by_interrupts() {
    for _ in rounds() {
        require!(hold(Way::Interrupts));
    }
}

/// A time limit is not counted anew: with a stop every few milliseconds, such a call would never end.
#[test]
fn calls_that_know_their_time_end_in_it_however_often_they_are_stopped() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("restarted", &["1", "100", "timed"]));
        launched.at_work(Filter { then: Then::Stop, ..Filter::default() });
        let deadline = Instant::now() + PATIENCE;
        let ending = loop {
            assert!(Instant::now() < deadline, "it does not end");
            match launched.next(&Resume::all()).kind {
                EventKind::Trapped { .. } => {}
                EventKind::Ended(ending) => break ending,
                other => panic!("{other:?}"),
            }
        };
        let printed = launched.printed();
        assert_eq!(ending, Ending::Exited(0), "{printed}");
        assert!(printed.starts_with("right 6 wrong 0 "), "{printed}");
    }
}
