//! The mangled names of C++ in real files, and what GNU's tools say of them.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::{Missing, tool};

/// The C++ names in a file: of symbols and of debug information, in whatever table of strings they stand.
///
/// # Panics
/// When the file cannot be read.
#[must_use]
pub fn mangled_names(file: &Path) -> BTreeSet<String> {
    let bytes = fs::read(file).expect("the file can be read");
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    let names =
        bytes.split(|byte| *byte == 0).filter(|text| text.starts_with(b"_Z") && text.iter().all(is_of_name));
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// A shared library of the machine whose file name begins so.
///
/// # Errors
/// When there is none.
pub fn library(prefix: &str) -> Result<PathBuf, Missing> {
    let entries = |home: &Path| fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path());
    let homes = ["/usr/lib64", "/usr/lib"].map(PathBuf::from);
    let inner = entries(Path::new("/usr/lib")).filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    let files = homes.iter().cloned().chain(inner).flat_map(|home| entries(&home).collect::<Vec<_>>());
    let mut found: Vec<PathBuf> = files
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    found.sort();
    found.pop().ok_or_else(|| Missing::new(format!("no library {prefix}")))
}

/// What `c++filt -i` makes of names; what it does not know stays as it is.
///
/// # Errors
/// When it is not installed.
///
/// # Panics
/// When it does not answer.
pub fn cxxfilt<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, Missing> {
    tool("c++filt")?;
    Ok(filter(Command::new("c++filt").arg("-i"), names))
}

/// The lines that a program writes when it is given these.
///
/// # Panics
/// When it does not answer.
pub fn filter<'a>(command: &mut Command, lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let text: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
    let count = text.lines().count();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("the program has an input");
    // It answers while it is asked.
    let writer = thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the program answers");
    writer.join().expect("the lines are written").expect("the program reads");
    let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), count, "{command:?} answers every line");
    lines
}
