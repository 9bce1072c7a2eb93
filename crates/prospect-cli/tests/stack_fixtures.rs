//! Unwinding: each hard fixture's frames, in order, to the outermost one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use prospect_testing::{Fixture, Thread, Tool, fixture, require};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// Starts a fixture of one thread and hands its thread to `check`.
fn look(fixture: &Fixture, args: &[&str], check: impl Fn(Thread<'_>)) {
    for mode in [&[][..], &["--hold"]] {
        let mut running = fixture.start(args);
        let report = prospect().stack(running.pid(), mode);
        let thread = report.thread(running.pid());
        check(thread);
        // The report is complete exactly when the walk says that it came to the end.
        assert_eq!(report.is_complete(), thread.end() == "outermost", "{thread}");
        running.assert_unharmed();
    }
}

/// The functions of `deep` with `depth` frames of recursion, innermost first.
fn deep_functions(depth: usize) -> Vec<&'static str> {
    let mut functions = vec!["block", "bottom"];
    functions.extend((0..depth).rev().map(|level| ["f0", "f1", "f2", "f3"][level % 4]));
    functions.push("main");
    functions
}

fn assert_deep(fixture: &Fixture) {
    look(fixture, &["200"], |thread| {
        thread.assert_calls(&deep_functions(200));
        thread.assert_whole();
    });
}

#[test]
fn deep_recursion_without_frame_pointers() {
    let deep = require!(fixture("deep"));
    look(&deep, &["200"], |thread| {
        thread.assert_calls(&deep_functions(200));
        thread.assert_whole();
        assert_eq!(thread.frame("f0").trust(), "cfi");
        assert_eq!(thread.frames()[0].trust(), "given");
        assert_eq!(thread.frame("f0").place(), Some(("deep.c", deep.line_of("f0"))));
        assert_eq!(thread.frame("main").place(), Some(("deep.c", deep.line_of("main"))));
        assert!(thread.frame("main").module().is_some_and(|module| module.ends_with("/deep")));
    });
}

macro_rules! deep_in_every_form {
    ($($test:ident: $fixture:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            assert_deep(&require!(fixture($fixture)));
        })*
    };
}

deep_in_every_form! {
    deep_32_bit: "deep-32",
    deep_32_bit_static: "deep-32-static",
    deep_static: "deep-static",
    deep_static_pie: "deep-static-pie",
    deep_at_a_fixed_address: "deep-no-pie",
    deep_by_clang: "deep-clang",
    deep_with_debug_frame_only: "deep-debug-frame",
    deep_without_eh_frame_hdr: "deep-no-header",
}

#[test]
fn deep_musl() {
    let deep = require!(fixture("deep-musl"));
    look(&deep, &["50"], |thread| thread.assert_calls(&deep_functions(50)));
}

#[test]
fn deep_musl_static() {
    let deep = require!(fixture("deep-musl-static"));
    look(&deep, &["50"], |thread| thread.assert_calls(&deep_functions(50)));
}

/// The C library itself has no unwind tables: whatever finds the way out of it, the rest must be right.
#[test]
fn out_of_a_musl_without_tables() {
    let deep = require!(fixture("deep-musl-libc"));
    look(&deep, &["50"], |thread| thread.assert_calls(&deep_functions(50)[1..]));
}

#[test]
fn frame_pointers_where_there_are_no_tables() {
    let deep = require!(fixture("deep-frame-pointers"));
    look(&deep, &["50"], |thread| {
        thread.assert_calls(&deep_functions(50));
        assert_eq!(thread.frame("f0").trust(), "analysed");
    });
}

#[test]
fn a_stripped_program_has_all_its_frames() {
    let deep = require!(fixture("deep-stripped"));
    look(&deep, &["200"], |thread| {
        let own: Vec<_> = thread
            .frames()
            .into_iter()
            .filter(|f| f.module().is_some_and(|m| m.ends_with("/deep-stripped")))
            .collect();
        // 200 of recursion, block, bottom, main and _start.
        assert_eq!(own.len(), 204, "{thread}");
        let nameless = own.iter().filter(|frame| frame.function().is_none()).count();
        assert!(nameless >= 202, "{thread}");
        assert!(own.iter().all(|frame| frame.value()["offset"].is_string()), "{thread}");
        thread.assert_whole();
    });
}

fn assert_signal(fixture: &Fixture, args: &[&str]) {
    look(fixture, args, |thread| {
        thread.assert_calls(&["faulting", "outer", "outer", "outer", "outer", "main"]);
        let names: Vec<_> = thread.frames().iter().map(|frame| frame.function()).collect();
        let handler = names.iter().position(|name| *name == Some("on_fault")).unwrap();
        let faulting = names.iter().position(|name| *name == Some("faulting")).unwrap();
        assert!(faulting > handler && faulting - handler <= 3, "{thread}");
        assert_eq!(thread.frame("faulting").stepper(), "signal trampoline", "{thread}");
    });
}

#[test]
fn a_signal_handler_on_another_stack() {
    let sigalt = require!(fixture("sigalt"));
    assert_signal(&sigalt, &[]);
    assert_signal(&sigalt, &["info"]);
}

#[test]
fn a_signal_handler_on_another_stack_32_bit() {
    let sigalt = require!(fixture("sigalt-32"));
    assert_signal(&sigalt, &[]);
    assert_signal(&sigalt, &["info"]);
}

#[test]
fn a_signal_handler_on_another_stack_musl() {
    let sigalt = require!(fixture("sigalt-musl"));
    assert_signal(&sigalt, &[]);
}

#[test]
fn in_a_plt_entry() {
    let plt = require!(fixture("plt"));
    for (arg, function) in [("before", "entry_before_push"), ("after", "entry_after_push")] {
        look(&plt, &[arg], |thread| {
            thread.assert_calls(&[function, "caller", "main"]);
            thread.assert_whole();
        });
    }
}

#[test]
fn a_call_that_never_returns_at_the_end_of_a_function() {
    let noreturn = require!(fixture("noreturn"));
    look(&noreturn, &[], |thread| {
        thread.assert_calls(&["block", "never_returns", "last_call", "main"]);
        assert_eq!(thread.frame("last_call").place(), Some(("noreturn.c", noreturn.line_of("last_call"))));
        thread.assert_whole();
    });
}

#[test]
fn a_call_that_never_returns_32_bit() {
    let noreturn = require!(fixture("noreturn-32"));
    look(&noreturn, &[], |thread| {
        thread.assert_calls(&["block", "never_returns", "last_call", "main"]);
    });
}

#[test]
fn a_realigned_stack() {
    let realign = require!(fixture("realign"));
    look(&realign, &[], |thread| {
        thread.assert_calls(&["block", "inner", "realigned", "main"]);
        thread.assert_whole();
    });
}

#[test]
fn every_thread_of_many() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["1000", "8"]);
    let report = prospect().stack(running.pid(), &["--timeout", "20"]);
    assert_eq!(report.threads().len(), 1001);
    for thread in report.threads() {
        if thread.tid() == Some(running.pid()) {
            thread.assert_calls(&["block", "leaf", "main"]);
        } else {
            let mut wanted = vec!["block", "leaf"];
            wanted.extend(["level"; 8]);
            wanted.push("start");
            thread.assert_calls(&wanted);
            assert!(thread.value()["name"].as_str().is_some_and(|name| name.starts_with("worker-")));
        }
        thread.assert_whole();
    }
    assert!(report.value()["pause_ms"].as_f64().is_some_and(|pause| pause > 0.0));
}

#[test]
fn every_thread_of_a_32_bit_program() {
    let threads = require!(fixture("threads-32"));
    let running = threads.start(&["20", "8"]);
    let report = prospect().stack(running.pid(), &[]);
    assert_eq!(report.threads().len(), 21);
    assert_eq!(report.value()["target"]["arch"], "i386");
    for thread in report.threads().iter().filter(|thread| thread.tid() != Some(running.pid())) {
        thread
            .assert_calls(&["block", "leaf", "level", "level", "level", "level", "level", "level", "level"]);
        thread.assert_whole();
    }
}

#[test]
fn the_moment_is_one_for_all_ways_of_looking() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["20"]);
    let of = |mode: &[&str]| -> Vec<u64> {
        let report = prospect().stack(running.pid(), mode);
        report.thread(running.pid()).physical().iter().map(|frame| frame.pc()).collect()
    };
    let frozen = of(&[]);
    assert_eq!(frozen, of(&["--hold"]));
    assert_eq!(frozen, of(&["--no-names"]));
}

#[test]
fn the_racy_view_of_a_sleeping_thread() {
    let deep = require!(fixture("deep"));
    let mut running = deep.start(&["20"]);
    let report = prospect().stack(running.pid(), &["--no-stop"]);
    assert_eq!(report.value()["mode"], "no-stop");
    assert!(report.value()["pause_ms"].is_null());
    report.thread(running.pid()).assert_calls(&deep_functions(20)[1..]);
    running.assert_unharmed();
}
