//! Minidumps of live processes: the same stacks by every reader, no secrets, threads that cannot be stopped, other tools.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs, path::Path, process::Command};

use prospect_testing::{Outcome, Report, Running, Scratch, Tool, fixture, require, supports_32_bit, tool};

/// What the fixture `secrets` has in its environment, its heap and on its stack.
const PLANTED: [&str; 6] = [
    "planted quiet words at the start",
    "planted quiet words set later",
    "AKIAPLANTED",
    "planted words that only",
    "plantedhunter",
    "ghp_PLANTED",
];

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn dump(running: &Running, file: &Path, more: &[&str]) -> Outcome {
    let (pid, file) = (running.arg(), file.to_str().unwrap());
    let args = ["dump", "--json", "--force", "--format", "minidump", "-o", file, &pid];
    let outcome = prospect().run(&[&args, more].concat());
    assert!(matches!(outcome.code(), Some(0 | 5)), "{}", outcome.text());
    outcome
}

fn stack_of(file: &Path) -> Report {
    let outcome = prospect().run(&["stack", "--json", file.to_str().unwrap()]);
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome:?}");
    outcome.report()
}

/// At how many places of a file a text is.
fn places(file: &Path, needle: &str) -> usize {
    let found = Command::new("grep").args(["-aoF", "-e", needle]).arg(file).output().unwrap();
    found.stdout.iter().filter(|byte| **byte == b'\n').count()
}

fn assert_same_stacks(name: &str, args: &[&str]) {
    let fixture = require!(fixture(name));
    let scratch = Scratch::new("minidump");
    let mut running = fixture.start(args);
    let live = prospect().stack(running.pid(), &[]);
    let file = scratch.path().join("a.dmp");
    for more in [&[][..], &["--sanitize"], &["--full"], &["--depth", "1"], &["--full", "--mode", "stop"]] {
        dump(&running, &file, more);
        assert_eq!(live.frames(), stack_of(&file).frames(), "{more:?}");
    }
    running.assert_unharmed();
}

#[test]
fn same_stacks_of_deep_recursion() {
    assert_same_stacks("deep", &["200"]);
}

#[test]
fn same_stacks_of_32_bits() {
    require!(supports_32_bit());
    assert_same_stacks("deep-32", &["50"]);
}

#[test]
fn same_stacks_of_a_static_program() {
    assert_same_stacks("deep-static", &["50"]);
}

#[test]
fn same_stacks_of_many_threads() {
    assert_same_stacks("threads", &["20", "10"]);
}

#[test]
fn no_secret_is_in_a_sanitized_minidump() {
    let fixture = require!(fixture("secrets"));
    let scratch = Scratch::new("minidump-secrets");
    let mut running = fixture.start(&[]);
    let [plain, sanitized] = ["plain.dmp", "sanitized.dmp"].map(|name| scratch.path().join(name));
    let everything = ["--full", "--with-environment", "--with-command-line"];
    dump(&running, &plain, &everything);
    for planted in PLANTED {
        assert_ne!(places(&plain, planted), 0, "{planted} is there in a full one");
    }
    for more in [&["--sanitize"][..], &["--sanitize", "--depth", "2"], &["--sanitize", "--full"]] {
        dump(&running, &sanitized, more);
        PLANTED.iter().for_each(|planted| assert_eq!(places(&sanitized, planted), 0, "{planted} {more:?}"));
    }
    // Without a word, what the process was started with is left out.
    dump(&running, &sanitized, &[]);
    assert_eq!(places(&sanitized, PLANTED[0]), 0);
    running.assert_unharmed();
}

#[test]
fn a_thread_that_cannot_be_stopped_is_listed_without_registers() {
    let fixture = require!(fixture("vfork"));
    let running = Running::start_restless(&mut fixture.command(&[]));
    let scratch = Scratch::new("minidump-vfork");
    let file = scratch.path().join("a.dmp");
    let outcome = dump(&running, &file, &["--timeout", "1"]);
    assert!(outcome.text().contains("state D"), "{}", outcome.text());
    let report = stack_of(&file);
    assert!(report.threads().iter().any(|thread| thread.tid() == Some(running.pid())));
    assert_ne!(places(&file, "ThreadNotStopped"), 0);
}

#[test]
fn the_format_is_known_by_the_name_and_options_by_the_format() {
    let fixture = require!(fixture("deep"));
    let scratch = Scratch::new("minidump-format");
    let mut running = fixture.start(&["3"]);
    let (pid, file) = (running.arg(), scratch.path().join("x.dmp"));
    let outcome = prospect().run(&["dump", "-o", file.to_str().unwrap(), &pid]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert!(fs::read(&file).unwrap().starts_with(b"MDMP"));
    let pipe = prospect().run(&["dump", "--format", "minidump", "-q", "-o", "-", &pid]);
    assert_eq!(pipe.code(), Some(0));
    let outcome = prospect().run(&["dump", "--sanitize", "-o", "core", &pid]);
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
    let mode =
        ["dump", "--format", "minidump", "--mode", "stop", "--force", "-o", file.to_str().unwrap(), &pid];
    assert_eq!(prospect().run(&mode).code(), Some(2), "of no effect");
    let outcome = prospect().run(&["dump", "--format", "minidump", "--principal", "no-such.so", &pid]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    running.assert_unharmed();
}

#[test]
fn annotations_are_told() {
    let fixture = require!(fixture("deep"));
    let scratch = Scratch::new("minidump-annotations");
    let running = fixture.start(&["3"]);
    let file = scratch.path().join("a.dmp");
    dump(&running, &file, &["--annotation", "channel=beta", "--annotation", "note=a=b"]);
    let info = prospect().run(&["info", file.to_str().unwrap()]);
    for line in ["channel: beta", "note: a=b", "CrashpadInfo"] {
        assert!(info.text().contains(line), "{line}: {}", info.text());
    }
    let nameless = ["dump", "--format", "minidump", "--annotation", "=beta", &running.arg()];
    assert_eq!(prospect().run(&nameless).code(), Some(2));
    let of_core = ["dump", "--format", "core", "--annotation", "a=b", &running.arg()];
    assert_eq!(prospect().run(&of_core).code(), Some(2));
}

#[test]
fn other_tools_read_it() {
    let fixture = require!(fixture("threads"));
    require!(tool("lldb"));
    let scratch = Scratch::new("minidump-lldb");
    let running = fixture.start(&["4", "6"]);
    let file = scratch.path().join("a.dmp");
    dump(&running, &file, &[]);
    let live = prospect().stack(running.pid(), &[]);
    let program = fs::read_link(format!("/proc/{}/exe", running.pid())).unwrap();
    let args = ["--no-lldbinit", "--batch", "-c", file.to_str().unwrap(), program.to_str().unwrap()];
    let text = Tool::at("lldb").run(&[&args[..], &["-o", "thread backtrace all"]].concat()).text();
    for thread in live.threads() {
        for frame in thread.frames() {
            let pc = format!("0x{:016x}", frame.pc());
            assert!(text.contains(&pc), "{pc} of thread {:?}: {text}", thread.tid());
        }
    }
}

#[test]
fn thread_local_variables_are_those_of_each_thread() {
    let scratch = Scratch::new("minidump-tls");
    for name in ["variables-o0", "variables-32-o0"] {
        if name.ends_with("-32") {
            require!(supports_32_bit());
        }
        let fixture = require!(fixture(name));
        let running = fixture.start(&[]);
        let file = scratch.path().join(format!("{name}.dmp"));
        for more in [&[][..], &["--full"]] {
            dump(&running, &file, more);
            let names = ["thread_local_int", "thread_local_pair"];
            let outcome = prospect().run(&[&["print", file.to_str().unwrap()], &names[..]].concat());
            let text = outcome.text();
            assert!(text.contains("thread_local_int = 43"), "{name} {more:?}: {outcome:?}");
            assert!(text.contains("44") && text.contains("45"), "{name} {more:?}: {outcome:?}");
        }
    }
}

#[test]
fn many_threads_take_little_room() {
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("minidump-size");
    let running = fixture.start(&["100", "10"]);
    let file = scratch.path().join("a.dmp");
    dump(&running, &file, &[]);
    let live = prospect().stack(running.pid(), &[]);
    assert_eq!(live.frames(), stack_of(&file).frames());
    let frames: usize = live.threads().iter().map(|thread| thread.frames().len()).sum();
    let most = 100_000 + 2_000 * live.threads().len() + 128 * frames;
    let bytes = fs::metadata(&file).unwrap().len();
    assert!(bytes < most as u64, "{bytes} bytes, {frames} frames");
}
