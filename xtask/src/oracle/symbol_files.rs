//! Minidumps of programs that are gone, by the symbol files that `dump_syms` has made of them (that of Breakpad or that of Mozilla).

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Running, Scratch, Tool, fixture};

use super::witness::{self, Stacks};

/// The stacks of a program's minidump with the program, and with nothing of it but its symbol file.
pub(super) fn ask(prospect: &Tool, dump_syms: &Path, name: &str, args: &[&str]) -> Result<(Stacks, Stacks)> {
    let fixture = fixture(name).map_err(|missing| anyhow::anyhow!("{missing}"))?;
    let scratch = Scratch::new("oracle-symbols");
    let program = scratch.copy_of(&fixture.path());
    let running = Running::start(Command::new(&program).args(args));
    running.settle();
    let dump = scratch.path().join("a.dmp").to_string_lossy().into_owned();
    let outcome = prospect.run(&["dump", "-q", "-o", &dump, &running.arg()]);
    ensure!(matches!(outcome.code(), Some(0 | 5)), "prospect dump: {}", outcome.stderr);
    let with_program = witness::prospect(prospect, &dump)?;
    let output = witness::limited(dump_syms).arg(&program).output()?;
    ensure!(output.status.success(), "dump_syms: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.lines().next().unwrap_or_default().splitn(5, ' ').skip(3);
    let (build, name) = words.next().zip(words.next()).context("a symbol file without its first line")?;
    let folder = scratch.path().join("symbols");
    let place = folder.join(name).join(build);
    fs::create_dir_all(&place)?;
    fs::write(place.join(format!("{name}.sym")), &*text)?;
    fs::remove_file(&program)?;
    let folder = folder.to_string_lossy();
    Ok((with_program, witness::prospect_with(prospect, &dump, &["--symbol-dir", &folder])?))
}
