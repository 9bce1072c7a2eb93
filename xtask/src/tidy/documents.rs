//! Rules on documents and tables: ARCHITECTURE.md stays short, docs/parity.md has every row, every fuzz target runs.

use std::fs;

use anyhow::Result;

use super::Fault;
use crate::workspace;

/// How many lines ARCHITECTURE.md may have.
const MOST_ARCHITECTURE_LINES: usize = 150;
/// The rows of docs/parity.md: letter and last number.
const PARITY_ROWS: &[(char, u32)] = &[('R', 19), ('S', 71), ('D', 34), ('M', 15), ('P', 14)];

pub(super) fn check() -> Result<Vec<Fault>> {
    let root = workspace::root();
    let mut faults = Vec::new();
    let mut read = |name: &str| match fs::read_to_string(root.join(name)) {
        Ok(text) => text,
        Err(error) => {
            faults.push(format!("{name}: {error}"));
            String::new()
        }
    };
    let architecture = read("ARCHITECTURE.md");
    let parity = read("docs/parity.md");
    let fuzz_manifest = read("fuzz/Cargo.toml");
    let fuzz_table = read("fuzz/src/targets.rs");
    let lines = architecture.lines().count();
    if lines > MOST_ARCHITECTURE_LINES {
        faults.push(format!("ARCHITECTURE.md: {lines} lines, more than {MOST_ARCHITECTURE_LINES}"));
    }
    if !parity.is_empty() {
        for row in
            PARITY_ROWS.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}")))
        {
            let is_there = parity.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == row);
            if !is_there {
                faults.push(format!("docs/parity.md: row {row} is missing"));
            }
        }
    }
    for entry in fs::read_dir(root.join("fuzz/fuzz_targets")).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (file, text) in [("fuzz/Cargo.toml", &fuzz_manifest), ("fuzz/src/targets.rs", &fuzz_table)] {
            if !text.contains(&format!("\"{name}\"")) {
                faults.push(format!("{file}: the fuzz target {name} is not listed"));
            }
        }
    }
    Ok(faults)
}
