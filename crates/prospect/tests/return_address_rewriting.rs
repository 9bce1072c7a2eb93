//! What a debugger can do with where a register was found: a function is made to return to another one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use prospect::{Mode, OpenOptions, stack::Location};
use prospect_testing::{fixture, require};

const LONGEST: Duration = Duration::from_secs(30);

/// Ended when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_held_function_returns_to_where_its_saved_return_address_is_made_to_point() {
    for (name, stepper) in [("returns", "cfi"), ("returns-frame-pointers", "")] {
        let fixture = require!(fixture(name));
        let mut command = fixture.command(&[]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut child = Ended(child);
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line
        };
        let elsewhere = line().trim().trim_start_matches("0x").to_owned();
        let elsewhere = u64::from_str_radix(&elsewhere, 16).unwrap();
        assert_eq!(line(), "READY\n");

        let session = OpenOptions::new().mode(Mode::Hold).open(child.0.id()).unwrap();
        let stack = session.stacks(|_| true).remove(0);
        let is_waiting =
            |index: &usize| session.function_of(&stack.frames()[*index]).is_some_and(|at| at.name == "waits");
        let waits = (0..stack.frames().len()).find(is_waiting).unwrap();
        // Its caller's pc was found where the call has put it.
        let caller = &stack.frames()[waits + 1];
        assert!(stepper.is_empty() || caller.found_by == stepper, "{}", caller.found_by);
        let Some(Location::Address(slot)) = caller.pc_location() else { panic!("{name}: {caller:?}") };
        let memory = fs::File::options().write(true).open(format!("/proc/{}/mem", child.0.id())).unwrap();
        memory.write_all_at(&elsewhere.to_ne_bytes(), slot.0).unwrap();
        // While it is held it is walked as it is now.
        let again = session.stacks(|_| true).remove(0);
        assert_eq!(again.frames()[waits + 1].code.addr().0, elsewhere, "{name}");
        drop(session);

        child.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        let deadline = Instant::now() + LONGEST;
        let status = loop {
            match child.0.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "{name} does not end"),
            }
            thread::sleep(Duration::from_millis(2));
        };
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), status.code()), ("returned elsewhere\n", Some(7)), "{name}");
    }
}
