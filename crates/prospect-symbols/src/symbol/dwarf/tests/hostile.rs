//! Files changed at random, and work that a file multiplies.

use std::{sync::Arc, time::Instant};

use prospect_process::LinkAddr;

use super::{build, build_split, bytes_of};
use crate::{
    Binary,
    binary::FileBytes,
    symbol::dwarf::{DebugInfo, SplitDwarfSearch, fuel::Tank, resolve},
    testing::{Random, TempDir, run, text},
};

/// Where the DWARF sections lie in a file.
fn debug_sections(path: &std::path::Path) -> Vec<std::ops::Range<usize>> {
    let number = |digits: &str| usize::from_str_radix(digits, 16).unwrap();
    let parse = |line: &str| {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let name = parts.iter().position(|part| part.starts_with(".debug_"))?;
        let (start, size) = (number(parts[name + 3]), number(parts[name + 4]));
        Some(start..start + size)
    };
    run("readelf", &["-SW", text(path)]).lines().filter_map(parse).collect()
}

/// Asks for everything in a file that was changed in a few places of its DWARF. The answers do not
/// matter; that there are as many as questions, in reasonable time, does.
fn mutate(path: &std::path::Path, asked: &std::path::Path, rounds: usize, random: &mut Random) {
    let whole = std::fs::read(path).unwrap();
    let sections = debug_sections(path);
    let mut addresses = bytes_of(asked, "outer");
    addresses.extend(bytes_of(asked, "main"));
    let begun = Instant::now();
    for round in 0..rounds {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(4) {
            let section = sections[random.below(sections.len())].clone();
            let at = section.start + random.below(section.len());
            bytes[at] = match random.below(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ (1 << random.below(8)),
                _ => random.next() as u8,
            };
        }
        if round % 16 == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        let Ok(binary) = Binary::from_bytes(path.to_owned(), Arc::new(FileBytes::Owned(bytes))) else {
            continue;
        };
        let Some(debug) = DebugInfo::open(Arc::new(binary), SplitDwarfSearch::beside(path), None) else {
            continue;
        };
        let answers = resolve(&[(&debug, addresses.clone())]);
        assert_eq!(answers[0].len(), addresses.len());
    }
    let each = begun.elapsed() / rounds as u32;
    assert!(each.as_millis() < 500, "{path:?}: {each:?} for each");
}

#[test]
fn changed_files_are_read_without_panic_or_hang() {
    let mut random = Random(1);
    for (compiler, flags) in [
        ("gcc", &["-O1", "-gdwarf-5"][..]),
        ("gcc", &["-O1", "-gdwarf-3"]),
        ("clang", &["-O1", "-gdwarf-5", "-ffunction-sections"]),
        ("clang", &["-O1", "-gdwarf-4"]),
        ("gcc", &["-O1", "-gz=zlib"]),
    ] {
        let dir = TempDir::new();
        let path = build(&dir, compiler, flags);
        mutate(&path, &path, 300, &mut random);
    }
}

#[test]
fn changed_split_files_are_read_without_panic_or_hang() {
    let mut random = Random(2);
    let dir = TempDir::new();
    let path = build_split(&dir, "clang", "-gdwarf-5");
    mutate(&path, &path, 100, &mut random);
    let dwo = dir.path("outer.dwo");
    let whole = std::fs::read(&dwo).unwrap();
    let addresses = bytes_of(&path, "outer");
    for _ in 0..200 {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len());
        bytes[at] = random.next() as u8;
        std::fs::write(&dwo, bytes).unwrap();
        let answers = resolve(&[(&super::open(&path), addresses.clone())]);
        assert_eq!(answers[0].len(), addresses.len());
    }
}

#[test]
fn noise_is_no_dwarf() {
    let dir = TempDir::new();
    let path = build(&dir, "gcc", &["-O1"]);
    let mut random = Random(3);
    let whole = std::fs::read(&path).unwrap();
    for section in debug_sections(&path) {
        let mut bytes = whole.clone();
        bytes[section].fill_with(|| random.next() as u8);
        let binary = Binary::from_bytes(path.clone(), Arc::new(FileBytes::Owned(bytes))).unwrap();
        let debug = DebugInfo::open(Arc::new(binary), SplitDwarfSearch::default(), None).unwrap();
        let addresses: Vec<LinkAddr> = (0..200).map(|_| LinkAddr(random.next() % 0x8000)).collect();
        assert_eq!(resolve(&[(&debug, addresses)])[0].len(), 200);
    }
}

#[test]
fn the_work_for_a_file_is_limited_and_what_was_not_used_is_given_back() {
    let limit = 4 << 20;
    let tank = Tank::for_size(0);
    assert!(tank.fuel().burn(1).is_some());
    assert!(tank.fuel().burn(limit - 1).is_some());
    assert!(tank.fuel().burn(1).is_none());
    assert!(Tank::for_size(limit).fuel().burn(limit * 17 + 1).is_none());
}
