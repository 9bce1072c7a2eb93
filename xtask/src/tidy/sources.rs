//! Rules on source files: length, names, `cfg`, `unsafe`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::Fault;
use crate::workspace;

/// Longest file; a table may be longer.
const MOST_LINES: usize = 800;
/// Files that are tables.
const TABLES: &[&str] = &[];
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "types", "misc"];
/// The only places with `unsafe`: the backend of the operating system, the handler of crashes, and the mapping of files.
const UNSAFE: &[&str] = &[
    "crates/prospect-crash/src/",
    "crates/prospect-live/src/linux/",
    "crates/prospect-symbols/src/binary/file.rs",
];
/// The only files that know the operating system that they are compiled for.
const TARGET_OS: &[&str] = &["crates/prospect-live/src/lib.rs"];
/// The only files that know the processor that they are compiled for.
const TARGET_ARCH: &[&str] =
    &["crates/prospect-live/src/linux/arch/mod.rs", "crates/prospect-live/src/linux/arch.rs"];
/// Paths of somebody's machine have no place in the tree. Split, so as not to find themselves.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Whether a path that begins with `machine` stands in `line`, not as the tail of another path.
fn has_machine_path(line: &str, machine: &str) -> bool {
    line.match_indices(machine).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"/._-}>]*$".contains(c))
    })
}

pub(super) fn check() -> Result<Vec<Fault>> {
    let root = workspace::root();
    let mut faults = Vec::new();
    for path in files(&root)? {
        let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        faults.extend(check_file(&name, &text));
    }
    Ok(faults)
}

/// Every file under `directory` but build products and hidden ones.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "target" || (name.starts_with('.') && name != ".ci" && name != ".cargo") {
                continue;
            }
            if entry.file_type()?.is_dir() { pending.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}

fn check_file(name: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let path = Path::new(name);
    for part in path.iter() {
        let part = Path::new(part).file_stem().unwrap_or_default().to_string_lossy();
        if EMPTY_NAMES.contains(&part.as_ref()) {
            faults.push(format!("{name}: `{part}` says nothing about what is in it"));
        }
    }
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    // Tests make up paths of all kinds.
    for machine in MACHINE_PATHS.iter().filter(|_| !is_rust || !name.contains("tests")) {
        if let Some(line) = text.lines().position(|line| has_machine_path(line, machine)) {
            faults.push(format!("{name}:{}: a path of one machine ({machine})", line + 1));
        }
    }
    if !is_rust {
        return faults;
    }
    let lines = text.lines().count();
    if lines > MOST_LINES && !TABLES.contains(&name) {
        faults.push(format!("{name}: {lines} lines; more than {MOST_LINES} do not fit into a head"));
    }
    let is_library = name.starts_with("crates/") && name.contains("/src/");
    if is_library {
        // The compiler refuses `unsafe` wherever this lint is not lifted.
        let lifts = |line: &str| code_of(line).contains("unsafe_code") && !code_of(line).contains("forbid(");
        faults.extend(only_in(name, text, "unsafe", UNSAFE, lifts));
        let is_cfg = |line: &str, of: &str| code_of(line).contains("cfg") && code_of(line).contains(of);
        faults.extend(only_in(name, text, "cfg(target_os)", TARGET_OS, |line| is_cfg(line, "target_os")));
        faults
            .extend(only_in(name, text, "cfg(target_arch)", TARGET_ARCH, |line| is_cfg(line, "target_arch")));
    }
    faults
}

/// A line without its comment.
fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn only_in(
    name: &str,
    text: &str,
    what: &str,
    places: &[&str],
    finds: impl Fn(&str) -> bool,
) -> Option<Fault> {
    if places.iter().any(|place| name.starts_with(place)) {
        return None;
    }
    let line = text.lines().position(finds)?;
    Some(format!("{name}:{}: {what} is allowed in {} only", line + 1, places.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::check_file;

    #[test]
    fn faults_are_found() {
        let long = "\n".repeat(900);
        assert_eq!(check_file("crates/prospect-stack/src/walker.rs", &long).len(), 1);
        assert_eq!(check_file("crates/prospect-stack/src/utils.rs", "").len(), 1);
        assert_eq!(check_file("crates/prospect-stack/src/walker.rs", "#![allow(unsafe_code)]").len(), 1);
        assert_eq!(check_file("crates/prospect-stack/src/walker.rs", "// unsafe_code").len(), 0);
        assert_eq!(check_file("crates/prospect-stack/src/walker.rs", "#![forbid(unsafe_code)]").len(), 0);
        assert_eq!(check_file("crates/prospect-live/src/linux/ptrace.rs", "#![allow(unsafe_code)]").len(), 0);
        assert_eq!(check_file("crates/prospect-cli/src/main.rs", "#[cfg(target_os = \"linux\")]").len(), 1);
        assert_eq!(check_file("docs/x.md", concat!("see /ho", "me/me/x")).len(), 1);
        assert_eq!(check_file("docs/x.md", concat!("see /proc/PID/ro", "ot/x")).len(), 0);
    }
}
