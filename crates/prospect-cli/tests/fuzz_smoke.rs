//! Damaged ELF files given to the command: no panic, no signal, no hang, no runaway memory. The seed is fixed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs, process::Command, time::Duration};

use prospect_testing::{Outcome, Random, Scratch, Tool, fixture, require};

/// Runs the command with at most 1 GiB of address space.
fn limited(args: &[&str]) -> Outcome {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 1048576; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_prospect")]).args(args);
    Tool::finish(&mut command)
}

fn damage(original: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    match random.below(8) {
        0 => bytes.truncate(random.below(original.len())),
        1 => {
            // Only the header and the tables at its heels.
            for _ in 0..4 {
                let at = random.below(1024.min(bytes.len()));
                bytes[at] = random.number() as u8;
            }
        }
        2 => {
            // The section headers lie at the end.
            for _ in 0..6 {
                let at = bytes.len() - 1 - random.below(2560.min(bytes.len()));
                bytes[at] = [0, 0xff, 0x7f, 0x80, 1][random.below(5)];
            }
        }
        3 => {
            let (from, to, length) =
                (random.below(bytes.len()), random.below(bytes.len()), random.below(256));
            let end = bytes.len();
            let copied = bytes[from..(from + length).min(end)].to_vec();
            for (offset, byte) in copied.into_iter().enumerate().take_while(|(offset, _)| to + offset < end) {
                bytes[to + offset] = byte;
            }
        }
        _ => {
            for _ in 0..1 + random.below(64) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
    }
    bytes
}

fn assert_survives(name: &str, rounds: u32) {
    let fixture = require!(fixture(name));
    let mut running = fixture.start(&["20"]);
    let original = fs::read(fixture.path()).unwrap();
    let scratch = Scratch::new("damaged");
    let file = scratch.path().join("damaged");
    let mut random = Random::new(original.len() as u64);
    for round in 0..rounds {
        fs::write(&file, damage(&original, &mut random)).unwrap();
        let outcome = limited(&["stack", "--json", "--exe", file.to_str().unwrap(), &running.arg()]);
        let code = outcome.code().unwrap_or_else(|| panic!("round {round}: {outcome:?}"));
        assert!(code <= 5, "round {round}: {outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "round {round}: {outcome:?}");
        assert!(outcome.took < Duration::from_secs(10), "round {round}: {:?}", outcome.took);
    }
    running.assert_unharmed();
}

#[test]
fn damaged_programs() {
    assert_survives("deep", 80);
}

#[test]
fn damaged_packed_sections() {
    assert_survives("deep-zlib", 40);
    assert_survives("deep-zstd", 40);
    assert_survives("deep-mini-debug", 40);
}

#[test]
fn damaged_inlines_and_names() {
    assert_survives("inlines-cxx", 60);
    assert_survives("names-cxx-no-debug", 30);
}

#[test]
fn damaged_32_bit_programs() {
    assert_survives("deep-32", 40);
}
