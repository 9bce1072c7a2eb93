//! Whoever has files that this machine does not have: an interface, and no network.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use prospect_process::BuildId;

use super::SearchStep;

/// Servers of binaries and debug files, by build-id. It is asked last, when nothing on this machine was the right file
/// ([`SearchOptions::server`](super::SearchOptions::server)).
pub trait DebugFileServer: fmt::Debug + Send + Sync {
    /// Brings a file to this machine, or finds the one that was brought before. It blocks, and is called by several
    /// threads at once: it has to end by its own deadline.
    ///
    /// Whoever asks checks the build-id of what comes back.
    fn fetch(&self, build_id: &BuildId, what: ServerFile<'_>) -> Fetched;
}

/// What a server is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ServerFile<'a> {
    /// The file with the debug information.
    DebugInfo,
    /// The program or library.
    Executable,
    /// A source file, by its absolute path in the debug information.
    Source(&'a Path),
    /// Breakpad's symbol file, by its path on a symbol server: `NAME/BUILD/NAME.sym`.
    SymbolFile(&'a str),
    /// One section of the debug file or of the program.
    Section(&'a str),
}

/// What came of asking.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fetched {
    /// The file, on this machine. `None` when nobody has it, or it could not be brought here.
    pub path: Option<PathBuf>,
    /// Who was asked, and what came of it: steps of [`Sought::Server`](super::Sought::Server). With no path they say
    /// why.
    pub steps: Vec<SearchStep>,
}
