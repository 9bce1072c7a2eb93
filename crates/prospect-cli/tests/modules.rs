//! Where code can be: libraries loaded late, deleted and replaced files, other mount namespaces, memory
//! without a file, code made at run time, the vdso.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs, process::Command};

use prospect_testing::{Fixture, Running, Scratch, Thread, Tool, fixture, require, root, tool};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

const LIBRARY_CALLS: [&str; 5] = ["block", "call_back", "library_inner", "library_entry", "main"];

/// The stack through a library whose file has no name any more.
fn assert_library_is_read(running: &Running) {
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    thread.assert_calls(&["block", "call_back"]);
    // Inner functions have names in the file only, which map_files still opens for root.
    if root().is_ok() {
        thread.assert_calls(&LIBRARY_CALLS);
    }
    thread.assert_whole();
}

#[test]
fn a_library_loaded_late() {
    let dlopen = require!(fixture("dlopen"));
    let library = dlopen.directory().join("liblibrary.so");
    let running = dlopen.start(&[library.to_str().unwrap()]);
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    thread.assert_calls(&LIBRARY_CALLS);
    thread.assert_whole();
    assert_eq!(thread.frame("library_entry").module(), library.to_str());
}

#[test]
fn a_library_whose_file_is_deleted() {
    let dlopen = require!(fixture("dlopen"));
    let scratch = Scratch::new("deleted-library");
    let library = scratch.copy_of(&dlopen.directory().join("liblibrary.so"));
    let running = dlopen.start(&[library.to_str().unwrap(), "unlink"]);
    assert!(!library.exists());
    assert_library_is_read(&running);
}

#[test]
fn a_library_whose_file_is_replaced() {
    let dlopen = require!(fixture("dlopen"));
    let scratch = Scratch::new("replaced-library");
    let library = scratch.copy_of(&dlopen.directory().join("liblibrary.so"));
    let running = dlopen.start(&[library.to_str().unwrap()]);
    // A new file under the old name, as an upgrade does it.
    fs::remove_file(&library).unwrap();
    fs::copy(fixture("inlines").unwrap().path(), &library).unwrap();
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    thread.assert_calls(&["block", "call_back"]);
    for wrong in ["innermost", "middle", "outer", "holder"] {
        assert!(!thread.frames().iter().any(|frame| frame.is(wrong)), "the new file is believed:\n{thread}");
    }
    thread.assert_whole();
}

/// The stack of the fixture `deep` with a name and a line.
fn assert_deep(thread: &Thread<'_>, deep: &Fixture) {
    thread.assert_calls(&["block", "bottom", "f3", "f2", "f1", "f0"]);
    assert_eq!(thread.frame("f0").place(), Some(("deep.c", deep.line_of("f0"))));
}

#[test]
fn a_deleted_program() {
    let deep = require!(fixture("deep"));
    let scratch = Scratch::new("deleted");
    let program = scratch.copy_of(&deep.path());
    let running = Running::start(Command::new(&program).arg("12"));
    fs::remove_file(&program).unwrap();
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    assert_deep(&thread, &deep);
    thread.assert_whole();
}

#[test]
fn a_replaced_program() {
    let (deep, other) = (require!(fixture("deep")), require!(fixture("inlines")));
    let scratch = Scratch::new("replaced");
    let program = scratch.copy_of(&deep.path());
    let running = Running::start(Command::new(&program).arg("12"));
    fs::remove_file(&program).unwrap();
    fs::copy(other.path(), &program).unwrap();
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    assert_deep(&thread, &deep);
}

#[test]
fn another_mount_namespace() {
    require!(root());
    require!(tool("unshare"));
    let deep = require!(fixture("deep"));
    let scratch = Scratch::new("mounts");
    let place = scratch.path().join("inside");
    fs::create_dir(&place).unwrap();
    // The program lies on a file system that only the target sees.
    let script = "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1/program\" && exec \"$1/program\" 12";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command.arg(&place).arg(deep.path());
    let running = Running::start(&mut command);
    assert!(!place.join("program").exists());
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    assert_deep(&thread, &deep);
    thread.assert_whole();
}

#[test]
fn a_file_that_never_had_a_name() {
    let memfd = require!(fixture("memfd"));
    let library = memfd.directory().join("liblibrary.so");
    let running = memfd.start(&[library.to_str().unwrap()]);
    assert_library_is_read(&running);
}

#[test]
fn code_made_at_run_time() {
    let jit = require!(fixture("jit"));
    let running = jit.start(&[]);
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    thread.assert_calls(&["block", "call_back", "jitted_inner", "jitted outer with blanks", "main"]);
    assert_eq!(thread.frame("main").trust(), "frame-pointer", "{thread}");
    thread.assert_whole();
}

#[test]
fn the_vdso() {
    let vdso = require!(fixture("vdso"));
    let running = vdso.start(&[]);
    // The target runs; sooner or later it is caught there.
    for _ in 0..300 {
        let report = prospect().stack(running.pid(), &[]);
        let thread = report.thread(running.pid());
        thread.assert_calls(&["asks_the_time", "main"]);
        thread.assert_whole();
        let frames = thread.frames();
        if frames[0].module().is_some_and(|module| module.contains("vdso")) {
            assert!(frames[0].function().is_some_and(|name| name.contains("clock_gettime")), "{thread}");
            return;
        }
    }
    panic!("never seen in the vdso");
}
