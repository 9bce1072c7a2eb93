//! Finds the file that a module was loaded from, and does not believe it without a reason.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use prospect_process::{
    BuildId, LinkAddr, Memory, Module, ModuleKind, OperatingSystem, ProcessInfo, module::ElfImage,
};

use super::{SearchOptions, SearchOutcome, SearchStep, ServerFile, SharedFiles, Sought, debug_file};
use crate::{Binary, BinaryError, binary::Expected};

/// No more builds of one file are looked at.
const MOST_BUILDS: usize = 1024;

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
        let (binary, outcome) = match open(&path, module, info) {
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

/// Opens a file as that of a module. An image that the module says begins elsewhere than it was linked to is read so: a
/// dump of Windows does not know where that was.
fn open(path: &Path, module: &Module, info: &ProcessInfo) -> Result<Binary, BinaryError> {
    let expected = Expected { arch: Some(info.arch), base: None };
    let binary = Binary::open_as(path, expected)?;
    let base = LinkAddr(module.range.start.0.wrapping_sub(module.bias));
    if binary.image_base().is_none_or(|linked| linked == base) {
        return Ok(binary);
    }
    Binary::open_as(path, Expected { base: Some(base), ..expected })
}

/// Where the file of a module was linked to begin, if there is one that is an image and that of the module as far as
/// can be known.
pub(super) fn image_base(
    module: &Module,
    info: &ProcessInfo,
    options: &SearchOptions,
    memory: &dyn Memory,
) -> Option<LinkAddr> {
    let expected = Expected { arch: Some(info.arch), base: None };
    candidates(module, info, options).iter().find_map(|path| {
        let binary = Binary::open_as(path, expected).ok()?;
        let base = binary.image_base()?;
        check(&binary, module, is_the_mapped_file(path, info), memory).is_found().then_some(base)
    })
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
    // Of an image without a build, the size of the whole is compared. What is left of ELF then says too little.
    let can_be_checked = module.build_id.is_some()
        || !matches!(info.system, OperatingSystem::Linux | OperatingSystem::Android);
    if can_be_checked && module.kind == ModuleKind::File {
        candidates.extend(by_name(module, options));
    }
    candidates
}

/// Files of the module's name in the directories that the user gave, whatever path the process knows it by: the path of a
/// dump may be one of another system. They may lie there as on a symbol server of Microsoft: in a folder of the file's name, in one
/// for each build.
fn by_name(module: &Module, options: &SearchOptions) -> Vec<PathBuf> {
    let path = module.path_lossy();
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if matches!(name, "" | "." | "..") {
        return Vec::new();
    }
    let mut paths = Vec::new();
    for directory in options.sysroot.iter().chain(&options.debug_directories) {
        let place = directory.join(name);
        if let Ok(builds) = std::fs::read_dir(&place) {
            let mut builds: Vec<_> = builds.take(MOST_BUILDS).flatten().map(|build| build.path()).collect();
            builds.sort();
            paths.extend(builds.into_iter().map(|build| build.join(name)));
        } else {
            paths.push(place);
        }
    }
    paths
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
    if let Some(image) = &binary.headers().image {
        let bytes = module.range.end.0.saturating_sub(module.range.start.0);
        return if image.bytes == bytes {
            SearchOutcome::FoundUnverified
        } else {
            SearchOutcome::WrongLayout
        };
    }
    let Some(image) = ElfImage::read(module.first_mapping.start, memory) else {
        return SearchOutcome::FoundUnverified;
    };
    let in_file = binary.headers().segments.iter().map(|segment| &segment.range);
    if image.loads.iter().eq(in_file) { SearchOutcome::FoundUnverified } else { SearchOutcome::WrongLayout }
}
