//! Cores of live processes: what is in them, and what is left when they fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use prospect_testing::{Running, Scratch, Signal, Tool, fixture, require, send, supports_32_bit, tool};

const PAGE: usize = 4096;

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
fn assert_has_pages(core: Vec<u8>, said: &Path) {
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
    assert!(note.contains("PROSPECT\0") && note.contains("method stop\npause-us "), "{note}");
}

fn every_page(name: &str) {
    let fixture = require!(fixture(name));
    let scratch = Scratch::new("dump-pages");
    let said = scratch.path().join("said");
    let mut running = fixture.start(&[said.to_str().unwrap()]);
    let pid = running.arg();
    let file = scratch.path().join("core");
    let file_name = file.to_str().unwrap();

    let outcome = prospect().run(&["dump", "--json", "-o", file_name, &pid]);
    assert_eq!(outcome.code(), Some(0), "{}", outcome.text());
    assert_has_pages(fs::read(&file).unwrap(), &said);
    // Pages of zeros take no room.
    let metadata = fs::metadata(&file).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert!(metadata.blocks() * 512 < metadata.len(), "{metadata:?}");

    let pipe = prospect().command(&["dump", "-o", "-", &pid]).stderr(Stdio::null()).output().unwrap();
    assert!(pipe.status.success());
    assert_has_pages(pipe.stdout, &said);

    if tool("zstd").is_ok() {
        let outcome = prospect().run(&["dump", "--force", "--compress", "zstd", "-o", file_name, &pid]);
        assert_eq!(outcome.code(), Some(0), "{}", outcome.text());
        let unpacked = Command::new("zstd").args(["-dcq", file_name]).output().unwrap();
        assert!(unpacked.status.success());
        assert_has_pages(unpacked.stdout, &said);
    }
    running.assert_unharmed();
}

#[test]
fn every_page_is_that_of_the_process() {
    every_page("pages");
}

#[test]
fn every_page_is_that_of_the_process_of_32_bits() {
    require!(supports_32_bit());
    every_page("pages-32");
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
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("dump-fails");
    let mut running = fixture.start(&["20", "8"]);
    let pid = running.arg();
    let file = scratch.path().join("core");
    fs::write(&file, "earlier").unwrap();
    let name = file.to_str().unwrap();

    let kept = prospect().run(&["dump", "-o", name, &pid]);
    assert_eq!(kept.code(), Some(1));
    let full = prospect().run(&["dump", "-o", "/dev/full", &pid]);
    assert_eq!(full.code(), Some(1));
    let nowhere = prospect().run(&["dump", "-o", scratch.path().join("no/core").to_str().unwrap(), &pid]);
    assert_eq!(nowhere.code(), Some(1));
    let limited =
        format!("ulimit -f 8; exec {} dump --force -o {name} {pid}", env!("CARGO_BIN_EXE_prospect"));
    let limited = Command::new("sh").args(["-c", &limited]).output().unwrap();
    assert_eq!(limited.status.code(), Some(1), "{}", String::from_utf8_lossy(&limited.stderr));

    assert_eq!(fs::read_to_string(&file).unwrap(), "earlier");
    assert_eq!(names(scratch.path()), ["core"]);
    running.assert_unharmed();
}

#[test]
fn killed_at_every_moment_it_leaves_nothing() {
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("dump-killed");
    let mut running = fixture.start(&["50", "8"]);
    let (pid, file) = (running.arg(), scratch.path().join("core"));
    let args = ["dump", "-o", file.to_str().unwrap(), &pid];
    let normal = prospect().run(&args).took;
    fs::remove_file(&file).unwrap();
    for round in 0..20 {
        let mut child = prospect().command(&args).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(normal * round / 20);
        child.kill().unwrap();
        child.wait().unwrap();
        running.assert_unharmed();
        // Either it was not whole, or it was.
        if fs::remove_file(&file).is_err() {
            assert_eq!(names(scratch.path()), [""; 0]);
        }
    }
}

#[test]
fn a_reader_that_takes_nothing_does_not_hold_the_process_for_ever() {
    let fixture = require!(fixture("threads"));
    let mut running: Running = fixture.start(&["4", "8"]);
    let pid = running.arg();
    let mut child = prospect().command(&["dump", "-o", "-", &pid]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(running.wait_for_states(|states| states.contains('t')));
    // The first one is for those who write; the second one ends it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline);
        send(Signal::Interrupt, child.id());
        thread::sleep(Duration::from_millis(20));
    }
    running.assert_unharmed();
}
