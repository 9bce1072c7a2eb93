//! Cores of live processes: what is in them, and what is left when they fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use prospect_testing::{
    Heartbeat, Running, Scratch, Signal, Tool, fixture, require, root, send, supports_32_bit, tasks, tool,
};

const PAGE: usize = 4096;
const TIMEOUT: Duration = Duration::from_secs(20);

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// The memory of a core of 32 or 64 bits.
struct Core {
    bytes: Vec<u8>,
    /// Address, offset in the file, length there.
    segments: Vec<(u64, usize, usize)>,
    notes: Vec<(usize, usize)>,
}

impl Core {
    fn read(bytes: Vec<u8>) -> Self {
        assert_eq!(bytes[..4], *b"\x7fELF");
        let wide = bytes[4] == 2;
        let number = |at: usize, length: usize| {
            bytes[at..at + length].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
        };
        let (first, count) = if wide { (64, number(56, 2)) } else { (52, number(44, 2)) };
        let (mut segments, mut notes) = (Vec::new(), Vec::new());
        for index in 0..count as usize {
            let at = first + index * if wide { 56 } else { 32 };
            let (offset, address, length) = if wide {
                (number(at + 8, 8), number(at + 16, 8), number(at + 32, 8))
            } else {
                (number(at + 4, 4), number(at + 8, 4), number(at + 16, 4))
            };
            match number(at, 4) {
                1 => segments.push((address, offset as usize, length as usize)),
                4 => notes.push((offset as usize, length as usize)),
                other => panic!("a segment of kind {other}"),
            }
        }
        Self { bytes, segments, notes }
    }

    fn page(&self, at: u64) -> Option<&[u8]> {
        let holds = |one: &&(u64, usize, usize)| one.0 <= at && at - one.0 + PAGE as u64 <= one.2 as u64;
        let (address, offset, _) = self.segments.iter().find(holds)?;
        self.bytes.get(offset + (at - address) as usize..)?.get(..PAGE)
    }
}

fn hash(page: &[u8]) -> u64 {
    page.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Compares a core with what the target has said of its own pages.
fn assert_has_pages(core: Vec<u8>, said: &Path, mode: &str) {
    let core = Core::read(core);
    let mut compared = 0;
    for line in fs::read_to_string(said).unwrap().lines() {
        let (first, second) = line.split_once(' ').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        if first == "not" {
            assert_eq!(core.page(number(second)), None, "memory is in it that was to be left out");
            continue;
        }
        let page = core.page(number(first)).unwrap_or_else(|| panic!("page {first} is missing"));
        assert_eq!(hash(page), number(second), "page {first}");
        compared += 1;
    }
    assert_eq!(compared, 5 * 64 + 4);
    let (offset, length) = *core.notes.last().unwrap();
    let note = String::from_utf8_lossy(&core.bytes[offset..offset + length]);
    let method = format!("method {mode}\npause-us ");
    assert!(note.contains("PROSPECT\0") && note.contains(&method), "{note}");
    assert!(!note.contains("no-snapshot"), "{note}");
}

fn every_page(name: &str, mode: &str) {
    let fixture = require!(fixture(name));
    let scratch = Scratch::new("dump-pages");
    let said = scratch.path().join("said");
    let mut running = fixture.start(&[said.to_str().unwrap()]);
    let pid = running.arg();
    let file = scratch.path().join("core");
    let file_name = file.to_str().unwrap();

    let outcome = prospect().run(&["dump", "--json", "--mode", mode, "-o", file_name, &pid]);
    assert_eq!(outcome.code(), Some(0), "{}", outcome.text());
    let report = outcome.report().value().clone();
    assert_eq!((report["method"].as_str(), report["no_snapshot"].as_str()), (Some(mode), None));
    assert!(report["pause_ms"].as_f64().unwrap() > 0.0);
    assert_has_pages(fs::read(&file).unwrap(), &said, mode);
    // Pages of zeros take no room.
    let metadata = fs::metadata(&file).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert!(metadata.blocks() * 512 < metadata.len(), "{metadata:?}");

    let pipe = ["dump", "--mode", mode, "-o", "-", &pid];
    let pipe = prospect().command(&pipe).stderr(Stdio::null()).output().unwrap();
    assert!(pipe.status.success());
    assert_has_pages(pipe.stdout, &said, mode);

    if tool("zstd").is_ok() {
        let args = ["dump", "--force", "--mode", mode, "--compress", "zstd", "-o", file_name, &pid];
        let outcome = prospect().run(&args);
        assert_eq!(outcome.code(), Some(0), "{}", outcome.text());
        let unpacked = Command::new("zstd").args(["-dcq", file_name]).output().unwrap();
        assert!(unpacked.status.success());
        assert_has_pages(unpacked.stdout, &said, mode);
    }
    assert_left_alone(&mut running);
}

#[test]
fn a_reader_that_goes_away_is_no_success() {
    let mut running = require!(fixture("threads")).start(&["0", "2"]);
    let args = ["dump", "-q", "-o", "-", &running.arg()];
    let mut command = prospect().command(&args);
    let mut dump = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(dump.stdout.take());
    let output = dump.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("Broken pipe"), "{said}");
    assert_left_alone(&mut running);
}

/// The last of it is a note of our own: without it no thread is missing.
#[test]
fn of_a_cut_dump_is_said_what_is_missing() {
    let running = require!(fixture("threads")).start(&["0", "2"]);
    let scratch = Scratch::new("dump-cut");
    let path = scratch.path().join("core");
    let path = path.to_str().unwrap();
    assert_eq!(prospect().run(&["dump", "-q", "-o", path, &running.arg()]).code(), Some(0));
    let length = fs::metadata(path).unwrap().len();
    for cut in [4 << 10, 8 << 10, 12 << 10] {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length - cut).unwrap();
        let said = prospect().run(&["stack", path]).text();
        let is_said = said.contains("the notes at the end of the core are missing");
        assert!(is_said && !said.contains("may have been more"), "{cut}: {said}");
    }
}

#[test]
fn every_page_is_that_of_the_process() {
    every_page("pages", "stop");
}

#[test]
fn every_page_is_that_of_the_process_of_32_bits() {
    require!(supports_32_bit());
    every_page("pages-32", "stop");
}

#[test]
fn every_page_of_a_snapshot_is_that_of_the_process() {
    every_page("pages", "snapshot");
}

#[test]
fn every_page_of_a_snapshot_is_that_of_the_process_of_32_bits() {
    require!(supports_32_bit());
    every_page("pages-32", "snapshot");
}

/// Panics unless the process runs on as it was, and no child of it is left.
fn assert_left_alone(running: &mut Running) {
    let pid = running.pid();
    let children = || {
        let of = |task| fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
        tasks(pid).into_iter().map(of).collect::<String>()
    };
    // Of a tool that was killed, another process undoes what it had begun.
    let deadline = Instant::now() + TIMEOUT;
    while has_guardian(pid) || !children().is_empty() {
        assert!(Instant::now() < deadline, "children are left: {}", children());
        thread::sleep(Duration::from_millis(5));
    }
    running.assert_unharmed();
}

/// Whether another process than a tool that runs waits for the end of this one: the guardian of a snapshot.
fn has_guardian(pid: u32) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process = entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
        (process != std::process::id()).then_some(process)
    });
    let waits = |process: u32| {
        let files = fs::read_dir(format!("/proc/{process}/fdinfo")).into_iter().flatten().flatten();
        files.into_iter().any(|file| {
            let info = fs::read_to_string(file.path()).unwrap_or_default();
            info.lines()
                .any(|line| line.strip_prefix("Pid:").is_some_and(|number| number.trim() == pid.to_string()))
        })
    };
    processes.into_iter().any(waits)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}

#[test]
fn what_fails_leaves_nothing_and_keeps_what_was_there() {
    for mode in ["stop", "snapshot"] {
        what_fails_leaves_nothing(mode);
    }
}

fn what_fails_leaves_nothing(mode: &str) {
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("dump-fails");
    let mut running = fixture.start(&["20", "8"]);
    let pid = running.arg();
    let file = scratch.path().join("core");
    fs::write(&file, "earlier").unwrap();
    let name = file.to_str().unwrap();

    let dump = |args: &[&str]| prospect().run(&[&["dump", "--mode", mode, &pid], args].concat());
    assert_eq!(dump(&["-o", name]).code(), Some(1));
    assert_eq!(dump(&["-o", "/dev/full"]).code(), Some(1));
    assert_eq!(dump(&["-o", scratch.path().join("no/core").to_str().unwrap()]).code(), Some(1));
    let limited = format!(
        "ulimit -f 8; exec {} dump --mode {mode} --force -o {name} {pid}",
        env!("CARGO_BIN_EXE_prospect")
    );
    let limited = Command::new("sh").args(["-c", &limited]).output().unwrap();
    assert_eq!(limited.status.code(), Some(1), "{}", String::from_utf8_lossy(&limited.stderr));

    assert_eq!(fs::read_to_string(&file).unwrap(), "earlier");
    assert_eq!(names(scratch.path()), ["core"]);
    assert_left_alone(&mut running);
}

#[test]
fn killed_at_every_moment_it_leaves_nothing() {
    for mode in ["stop", "snapshot"] {
        killed_at_every_moment(mode);
    }
}

fn killed_at_every_moment(mode: &str) {
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("dump-killed");
    let mut running = fixture.start(&["50", "8"]);
    let (pid, file) = (running.arg(), scratch.path().join("core"));
    let args = ["dump", "--mode", mode, "-o", file.to_str().unwrap(), &pid];
    let normal = prospect().run(&args).took;
    fs::remove_file(&file).unwrap();
    for round in 0..20 {
        let mut child = prospect().command(&args).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(normal * round / 20);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_left_alone(&mut running);
        // Either it was not whole, or it was.
        if fs::remove_file(&file).is_err() {
            assert_eq!(names(scratch.path()), [""; 0]);
        }
    }
}

/// A dump into a pipe from which nobody reads.
fn stuck(args: &[&str]) -> Child {
    let args = [&["dump", "-o", "-"], args].concat();
    prospect().command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends signals until a tool has ended: the first one is for those who write; the second one ends it.
fn end_with(signal: Signal, child: &mut Child) {
    let deadline = Instant::now() + TIMEOUT;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline);
        send(signal, child.id());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_reader_that_takes_nothing_does_not_hold_the_process_for_ever() {
    let fixture = require!(fixture("threads"));
    let mut running: Running = fixture.start(&["4", "8"]);
    let mut child = stuck(&["--mode", "stop", &running.arg()]);
    assert!(running.wait_for_states(|states| states.contains('t')));
    end_with(Signal::Interrupt, &mut child);
    assert_left_alone(&mut running);
}

#[test]
fn a_snapshot_that_nobody_takes_is_gone_with_the_tool() {
    let fixture = require!(fixture("threads"));
    for signal in [Some(Signal::Interrupt), Some(Signal::Terminate), None] {
        let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["4", "8"]));
        let mut child = stuck(&["--mode", "snapshot", &running.arg()]);
        let pid = running.pid();
        let deadline = Instant::now() + TIMEOUT;
        let has_child = || {
            tasks(pid).into_iter().any(|task| {
                let path = format!("/proc/{pid}/task/{task}/children");
                fs::read_to_string(path).is_ok_and(|children| !children.is_empty())
            })
        };
        while !has_child() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
        // The process runs on meanwhile.
        heartbeat.assert_beats();
        match signal {
            Some(signal) => end_with(signal, &mut child),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        assert_left_alone(&mut running);
        heartbeat.assert_beats();
    }
}

#[test]
fn a_limit_on_the_stop_is_kept_or_refused() {
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("dump-limit");
    let mut running = fixture.start(&["20", "8"]);
    let (pid, file) = (running.arg(), scratch.path().join("core"));
    let dump = |args: &[&str]| {
        let args = [&["dump", "--json", "-o", file.to_str().unwrap(), &pid], args].concat();
        prospect().run(&args)
    };
    // Known beforehand.
    for mode in [&[][..], &["--mode", "stop"], &["--mode", "snapshot"]] {
        let refused = dump(&[&["--max-pause", "0.001ms"], mode].concat());
        assert_eq!(refused.code(), Some(1), "{refused:?}");
        assert!(format!("{refused:?}").contains("longer than 1µs"), "{refused:?}");
        assert_eq!(names(scratch.path()), [""; 0]);
    }
    for mode in [&[][..], &["--mode", "stop"], &["--mode", "snapshot"]] {
        let made = dump(&[&["--max-pause", "10s"], mode].concat());
        assert_eq!(made.code(), Some(0), "{made:?}");
        let report = made.report().value().clone();
        assert!(report["pause_ms"].as_f64().is_some_and(|pause| pause < 10_000.0), "{report}");
        fs::remove_file(&file).unwrap();
    }
    // Seen only when it happens: the process goes on although the tool still waits.
    let mut child = stuck(&["--mode", "stop", "--max-pause", "1s", &pid]);
    assert!(running.wait_for_states(|states| states.contains('t')));
    assert!(running.wait_for_states(|states| !states.contains('t')));
    assert_eq!(child.try_wait().unwrap(), None);
    let (_, said) = (child.stdout.take(), child.stderr.take());
    assert_ne!(child.wait().unwrap().code(), Some(5));
    drop(said);
    assert_left_alone(&mut running);
}

#[test]
fn where_there_is_no_snapshot_it_is_stopped_and_says_why() {
    require!(root());
    require!(tool("setpriv"));
    require!(tool("prlimit"));
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("dump-fallback");
    let program = fixture.command(&["4", "8"]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "64322", "--clear-groups", "prlimit", "--nproc=5:5"]);
    command.arg(program.get_program()).args(["4", "8"]);
    let mut running = Running::start(&mut command);
    let (pid, file) = (running.arg(), scratch.path().join("core"));
    let args = ["dump", "--json", "-o", file.to_str().unwrap(), &pid];
    let forced = prospect().run(&[&args[..], &["--mode", "snapshot"]].concat());
    assert_eq!(forced.code(), Some(1), "{forced:?}");
    assert_eq!(names(scratch.path()), [""; 0]);

    let outcome = prospect().run(&args);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let report = outcome.report().value().clone();
    assert_eq!(report["method"], "stop");
    assert!(report["no_snapshot"].as_str().unwrap().contains("RLIMIT_NPROC"), "{report}");
    let core = Core::read(fs::read(&file).unwrap());
    let (offset, length) = *core.notes.last().unwrap();
    let note = String::from_utf8_lossy(&core.bytes[offset..offset + length]);
    assert!(
        note.contains("method stop\n") && note.contains("\nno-snapshot the kernel does not clone"),
        "{note}"
    );
    assert_left_alone(&mut running);
}
