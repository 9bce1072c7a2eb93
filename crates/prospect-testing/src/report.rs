//! Reading `prospect stack --json`: version 1 of the schema, as a user of it would.

use std::{fs, path::Path};

use serde_json::Value;

/// One target's report.
#[derive(Clone, Debug)]
pub struct Report(Value);

/// One thread of a report (or one group of threads, with `--merge`).
#[derive(Clone, Copy, Debug)]
pub struct Thread<'a>(&'a Value);

/// One frame of a thread.
#[derive(Clone, Copy)]
pub struct Frame<'a>(&'a Value);

impl Report {
    /// Reads one line.
    ///
    /// # Panics
    /// When it is no JSON object of version 1.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}: {line}"));
        assert_eq!(value["version"], 1, "the schema's version");
        Self(value)
    }

    /// Reads a file of one line.
    ///
    /// # Panics
    /// When it cannot be read, and as [`Report::parse`].
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(text.trim_end())
    }

    /// The whole of it, for fields that have no method here.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Whether everything that was asked for is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0["complete"] == true
    }

    /// What it warns of.
    #[must_use]
    pub fn warnings(&self) -> Vec<&str> {
        self.0["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Its threads.
    #[must_use]
    pub fn threads(&self) -> Vec<Thread<'_>> {
        self.0["threads"].as_array().into_iter().flatten().map(Thread).collect()
    }

    /// Its groups of equal stacks.
    #[must_use]
    pub fn groups(&self) -> Vec<Thread<'_>> {
        self.0["groups"].as_array().into_iter().flatten().map(Thread).collect()
    }

    /// Of each thread, by its number: where its frames are, and how they were found. To be compared with those of another
    /// report.
    #[must_use]
    pub fn frames(&self) -> Vec<(Option<u32>, Vec<String>)> {
        let frame = |frame: &Frame<'_>| {
            format!("{:#x} {:?} {:?} {}", frame.pc(), frame.function(), frame.place(), frame.trust())
        };
        let threads = self.threads();
        let mut all: Vec<_> = threads
            .iter()
            .map(|thread| (thread.tid(), thread.frames().iter().map(frame).collect()))
            .collect();
        all.sort();
        all
    }

    /// The thread of this number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn thread(&self, tid: u32) -> Thread<'_> {
        let found = self.threads().into_iter().find(|thread| thread.tid() == Some(tid));
        found.unwrap_or_else(|| panic!("no thread {tid} in {}", self.0))
    }
}

impl<'a> Thread<'a> {
    /// The whole of it.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.0
    }

    /// Its number.
    #[must_use]
    pub fn tid(&self) -> Option<u32> {
        u32::try_from(self.0["tid"].as_u64()?).ok()
    }

    /// Its frames, innermost first.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame<'a>> {
        self.0["frames"].as_array().into_iter().flatten().map(Frame).collect()
    }

    /// Its frames that are not inlined calls.
    #[must_use]
    pub fn physical(&self) -> Vec<Frame<'a>> {
        self.frames().into_iter().filter(|frame| !frame.is_inline()).collect()
    }

    /// The first frame in a function of this name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn frame(&self, function: &str) -> Frame<'a> {
        let found = self.frames().into_iter().find(|frame| frame.is(function));
        found.unwrap_or_else(|| panic!("no frame in {function}:\n{self}"))
    }

    /// How the walk ended.
    #[must_use]
    pub fn end(&self) -> &'a str {
        self.0["end"].as_str().unwrap_or("")
    }

    /// Panics unless these functions follow each other, innermost first, somewhere in the frames.
    ///
    /// # Panics
    /// That is its purpose.
    pub fn assert_calls(&self, functions: &[&str]) {
        let frames = self.frames();
        let matches = frames
            .windows(functions.len())
            .any(|window| window.iter().zip(functions).all(|(frame, wanted)| frame.is(wanted)));
        assert!(matches, "not in a row: {functions:?}\n{self}");
    }

    /// Panics unless the walk went to the outermost frame.
    ///
    /// # Panics
    /// That is its purpose.
    pub fn assert_whole(&self) {
        assert_eq!(self.end(), "outermost", "{}\n{self}", self.0["end_reason"]);
    }
}

impl std::fmt::Display for Thread<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for frame in self.frames() {
            writeln!(f, "{frame:?}")?;
        }
        write!(f, "end: {} {}", self.end(), self.0["end_reason"])
    }
}

impl<'a> Frame<'a> {
    /// The whole of it.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.0
    }

    /// Its function, if a name is known.
    #[must_use]
    pub fn function(&self) -> Option<&'a str> {
        self.0["function"].as_str()
    }

    /// Whether it is in this function, arguments, `.part` suffixes and Rust's hash aside.
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        let Some(name) = self.function() else { return false };
        name == wanted
            || name
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.starts_with(['(', '.', '@']) || rest.starts_with("::h"))
    }

    /// Whether it is an inlined call.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.0["inline"] == true
    }

    /// Its source file's last component, and line.
    #[must_use]
    pub fn place(&self) -> Option<(&'a str, u64)> {
        let file = self.0["file"].as_str()?;
        Some((file.rsplit('/').next().unwrap_or(file), self.0["line"].as_u64()?))
    }

    /// How far it is to be trusted.
    #[must_use]
    pub fn trust(&self) -> &'a str {
        self.0["trust"].as_str().unwrap_or("")
    }

    /// What found it.
    #[must_use]
    pub fn stepper(&self) -> &'a str {
        self.0["stepper"].as_str().unwrap_or("")
    }

    /// The module's path.
    #[must_use]
    pub fn module(&self) -> Option<&'a str> {
        self.0["module"].as_str()
    }

    /// Its address.
    #[must_use]
    pub fn pc(&self) -> u64 {
        let text = self.0["pc"].as_str().unwrap_or("");
        text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
    }
}

impl std::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inline = if self.is_inline() { " inline" } else { "" };
        let function = self.function().unwrap_or("?");
        write!(f, "{:#x} {function}{inline} [{} by {}]", self.pc(), self.trust(), self.stepper())?;
        if let Some((file, line)) = self.place() {
            write!(f, " {file}:{line}")?;
        }
        write!(f, " {}", self.module().unwrap_or("-"))
    }
}
