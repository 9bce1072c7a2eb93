//! A program that was launched, and where a thread of it stands.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::time::Duration;

use prospect::{
    Session,
    live::{Launch, Stdio},
    process::{Process, ThreadId},
};
use prospect_testing::Fixture;

/// So long is waited for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A launch of a fixture that says nothing, and ends with us.
pub(crate) fn launch(fixture: &Fixture, arguments: &[&str]) -> Launch {
    let mut launch = Launch::new(fixture.path(), arguments);
    launch.streams = [Stdio::Null, Stdio::Null, Stdio::Inherit];
    launch.ends_with_us = true;
    launch
}

/// The innermost function, inlined ones too, and the line.
pub(crate) fn place(session: &Session, process: &dyn Process, thread: ThreadId) -> (String, u64) {
    let pc = process.registers(thread).unwrap().pc().unwrap();
    let resolved = session.resolve(pc);
    let Some(frame) = resolved.frames.first() else { return (String::new(), 0) };
    (frame.function.clone().unwrap_or_default(), frame.line.unwrap_or(0).into())
}
