//! Variables of stopped programs: their values against what the programs put there, and against gdb.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;

use prospect::{
    OpenOptions, Session, ThreadStack,
    symbols::variable::{FrameContext, Unavailable, Variable, VariableKind},
};
use prospect_testing::{Running, fixture, require};

/// What is known of a variable: its bytes, or why there are none.
type Bytes = Result<Vec<u8>, Unavailable>;

fn open(running: &Running) -> Session {
    OpenOptions::new().register_sets(true).open(running.pid()).unwrap()
}

fn bytes(variable: &Variable, frame: &dyn FrameContext) -> Bytes {
    let located = variable.locate(frame)?;
    located.location.read(frame, located.ty.size().unwrap_or(0))
}

/// The variables in scope of every call of a stack, in order, by function and name; of hidden ones the visible one.
fn all(session: &Session, stack: &ThreadStack) -> Vec<(String, BTreeMap<String, Bytes>)> {
    let mut calls = Vec::new();
    for index in 0..stack.frames().len() {
        let view = session.frame_view(stack.thread.id, stack.frames(), index).unwrap();
        for call in session.variables(stack, index) {
            let mut found = BTreeMap::new();
            let mut variables: Vec<_> = call.variables.iter().map(|(variable, _)| variable).collect();
            variables.sort_by_key(|variable| variable.depth);
            for variable in variables.into_iter().filter(|variable| variable.in_scope) {
                found.insert(variable.name.to_string(), bytes(variable, &view));
            }
            calls.push((call.function.unwrap_or_default(), found));
        }
    }
    calls
}

fn number(bytes: &Bytes) -> Result<i64, Unavailable> {
    let bytes = bytes.clone()?;
    let mut word = [0; 8];
    word[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
    let spare = 64 - 8 * bytes.len().min(8) as u32;
    Ok(i64::from_le_bytes(word) << spare >> spare)
}

#[test]
fn show() {
    for name in std::env::var("SHOW").unwrap_or_default().split(',').filter(|n| !n.is_empty()) {
        let mut parts = name.split(':');
        let fixture = require!(fixture(parts.next().unwrap()));
        let library = fixture.directory().join("libvariables_library.so");
        let args: Vec<&str> = parts.chain([library.to_str().unwrap()]).collect();
        let running = Running::start_restless(&mut fixture.command(&args));
        running.settle();
        let session = open(&running);
        for stack in session.stacks(|_| true) {
            for (function, variables) in all(&session, &stack) {
                println!("{function}:");
                for (name, bytes) in variables {
                    println!("    {name}: {:?} {bytes:x?}", number(&bytes));
                }
            }
        }
    }
}
