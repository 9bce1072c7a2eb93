//! A process with very many modules: only those on a stack cost anything.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeSet, fs};

use prospect::{OpenOptions, process::Addr};
use prospect_testing::{Scratch, fixture, require};

#[test]
fn only_modules_on_the_stack_are_opened() {
    const ALL: usize = 200;
    let program = require!(fixture("modules"));
    let scratch = Scratch::new("modules");
    for number in 0..ALL {
        let library = program.directory().join("liblibrary.so");
        fs::copy(library, scratch.path().join(format!("lib{number:03}.so"))).unwrap();
    }
    let running = program.start(&[scratch.path().to_str().unwrap(), "3"]);
    running.settle();
    let session = OpenOptions::new().open(running.pid()).unwrap();
    let modules = session.process().modules();
    assert!(modules.as_slice().len() >= ALL, "{}", modules.as_slice().len());
    assert!(session.binaries().opened().is_empty(), "opening a process opens no file");
    let stack = session.walk(session.process().threads()[0].id).unwrap();
    assert!(stack.end.is_complete(), "{}", stack.end);
    let at = |at: Addr| modules.at(at).map(|module| module.path.clone());
    let on_stack: BTreeSet<_> = stack.frames.iter().map(|frame| at(frame.for_lookup())).collect();
    // The program, three libraries, and the C library.
    assert_eq!((on_stack.len(), session.binaries().opened().len()), (5, 5), "{on_stack:?}");
}
