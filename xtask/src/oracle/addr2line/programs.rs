//! The programs that are asked about: large, and of every kind of debug information.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// A file, and its share of all addresses.
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) share: usize,
}

/// How the large C++ program is compiled.
const COMPILED: &[(&str, &str, &[&str], usize)] = &[
    ("cpp-O0", "g++", &["-g", "-O0"], 12),
    ("cpp-O2", "g++", &["-g", "-O2"], 14),
    ("cpp-dwarf4", "g++", &["-gdwarf-4", "-Og"], 8),
    ("cpp-clang", "clang++", &["-g", "-O2"], 12),
    ("cpp-clang-O0", "clang++", &["-gdwarf-4", "-O0"], 6),
    ("cpp-lines", "g++", &["-g1", "-O2"], 6),
    ("cpp-no-debug", "g++", &["-O2"], 6),
];

/// Builds what is not there yet, in `directory`; what cannot be had is said and left out.
pub(super) fn all(directory: &Path, prospect: &Path, more: &[PathBuf]) -> Result<Vec<Program>> {
    if !more.is_empty() {
        let program = |path: &PathBuf| Program {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            path: path.clone(),
            share: 10,
        };
        return Ok(more.iter().map(program).collect());
    }
    fs::create_dir_all(directory)?;
    let source = workspace::root().join("xtask/src/oracle/addr2line/large.cc");
    let mut programs = Vec::new();
    let mut add =
        |name: &str, path: PathBuf, share| programs.push(Program { name: name.to_owned(), path, share });
    add("rust-O3", prospect.to_owned(), 16);
    for (name, compiler, flags, share) in COMPILED {
        let path = directory.join(name);
        let mut command = Command::new(compiler);
        command.arg("-std=c++20").args(*flags).arg("-pthread").arg("-o").arg(&path).arg(&source);
        match build(&mut command, &source, &path) {
            Ok(()) => add(name, path, *share),
            Err(error) => println!("{name:<14} left out: {error:#}"),
        }
    }
    let stripped = directory.join("rust-stripped");
    match build(Command::new("strip").arg("-g").arg("-o").arg(&stripped).arg(prospect), prospect, &stripped) {
        Ok(()) => add("rust-stripped", stripped, 6),
        Err(error) => println!("rust-stripped  left out: {error:#}"),
    }
    match debug_build() {
        Ok(path) => add("rust-O0", path, 8),
        Err(error) => println!("rust-O0        left out: {error:#}"),
    }
    // With libc6-dbg or without: then it is a file with nothing but dynamic symbols.
    match prospect_testing::tool("gcc").map_err(|missing| anyhow::anyhow!("{missing}")).and_then(|()| libc())
    {
        Ok(path) => add("libc", path, 6),
        Err(error) => println!("libc           left out: {error:#}"),
    }
    Ok(programs)
}

/// Builds `to` unless it is there and newer than `from`.
fn build(command: &mut Command, from: &Path, to: &Path) -> Result<()> {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    if changed(to).is_some_and(|to| changed(from).is_some_and(|from| to > from)) {
        return Ok(());
    }
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// This chore's own program: Rust without optimisation.
fn debug_build() -> Result<PathBuf> {
    ensure!(cfg!(debug_assertions), "it was built with optimisation itself");
    Ok(std::env::current_exe()?)
}

/// The C library that programs are linked with.
fn libc() -> Result<PathBuf> {
    let output = Command::new("gcc").arg("-print-file-name=libc.so.6").output()?;
    let path = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    ensure!(path.is_absolute(), "gcc knows no libc.so.6");
    Ok(fs::canonicalize(path)?)
}
