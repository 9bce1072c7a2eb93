//! A debugger as front ends use it: nothing but [`Debugger`].
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod standing;

use std::{
    os::fd::AsFd as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prospect::{
    Debugger, OpenOptions,
    debug::{
        breakpoint::{BreakAt, BreakpointId, Catch},
        call,
        step::Step,
    },
    debugger::{DebugError, Decision, Log, Point, ProcessState, Stepped, Stop},
    process::{
        Arch, ProcessId, ThreadId,
        control::{CallPhase, DataAccess, Ending, EventKind, Follow, Leave, Numbers, Then, TrapPlace},
    },
};
use prospect_testing::{Missing, fixture, require, rounds, tracer};
use standing::PATIENCE;

fn launch(name: &str, arguments: &[&str]) -> Result<(Debugger, ProcessId), Missing> {
    let launch = standing::launch(&fixture(name)?, arguments);
    let debugger = Debugger::launch(OpenOptions::new(), launch).unwrap();
    let process = debugger.processes()[0];
    Ok((debugger, process))
}

#[track_caller]
fn go(debugger: &mut Debugger) -> Stop {
    debugger.go(Some(PATIENCE)).unwrap().expect("nothing stops")
}

fn hit(stop: &Stop) -> Vec<BreakpointId> {
    stop.hits.iter().map(|hit| hit.breakpoint).collect()
}

fn ends_with(debugger: &mut Debugger, status: i32) {
    let stop = go(debugger);
    assert_eq!(stop.event.kind, EventKind::Ended(Ending::Exited(status)), "{stop:?}");
}

fn number(debugger: &Debugger, thread: ThreadId) -> String {
    use prospect::value::expression::Expression;
    let number = Expression::parse("number", &|_| false).unwrap();
    let read = |scope: &prospect::FrameScope<'_>| {
        number.evaluate(scope).unwrap().integer(scope).unwrap().to_string()
    };
    debugger.in_frame(thread, 0, read).unwrap()
}

#[test]
fn breakpoints_are_listed_disabled_ignored_and_removed() {
    for _ in rounds() {
        let (mut debugger, process) = require!(launch("controlled", &["count", "20", "1"]));
        let id = debugger.add(Point::at("work").unwrap()).unwrap();
        let twin = debugger.add(Point { then: Then::GoOn, ..Point::at("work").unwrap() }).unwrap();
        assert_eq!((id, twin), (BreakpointId(1), BreakpointId(2)));
        let stop = go(&mut debugger);
        assert_eq!(hit(&stop), [id]);
        assert_eq!(number(&debugger, stop.event.thread), "0");
        assert_eq!(debugger.find_thread(stop.event.thread), Some(process));
        debugger.ignore(id, 4).unwrap();
        let stop = go(&mut debugger);
        assert_eq!(number(&debugger, stop.event.thread), "5");
        debugger.set_condition(id, Some("number == 9".into())).unwrap();
        debugger.ignore(id, 0).unwrap();
        let stop = go(&mut debugger);
        assert_eq!(number(&debugger, stop.event.thread), "9");
        debugger.enable(id, false).unwrap();
        assert!(!debugger.breakpoints()[0].is_enabled && debugger.breakpoints()[0].sites.is_empty());
        ends_with(&mut debugger, 0);
        assert_eq!((debugger.counts(id).unwrap().hits, debugger.counts(twin).unwrap().hits), (10, 20));
        debugger.remove(twin).unwrap();
        assert!(matches!(debugger.counts(twin), Err(DebugError::NoBreakpoint(_))));
        assert!(matches!(debugger.enable(twin, true), Err(DebugError::NoBreakpoint(_))));
    }
}

#[test]
fn hits_are_ignored_over_all_places_together() {
    for _ in rounds() {
        let (mut debugger, _) = require!(launch("controlled", &["count", "6", "1"]));
        // Three places: each call of `work` passes one, and the handler none.
        let mut point = Point::at("/^(work|worker|main)$/").unwrap();
        point.wanted.ignore = 4;
        let id = debugger.add(point).unwrap();
        let stop = go(&mut debugger);
        assert_eq!(hit(&stop), [id]);
        assert_eq!(debugger.breakpoints()[0].sites.len(), 3);
        // `main`, `worker`, and then `work` of 0 and 1.
        assert_eq!(number(&debugger, stop.event.thread), "2");
    }
}

/// `worker` is hit once, and then `work` of 0, 1 and so on.
#[test]
fn hits_are_counted_over_all_places_of_a_breakpoint() {
    for _ in rounds() {
        // The second condition is asked where all stand: only hits that match are passed over.
        for (spec, condition, notes, expected, counted) in [
            ("/^(work|worker)$/", None, 0, "3", (21, 21, 18)),
            ("work", Some("number > 1.5"), 1, "6", (20, 18, 15)),
        ] {
            let (mut debugger, _) = require!(launch("controlled", &["count", "20", "1"]));
            let mut point = Point { then: Then::StopAt(2), ..Point::at(spec).unwrap() };
            point.condition = condition.map(str::to_owned);
            point.wanted.ignore = 3;
            let id = debugger.add(point).unwrap();
            assert_eq!(debugger.notes(id).len(), notes);
            let stop = go(&mut debugger);
            assert_eq!(number(&debugger, stop.event.thread), expected, "{spec}");
            ends_with(&mut debugger, 0);
            let counts = debugger.counts(id).unwrap();
            assert_eq!((counts.hits, counts.matched, counts.taken), counted, "{spec}");
        }
    }
}

/// The program loads a library, calls it and lets it go, again and again, and checks that.
#[test]
fn a_breakpoint_comes_and_goes_with_its_library() {
    const VISITS: u64 = 3;
    for _ in rounds() {
        let fixture = require!(fixture("visits"));
        let library = fixture.directory().join("libvisited.so");
        let arguments = [library.to_str().unwrap(), &VISITS.to_string()];
        for then in [Then::GoOn, Then::Stop] {
            let (mut debugger, process) = require!(launch("visits", &arguments));
            let id = debugger.add(Point { then, ..Point::at("visit").unwrap() }).unwrap();
            assert!(debugger.breakpoints()[0].is_pending());
            for visit in 0..VISITS * u64::from(then == Then::Stop) {
                let stop = go(&mut debugger);
                assert_eq!(hit(&stop), [id], "{visit}");
                assert_eq!(number(&debugger, stop.event.thread), visit.to_string());
                assert_eq!(debugger.breakpoints()[0].sites.len(), 1);
                let modules = debugger.process(process).unwrap().modules();
                assert!(modules.at(stop.hits[0].at.unwrap()).is_some());
            }
            ends_with(&mut debugger, 0);
            assert_eq!(debugger.counts(id).unwrap().hits, VISITS, "{then:?}");
        }
    }
}

#[test]
fn handlers_say_what_comes_of_a_hit() {
    for _ in rounds() {
        let (mut debugger, _) = require!(launch("controlled", &["count", "30", "1"]));
        let seen = Arc::new(AtomicU64::new(0));
        let counter = seen.clone();
        let point = Point { log: Some(Log::Arguments), ..Point::at("work").unwrap() };
        let id = debugger
            .add_with(
                point,
                Some(Box::new(move |hit, moment| {
                    assert!(moment.process.registers(hit.thread).is_some());
                    let is_tenth = counter.fetch_add(1, Ordering::SeqCst) == 9;
                    if is_tenth { Decision::Stop } else { Decision::GoOn }
                })),
            )
            .unwrap();
        let mut hits = Vec::new();
        debugger.resume().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let stop = loop {
            assert!(Instant::now() < deadline);
            let stop = debugger.wait(Some(Duration::from_secs(5))).unwrap();
            hits.extend(debugger.take_hits());
            if let Some(stop) = stop {
                break stop;
            }
        };
        assert_eq!((hit(&stop), hits.len(), seen.load(Ordering::SeqCst)), (vec![id], 9, 10));
        let text = stop.hits[0].text.as_deref().unwrap();
        assert!(text.starts_with("number = 9, text = 0x"), "{text}");
        assert!(hits.iter().all(|hit| hit.at.is_some() && hit.breakpoint == id));
    }
}

#[test]
fn a_program_is_started_again_with_its_breakpoints() {
    for _ in rounds() {
        let (mut debugger, first) = require!(launch("controlled", &["count", "5", "1"]));
        let mut point = Point::at("work").unwrap();
        point.wanted.ignore = 2;
        let id = debugger.add(point).unwrap();
        let disabled = debugger.add(Point::at("main").unwrap()).unwrap();
        debugger.enable(disabled, false).unwrap();
        let stop = go(&mut debugger);
        assert_eq!(number(&debugger, stop.event.thread), "2");
        let second = debugger.restart().unwrap();
        assert_ne!(first, second);
        assert_eq!(debugger.counts(id).unwrap().hits, 0);
        let stop = go(&mut debugger);
        assert_eq!((hit(&stop), stop.event.process), (vec![id], second));
        assert_eq!(number(&debugger, stop.event.thread), "2");
        debugger.remove(id).unwrap();
        ends_with(&mut debugger, 0);
        assert_eq!(debugger.state(second), Some(ProcessState::Ended(Ending::Exited(0))));
        // Also from its end.
        let third = debugger.restart().unwrap();
        assert_eq!(debugger.processes(), [third]);
        ends_with(&mut debugger, 0);
    }
}

#[test]
fn what_has_ended_or_was_let_go_says_so() {
    for _ in rounds() {
        let (mut debugger, process) = require!(launch("controlled", &["count", "1", "1"]));
        assert_eq!(debugger.state(process), Some(ProcessState::Stands));
        let entry = debugger.entry_point(process).unwrap().unwrap();
        assert!(debugger.memory_map(process).unwrap().at(entry).unwrap().permissions.execute);
        ends_with(&mut debugger, 0);
        assert!(matches!(debugger.process(process), Err(DebugError::Ended(_, Ending::Exited(0)))));
        assert!(matches!(debugger.process(ProcessId(1)), Err(DebugError::NoProcess(_))));
        assert!(debugger.resume().is_err() || debugger.wait(Some(Duration::ZERO)).is_ok());

        let fixture = require!(fixture("controlled"));
        let mut child = fixture.command(&["checksum"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        let process = ProcessId(child.id());
        let mut debugger = Debugger::attach(OpenOptions::new(), process).unwrap();
        debugger.add(Point::at("work").unwrap()).unwrap();
        go(&mut debugger);
        assert!(matches!(debugger.restart(), Err(DebugError::NotLaunched)));
        debugger.detach(process, Leave::AsItWas).unwrap();
        assert_eq!(debugger.state(process), Some(ProcessState::LetGo));
        assert!(matches!(debugger.process(process), Err(DebugError::LetGo(_))));
        assert!(matches!(debugger.detach(process, Leave::AsItWas), Err(DebugError::LetGo(_))));
        assert_eq!(tracer(process.0), 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_process_is_found_by_its_name_and_awaited() {
    for _ in rounds() {
        let fixture = require!(fixture("controlled"));
        // A name that no other test has.
        let name = format!("p{}", std::process::id());
        let path = fixture.directory().join(&name);
        std::fs::copy(fixture.path(), &path).unwrap();
        let none = Debugger::attach_named(OpenOptions::new(), &name);
        assert!(matches!(none, Err(DebugError::NoneNamed(_))));
        let start =
            || Command::new(&path).arg("checksum").stdout(std::process::Stdio::null()).spawn().unwrap();
        let mut children = Vec::new();
        let awaited = std::thread::scope(|scope| {
            let child = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                start()
            });
            let awaited = Debugger::attach_next(OpenOptions::new(), &name, PATIENCE);
            children.push(child.join().unwrap());
            awaited.unwrap().unwrap()
        });
        assert_eq!(awaited.processes()[0].0, children[0].id());
        drop(awaited);
        let named = Debugger::attach_named(OpenOptions::new(), &name).unwrap();
        assert_eq!(named.processes()[0].0, children[0].id());
        drop(named);
        children.push(start());
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Before it has executed the program, it has another name.
            match Debugger::attach_named(OpenOptions::new(), &name) {
                Err(DebugError::SeveralNamed { processes, .. }) => break assert_eq!(processes.len(), 2),
                _ => assert!(Instant::now() < deadline),
            }
        }
        let none = Debugger::attach_next(OpenOptions::new(), &name, Duration::from_millis(10));
        assert!(none.unwrap().is_none(), "those that ran are not meant");
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_runs_is_stopped_by_hand_and_it_is_remembered_until_it_is_asked() {
    for _ in rounds() {
        let (mut debugger, _) = require!(launch("controlled", &["checksum"]));
        let handle = debugger.stop_handle();
        debugger.resume().unwrap();
        assert_eq!(debugger.state(debugger.processes()[0]), Some(ProcessState::Runs));
        let stop = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                handle.stop();
            });
            debugger.wait(Some(PATIENCE)).unwrap().unwrap()
        });
        assert_eq!(stop.event.kind, EventKind::Interrupted);
        assert!(debugger.check_and_clear_stop() && !debugger.check_and_clear_stop());
        // The descriptor tells of it too.
        debugger.resume().unwrap();
        handle.stop();
        assert!(std::os::fd::AsRawFd::as_raw_fd(&debugger.as_fd()) >= 0);
        let deadline = Instant::now() + PATIENCE;
        while debugger.wait(Some(Duration::ZERO)).unwrap().is_none() {
            assert!(Instant::now() < deadline);
        }
    }
}

#[test]
fn new_processes_have_all_breakpoints() {
    for _ in rounds() {
        let (mut debugger, parent) = require!(launch("controlled", &["forks", "3"]));
        debugger.follow(Follow::Both).unwrap();
        let id = debugger.add(Point { then: Then::GoOn, ..Point::at("work").unwrap() }).unwrap();
        let caught = debugger.add(Point::new(BreakAt::Trap(TrapPlace::Fork))).unwrap();
        let (mut children, mut forks) = (0, 0);
        loop {
            let stop = go(&mut debugger);
            match stop.event.kind {
                EventKind::Forked { child, .. } => {
                    assert_eq!(hit(&stop), [caught]);
                    let sites = &debugger.breakpoints()[0].sites;
                    assert_eq!(sites.iter().filter(|site| site.process == child).count(), 1);
                    forks += 1;
                }
                EventKind::Ended(Ending::Exited(7)) => children += 1,
                EventKind::Ended(Ending::Exited(0)) => break assert_eq!(stop.event.process, parent),
                _ => panic!("{stop:?}"),
            }
        }
        assert_eq!((children, forks), (3, 3));
        assert_eq!(debugger.counts(id).unwrap().hits, 4);
    }
}

#[test]
fn the_child_alone_is_followed_where_that_is_wanted() {
    for _ in rounds() {
        let (mut debugger, parent) = require!(launch("controlled", &["forks", "1"]));
        debugger.follow(Follow::Child).unwrap();
        let id = debugger.add(Point { then: Then::GoOn, ..Point::at("work").unwrap() }).unwrap();
        let stop = go(&mut debugger);
        assert_eq!(stop.event.kind, EventKind::Ended(Ending::Exited(7)), "{stop:?}");
        assert_ne!(stop.event.process, parent);
        assert_eq!(debugger.state(parent), Some(ProcessState::LetGo));
        assert_eq!(debugger.counts(id).unwrap().hits, 1);
    }
}

#[test]
fn exceptions_are_caught_with_their_types() {
    for _ in rounds() {
        let (mut debugger, _) = require!(launch("strides", &[]));
        let [throw, catch, rethrow, _] =
            Catch::ALL.map(|catch| debugger.add(Point::new(BreakAt::Catch(catch))).unwrap());
        let mut seen = Vec::new();
        loop {
            let stop = go(&mut debugger);
            if let EventKind::Ended(ending) = stop.event.kind {
                break assert_eq!(ending, Ending::Exited(0));
            }
            let process = stop.event.process;
            for hit in &stop.hits {
                let frames = debugger.session(process).unwrap().resolve(hit.at.unwrap()).frames;
                seen.push((hit.breakpoint, hit.text.clone().unwrap(), frames[0].function.clone().unwrap()));
            }
        }
        let expected = [
            (throw, "throws(int)"),
            (catch, "catches_inside(int)"),
            (throw, "throws(int)"),
            (catch, "exceptions()"),
        ];
        let expected = expected.map(|(id, function)| (id, "trouble".to_owned(), function.to_owned()));
        assert_eq!(seen, expected);
        assert!(debugger.breakpoints().iter().any(|one| one.id == rethrow));
    }
}

#[test]
fn panics_are_caught_with_their_messages_and_places() {
    for _ in rounds() {
        let fixture = require!(fixture("panics-rust"));
        let (mut debugger, _) = require!(launch("panics-rust", &[]));
        debugger.add(Point::new(BreakAt::Catch(Catch::Panic))).unwrap();
        for (message, mark) in [("3 is too many", "checks_panic"), ("plain words", "plain_panic")] {
            let stop = go(&mut debugger);
            assert_eq!(stop.hits.len(), 1, "{stop:?}");
            assert_eq!(stop.hits[0].text.as_deref(), Some(message));
            let frames =
                debugger.session(stop.event.process).unwrap().resolve(stop.hits[0].at.unwrap()).frames;
            assert_eq!(u64::from(frames[0].line.unwrap()), fixture.line_of(mark), "{frames:?}");
        }
        ends_with(&mut debugger, 3);
    }
}

#[test]
fn a_watched_local_variable_ends_with_its_frame() {
    for _ in rounds() {
        let (mut debugger, _) = require!(launch("steps", &[]));
        debugger.add(Point::at("recursive").unwrap()).unwrap();
        let stop = go(&mut debugger);
        let thread = stop.event.thread;
        debugger.enable(BreakpointId(1), false).unwrap();
        let point = Point::new(BreakAt::Trap(TrapPlace::Exec));
        let id = debugger.watch(thread, "result", DataAccess::Write, point).unwrap();
        let mut last = String::new();
        loop {
            let stop = go(&mut debugger);
            if stop.out_of_scope == [id] {
                break;
            }
            assert_eq!(hit(&stop), [id], "{stop:?}");
            last = stop.hits[0].text.clone().unwrap();
        }
        assert!(last.ends_with("-> 4"), "{last}");
        assert!(debugger.breakpoints().iter().all(|one| one.id != id));
        ends_with(&mut debugger, 1);
    }
}

#[test]
fn signals_calls_and_programs_are_breakpoints_too() {
    for _ in rounds() {
        let (mut debugger, _) = require!(launch("controlled", &["raise"]));
        let usr1 = TrapPlace::Signal(Numbers::Only(vec![10]));
        let id = debugger.add(Point::new(BreakAt::Trap(usr1))).unwrap();
        let stop = go(&mut debugger);
        assert_eq!((hit(&stop), stop.hits[0].name.as_deref()), (vec![id], Some("SIGUSR1")));
        ends_with(&mut debugger, 0);
        let (mut debugger, _) = require!(launch("controlled", &["exec"]));
        let id = debugger.add(Point::new(BreakAt::Trap(TrapPlace::Exec))).unwrap();
        let main = debugger.add(Point::at("main").unwrap()).unwrap();
        assert_eq!(hit(&go(&mut debugger)), [main]);
        assert_eq!(hit(&go(&mut debugger)), [id]);
        assert_eq!(hit(&go(&mut debugger)), [main], "it is in the new program too");
        ends_with(&mut debugger, 5);
    }
}

#[test]
fn programs_of_32_bits_have_breakpoints_steps_and_calls_by_name() {
    for _ in rounds() {
        let (mut debugger, process) = require!(launch("controlled-32", &["calls", "3"]));
        assert_eq!(debugger.process(process).unwrap().info().arch, Arch::I386);
        let number = call::number(Arch::I386, "getppid").unwrap();
        let place = TrapPlace::Call { numbers: Numbers::Only(vec![number]), phase: CallPhase::Entry };
        let id = debugger.add(Point::new(BreakAt::Trap(place))).unwrap();
        for _ in 0..3 {
            let stop = go(&mut debugger);
            assert_eq!((hit(&stop), stop.hits[0].name.as_deref()), (vec![id], Some("getppid")));
        }
        ends_with(&mut debugger, 0);

        let (mut debugger, _) = require!(launch("controlled-32", &["count", "400", "4"]));
        let id = debugger.add(Point { then: Then::GoOn, ..Point::at("work").unwrap() }).unwrap();
        ends_with(&mut debugger, 0);
        assert_eq!(debugger.counts(id).unwrap().hits, 400);

        let fixture = require!(fixture("steps-32"));
        let (mut debugger, process) = require!(launch("steps-32", &[]));
        debugger.add(Point::at("main").unwrap()).unwrap();
        let thread = go(&mut debugger).event.thread;
        let line = |debugger: &Debugger| {
            let pc = debugger.process(process).unwrap().registers(thread).unwrap().pc().unwrap();
            debugger.session(process).unwrap().resolve(pc).frames[0].line.map(u64::from)
        };
        for (how, mark) in [
            (Step::Over, "main_call"),
            (Step::Into, "callee_first"),
            (Step::Over, "callee_end"),
            (Step::Until, "main_recursion"),
            (Step::Over, "main_inlined_one"),
        ] {
            // From the end of a function, the rest of the line that has called it comes first.
            while line(&debugger) != Some(fixture.line_of(mark)) {
                assert!(matches!(debugger.step(thread, how.clone(), PATIENCE), Ok(Stepped::Done)));
            }
        }
        debugger.add(Point::at("recursive").unwrap()).unwrap();
        ends_with(&mut debugger, 1);
    }
}

#[test]
fn a_moment_is_gone_back_to_with_its_breakpoints() {
    for _ in rounds() {
        let (mut debugger, process) = require!(launch("controlled", &["signals", "5"]));
        let id = debugger.add(Point::at("work").unwrap()).unwrap();
        let stop = go(&mut debugger);
        assert_eq!(hit(&stop), [id]);
        let first = number(&debugger, stop.event.thread);
        let kept = debugger.checkpoint(process, "the first").unwrap();
        assert_eq!(debugger.checkpoints()[0].note, "the first");
        assert_eq!(hit(&go(&mut debugger)), [id]);
        let process = debugger.go_back(kept).unwrap();
        assert_eq!(debugger.processes(), [process]);
        assert_eq!(number(&debugger, ThreadId::from(process)), first);
        assert_eq!(hit(&go(&mut debugger)), [id], "its breakpoint is in it");
        debugger.forget_checkpoint(kept).unwrap();
        assert!(debugger.checkpoints().is_empty() && debugger.go_back(kept).is_err());
        debugger.kill(process).unwrap();
    }
}

#[test]
fn a_condition_or_a_log_that_is_none_is_said_and_nothing_is_set() {
    let (mut debugger, _) = require!(launch("controlled", &["count", "3", "1"]));
    let condition = Point { condition: Some("number ==".into()), ..Point::at("work").unwrap() };
    let log = Point { log: Some(Log::Template("{number".into())), ..Point::at("work").unwrap() };
    for point in [condition, log] {
        let id = debugger.add(point).unwrap();
        let breakpoint = debugger.breakpoints().iter().find(|one| one.id == id).unwrap();
        assert!(breakpoint.sites.is_empty(), "{breakpoint:?}");
        let problems = &breakpoint.problems;
        assert!(problems.iter().any(|problem| problem.contains("number")), "{problems:?}");
    }
    ends_with(&mut debugger, 0);
}
