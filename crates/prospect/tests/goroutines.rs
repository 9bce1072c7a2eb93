//! Goroutines of real programs, against what their runtime says of them itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::HashMap, fs, path::Path, process::Command, time::Duration};

use prospect::{Goroutine, GoroutineState, Goroutines, GoroutinesError, Mode, OpenOptions};
use prospect_testing::{GoBuild, Running, Scratch, go_toolchains, require, tool};

const PLAIN: GoBuild = GoBuild { stripped: false, pie: false, i386: false, cgo: false };
const STRIPPED: GoBuild = GoBuild { stripped: true, ..PLAIN };

fn look(running: &Running, mode: Mode) -> Result<Goroutines, GoroutinesError> {
    OpenOptions::new().mode(mode).goroutines(true).open(running.pid()).unwrap().goroutines()
}

/// A goroutine as the runtime prints it.
#[derive(Debug)]
struct Said {
    id: u64,
    status: String,
    /// Functions with their files and lines.
    frames: Vec<(String, String)>,
    created_by: Option<(String, String)>,
}

/// What `runtime.Stack` has written.
fn said(text: &str) -> Vec<Said> {
    let goroutine = |block: &str| {
        let mut lines = block.lines();
        let (id, status) = lines.next()?.strip_prefix("goroutine ")?.split_once(" [")?;
        let status = status.split([',', ']']).next()?.to_owned();
        let (mut frames, mut created_by) = (Vec::new(), None);
        while let (Some(call), Some(place)) = (lines.next(), lines.next()) {
            let place = place.trim().trim_start_matches("./").split(" +").next()?.to_owned();
            match call.strip_prefix("created by ") {
                Some(creator) => created_by = Some((creator.to_owned(), place)),
                None => frames.push((call.rsplit_once('(')?.0.to_owned(), place)),
            }
        }
        Some(Said { id: id.split(' ').next()?.parse().ok()?, status, frames, created_by })
    };
    text.split("\n\n").filter_map(goroutine).collect()
}

/// The same of one of ours.
fn frames(goroutine: &Goroutine) -> Vec<(String, String)> {
    let name = |name: Option<&str>| name.unwrap_or("?").to_owned();
    let place = |file: Option<&str>, line: Option<u32>| {
        format!("{}:{}", file.unwrap_or("?").trim_start_matches("./"), line.unwrap_or(0))
    };
    goroutine.calls().map(|call| (name(call.function), place(call.file, call.line))).collect()
}

/// Whether all that the runtime says is there, in its order. It hides some frames of its own. Of a system call it tells
/// only where it was entered, and not which line is there now.
fn has_all(found: &[(String, String)], said: &Said) -> bool {
    let mut rest = found.iter();
    let is_call = said.status == "syscall";
    said.frames.iter().all(|(name, place)| {
        rest.any(|(ours, at)| {
            let same_line =
                at == place || (is_call && name == "syscall.Syscall" && at.split(':').eq(at.split(':')));
            ours == name && same_line
        })
    })
}

#[test]
fn all_goroutines_are_what_the_runtime_says() {
    let toolchains = require!(go_toolchains());
    let scratch = Scratch::new("goroutines");
    for toolchain in toolchains {
        for how in [PLAIN, STRIPPED, GoBuild { pie: true, ..STRIPPED }, GoBuild { i386: true, ..STRIPPED }] {
            if how.i386 {
                require!(prospect_testing::supports_32_bit());
            }
            let file = scratch.path().join("said");
            let program = toolchain.build("parked.go", how);
            let mut running = Running::start(Command::new(&program).arg("3").arg(&file));
            let text = fs::read_to_string(&file).unwrap();
            let goroutines = look(&running, Mode::Freeze).unwrap();
            let what = format!("{} {how:?}", toolchain.release);
            assert_eq!((&goroutines.release.text, goroutines.unread), (&toolchain.release, 0), "{what}");
            let ours: HashMap<u64, &Goroutine> = goroutines.all.iter().map(|one| (one.id, one)).collect();
            let said = said(&text);
            assert_eq!(said.len(), 14, "{text}");
            assert_eq!(goroutines.all.iter().filter(|one| !one.is_system).count(), 14, "{what}");
            for said in &said {
                let one = ours[&said.id];
                assert!(one.stack.end.is_complete(), "{what}: {one:?}");
                if said.id == 1 {
                    // It goes on when it has written.
                    assert!(one.calls().any(|call| call.function == Some("main.main")), "{what}: {one:?}");
                    continue;
                }
                let is_noted = one.waiting.is_some_and(|time| time < Duration::from_secs(600));
                assert_eq!(is_noted, one.state == GoroutineState::Waiting, "{what}: {one:?}");
                let state = one.wait_reason.unwrap_or(one.state.as_str());
                assert_eq!(state, said.status, "{what}: {said:?}");
                assert!(has_all(&frames(one), said), "{what}: {said:?}\n{:#?}", frames(one));
                let (function, file, line) = one.creator().unwrap();
                let by = one.parent.map(|parent| format!(" in goroutine {parent}")).unwrap_or_default();
                let place = format!("{}:{}", file.unwrap().trim_start_matches("./"), line.unwrap());
                assert_eq!(said.created_by, Some((format!("{function}{by}"), place)), "{what}");
            }
            running.assert_unharmed();
        }
    }
}

#[test]
fn a_running_goroutine_has_the_registers_of_its_thread() {
    for toolchain in require!(go_toolchains()) {
        let program = toolchain.build("parked.go", STRIPPED);
        let running = Running::start_restless(Command::new(&program).args(["0", "/dev/null", "spin"]));
        for mode in [Mode::Freeze, Mode::Hold] {
            let goroutines = look(&running, mode).unwrap();
            let spin =
                goroutines.all.iter().find(|one| frames(one).iter().any(|(name, _)| name == "main.spin"));
            let spin = spin.unwrap();
            // Others may want its processor at that moment.
            let is_on = spin.state == GoroutineState::Running && spin.thread.is_some();
            assert!(is_on || spin.state == GoroutineState::Runnable, "{spin:?}");
            assert!(spin.stack.end.is_complete(), "{} {spin:?}", toolchain.release);
        }
    }
}

#[test]
fn ten_thousand_goroutines_are_all_there() {
    let toolchain = require!(go_toolchains()).pop().unwrap();
    let running = Running::start(Command::new(toolchain.build("parked.go", STRIPPED)).arg("10000"));
    let goroutines = look(&running, Mode::Freeze).unwrap();
    let receiving = |one: &&Goroutine| frames(one).iter().any(|(name, _)| name == "main.receive");
    assert!(goroutines.all.iter().all(|one| one.stack.end.is_complete()));
    // The first, the one that is nested, the one that is locked to its thread.
    assert_eq!(goroutines.all.iter().filter(receiving).count(), 10_000 + 4);
}

#[test]
fn goroutines_in_c_are_seen_where_they_left_go() {
    require!(tool("gcc"));
    for toolchain in require!(go_toolchains()) {
        for how in [PLAIN, STRIPPED, GoBuild { pie: true, ..STRIPPED }] {
            let program = toolchain.build("cgo.go", GoBuild { cgo: true, ..how });
            let running = Running::start(&mut Command::new(program));
            let goroutines = look(&running, Mode::Freeze).unwrap();
            let with =
                |name: &str| {
                    let has = |one: &&Goroutine| frames(one).iter().any(|(function, _)| function == name);
                    goroutines.all.iter().find(has).unwrap_or_else(|| {
                        panic!("{} {how:?}: no {name}: {goroutines:#?}", toolchain.release)
                    })
                };
            let names =
                |one: &Goroutine| -> Vec<String> { frames(one).into_iter().map(|frame| frame.0).collect() };
            let blocked = with("main.blocked");
            assert_eq!(blocked.state, GoroutineState::SystemCall);
            assert!(blocked.stack.end.is_complete(), "{blocked:?}");
            assert!(names(blocked).contains(&"runtime.cgocall".into()), "{:?}", names(blocked));
            let through = with("main.through");
            assert!(through.stack.end.is_complete(), "{} {how:?} {:?}", toolchain.release, names(through));
            let places = ["main.park", "runtime.cgocallback", "main.through"]
                .map(|name| names(through).iter().position(|one| one == name));
            assert!(
                places.is_sorted() && places[0].is_some(),
                "{} {how:?} {:?}",
                toolchain.release,
                names(through)
            );
        }
    }
}

#[test]
fn what_is_not_known_is_said() {
    let toolchain = require!(go_toolchains()).swap_remove(0);
    let scratch = Scratch::new("unknown");
    let mut bytes = fs::read(toolchain.build("parked.go", STRIPPED)).unwrap();
    let release = toolchain.release.as_bytes();
    let other = toolchain.release.replacen("go1.", "go9.", 1);
    let places: Vec<usize> = bytes
        .windows(release.len())
        .enumerate()
        .filter(|(_, window)| *window == release)
        .map(|(at, _)| at)
        .collect();
    places.iter().for_each(|at| bytes[*at..at + release.len()].copy_from_slice(other.as_bytes()));
    let program = scratch.path().join("unknown");
    fs::write(&program, bytes).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let running = Running::start(&mut Command::new(&program));
    let error = look(&running, Mode::Freeze).unwrap_err();
    assert!(matches!(error, GoroutinesError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains(&other), "{error}");
    let shell = Path::new("/bin/sh");
    let sleeper = Running::start(Command::new(shell).args(["-c", "echo READY; read line; exec 2>&1"]));
    assert_eq!(look(&sleeper, Mode::Freeze).unwrap_err(), GoroutinesError::NotGo);
}
