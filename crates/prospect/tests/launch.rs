//! Commands that are started to be looked at, several processes at once, and what is known of the loader.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use prospect::{LaunchError, Mode, OpenError, OpenOptions, Session, Source, process::ProcessId};
use prospect_testing::{fixture, require};

/// A machine that has much to do takes longer to start a program.
const MOMENTS: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(10)];

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("600").stdin(Stdio::null());
    command
}

fn is_there(id: ProcessId) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

fn id(session: &Session) -> ProcessId {
    session.process().info().id
}

#[test]
fn a_command_is_started_looked_at_and_ended() {
    for mode in [Mode::Freeze, Mode::Hold, Mode::NoStop] {
        let sleeps = |session: &Session| {
            let stack = session.stacks(|_| true).remove(0);
            let is_in =
                |name: &str| stack.calls().any(|call| call.function.is_some_and(|one| one.contains(name)));
            stack.is_complete() && is_in("nanosleep")
        };
        let launch = |run_for| OpenOptions::new().mode(mode).launch(&mut sleeper(), run_for).unwrap();
        let session = MOMENTS.into_iter().map(launch).find(sleeps).expect("it sleeps");
        let id = id(&session);
        assert!(is_there(id));
        drop(session);
        assert!(!is_there(id), "{mode:?}");
        let session = OpenOptions::new().mode(mode).launch(&mut sleeper(), Duration::ZERO).unwrap();
        let id = self::id(&session);
        let _ = session.close();
        assert!(!is_there(id), "{mode:?}");
    }
}

#[test]
fn a_command_that_is_kept_runs_on() {
    let mut session = OpenOptions::new().launch(&mut sleeper(), Duration::ZERO).unwrap();
    let id = id(&session);
    let mut child = session.keep_launched().unwrap();
    assert!(session.keep_launched().is_none());
    drop(session);
    let ran = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ran);
    assert!(!is_there(id));
}

#[test]
fn a_command_that_cannot_be_looked_at_says_why() {
    let launch = |command: &mut Command| {
        let error = OpenOptions::new().launch(command, Duration::from_secs(20)).unwrap_err();
        let OpenError::Launch(error) = error else { panic!("{error}") };
        error
    };
    let missing = launch(&mut Command::new("/nonexistent/program"));
    assert!(matches!(&missing, LaunchError::Start { .. }), "{missing}");
    assert!(missing.to_string().starts_with("cannot start /nonexistent/program: "), "{missing}");
    // It is not waited for any longer than it runs.
    let ended = launch(&mut Command::new("false"));
    assert_eq!(ended.to_string(), "false ended (exit status: 1) before it was looked at");
}

#[test]
fn several_processes_are_opened_one_after_the_other() {
    let fixture = require!(fixture("deep"));
    let running = [fixture.start(&["3"]), fixture.start(&["4"])];
    let pids = [running[0].pid(), u32::MAX, running[1].pid()];
    let opened: Vec<_> = OpenOptions::new().open_all(pids).collect();
    let sources: Vec<Source> = opened.iter().map(|(source, _)| source.clone()).collect();
    assert_eq!(sources, pids.map(Source::from));
    // What cannot be opened has its own error, and the others are opened.
    let errors: Vec<bool> = opened.iter().map(|(_, session)| session.is_err()).collect();
    assert_eq!(errors, [false, true, false]);
    let frames = |index: usize| {
        let session: &Session = opened[index].1.as_ref().unwrap();
        session.stacks(|_| true)[0].frames().len()
    };
    assert_eq!(frames(2), frames(0) + 1);
    // Both have mapped the same files, which are opened once.
    let binaries = |index: usize| opened[index].1.as_ref().unwrap().binaries();
    assert!(std::sync::Arc::ptr_eq(binaries(0), binaries(2)));
}

#[test]
fn the_loader_can_be_trapped_where_it_says() {
    for (name, has_loader) in [("deep", true), ("deep-32", true), ("deep-musl", true), ("deep-static", false)]
    {
        let running = require!(fixture(name)).start(&["3"]);
        let session = prospect::open(running.pid()).unwrap();
        let process = session.process();
        let modules = process.modules();
        let trap = modules.loader_trap(process.info().arch, process.memory());
        assert_eq!((trap.is_some(), modules.loader().is_some()), (has_loader, has_loader), "{name}");
        if let Some(trap) = trap {
            assert!(modules.loader().unwrap().range.contains(&trap), "{name}");
            let function = session.function_at(trap).unwrap();
            assert!(function.name.ends_with("dl_debug_state"), "{name}: {function:?}");
            assert_eq!(function.range.unwrap().start, trap, "{name}");
        }
    }
}

#[test]
fn a_frame_has_its_thread_and_its_stepper() {
    let running = require!(fixture("threads")).start(&["3"]);
    let session = prospect::open(running.pid()).unwrap();
    let stacks = session.stacks(|_| true);
    assert_eq!(stacks.len(), 4);
    for stack in &stacks {
        let again = session.walk(stack.thread.id).unwrap();
        assert_eq!(stack.frames(), again.frames);
        assert_eq!(stack.frames()[0].found_by, "registers");
        assert!(stack.calls().all(|call| stack.frames().contains(call.frame)));
        assert!(stack.frames()[1..].iter().all(|frame| frame.found_by == "cfi"));
    }
}
