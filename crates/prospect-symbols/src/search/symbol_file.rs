//! Finds Breakpad's symbol files, by their names and builds.

use std::path::{Path, PathBuf};

use prospect_process::BuildId;

use super::{SearchOptions, SearchOutcome, SearchStep, ServerFile, Sought, debug_file};
use crate::breakpad::{SymbolFile, SymbolFileName};

/// The symbol file of a name, from a directory, or from a server.
pub(super) fn find(
    wanted: &SymbolFileName,
    id: Option<&BuildId>,
    options: &SearchOptions,
    trail: &mut Vec<SearchStep>,
) -> Option<SymbolFile> {
    let paths = wanted.paths();
    let places = paths
        .iter()
        .flat_map(|path| options.symbol_directories.iter().map(move |directory| directory.join(path)));
    for path in places {
        if let Some(found) = open(&path, wanted, Sought::SymbolFile, trail) {
            return Some(found);
        }
    }
    paths.iter().find_map(|path| {
        let path: PathBuf = debug_file::fetch(options, id?, ServerFile::SymbolFile(path), trail)?;
        open(&path, wanted, Sought::Server, trail)
    })
}

fn open(
    path: &Path,
    wanted: &SymbolFileName,
    what: Sought,
    trail: &mut Vec<SearchStep>,
) -> Option<SymbolFile> {
    let opened = SymbolFile::open(path, wanted);
    let outcome = opened.as_ref().map_or_else(SearchOutcome::of_error, |_| SearchOutcome::Found);
    trail.push(SearchStep { what, path: path.to_owned(), outcome });
    opened.ok()
}
