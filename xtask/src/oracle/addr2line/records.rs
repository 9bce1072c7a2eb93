//! What an `addr2line` says of many addresses.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, ensure};

/// One function at one place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) file: String,
    /// With its discriminator, if it has one; `?` and `0` where it is not known.
    pub(super) line: String,
}

impl Frame {
    pub(super) fn is_named(&self) -> bool {
        self.name != "??"
    }

    /// Whether a source line is known.
    pub(super) fn has_line(&self) -> bool {
        !matches!(self.line_alone(), "?" | "0")
    }

    /// The line without its discriminator.
    pub(super) fn line_alone(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// Whether both say the same place, but for discriminators and the way to say that something is not known.
    pub(super) fn is_at_place_of(&self, other: &Self) -> bool {
        let unknown = !self.has_line() && !other.has_line();
        self.file == other.file && (unknown || self.line_alone() == other.line_alone())
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.name == other.name && self.is_at_place_of(other)
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name: String = self.name.chars().take(90).collect();
        write!(f, "{name} {}:{}", self.file, self.line)
    }
}

/// Asks for the functions, inlined calls and lines of `addresses` in one run: an answer for each.
pub(super) fn ask(command: &mut Command, file: &Path, addresses: &[u64]) -> Result<Vec<Vec<Frame>>> {
    command.args(["-f", "-i", "-a", "-e"]).arg(file).env_remove("DEBUGINFOD_URLS");
    let text = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {text}"))?;
    let questions: String = addresses.iter().map(|at| format!("{at:#x}\n")).collect();
    let mut stdin = child.stdin.take().context("no stdin")?;
    // It answers while it is asked.
    let asking = thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let output = child.wait_with_output()?;
    let _ = asking.join();
    ensure!(output.status.success(), "{text}: {}", output.status);
    let answers = parse(&String::from_utf8_lossy(&output.stdout));
    ensure!(answers.len() == addresses.len(), "{text}: {} answers to {}", answers.len(), addresses.len());
    Ok(answers)
}

/// Each answer begins with its address; then come two lines for each frame.
fn parse(text: &str) -> Vec<Vec<Frame>> {
    let mut answers: Vec<Vec<Frame>> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            answers.push(Vec::new());
            continue;
        }
        let (file, line_number) =
            lines.next().and_then(|place| place.rsplit_once(':')).unwrap_or(("??", "0"));
        let frame = Frame { name: line.to_owned(), file: plain_path(file), line: line_number.to_owned() };
        if let Some(answer) = answers.last_mut() {
            answer.push(frame);
        }
    }
    answers
}

/// A path without the detours `.` and `..` in it: the tools leave them in, or do not.
fn plain_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| !last.is_empty() && *last != "..") => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
