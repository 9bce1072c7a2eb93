//! What was looked for, where, and what came of it.

use std::path::PathBuf;

use prospect_process::BuildId;

use crate::{Binary, BinaryError};

/// What one step of a search looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sought {
    /// The module's own file.
    Binary,
    /// What the process's memory holds of it.
    Memory,
    /// Its debug file, by build-id.
    BuildId,
    /// Its debug file, by the name and checksum in `.gnu_debuglink`.
    DebugLink,
    /// The small symbol table in `.gnu_debugdata`.
    MiniDebugInfo,
    /// The file that several debug files share (`.gnu_debugaltlink`, made by dwz).
    Supplementary,
    /// The package of all split DWARF files (`.dwp`).
    SplitPackage,
    /// A split DWARF file (`.dwo`).
    SplitFile,
    /// Breakpad's symbol file.
    SymbolFile,
    /// Any of these, on a server: its address there, or where it lies since it was fetched.
    Server,
}

/// One place that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchStep {
    /// What was looked for there.
    pub what: Sought,
    /// Where: a path, or an address on a server.
    pub path: PathBuf,
    /// What came of it.
    pub outcome: SearchOutcome,
}

/// What came of looking at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchOutcome {
    /// It is there, and it is the right one.
    Found,
    /// It is there and looks right, but nothing names its build.
    FoundUnverified,
    /// There is nothing.
    Missing,
    /// It is of another build.
    WrongBuild {
        /// The build-id that it should have.
        wanted: BuildId,
        /// The one that it has.
        found: Option<BuildId>,
    },
    /// Neither has a build-id, and it is not laid out as what the process has loaded.
    WrongLayout,
    /// Its checksum is not the one that the debug link says.
    WrongCrc,
    /// It is there but cannot be used.
    Malformed(String),
    /// It cannot be opened, or not be fetched.
    Unreadable(String),
    /// It was not looked for here.
    NotAsked(String),
}

impl SearchOutcome {
    /// Whether the file is used.
    #[must_use]
    pub fn is_found(&self) -> bool {
        matches!(self, Self::Found | Self::FoundUnverified)
    }

    /// Why a file could not be opened.
    pub(crate) fn of_error(error: &BinaryError) -> Self {
        match error {
            BinaryError::Open(error) if error.kind() == std::io::ErrorKind::NotFound => Self::Missing,
            BinaryError::Open(error) => Self::Unreadable(error.to_string()),
            BinaryError::Malformed(why) => Self::Malformed(why.clone()),
        }
    }

    /// Whether a file has the build-id that it should have.
    pub(super) fn of_build(wanted: &BuildId, binary: &Binary) -> Self {
        match binary.build_id() {
            Some(found) if found == wanted => Self::Found,
            found => Self::WrongBuild { wanted: wanted.clone(), found: found.cloned() },
        }
    }
}

impl SearchStep {
    /// A sentence for people when the step found something that is not as it should be.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let path = self.path.display();
        let of = match self.what {
            Sought::Binary => "",
            Sought::SymbolFile => "the symbol file ",
            _ => "the debug file ",
        };
        match &self.outcome {
            SearchOutcome::Found | SearchOutcome::FoundUnverified | SearchOutcome::Missing => None,
            SearchOutcome::WrongBuild { wanted, found } => {
                let (wanted_in, found_in) = if self.what == Sought::Binary {
                    ("memory", "on disk")
                } else {
                    ("the binary", "in the file")
                };
                let found = found.as_ref().map_or("none".to_owned(), ToString::to_string);
                Some(format!("{of}{path} is another build ({wanted} in {wanted_in}, {found} {found_in})"))
            }
            SearchOutcome::WrongLayout => {
                Some(format!("{of}{path} is not what the process has loaded: its segments differ"))
            }
            SearchOutcome::WrongCrc => {
                Some(format!("{of}{path} has another checksum than its debug link says"))
            }
            SearchOutcome::Malformed(why) => Some(format!("{of}{path} cannot be used: {why}")),
            SearchOutcome::Unreadable(why) if self.what == Sought::Server => {
                Some(format!("{path} could not be fetched: {why}"))
            }
            // Other places follow: `map_files` is closed to most users.
            SearchOutcome::Unreadable(_) | SearchOutcome::NotAsked(_) => None,
        }
    }
}
