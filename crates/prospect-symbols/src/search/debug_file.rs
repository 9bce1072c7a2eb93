//! Finds separate debug files, and does not believe them without a reason.

use std::{
    collections::HashSet,
    io::Read,
    path::{self, Path, PathBuf},
    sync::Arc,
};

use prospect_process::BuildId;

use super::{
    SearchOptions, SearchOutcome, SearchStep, ServerFile, SharedFiles, Sought, below,
    debug_link::{DebugLink, SupplementaryLink, crc},
};
use crate::{
    Binary, BinaryError,
    binary::{Expected, FileBytes},
    symbol::dwarf::SplitDwarfSearch,
};

/// A `.gnu_debugdata` section that unpacks to more than this is not believed: it holds symbols only.
const LARGEST_MINI_DEBUG_INFO: u64 = 64 << 20;
/// The dictionary of an xz stream, in KiB: the largest preset's is 64 MiB.
const MOST_XZ_MEMORY: u32 = 80 << 10;

/// Where to look for the debug files of one module.
#[derive(Clone, Debug)]
pub(super) struct DebugFileSearch {
    pub(super) options: Arc<SearchOptions>,
    pub(super) shared: Arc<SharedFiles>,
    /// The directory that is the process's root, where it is not ours.
    pub(super) root: Option<PathBuf>,
    /// The path of the module as the process has it, or where the user says that it is.
    pub(super) module_path: PathBuf,
}

impl DebugFileSearch {
    /// The directories below which a path of the process may be meant, the likeliest first; `None` is
    /// our own root.
    fn roots(&self) -> Vec<Option<&Path>> {
        let mut roots = vec![self.options.sysroot.as_deref(), self.root.as_deref()];
        roots.retain(Option::is_some);
        roots.push(None);
        roots
    }

    /// The debug file of `binary`, by its build-id, by its debug link, and then from a server.
    pub(super) fn find(&self, binary: &Binary, trail: &mut Vec<SearchStep>) -> Option<Arc<Binary>> {
        self.on_this_machine(binary, trail).or_else(|| self.on_server(binary.build_id()?, trail))
    }

    fn on_this_machine(&self, binary: &Binary, trail: &mut Vec<SearchStep>) -> Option<Arc<Binary>> {
        if let Some(id) = binary.build_id() {
            let bundles = if binary.is_mach_o() { self.bundles() } else { Vec::new() };
            for path in bundles.into_iter().chain(self.by_build_id(id)) {
                let (debug, outcome) =
                    self.open(&path, binary.expected(), |found, _| SearchOutcome::of_build(id, found));
                trail.push(SearchStep { what: Sought::BuildId, path, outcome });
                if debug.is_some() {
                    return debug;
                }
            }
        }
        let link = DebugLink::of(binary)?;
        for path in self.by_link(&link) {
            let (debug, outcome) = self.open(&path, binary.expected(), |found, bytes| {
                match (binary.build_id(), found.build_id()) {
                    // Equal build-ids say the same as the checksum, without reading all of the file.
                    (Some(wanted), Some(_)) => SearchOutcome::of_build(wanted, found),
                    _ if crc(bytes) == link.crc => SearchOutcome::Found,
                    _ => SearchOutcome::WrongCrc,
                }
            });
            trail.push(SearchStep { what: Sought::DebugLink, path, outcome });
            if debug.is_some() {
                return debug;
            }
        }
        None
    }

    fn by_build_id(&self, id: &BuildId) -> Vec<PathBuf> {
        let Some((first, rest)) = id.0.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return Vec::new();
        };
        let name = format!(".build-id/{first:02x}/{}.debug", BuildId(rest.to_vec()));
        let roots = self.roots();
        let directories = &self.options.debug_directories;
        let below_all = |directory: &PathBuf| {
            roots.iter().map(|root| below(*root, directory).join(&name)).collect::<Vec<_>>()
        };
        directories.iter().flat_map(below_all).collect()
    }

    /// Where the debug file of a Mach-O file is (`dsymutil`): in a folder beside it, or in the debug directories.
    fn bundles(&self) -> Vec<PathBuf> {
        let (Some(directory), Some(name)) = (self.module_path.parent(), self.module_path.file_name()) else {
            return Vec::new();
        };
        let bundle = PathBuf::from(format!("{}.dSYM/Contents/Resources/DWARF", name.to_string_lossy()));
        let beside = self.roots().into_iter().map(|root| below(root, directory));
        let places = beside.chain(self.options.debug_directories.iter().cloned());
        places.map(|place| place.join(&bundle).join(name)).collect()
    }

    fn by_link(&self, link: &DebugLink) -> Vec<PathBuf> {
        let Some(directory) = self.module_path.parent() else { return Vec::new() };
        let mut paths = Vec::new();
        for root in self.roots() {
            let beside = below(root, directory);
            paths.push(beside.join(&link.name));
            paths.push(beside.join(".debug").join(&link.name));
            for debug in &self.options.debug_directories {
                paths.push(below(Some(&below(root, debug)), directory).join(&link.name));
            }
        }
        paths
    }

    /// The file that `debug` (a binary or a debug file) shares with others.
    pub(super) fn supplementary(&self, debug: &Binary, trail: &mut Vec<SearchStep>) -> Option<Arc<Binary>> {
        let link = SupplementaryLink::of(debug)?;
        let mut paths = Vec::new();
        if link.path.is_absolute() {
            paths.extend(self.roots().into_iter().map(|root| below(root, &link.path)));
        } else {
            paths.extend(debug.path().parent().map(|directory| directory.join(&link.path)));
            // Debug files that are links into `.build-id` mean the directory that they are linked to.
            let real = debug.path().canonicalize().ok();
            paths.extend(real.as_deref().and_then(Path::parent).map(|one| one.join(&link.path)));
        }
        paths.extend(self.by_build_id(&link.build_id));
        if let Some(name) = link.path.file_name() {
            let directories = self.options.debug_directories.iter();
            paths.extend(directories.map(|directory| directory.join(".dwz").join(name)));
        }
        for path in paths {
            let (found, outcome) =
                self.open(&path, debug.expected(), |found, _| SearchOutcome::of_build(&link.build_id, found));
            trail.push(SearchStep { what: Sought::Supplementary, path, outcome });
            if found.is_some() {
                return found;
            }
        }
        self.on_server(&link.build_id, trail)
    }

    fn on_server(&self, id: &BuildId, trail: &mut Vec<SearchStep>) -> Option<Arc<Binary>> {
        let path = fetch(&self.options, id, ServerFile::DebugInfo, trail)?;
        let (debug, outcome) =
            self.open(&path, Expected::default(), |found, _| SearchOutcome::of_build(id, found));
        trail.push(SearchStep { what: Sought::Server, path, outcome });
        debug
    }
}

/// A file that a server has, on this machine now. It may be anything.
pub(super) fn fetch(
    options: &SearchOptions,
    id: &BuildId,
    what: ServerFile<'_>,
    trail: &mut Vec<SearchStep>,
) -> Option<PathBuf> {
    let fetched = options.server.as_ref()?.fetch(id, what);
    trail.extend(fetched.steps);
    fetched.path
}

impl DebugFileSearch {
    /// Where the files of split DWARF are looked for that `debug` is the main file of.
    pub(super) fn split_dwarf(&self, debug: &Binary, supplementary: Option<Arc<Binary>>) -> SplitDwarfSearch {
        let root = self.options.sysroot.as_deref().or(self.root.as_deref());
        let binary = below(root, &self.module_path);
        let mut search = SplitDwarfSearch::beside(&binary);
        search.sysroot = root.map(Path::to_owned);
        let debug = path::absolute(debug.path()).unwrap_or_else(|_| debug.path().to_owned());
        let beside_debug = SplitDwarfSearch::beside(&debug);
        search.directories.extend(beside_debug.directories);
        search.directories.extend(self.options.debug_directories.iter().cloned());
        search.packages.extend(beside_debug.packages);
        // In a debug directory it lies as the module does below the root, or just there.
        for directory in &self.options.debug_directories {
            let places = [
                below(Some(directory), &self.module_path),
                directory.join(binary.file_name().unwrap_or_default()),
            ];
            search.packages.extend(places.iter().flat_map(|place| SplitDwarfSearch::beside(place).packages));
        }
        let mut seen = HashSet::new();
        search.packages.retain(|path| seen.insert(path.clone()));
        search.directories.retain(|path| seen.insert(path.clone()));
        search.supplementary = supplementary;
        search
    }

    /// Opens a debug file and has it checked.
    fn open(
        &self,
        path: &Path,
        expected: Expected,
        check: impl FnOnce(&Binary, &[u8]) -> SearchOutcome,
    ) -> (Option<Arc<Binary>>, SearchOutcome) {
        let opened = FileBytes::map(path).map_err(BinaryError::Open).and_then(|bytes| {
            let bytes = Arc::new(bytes);
            Ok((Binary::read(path.to_owned(), bytes.clone(), expected)?, bytes))
        });
        match opened {
            Err(error) => (None, SearchOutcome::of_error(&error)),
            // A debug link may lead back to the stripped binary itself.
            Ok((binary, _))
                if binary.section(".debug_info").or_else(|| binary.section(".symtab")).is_none() =>
            {
                (None, SearchOutcome::Malformed("it has neither debug information nor symbols".into()))
            }
            Ok((binary, bytes)) => {
                let outcome = check(&binary, &bytes);
                (outcome.is_found().then(|| self.shared.debug_file(binary)), outcome)
            }
        }
    }
}

/// The ELF file in `.gnu_debugdata`, packed with xz: the symbols that the stripped binary does not have
/// itself.
pub(super) fn mini_debug_info(binary: &Binary, trail: &mut Vec<SearchStep>) -> Option<Arc<Binary>> {
    let packed = binary.section(".gnu_debugdata")?.all();
    let mut bytes = Vec::new();
    let reader = lzma_rust2::XzReader::new_mem_limit(packed, false, MOST_XZ_MEMORY);
    let path = binary.path().to_owned();
    let unpacked = match reader.take(LARGEST_MINI_DEBUG_INFO).read_to_end(&mut bytes) {
        Ok(_) => Binary::from_bytes(path.clone(), Arc::new(FileBytes::Owned(bytes))),
        Err(error) => Err(BinaryError::Malformed(error.to_string())),
    };
    let outcome = unpacked.as_ref().map_or_else(SearchOutcome::of_error, |_| SearchOutcome::Found);
    trail.push(SearchStep { what: Sought::MiniDebugInfo, path, outcome });
    unpacked.ok().map(Arc::new)
}
