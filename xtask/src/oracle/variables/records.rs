//! What gdb and we say of the variables of a process, in one shape.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anyhow::{Result, ensure};
use prospect_testing::Scratch;

use crate::oracle::witness::limited;

const GDB_SCRIPT: &str = include_str!("gdb.py");

/// A number in hexadecimal, or why there is none.
pub(super) type Said = Result<String, String>;

/// One call, inlined ones too.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) pc: u64,
    pub(super) function: String,
    /// By their paths.
    pub(super) parts: BTreeMap<String, Said>,
    /// The same out of trees of values: ours only.
    pub(super) values: BTreeMap<String, Said>,
}

/// The calls of each thread, the innermost first.
pub(super) type Threads = BTreeMap<u32, Vec<Call>>;

/// What gdb says.
pub(super) fn gdb(pid: u32) -> Result<Threads> {
    let scratch = Scratch::new("oracle");
    let script = scratch.path().join("variables.py");
    std::fs::write(&script, GDB_SCRIPT)?;
    let mut command = limited("gdb");
    command.args(["-q", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off"]);
    command.args(["-p", &pid.to_string()]).arg("-ex").arg(format!("source {}", script.display()));
    read(&mut command)
}

/// What we say.
pub(super) fn ours(example: &Path, pid: u32) -> Result<Threads> {
    read(limited(example).arg(pid.to_string()))
}

fn read(command: &mut Command) -> Result<Threads> {
    let output = command.env("LC_ALL", "C").output()?;
    let mut threads = Threads::new();
    let mut thread = 0;
    // Where several variables have one name, their values cannot be told apart.
    let mut doubled = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((kind, rest)) = line.split_once('|') else { continue };
        if kind == "T" {
            thread = rest.parse()?;
        }
        let calls = threads.entry(thread).or_default();
        match (kind, calls.last_mut()) {
            ("F", _) => {
                let (pc, function) = rest.split_once('|').unwrap_or((rest, ""));
                let (pc, function) = (u64::from_str_radix(pc, 16)?, function.to_owned());
                calls.push(Call { pc, function, ..Call::default() });
                doubled.clear();
            }
            ("V" | "W", Some(call)) => {
                let Some((path, said)) = rest.rsplit_once('|') else { continue };
                let said = said.strip_prefix('!').map_or(Ok(said.to_owned()), |why| Err(why.to_owned()));
                if kind == "V" {
                    call.parts.insert(path.to_owned(), said);
                } else if call.values.insert(path.to_owned(), said).is_some() {
                    doubled.insert(path.to_owned());
                }
                call.values.retain(|path, _| !doubled.contains(path));
            }
            _ => {}
        }
    }
    ensure!(!threads.is_empty(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(threads)
}
