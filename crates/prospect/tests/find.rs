//! From names and lines to addresses of processes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeSet, process::Command};

use prospect::{
    Match, Mode, OpenOptions, Session,
    process::{Addr, ThreadId},
    symbols::{FoundKind, Query, SymbolKind},
};
use prospect_testing::{Running, Scratch, fixture, require, tool};

fn open(running: &Running) -> Session {
    OpenOptions::new().mode(Mode::NoStop).open(running.pid()).unwrap()
}

fn find(session: &Session, text: &str) -> Vec<Match> {
    session.find(&Query::parse(text).unwrap(), 100_000)
}

/// Whether it is code in which every address is called so.
fn is_named(session: &Session, one: &Match, name: &str) -> bool {
    let at = one.range.as_ref().unwrap().start;
    session.resolve(at).frames.iter().any(|frame| frame.function.as_deref() == Some(name))
}

#[test]
fn what_was_loaded_at_run_time_is_found_where_it_runs() {
    let fixture = require!(fixture("dlopen"));
    let library = fixture.directory().join("liblibrary.so");
    let running = fixture.start(&[library.to_str().unwrap()]);
    let session = open(&running);
    for name in ["library_entry", "liblibrary!library_entry", "liblibrary.so!/^library_entry$/"] {
        let found = find(&session, name);
        let [one] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert!(one.module.ends_with("/liblibrary.so"));
        assert!(is_named(&session, one, "library_entry"));
        let (module, symbol) = session.export(b"library_entry", None).unwrap();
        assert_eq!(symbol.range.start.to_addr(module.bias), one.range.as_ref().unwrap().start);
    }
    assert_eq!(find(&session, "libc!library_entry"), []);
    // The innermost frame that waits in the program is in the function that is found by its name.
    let stack = session.walk(ThreadId(running.pid()));
    assert!(stack.is_none_or(|stack| !stack.frames.is_empty()));
    let call_back = find(&session, "call_back");
    assert!(is_named(&session, &call_back[0], "call_back"), "{call_back:?}");
    // A library that was unloaded again is not there.
    assert_eq!(find(&session, "libm.so.6!cos"), []);
}

#[test]
fn modules_come_in_the_order_of_the_loader() {
    let fixture = require!(fixture("dlopen"));
    let library = fixture.directory().join("liblibrary.so");
    let running = fixture.start(&[library.to_str().unwrap()]);
    let session = open(&running);
    let order: Vec<String> =
        session.modules_in_load_order().map(|(module, _)| module.file_name().into_owned()).collect();
    let place = |name: &str| order.iter().position(|one| one.starts_with(name)).unwrap();
    assert_eq!(place("dlopen"), 0, "{order:?}");
    assert!(place("libc.so") < place("liblibrary.so"), "{order:?}");
    assert_eq!(order.len(), session.process().modules().iter().count());
    // Whoever needs it gets that of the C library.
    let (module, _) = session.export(b"malloc", None).unwrap();
    assert!(module.file_name().starts_with("libc.so"));
}

#[test]
fn indirect_functions_are_followed_to_what_was_chosen() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["12"]);
    let session = open(&running);
    let (module, symbol) = session.export(b"memcpy", None).unwrap();
    assert_eq!(symbol.kind, SymbolKind::IndirectFunction);
    let target = session.indirect_target(module, &symbol).expect("the C library calls it itself");
    let resolved = session.resolve(target);
    // Without the debug information of the C library, its implementations have no name.
    let names: Vec<&str> = resolved.frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
    assert!(names.iter().all(|name| name.contains("mem")) && module.range.contains(&target), "{names:?}");
    assert_ne!(target, symbol.range.start.to_addr(module.bias));
}

#[test]
fn a_stripped_program_is_searched_in_its_debug_file() {
    require!(tool("objcopy"));
    let fixture = require!(fixture("inlines"));
    let scratch = Scratch::new("find-stripped");
    let program = scratch.copy_of(&fixture.path());
    let run = |arguments: &[&str]| {
        assert!(
            Command::new("objcopy").args(arguments).current_dir(scratch.path()).status().unwrap().success()
        );
    };
    let whole = program.to_str().unwrap();
    let debug = format!("{}.debug", program.file_name().unwrap().to_str().unwrap());
    let running = Running::start(&mut Command::new(&program));
    let before: BTreeSet<(String, String)> = found(&open(&running));
    assert!(before.len() > 3, "{before:?}");
    drop(running);
    run(&["--only-keep-debug", whole, &debug]);
    run(&["--strip-all", &format!("--add-gnu-debuglink={debug}"), whole]);
    let running = Running::start(&mut Command::new(&program));
    assert_eq!(found(&open(&running)), before);
}

/// What is found of the functions of the fixture `inlines`: places as linked, and kinds.
fn found(session: &Session) -> BTreeSet<(String, String)> {
    let program = session.process().modules().executable().unwrap().file_name().into_owned();
    let names = ["main", "innermost", "middle", "outer"].into_iter();
    let found = names.flat_map(|name| find(session, &format!("{program}!{name}")));
    found
        .map(|one| (format!("{:x?}", one.found.range), format!("{:?} {}", one.found.kind, one.found.name)))
        .collect()
}

#[test]
fn lines_are_found_in_whatever_module_they_are() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["12"]);
    let session = open(&running);
    let line = deep.line_of("f0");
    let places = find(&session, &format!("deep.c:{line}"));
    assert!(!places.is_empty());
    for one in &places {
        let FoundKind::Line { file, line: found, is_exact, .. } = &one.found.kind else { panic!("{one:?}") };
        assert!(file.ends_with("/deep.c") && u64::from(*found) == line && *is_exact);
        let at = one.range.as_ref().unwrap().start;
        let frame = &session.resolve(Addr(at.0)).frames[0];
        assert_eq!(frame.line.map(u64::from), Some(line));
    }
    let f0 = find(&session, "deep!f0")[0].range.clone().unwrap();
    let behind = session.after_prologue(f0.start);
    assert!(f0.contains(&behind), "{f0:x?} {behind}");
    assert_eq!(session.after_prologue(Addr(16)), Addr(16));
    assert_eq!(find(&session, "no_such_file.c:1"), []);
    assert_eq!(find(&session, "deep.c:100000"), []);
}

#[test]
fn ten_thousand_hits_are_no_trouble() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["12"]);
    let session = open(&running);
    let all = find(&session, "/./");
    assert!(all.len() > 3000, "{}", all.len());
    assert_eq!(session.find(&Query::parse("/./").unwrap(), 100).len(), 100);
    assert_eq!(session.find(&Query::parse("/./").unwrap(), 0), []);
}
