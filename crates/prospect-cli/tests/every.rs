//! `prospect stack --every`: looking again and again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use prospect_testing::{Heartbeat, Report, Running, Signal, Tool, fixture, require, send, states, tracer};

/// The command while it runs; killed when it is dropped.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(args: &[&str]) -> Self {
        let mut command = Tool::at(env!("CARGO_BIN_EXE_prospect")).command(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The next line of JSON; `None` at the end.
    fn line(&self) -> Option<Report> {
        match self.lines.recv_timeout(Duration::from_secs(20)) {
            Ok(line) => Some(Report::parse(&line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it says nothing"),
        }
    }

    fn next(&self) -> Report {
        self.line().unwrap()
    }

    /// The next one that is not a look.
    fn next_event(&self) -> Report {
        loop {
            let report = self.next();
            if report.value().get("event").is_some() {
                return report;
            }
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn looks_are_counted_and_what_did_not_change_is_marked() {
    let fixture = require!(fixture("orders"));
    let mut running = fixture.start(&[]);
    running.settle();
    let args = ["stack", "--json", "--every", "30ms", "--count", "4", &running.arg()];
    let outcome = Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&args);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let reports = outcome.reports();
    assert_eq!(reports.len(), 4);
    let mut before = -1.0;
    for (index, report) in reports.iter().enumerate() {
        let look = &report.value()["look"];
        assert_eq!(look["number"], index + 1);
        let since = look["since_s"].as_f64().unwrap();
        assert!(since > before, "{since} {before}");
        before = since;
        let main = report.thread(running.pid());
        main.assert_calls(&["obey", "main"]);
        assert_eq!(main.value()["unchanged_looks"], index);
    }
    running.assert_unharmed();
}

#[test]
fn text_has_a_heading_for_each_look() {
    let fixture = require!(fixture("orders"));
    let running = fixture.start(&[]);
    let args = ["stack", "--every", "0.03", "--count", "2", &running.arg()];
    let outcome = Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&args);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let text = outcome.text();
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("look ")).collect();
    assert_eq!(headings.len(), 2, "{text}");
    for (heading, number) in headings.iter().zip(1..) {
        let clock = heading.strip_prefix(&format!("look {number} at ")).unwrap();
        let parts: Vec<u32> = clock[..8].split(':').map(|part| part.parse().unwrap()).collect();
        assert!(parts[0] < 24 && parts[1] < 60 && parts[2] < 61, "{heading}");
        assert!(clock.ends_with(" s after the start"), "{heading}");
    }
    assert_eq!(text.matches("the same stack at 2 looks").count(), 2, "{text}");
}

#[test]
fn it_goes_on_until_all_have_ended_and_says_how() {
    let fixture = require!(fixture("orders"));
    let targets = [fixture.start(&[]), fixture.start(&[])];
    let [first, second] = [targets[0].arg(), targets[1].arg()];
    let mut watching = Watching::start(&["stack", "--json", "--every", "20ms", &first, &second]);
    let pids: Vec<u64> = (0..2).map(|_| watching.next().value()["target"]["pid"].as_u64().unwrap()).collect();
    assert_eq!(pids, [u64::from(targets[0].pid()), u64::from(targets[1].pid())]);
    assert!(send(Signal::Terminate, targets[0].pid()));
    let event = watching.next_event();
    assert_eq!((&event.value()["event"], &event.value()["pid"]), (&"ended".into(), &targets[0].pid().into()));
    assert_eq!(event.value()["exit_code"], 7);
    // The other one is looked at on.
    let after = watching.next();
    assert_eq!(after.value()["target"]["pid"], targets[1].pid());
    assert!(send(Signal::Kill, targets[1].pid()));
    let event = watching.next_event();
    assert_eq!((&event.value()["pid"], &event.value()["signal"]), (&targets[1].pid().into(), &9.into()));
    assert_eq!(watching.wait().code(), Some(0), "both were seen");
    assert!(watching.line().is_none());
}

#[test]
fn a_process_that_was_never_there_is_a_failure_and_others_are_looked_at() {
    let fixture = require!(fixture("orders"));
    let running = fixture.start(&[]);
    let args = ["stack", "--json", "--every", "10ms", "--count", "2", "4194305", &running.arg()];
    let outcome = Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&args);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    assert_eq!(outcome.reports().len(), 2);
    assert_eq!(outcome.stderr.matches("4194305").count(), 1, "{}", outcome.stderr);
    let nobody = Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&["stack", "--every", "10ms", "4194305"]);
    assert_eq!((nobody.code(), nobody.stdout.len()), (Some(3), 0), "{nobody:?}");
    for wrong in [&["--every", "0s"][..], &["--every", "soon"], &["--count", "3"]] {
        let mut args = vec!["stack"];
        args.extend_from_slice(wrong);
        let pid = running.arg();
        args.push(&pid);
        assert_eq!(Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&args).code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn an_interrupt_ends_it_and_what_it_has_started() {
    let fixture = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["10"]));
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let mut watching = Watching::start(&["stack", "--json", "--every", "20ms", &running.arg()]);
        watching.next();
        watching.next();
        assert!(send(signal, watching.child.id()));
        // Whatever it had begun to print is whole.
        while watching.line().is_some() {}
        assert!(matches!(watching.wait().code(), Some(0 | 5)));
        heartbeat.assert_beats();
        running.assert_unharmed();
    }
    let mut watching =
        Watching::start(&["stack", "--json", "--every", "10s", "--after", "0.05", "--", "sleep", "100"]);
    let child = watching.next().value()["target"]["pid"].as_u64().unwrap();
    assert!(send(Signal::Interrupt, watching.child.id()));
    assert!(matches!(watching.wait().code(), Some(0 | 5)));
    assert!(!send(Signal::Continue, u32::try_from(child).unwrap()), "it lives on");
}

#[test]
fn killed_between_and_in_looks_it_leaves_the_target_alone() {
    let fixture = require!(fixture("threads"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["50"]));
    heartbeat.assert_beats();
    for round in 0..20 {
        let mut watching =
            Watching::start(&["stack", "--json", "--every", "1ms", "--no-names", &running.arg()]);
        watching.next();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(250 * round) {}
        watching.child.kill().unwrap();
        watching.child.wait().unwrap();
        running.assert_unharmed();
    }
    heartbeat.assert_beats();
}

#[test]
fn nobody_is_attached_between_two_looks() {
    let fixture = require!(fixture("threads"));
    let mut running: Running = fixture.start(&["3"]);
    let watching = Watching::start(&["stack", "--json", "--every", "5s", &running.arg()]);
    watching.next();
    // What was printed was printed after the process was let go, and the next look is seconds away.
    assert_eq!(tracer(running.pid()), 0);
    assert!(!states(running.pid()).contains(['t', 'T']));
    running.assert_unharmed();
}

#[test]
fn a_look_that_takes_too_long_is_not_the_last_one() {
    let fixture = require!(fixture("orders"));
    let running = fixture.start(&[]);
    // No look can be finished in that time.
    let timeout = ["--timeout", "0.000001"];
    let args = ["stack", "--json", "--every", "20ms", "--count", "3", timeout[0], timeout[1], &running.arg()];
    let outcome = Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&args);
    assert!(matches!(outcome.code(), Some(1 | 5)), "{outcome:?}");
    let told = outcome.stderr.lines().count() + outcome.reports().len();
    assert!(told >= 3, "each look says something: {outcome:?}");
}
