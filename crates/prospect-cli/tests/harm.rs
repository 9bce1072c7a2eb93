//! Survival: whatever happens to the tool, the target goes on as it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use prospect_testing::{Heartbeat, Running, Signal, Tool, fixture, require, send, state, tasks, tracer};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// Kills the tool `times` times, at moments spread over its normal run, and checks the target after each.
fn kill_at_every_moment(threads: &str, mode: &[&str], times: u32) {
    let fixture = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&[threads, "8"]));
    heartbeat.assert_beats();
    let pid = running.arg();
    let mut args = vec!["stack", pid.as_str()];
    args.extend_from_slice(mode);
    let normal = (0..3).map(|_| prospect().run(&args).took).max().unwrap_or_default();
    for round in 0..times {
        let delay = normal * round / times;
        let mut command = prospect().command(&args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        // A sleep is too coarse for the short ones.
        while start.elapsed() < delay {
            if delay > Duration::from_millis(5) + start.elapsed() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        running.assert_unharmed();
        if round % 5 == 0 {
            heartbeat.assert_beats();
        }
    }
    heartbeat.assert_beats();
}

#[test]
fn killed_at_every_moment_with_one_thread() {
    kill_at_every_moment("0", &[], 60);
}

#[test]
fn killed_at_every_moment_with_200_threads() {
    kill_at_every_moment("200", &[], 60);
}

#[test]
fn killed_at_every_moment_while_it_holds_the_target() {
    kill_at_every_moment("50", &["--hold"], 60);
}

#[test]
fn a_tool_that_is_killed_takes_no_signal_with_it() {
    let fixture = require!(fixture("signals"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&[]));
    let pid = running.arg();
    let normal = prospect().run(&["stack", "--hold", &pid]).took;
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut moment, mut before) = (0u32, 0);
    loop {
        let sent = heartbeat.counters()[0];
        if sent == before {
            break;
        }
        assert!(Instant::now() < deadline, "signals are still sent");
        before = sent;
        let mut command = prospect().command(&["stack", "--hold", &pid]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Golden-ratio steps spread the moments evenly.
        moment = moment.wrapping_add(0x9e37_79b9);
        thread::sleep(normal.mul_f64(f64::from(moment) / f64::from(u32::MAX)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let has_all = || heartbeat.counters()[0] == heartbeat.counters()[1];
    while !has_all() {
        assert!(Instant::now() < deadline, "of the signals sent, these arrived: {:?}", heartbeat.counters());
        thread::sleep(Duration::from_millis(5));
    }
    running.assert_unharmed();
}

#[test]
fn a_stopped_target_stays_stopped() {
    let fixture = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["5", "8"]));
    // A thread that is just being born has no caller yet.
    heartbeat.assert_beats();
    assert!(send(Signal::Stop, running.pid()));
    assert!(running.wait_for_states(|states| states.chars().all(|state| state == 'T')));
    for mode in [&[][..], &["--hold"], &["--no-stop"]] {
        let report = prospect().stack(running.pid(), mode);
        assert_eq!(report.threads().len(), 6);
        if mode != ["--no-stop"] {
            for thread in report.threads() {
                assert_eq!(thread.value()["state"], "stopped");
                thread.assert_whole();
            }
        }
        thread::sleep(Duration::from_millis(20));
        for tid in tasks(running.pid()) {
            assert_eq!(state(running.pid(), tid), Some('T'), "thread {tid} after {mode:?}");
        }
        assert_eq!(tracer(running.pid()), 0);
        let before = heartbeat.counters();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(before, heartbeat.counters(), "it ran on after {mode:?}");
    }
    assert!(send(Signal::Continue, running.pid()));
    heartbeat.assert_beats();
    running.assert_unharmed();
}

#[test]
fn a_stopped_target_stays_stopped_when_the_tool_is_killed() {
    let fixture = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["20", "8"]));
    assert!(send(Signal::Stop, running.pid()));
    assert!(running.wait_for_states(|states| states.chars().all(|state| state == 'T')));
    let args = ["stack", "--hold", &running.arg()];
    let normal = prospect().run(&args).took;
    for round in 0..20 {
        let mut command = prospect().command(&args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(normal * round / 20);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(running.wait_for_states(|states| states.chars().all(|state| state == 'T')));
        assert_eq!(tracer(running.pid()), 0);
    }
    assert!(send(Signal::Continue, running.pid()));
    heartbeat.assert_beats();
    running.assert_unharmed();
}

#[test]
fn sleeping_calls_of_the_target_are_not_disturbed() {
    // `sleep` ends with an error message when its call is interrupted and not restarted.
    let mut child = Command::new("sleep").arg("0.6").stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    thread::sleep(Duration::from_millis(50));
    let pid = child.id();
    for _ in 0..5 {
        assert_eq!(prospect().run(&["stack", &pid.to_string()]).code(), Some(0));
    }
    let status = child.wait().unwrap();
    assert!(status.success());
    assert!(start.elapsed() >= Duration::from_millis(590), "its sleep was cut short: {:?}", start.elapsed());
}

#[test]
fn threads_that_are_born_and_die_meanwhile() {
    let churn = require!(fixture("churn"));
    let (heartbeat, mut running) = Heartbeat::start(&mut churn.command(&["3"]));
    let mut seen_steady = 0;
    for _ in 0..40 {
        let report = prospect().stack(running.pid(), &[]);
        for thread in report.threads() {
            let is_whole = thread.end() == "outermost";
            let has_reason = thread.value()["not_stopped"].is_string();
            // A thread that is just being born or dying may have no caller yet or any more.
            let reason = thread.value()["end_reason"].is_string();
            assert!(is_whole || has_reason || reason, "{thread}");
            seen_steady += usize::from(thread.frames().iter().any(|frame| frame.is("steady")));
        }
        heartbeat.assert_beats();
        running.assert_unharmed();
    }
    assert_eq!(seen_steady, 40, "the steady thread is in every report");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let threads = require!(fixture("threads"));
    let mut running: Running = threads.start(&["200", "20"]);
    for format in [&[][..], &["--json"]] {
        let mut args = vec!["stack"];
        args.extend_from_slice(format);
        let pid = running.arg();
        args.push(&pid);
        let mut command = prospect().command(&args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.is_empty(), "{said}");
        running.assert_unharmed();
    }
}
