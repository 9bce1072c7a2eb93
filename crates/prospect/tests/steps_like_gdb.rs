//! Steps, compared with those of gdb: the same programs, the same commands, the same functions and lines.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod standing;

use std::process::{Command, Stdio};

use prospect::{
    Debugger, OpenOptions,
    debug::step::Step,
    debugger::{Point, Stepped},
};
use prospect_testing::{Fixture, Scratch, fixture, require, tool};
use standing::PATIENCE;

/// A walk has no more steps.
const MOST: usize = 60;

/// What is done in a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Walk {
    /// `next`, until `main` is left.
    Next,
    /// `step`.
    Step,
    /// `step`, and `finish` out of whatever that has got into.
    Finish,
}

/// Says at each stop of a walk where it is: how deep below where it began, address, line, function.
const SCRIPT: &str = r#"
import gdb
def depth():
    frame, count = gdb.newest_frame(), 0
    while frame and frame.name() != start: frame, count = frame.older(), count + 1
    return count if frame else -1
def place():
    frame = gdb.newest_frame()
    print("AT", depth(), frame.pc(), frame.find_sal().line, frame.name() or "")
gdb.execute("set confirm off")
gdb.execute("set debuginfod enabled off")
gdb.execute("handle SIGUSR1 nostop noprint pass", to_string=True)
gdb.execute("break " + at, to_string=True)
gdb.execute("run > /dev/null", to_string=True)
gdb.execute("delete")
start = gdb.newest_frame().name()
place()
for _ in range(most):
    how = walk if walk != "finish" else "finish" if depth() > 0 else "step"
    try:
        gdb.execute(how, to_string=True)
        if depth() < 0: break
    except gdb.error:
        break
    place()
"#;

/// A function by its last name alone, without parameters: languages and tools differ in how they spell the rest.
fn last_name(function: &str) -> String {
    let (mut name, mut depth) = (String::new(), 0);
    for letter in function.split('(').next().unwrap_or_default().chars() {
        depth += i32::from(letter == '<') - i32::from(letter == '>');
        if depth == 0 && letter != '>' {
            name.push(letter);
        }
    }
    let name = name.rsplit("::").next().unwrap_or_default();
    if name.contains("closure") { "closure".to_owned() } else { name.to_owned() }
}

fn of_gdb(fixture: &Fixture, at: &str, walk: Walk) -> Vec<(String, u64)> {
    let scratch = Scratch::new("steps-gdb");
    let path = scratch.path().join("walk.py");
    let how = match walk {
        Walk::Next => "next",
        Walk::Step => "step",
        Walk::Finish => "finish",
    };
    let script = format!("at, walk, most = {at:?}, {how:?}, {MOST}\n{SCRIPT}");
    std::fs::write(&path, script).unwrap();
    let mut command = Command::new("timeout");
    command.args(["120", "gdb", "-nx", "-q", "-batch", "-x"]).arg(path).arg(fixture.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut places: Vec<(u64, String, u64)> = Vec::new();
    // The line that each frame was last seen at, the outermost first.
    let mut lines: Vec<u64> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("AT ")) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [depth, at, line, function] = words[..] else { panic!("{line}") };
        let (depth, at, line): (usize, u64, u64) =
            (depth.parse().unwrap(), at.parse().unwrap(), line.parse().unwrap());
        // gdb stops once more at the line of a call that has returned. Here, a step goes on to where a line begins.
        let is_rest = depth + 1 < lines.len() && lines[depth] == line && walk != Walk::Finish;
        lines.resize(depth + 1, 0);
        lines[depth] = line;
        if is_rest {
            continue;
        }
        // It stops at a call that was inlined, and once more inside of it, without anything being run.
        if places.last().is_some_and(|(last, ..)| *last == at) {
            places.pop();
            // The rest of its line begins behind what was inlined, and both stop there.
            if let Some(caller) = depth.checked_sub(1) {
                lines[caller] = 0;
            }
        }
        places.push((at, last_name(function), line));
    }
    assert!(places.len() > 2, "{text}{}", String::from_utf8_lossy(&output.stderr));
    places.into_iter().map(|(_, function, line)| (function, line)).collect()
}

fn of_ours(fixture: &Fixture, at: &str, walk: Walk) -> Vec<(String, u64)> {
    let mut debugger = Debugger::launch(OpenOptions::new(), standing::launch(fixture, &[])).unwrap();
    let mut point = Point::at(at).unwrap();
    point.wanted.temporary = true;
    debugger.add(point).unwrap();
    let thread = debugger.go(Some(PATIENCE)).unwrap().unwrap().event.thread;
    let process = debugger.processes()[0];
    let innermost = |debugger: &Debugger| {
        let session = debugger.session(process).unwrap();
        let (function, line) = standing::place(session, debugger.process(process).unwrap(), thread);
        (last_name(&function), line)
    };
    let (start, _) = innermost(&debugger);
    // How many calls, inlined ones too, are above where it began; `None` where that has returned.
    let depth = |debugger: &Debugger| {
        let (session, stack) = (debugger.session(process).unwrap(), debugger.walk(thread).unwrap());
        let frames = stack.frames.iter().flat_map(|frame| session.resolve(frame.for_lookup()).frames);
        let mut names = frames.map(|frame| last_name(frame.function.as_deref().unwrap_or_default()));
        names.position(|name| name == start)
    };
    let mut places = Vec::new();
    while let Some(depth) = depth(&debugger) {
        places.push(innermost(&debugger));
        if places.len() > MOST {
            break;
        }
        let how = match walk {
            Walk::Next => Step::Over,
            Walk::Finish if depth > 0 => Step::Out,
            _ => Step::Into,
        };
        match debugger.step(thread, how, PATIENCE).unwrap() {
            Stepped::Done | Stepped::Returned { .. } => {}
            other => {
                assert!(debugger.processes().is_empty(), "{other:?}");
                break;
            }
        }
    }
    places
}

/// What both say, where they differ. Places that follow each other twice are one, and what comes after `exit` is the library's.
fn compared(name: &str, at: &str, walk: Walk) -> Option<String> {
    let fixture = fixture(name).unwrap();
    let [gdb, ours] = [of_gdb(&fixture, at, walk), of_ours(&fixture, at, walk)].map(|mut places| {
        places.dedup();
        let end = places.iter().position(|(function, _)| function == "exit");
        places.truncate(end.unwrap_or(places.len()));
        places
    });
    (gdb != ours).then(|| format!("{name} {walk:?}\n ours {ours:?}\n gdb  {gdb:?}"))
}

/// Exceptions, `longjmp` and signals are not compared: gdb stops where a handler begins, and is not stopped by a `catch` without help of the
/// library (docs/break.md).
#[test]
fn what_is_not_optimised_is_stepped_through_like_by_gdb() {
    require!(tool("gdb"));
    let mut different = Vec::new();
    for (name, at) in [("steps", "main"), ("strides", "main_tail"), ("strides-rust", "fixture::main")] {
        let fixture = require!(fixture(name));
        let at = match at {
            "main_tail" => format!("strides.cc:{}", fixture.line_of(at)),
            function => function.to_owned(),
        };
        different.extend([Walk::Next, Walk::Step, Walk::Finish].map(|walk| compared(name, &at, walk)));
    }
    let different: Vec<String> = different.into_iter().flatten().collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}
