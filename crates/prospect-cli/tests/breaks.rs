//! `prospect break` and `prospect heal`: what they show, and what they leave behind.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::FileExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use prospect_testing::{Fixture, Missing, Outcome, Signal, Tool, fixture, require, send, state, tracer};

const PROSPECT: &str = env!("CARGO_BIN_EXE_prospect");
const PATIENCE: Duration = Duration::from_secs(60);

/// What `prospect break OPTIONS -- CONTROLLED ARGUMENTS` prints.
fn breaks(name: &str, options: &[&str], arguments: &[&str]) -> Result<(i32, String), Missing> {
    let fixture = fixture(name)?;
    let path = fixture.path();
    let mut words = vec!["break", "--timeout", "60"];
    words.extend(options);
    words.extend(["--", path.to_str().unwrap()]);
    words.extend(arguments);
    let Outcome { status, stdout, stderr, .. } = Tool::at(PROSPECT).run(&words);
    assert!(status.success(), "{stderr}");
    Ok((status.code().unwrap(), String::from_utf8(stdout).unwrap()))
}

/// The lines of hits, without time and thread.
fn hits(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| Some(line.split_once(" [")?.1.split_once("] ")?.1)).collect()
}

#[test]
fn functions_lines_conditions_and_logs() {
    let (_, text) =
        require!(breaks("controlled", &["--at", "work", "--args", "--limit", "2"], &["count", "5", "1"]));
    let hits_of = hits(&text);
    assert_eq!(hits_of.len(), 2, "{text}");
    assert!(
        hits_of[1].starts_with("work controlled.c:") && hits_of[1].contains("number = 1, text = 0x"),
        "{text}"
    );
    assert!(hits_of[1].ends_with(" \"text\""), "{text}");
    let options = ["--at", "work", "--if", "number == 7", "--log", "{number:x}/{text:s}"];
    let (_, text) = require!(breaks("controlled", &options, &["count", "10", "1"]));
    assert!(hits(&text).len() == 1 && hits(&text)[0].ends_with(": 0x7/text"), "{text}");
    assert!(text.contains("10 hits         1 matched work"), "{text}");
    // With a number that is no whole one: at stops.
    let options = ["--at", "work", "--if", "number > 7.5", "--log", "{number}"];
    let (_, text) = require!(breaks("controlled", &options, &["count", "10", "1"]));
    assert_eq!(hits(&text).iter().map(|hit| hit.rsplit(' ').next().unwrap()).collect::<Vec<_>>(), ["8", "9"]);
    assert!(text.contains("evaluated at a stop"), "{text}");
}

#[test]
fn all_threads_at_once_and_handlers_of_signals() {
    let (_, text) = require!(breaks("controlled", &["--at", "work", "--silent"], &["count", "6400", "64"]));
    assert!(text.contains("counted 6400") && text.contains("6400 hits work"), "{text}");
    let (_, text) = require!(breaks("controlled", &["--at", "handler", "--args"], &["raise"]));
    assert!(hits(&text).len() == 1 && hits(&text)[0].ends_with("signal = 10"), "{text}");
    assert!(text.contains("handled 1"), "{text}");
}

#[test]
fn system_calls_by_name_and_variables_that_change() {
    let (_, text) = require!(breaks("controlled", &["--syscall", "getppid"], &["calls", "3"]));
    assert_eq!(hits(&text).iter().filter(|hit| hit.starts_with("getppid: ")).count(), 3, "{text}");
    let (_, text) = require!(breaks("controlled", &["--watch", "watched"], &["watch", "3"]));
    let changes: Vec<&str> = hits(&text).iter().map(|hit| hit.split(" before ").next().unwrap()).collect();
    assert_eq!(changes, ["watched: 0 -> 1", "watched: 1 -> 2", "watched: 2 -> 3"], "{text}");
    assert!(text.contains("before change controlled.c:"), "{text}");
}

#[test]
fn exceptions_panics_and_signals_are_caught() {
    let (_, text) = require!(breaks("strides", &["--catch", "throw,catch,signal:USR1"], &[]));
    let found: Vec<&str> = hits(&text).iter().map(|hit| hit.split(" strides.cc").next().unwrap()).collect();
    let expected = [
        "throw: trouble in throws(int)",
        "catch: trouble in catches_inside(int)",
        "throw: trouble in throws(int)",
        "catch: trouble in exceptions()",
        "SIGUSR1",
    ];
    assert_eq!(found, expected, "{text}");
    let (_, text) = require!(breaks("panics-rust", &["--catch", "panic"], &[]));
    assert!(hits(&text)[0].starts_with("panic: 3 is too many in fixture::checks panics.rs:"), "{text}");
    let (_, text) = require!(breaks("controlled", &["--catch", "fork"], &["forks", "3"]));
    assert_eq!(hits(&text).iter().filter(|hit| hit.starts_with("fork: process ")).count(), 3, "{text}");
    // What is in force and was not hit is no failure.
    let (code, text) = require!(breaks("controlled", &["--at", "handler"], &["count", "1", "1"]));
    assert_eq!(code, 0, "{text}");
    let none = Tool::at(PROSPECT).run(&["break", "--catch", "signal:NONE", "--", "true"]);
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn a_breakpoint_waits_for_its_library() {
    let dlopen = require!(fixture("dlopen"));
    let library = dlopen.directory().join("liblibrary.so");
    let path = dlopen.path();
    let words = ["break", "--timeout", "60", "--limit", "1", "--json", "--at", "library_entry", "--"];
    let words: Vec<&str> =
        words.into_iter().chain([path.to_str().unwrap(), library.to_str().unwrap()]).collect();
    let mut command = Command::new(PROSPECT).args(&words).stdout(Stdio::piped()).spawn().unwrap();
    // The program keeps the pipe open, and blocks for ever: it is not read to its end.
    let lines = BufReader::new(command.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let hit = lines.find(|line| line.contains("\"event\":\"hit\"")).unwrap();
    let totals = lines.find(|line| line.contains("\"event\":\"totals\"")).unwrap();
    // It runs on without us.
    let thread = hit.split("\"thread\":").nth(1).unwrap().split(',').next().unwrap();
    assert!(send(Signal::Kill, thread.parse().unwrap()));
    assert!(command.wait().unwrap().success());
    assert!(hit.contains("\"function\":\"library_entry\""), "{hit}");
    assert!(totals.contains("\"why\":\"the limit is reached\""), "{totals}");
}

/// A program that checks its own sums, and prints how far it is.
struct Summing {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    _fixture: Fixture,
}

impl Summing {
    fn start() -> Result<Self, Missing> {
        let fixture = fixture("controlled")?;
        let mut child = fixture.command(&["checksum"]).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut summing = Self { child, output, _fixture: fixture };
        summing.goes_on();
        Ok(summing)
    }

    /// Two more numbers: what it prints next may be from before.
    fn goes_on(&mut self) {
        for _ in 0..2 {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it has ended");
            assert!(line.trim().parse::<u64>().is_ok(), "{line}");
        }
        assert!(self.child.try_wait().unwrap().is_none());
    }
}

impl Drop for Summing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_target_goes_on_when_the_command_is_killed_or_interrupted() {
    let mut summing = require!(Summing::start());
    let pid = summing.child.id();
    for signal in [Signal::Kill, Signal::Interrupt] {
        let words = ["break", "--at", "work", "--args", &pid.to_string()];
        let mut command = Command::new(PROSPECT).args(words).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(command.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.contains("work controlled.c:"), "{line}");
        assert!(send(signal, command.id()));
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        command.wait().unwrap();
        if signal == Signal::Interrupt {
            let rest = String::from_utf8_lossy(&rest);
            assert!(rest.contains("interrupted\n") && rest.contains(" hits work"), "{rest}");
        }
        let deadline = Instant::now() + PATIENCE;
        while tracer(pid) != 0 {
            assert!(Instant::now() < deadline, "it is still traced");
            std::thread::sleep(Duration::from_millis(5));
        }
        summing.goes_on();
    }
}

#[test]
fn a_breakpoint_that_nobody_waits_for_is_healed() {
    let mut summing = require!(Summing::start());
    let pid = summing.child.id();
    assert!(send(Signal::Stop, pid));
    let deadline = Instant::now() + PATIENCE;
    while state(pid, pid) != Some('T') {
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Where `work` is, in memory.
    let path = summing._fixture.path();
    let nm = Command::new("nm").arg(&path).output().unwrap();
    let nm = String::from_utf8(nm.stdout).unwrap();
    let offset = nm.lines().find(|line| line.ends_with(" T work")).unwrap().split(' ').next().unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let base = maps.lines().find(|line| line.contains("controlled")).unwrap().split('-').next().unwrap();
    let at = u64::from_str_radix(base, 16).unwrap() + u64::from_str_radix(offset, 16).unwrap();
    let memory = format!("/proc/{pid}/mem");
    let mut before = [0];
    File::open(&memory).unwrap().read_exact_at(&mut before, at).unwrap();
    OpenOptions::new().write(true).open(&memory).unwrap().write_all_at(&[0xcc], at).unwrap();
    let heal = |options: &[&str]| {
        let pid = pid.to_string();
        let words: Vec<&str> = ["heal", &pid].into_iter().chain(options.iter().copied()).collect();
        let Outcome { status, stdout, .. } = Tool::at(PROSPECT).run(&words);
        (status.code(), String::from_utf8(stdout).unwrap())
    };
    let (code, text) = heal(&[]);
    assert_eq!(code, Some(5), "{text}");
    assert!(
        text.contains("a breakpoint at") && text.contains("in work (") && text.contains("is stopped"),
        "{text}"
    );
    let mut now = [0];
    File::open(&memory).unwrap().read_exact_at(&mut now, at).unwrap();
    assert_eq!(now, [0xcc], "nothing is changed without --apply");
    let (code, text) = heal(&["--apply", "--continue"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 of 1 put back"), "{text}");
    File::open(&memory).unwrap().read_exact_at(&mut now, at).unwrap();
    assert_eq!(now, before);
    summing.goes_on();
}
