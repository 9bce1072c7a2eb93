//! Where stacks end that no call frame information ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use prospect::{OpenOptions, ThreadStack};
use prospect_testing::{Fixture, fixture, require};

const BOTTOM: &str = "bottom of stack";

fn stacks(fixture: &Fixture, args: &[&str]) -> Vec<ThreadStack> {
    let running = fixture.start(args);
    OpenOptions::new().explain(true).open(running.pid()).unwrap().stacks(|_| true)
}

fn names(stack: &ThreadStack) -> Vec<&str> {
    stack.calls().map(|call| call.function.unwrap_or("?")).collect()
}

/// The stack is whole, and this is who said so.
fn ended_by(stack: &ThreadStack) -> &'static str {
    assert!(stack.is_complete(), "{:?}: {:?}", names(stack), stack.end());
    stack.explained_end().unwrap().stepper
}

#[test]
fn the_entry_of_a_program_is_the_bottom_and_what_lies_next_to_it_is_not() {
    for name in ["bottom", "bottom-stripped"] {
        let stacks = stacks(&require!(fixture(name)), &[]);
        let stack = &stacks[0];
        assert_eq!(ended_by(stack), BOTTOM, "{name}");
        // Functions of the user's own are not taken for those that make threads, whatever they are called.
        assert_eq!(stack.frames().len(), 7, "{name}: {:?}", names(stack));
        if name == "bottom" {
            let expected = ["stay", "clone3", "clone", "copy", "neighbour", "begin", "_start"];
            assert_eq!(names(stack), expected);
            // The one that does make a thread is.
            assert_eq!(names(&stacks[1]), ["stay_in_thread", "__clone"]);
            assert_eq!(ended_by(&stacks[1]), BOTTOM);
        }
    }
}

#[test]
fn programs_without_call_frame_information_in_their_start_have_whole_stacks() {
    for (name, own) in [("deep-musl", 5), ("deep-musl-static", 5), ("deep-musl-stripped", 5)] {
        let stacks = stacks(&require!(fixture(name)), &["5"]);
        assert_eq!(ended_by(&stacks[0]), BOTTOM, "{name}");
        assert!(stacks[0].frames().len() > own + 2, "{name}: {:?}", names(&stacks[0]));
    }
}

#[test]
fn threads_of_musl_have_whole_stacks() {
    for name in ["threads-musl", "threads-musl-stripped"] {
        let stacks = stacks(&require!(fixture(name)), &["3"]);
        let others: Vec<&ThreadStack> = stacks.iter().skip(1).collect();
        assert!(others.len() >= 3, "{name}");
        for stack in others {
            assert_eq!(ended_by(stack), BOTTOM, "{name}");
            // pause, the program's function, and the two of the C library that it was started by, at least.
            assert!(stack.frames().len() >= 4, "{name}: {:?}", names(stack));
        }
    }
}

#[test]
fn with_call_frame_information_that_is_what_ends_the_stack() {
    for name in ["deep", "deep-static", "threads"] {
        for stack in stacks(&require!(fixture(name)), &["3"]) {
            assert_eq!(ended_by(&stack), "cfi", "{name}");
        }
    }
}
