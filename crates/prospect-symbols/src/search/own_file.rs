//! Finds the file that a module was loaded from, and does not believe it without a reason.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use prospect_process::{BuildId, Memory, Module, ModuleKind, ProcessInfo, module::ElfImage};

use super::{SearchOptions, SearchOutcome, SearchStep, ServerFile, SharedFiles, Sought, debug_file};
use crate::Binary;

/// The module's file, or what memory holds of it, or what a server has, with the places that were looked at.
pub(super) fn find(
    module: &Module,
    info: &ProcessInfo,
    options: &SearchOptions,
    shared: &SharedFiles,
    memory: &dyn Memory,
) -> (Option<Arc<Binary>>, Vec<SearchStep>) {
    let mut trail = Vec::new();
    for path in candidates(module, info, options) {
        let (binary, outcome) = match Binary::open(&path) {
            Ok(binary) => {
                let outcome = check(&binary, module, is_the_mapped_file(&path, info), memory);
                (Some(binary), outcome)
            }
            Err(error) => (None, SearchOutcome::of_error(&error)),
        };
        let found = outcome.is_found();
        trail.push(SearchStep { what: Sought::Binary, path, outcome });
        if found {
            return (binary.map(|binary| shared.own_file(binary)), trail);
        }
    }
    let (binary, outcome) = match Binary::from_memory(module, memory) {
        Ok(binary) => (Some(Arc::new(binary)), SearchOutcome::Found),
        Err(error) => (None, SearchOutcome::of_error(&error)),
    };
    trail.push(SearchStep {
        what: Sought::Memory,
        path: PathBuf::from(module.path_lossy().as_ref()),
        outcome,
    });
    let binary = binary.or_else(|| on_server(module.build_id.as_ref()?, options, shared, &mut trail));
    (binary, trail)
}

fn on_server(
    id: &BuildId,
    options: &SearchOptions,
    shared: &SharedFiles,
    trail: &mut Vec<SearchStep>,
) -> Option<Arc<Binary>> {
    let path = debug_file::fetch(options, id, ServerFile::Executable, trail)?;
    let opened = Binary::open(&path);
    let outcome =
        opened.as_ref().map_or_else(SearchOutcome::of_error, |found| SearchOutcome::of_build(id, found));
    let found = outcome.is_found();
    trail.push(SearchStep { what: Sought::Server, path, outcome });
    opened.ok().filter(|_| found).map(|binary| shared.own_file(binary))
}

fn candidates(module: &Module, info: &ProcessInfo, options: &SearchOptions) -> Vec<PathBuf> {
    if let Some(path) = options.executable.as_ref().filter(|_| module.is_executable) {
        return vec![path.clone()];
    }
    let mut candidates = Vec::new();
    if let Some(sysroot) = options.sysroot.as_ref().filter(|_| module.kind == ModuleKind::File) {
        candidates.push(super::below(Some(sysroot), Path::new(module.path_lossy().as_ref())));
    }
    candidates.extend(module.file_candidates(&info.files));
    candidates
}

/// Whether the system vouches that a path leads to the very file that the process runs.
fn is_the_mapped_file(path: &Path, info: &ProcessInfo) -> bool {
    let mapped = info.files.by_mapping.as_ref().is_some_and(|directory| path.starts_with(directory));
    mapped || info.files.executable.as_deref() == Some(path)
}

fn check(binary: &Binary, module: &Module, is_sure: bool, memory: &dyn Memory) -> SearchOutcome {
    if let Some(wanted) = &module.build_id {
        return SearchOutcome::of_build(wanted, binary);
    }
    if is_sure {
        return SearchOutcome::Found;
    }
    let Some(image) = ElfImage::read(module.first_mapping.start, memory) else {
        return SearchOutcome::FoundUnverified;
    };
    let in_file = binary.headers().segments.iter().map(|segment| &segment.range);
    if image.loads.iter().eq(in_file) { SearchOutcome::FoundUnverified } else { SearchOutcome::WrongLayout }
}
