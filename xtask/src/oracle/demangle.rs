//! `cargo xtask oracle --demangle`: C++ names as we write them beside those of `c++filt -i`.
//!
//! Of 245,000 names of libstdc++, LLVM, Clang, gdb, Node and a large program, 99.96 % are the same to the byte. The
//! classes of the rest:
//!
//! - **only ours**: names that `c++filt` leaves as they are: newer parts of the grammar, and a few others.
//! - **stray separator**: GNU's tools take the separator before an empty pack back, but not where their buffer of 256
//!   letters has just been emptied: `f<int, >()`.
//! - **another scope**: a substitution that stands for `T&&` with a `T` of its own place. GNU's tools (and LLVM's) show
//!   the argument of the place where it was first written: `void f<A, B>(A&&, …::{lambda}&&)`. Ours is the one that the
//!   function has. These are of no class here, as this cannot be seen in the text: 8 of the 245,000.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail, ensure};
use prospect_testing::{cxxfilt, filter, library, mangled_names};

use crate::workspace;

/// Names that differ and are of no class, at most one of so many.
const NAMES_FOR_ONE_UNKNOWN: usize = 10_000;
/// Libraries and programs that are asked about where they are installed.
const LIBRARIES: &[&str] = &["libstdc++.so", "libLLVM", "libclang-cpp", "libboost_regex", "libicui18n"];
const PROGRAMS: &[&str] = &["gdb", "node", "python3", "cmake", "lldb"];

/// What became of a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verdict {
    Equal,
    OnlyOurs,
    StraySeparator,
    Unknown,
}

pub(super) fn run(files: &[PathBuf], show: usize) -> Result<()> {
    let files = if files.is_empty() { installed() } else { files.to_vec() };
    let example = workspace::build_example("prospect-demangle", "cxxfilt")?;
    println!(
        "{:<32} {:>9} {:>9} {:>10} {:>15} {:>8}",
        "file", "names", "equal", "only ours", "stray separator", "unknown"
    );
    let mut seen = BTreeSet::new();
    let mut whole = BTreeMap::new();
    for file in &files {
        let names: Vec<String> =
            mangled_names(file).into_iter().filter(|name| seen.insert(name.clone())).collect();
        let lines = || names.iter().map(String::as_str);
        let theirs = match cxxfilt(lines()) {
            Ok(theirs) => theirs,
            Err(missing) => bail!("{missing}: nothing to compare with"),
        };
        let ours = filter(&mut Command::new(&example), lines());
        let mut tally: BTreeMap<Verdict, usize> = BTreeMap::new();
        let mut shown = 0;
        for ((name, ours), theirs) in names.iter().zip(&ours).zip(&theirs) {
            let verdict = judge(name, ours, theirs);
            *tally.entry(verdict).or_default() += 1;
            if verdict == Verdict::Unknown && shown < show {
                println!("    {name}\n        ours   {ours}\n        theirs {theirs}");
                shown += 1;
            }
        }
        print_row(file, &tally);
        tally.iter().for_each(|(verdict, count)| *whole.entry(*verdict).or_default() += count);
    }
    print_row(Path::new("all"), &whole);
    let names: usize = whole.values().sum();
    let unknown = whole.get(&Verdict::Unknown).copied().unwrap_or(0);
    ensure!(names > 0, "nothing was compared");
    ensure!(unknown * NAMES_FOR_ONE_UNKNOWN <= names, "{unknown} of {names} names differ");
    Ok(())
}

/// What is there of [`LIBRARIES`] and [`PROGRAMS`].
fn installed() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let program =
        |name: &&str| env::split_paths(&path).map(|home| home.join(name)).find(|file| file.is_file());
    let libraries = LIBRARIES.iter().filter_map(|name| library(name).ok());
    libraries.chain(PROGRAMS.iter().filter_map(program)).collect()
}

fn judge(name: &str, ours: &str, theirs: &str) -> Verdict {
    if ours == theirs {
        Verdict::Equal
    } else if theirs == name {
        Verdict::OnlyOurs
    } else if theirs.replace(", >", ">").replace(", )", ")") == ours {
        Verdict::StraySeparator
    } else {
        Verdict::Unknown
    }
}

fn print_row(file: &Path, tally: &BTreeMap<Verdict, usize>) {
    let of = |verdict| tally.get(&verdict).copied().unwrap_or(0);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let names: usize = tally.values().sum();
    println!(
        "{name:<32} {names:>9} {:>8.3}% {:>10} {:>15} {:>8}",
        100.0 * of(Verdict::Equal) as f64 / names.max(1) as f64,
        of(Verdict::OnlyOurs),
        of(Verdict::StraySeparator),
        of(Verdict::Unknown)
    );
}
