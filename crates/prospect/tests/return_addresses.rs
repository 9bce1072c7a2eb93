//! Walks of return addresses against whole walks, on real programs: the same, or they say that they are not complete.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{process::Command, time::Duration};

use prospect::{
    OpenOptions, Session,
    process::{Addr, Registers},
    stack::{
        CodeAddress, Stack, StackEnd, StepContext, Trust, Walker,
        return_addresses::{
            BinaryRules, ProcessRules, ReturnEnd, RuleCache, RuleSource, StackPosition, Walked, walk,
        },
    },
};
use prospect_testing::{Missing, Running, Scratch, fixture, python_threads, require, tool};

/// What came of the threads that were walked.
#[derive(Default, Debug)]
struct Counts {
    threads: usize,
    frames: usize,
    /// Complete, and the same as a whole walk.
    complete: usize,
    /// They said that they were not complete, though there was a whole walk by certain means.
    gave_up: Vec<String>,
}

/// One way to make such a walk.
fn short(
    registers: &Registers,
    context: &StepContext<'_>,
    rules: impl RuleSource,
) -> (Walked, Vec<CodeAddress>) {
    let mut into = vec![CodeAddress::Exact(Addr(0)); 10_000];
    let from = StackPosition::of(registers).unwrap();
    let walked = walk(&from, rules, context.memory, &mut [0; 4096], &mut into);
    into.truncate(walked.count);
    (walked, into)
}

/// Holds a short walk against a whole one.
fn compare(name: &str, whole: &Stack, walked: &Walked, addresses: &[CodeAddress], counts: &mut Counts) {
    let all: Vec<CodeAddress> = whole.frames.iter().map(|frame| frame.code).collect();
    let is_certain = whole.end == StackEnd::Outermost
        && whole.frames.iter().all(|frame| frame.trust >= Trust::CallFrameInfo);
    counts.threads += 1;
    counts.frames += addresses.len();
    if walked.is_complete() {
        assert_eq!((addresses, &whole.end), (&*all, &StackEnd::Outermost), "{name}");
        counts.complete += 1;
        return;
    }
    // The last one that can be trusted may be a signal's trampoline, which is known by its caller only.
    let sure = walked.trusted.saturating_sub(1).min(all.len());
    assert_eq!(addresses[..sure], all[..sure], "{name}: {walked:?}");
    if is_certain {
        counts.gave_up.push(format!("{name}: {walked:?} of {} frames", all.len()));
    }
}

fn compare_all(name: &str, running: &Running, counts: &mut Counts) {
    running.settle();
    let session: Session =
        OpenOptions::new().names(false).timeout(Duration::from_secs(5)).open(running.pid()).unwrap();
    let process = session.process();
    let context = StepContext::new(process, session.binaries());
    let rules = ProcessRules::new(&context);
    let (mut walker, mut cache) = (Walker::new(context.arch), RuleCache::new(64));
    for thread in process.threads() {
        let Some(registers) = process.registers(thread.id) else { continue };
        let whole = walker.walk(&registers, &context);
        let by_binaries = cache.over(context.generation(), BinaryRules::new(&context));
        let (walked, addresses) = short(&registers, &context, by_binaries);
        compare(name, &whole, &walked, &addresses, counts);
        let (by_tables, from_tables) = short(&registers, &context, &rules);
        compare(name, &whole, &by_tables, &from_tables, counts);
        if walked.is_complete() {
            assert_eq!((by_tables, from_tables), (walked, addresses), "{name}: by tables");
        }
    }
}

#[test]
fn fixtures_have_the_same_return_addresses() {
    let mut counts = Counts::default();
    for (name, args) in [
        ("deep", &["200"][..]),
        ("deep-32", &["100"]),
        ("deep-32-static", &["50"]),
        ("deep-static", &["50"]),
        ("deep-static-pie", &["50"]),
        ("deep-no-pie", &["50"]),
        ("deep-musl", &["50"]),
        ("deep-musl-static", &["50"]),
        ("deep-clang", &["50"]),
        ("deep-debug-frame", &["50"]),
        ("deep-no-header", &["50"]),
        ("sigalt", &[]),
        ("sigalt", &["info"]),
        ("sigalt-32", &[]),
        ("sigalt-32", &["info"]),
        ("noreturn", &[]),
        ("noreturn-32", &[]),
        ("realign", &[]),
        ("threads", &["20", "12"]),
        ("threads-32", &["20", "12"]),
        ("inlines-cxx", &[]),
        ("inlines-rust", &[]),
        ("bench-rust", &[]),
    ] {
        let Ok(program) = fixture(name) else { continue };
        compare_all(name, &program.start(args), &mut counts);
    }
    println!("{counts:?}");
    assert!(counts.threads >= 20 && counts.gave_up.is_empty(), "{counts:?}");
    assert!(counts.complete * 10 >= counts.threads * 9, "{counts:?}");
}

/// Where there are no tables they guess, and say so.
#[test]
fn what_is_not_known_is_said() {
    let mut counts = Counts::default();
    for name in ["deep-frame-pointers", "deep-musl-libc", "jit", "sigalt-musl", "goroutines"] {
        let Ok(program) = fixture(name) else { continue };
        compare_all(name, &program.start(&[]), &mut counts);
    }
    println!("{counts:?}");
    assert!(counts.threads > 0);
    let program = require!(fixture("deep-frame-pointers"));
    let running = program.start(&["50"]);
    running.settle();
    let session = OpenOptions::new().names(false).open(running.pid()).unwrap();
    let context = StepContext::new(session.process(), session.binaries());
    let thread = session.process().threads()[0].id;
    let registers = session.process().registers(thread).unwrap();
    let (walked, addresses) = short(&registers, &context, BinaryRules::new(&context));
    let whole = Walker::new(context.arch).walk(&registers, &context);
    let all: Vec<CodeAddress> = whole.frames.iter().map(|frame| frame.code).collect();
    assert_eq!((addresses, &walked.end), (all, &ReturnEnd::Outermost));
    assert!(walked.trusted < 5 && !walked.is_complete(), "{walked:?}");
}

fn redis(scratch: &Scratch) -> Result<Running, Missing> {
    tool("redis-server")?;
    let socket = scratch.path().join("socket");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"]).arg(&socket);
    command.arg("--dir").arg(scratch.path());
    Ok(Running::start_silent(&mut command, |_| socket.exists()))
}

fn node() -> Result<Running, Missing> {
    tool("node")?;
    let script = "setTimeout(() => {}, 900000); setTimeout(() => console.log('READY'), 200);";
    Ok(Running::start(Command::new("node").args(["-e", script])))
}

#[test]
fn real_programs_have_the_same_return_addresses() {
    let scratch = Scratch::new("return-addresses");
    let mut counts = Counts::default();
    for (name, started) in [("python3", python_threads()), ("redis", redis(&scratch)), ("node", node())] {
        let Ok(running) = started else {
            println!("{name} is not here");
            continue;
        };
        compare_all(name, &running, &mut counts);
    }
    println!("{counts:?}");
    assert!(counts.complete * 10 >= counts.threads * 9, "{counts:?}");
    assert!(counts.gave_up.len() * 50 <= counts.threads, "{counts:?}");
}
