//! Addresses of source lines.

use prospect_process::LinkAddr;

/// A line of a source file: what a person writes as `file:line`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLine {
    /// The file: its name, or more of the end of its path.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// Whether the address is wanted at which a function's arguments can be read, where the line is the one that a function begins
    /// at: behind its prologue.
    pub after_prologue: bool,
}

impl SourceLine {
    /// Reads `file:line`. `None` for anything else, a path of names among it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (file, line) = text.rsplit_once(':')?;
        let is_file = !file.is_empty() && !file.ends_with(':') && !file.ends_with('/');
        let line = line.parse().ok().filter(|line| *line > 0 && is_file)?;
        Some(Self { file: file.to_owned(), line, after_prologue: false })
    }

    /// Whether a path is meant: it ends in the same parts.
    pub(crate) fn is_file(&self, path: &str) -> bool {
        let wanted = self.file.trim_start_matches("./");
        let rest = path.strip_suffix(wanted);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || wanted.starts_with('/'))
    }

    /// The last part of the file's path.
    pub(crate) fn file_name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

/// A place in the code that belongs to a source line: the first one of the line in a function, or in an inlined call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinePlace {
    /// The address, as linked.
    pub address: LinkAddr,
    /// The path of the file, as the debug information has it.
    pub file: String,
    /// The line that the code belongs to: the one asked for, or the next one that has code.
    pub line: u32,
    /// From 1, where it is known.
    pub column: Option<u32>,
    /// Whether it is the line asked for.
    pub is_exact: bool,
    /// The function there, as people write it: an inlined one, perhaps.
    pub function: Option<String>,
    /// Whether that function was inlined.
    pub is_inlined: bool,
}
