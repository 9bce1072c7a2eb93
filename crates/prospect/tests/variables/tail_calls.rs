//! Parameters of functions that were entered by a jump: what the jump says, where there is one way that it can have been.

use prospect::symbols::variable::Unavailable;
use prospect_testing::{require, tool};

use crate::{compare, open, start, value};

/// What the parameters of a function are, the names of the parameters with them.
type Expected = &'static [(&'static str, Result<i64, Unavailable>)];

const UNKNOWN: Result<i64, Unavailable> = Err(Unavailable::EntryValueUnknown);

/// By the word that the program is started with.
const WAYS: &[(&str, &str, Expected)] = &[
    ("one", "last", &[("constant", Ok(7)), ("passed", Ok(42)), ("changed", Ok(85))]),
    ("two", "last", &[("constant", Ok(5)), ("passed", UNKNOWN), ("changed", UNKNOWN)]),
    ("either", "last", &[("constant", UNKNOWN), ("passed", UNKNOWN), ("changed", UNKNOWN)]),
    ("unknown", "last", &[("constant", UNKNOWN), ("passed", UNKNOWN)]),
    ("again", "again", &[("left_over", UNKNOWN), ("shown", UNKNOWN)]),
];

#[test]
fn parameters_are_found_behind_jumps_and_never_guessed() {
    for build in ["tail-calls", "tail-calls-dwarf4", "tail-calls-dwo", "tail-calls-clang"] {
        for (word, function, expected) in WAYS {
            let Some(running) = start(build, &[word]) else { break };
            let session = open(&running);
            for (name, value_of) in *expected {
                // Clang does not describe what it computes for the jump.
                let is_said = (build, *name) != ("tail-calls-clang", "changed");
                let expected = if is_said { value_of } else { &UNKNOWN };
                assert_eq!(&value(&session, function, name), expected, "{build} {word}: {name}");
            }
        }
    }
}

#[test]
fn gdb_follows_the_same_jumps() {
    require!(tool("gdb"));
    for (word, least) in [("one", 5), ("two", 2)] {
        let Some((same, different)) = compare("tail-calls", &[word]) else { return };
        assert!(different.is_empty() && same >= least, "{word}: {same} the same, {different:#?}");
    }
}
