//! Where the files of modules are found, and the one cache of them.

mod contents;
mod debug_file;
mod debug_link;
mod module_binary;
mod own_file;
mod server;
mod shared_files;
mod symbol_file;
#[cfg(test)]
mod tests;
mod trail;

use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use prospect_process::{Addr, BuildId, FileId, LinkAddr, Memory, Module, ProcessId, ProcessInfo};

use crate::{
    Binary, BinaryError, IndexError, IndexProgress, IndexReport, binary::Section, cache::Cache, parallel,
    symbol::dwarf::DebugInfo,
};

pub use contents::{FileContents, FileRole, ModuleContents};
pub use module_binary::ModuleBinary;
pub use server::{DebugFileServer, Fetched, ServerFile};
use shared_files::SharedFiles;
pub use trail::{SearchOutcome, SearchStep, Sought};

/// Where to look for binaries and their debug files.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// A directory that holds the process's files under the paths that it knows them by.
    pub sysroot: Option<PathBuf>,
    /// The executable, wherever it is: it replaces the one that the process names.
    pub executable: Option<PathBuf>,
    /// Directories with separate debug files.
    pub debug_directories: Vec<PathBuf>,
    /// Directories with symbol files of Breakpad, laid out as on a symbol server: `DIR/NAME/BUILD/NAME.sym`. They are asked for
    /// what binaries and their debug files do not say.
    pub symbol_directories: Vec<PathBuf>,
    /// Look for separate debug files and name functions; without it only what unwinding needs is read.
    pub names: bool,
    /// A directory to keep unpacked sections in between runs, and to take them from: see
    /// [`cache_directory`](crate::cache_directory) and [`Binaries::store`].
    pub cache: Option<PathBuf>,
    /// Who is asked for files that this machine does not have, in the end; nobody by default.
    pub server: Option<Arc<dyn DebugFileServer>>,
}

impl Default for SearchOptions {
    /// Names, from where distributions install debug files; nothing is kept between runs.
    fn default() -> Self {
        Self {
            sysroot: None,
            executable: None,
            debug_directories: vec!["/usr/lib/debug".into()],
            symbol_directories: Vec::new(),
            names: true,
            cache: None,
            server: None,
        }
    }
}

/// The files of modules, each opened once: the walker and the symboliser share it.
#[derive(Debug)]
pub struct Binaries {
    options: Arc<SearchOptions>,
    shared: Arc<SharedFiles>,
    /// By path; of one path there may be several builds. A slot is filled without holding the lock, so
    /// that two modules can be opened at the same time.
    modules: Mutex<HashMap<Vec<u8>, Vec<Known>>>,
    /// Those that were opened apart from any process.
    files: Mutex<Vec<Weak<ModuleBinary>>>,
}

/// One module of a path, and the slot that is filled when it is opened.
#[derive(Debug)]
struct Known {
    identity: Identity,
    slot: Slot,
}

type Slot = Arc<OnceLock<Arc<ModuleBinary>>>;

/// What tells two modules of the same path apart.
#[derive(PartialEq, Eq, Debug)]
enum Identity {
    /// The same build is the same file, in whatever process it is loaded.
    Build(BuildId, bool),
    /// Without a build-id, nothing but the very same load is known to be the same.
    Load(ProcessId, Addr, u64, Option<FileId>),
}

impl Identity {
    fn is_of(&self, module: &Module, info: &ProcessInfo) -> bool {
        match (self, &module.build_id) {
            (Self::Build(id, executable), Some(other)) => id == other && *executable == module.is_executable,
            (Self::Load(process, start, bias, file), None) => {
                *process == info.id
                    && *start == module.range.start
                    && *bias == module.bias
                    && *file == module.file
            }
            _ => false,
        }
    }

    fn new(module: &Module, info: &ProcessInfo) -> Self {
        match &module.build_id {
            Some(id) => Self::Build(id.clone(), module.is_executable),
            None => Self::Load(info.id, module.range.start, module.bias, module.file),
        }
    }
}

impl Binaries {
    /// An empty cache that looks where `options` says.
    #[must_use]
    pub fn new(options: SearchOptions) -> Self {
        let shared = Arc::new(SharedFiles::new(options.cache.as_deref().map(Cache::new)));
        Self { options: Arc::new(options), shared, modules: Mutex::default(), files: Mutex::default() }
    }

    /// The binary of a module, found and opened when it is first asked for. With nothing usable on
    /// disk, what `memory` holds.
    pub fn get(&self, module: &Module, info: &ProcessInfo, memory: &dyn Memory) -> Arc<ModuleBinary> {
        let slot = self.slot(module, info);
        slot.get_or_init(|| {
            Arc::new(ModuleBinary::of_module(module, info, &self.options, &self.shared, memory))
        })
        .clone()
    }

    /// A file and its debug files, apart from any process: [`ModuleBinary::resolve`] names its addresses. It is
    /// opened anew in each call, and is not among the [opened](Self::opened) ones.
    ///
    /// # Errors
    /// When it cannot be opened, or is of no format that is known.
    pub fn open(&self, path: &Path) -> Result<Arc<ModuleBinary>, BinaryError> {
        let file = Arc::new(ModuleBinary::of_file(path, &self.options, &self.shared)?);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|one| one.strong_count() > 0);
        files.push(Arc::downgrade(&file));
        Ok(file)
    }

    /// Where the file of a module was linked to begin, if it is found and is an image (PE, Mach-O). A dump of
    /// another system does not say so: the module's [`bias`](Module::bias) is how far it was loaded from there. With another bias
    /// its rows and symbols are right still, but its debug information is left out.
    #[must_use]
    pub fn image_base(&self, module: &Module, info: &ProcessInfo, memory: &dyn Memory) -> Option<LinkAddr> {
        own_file::image_base(module, info, &self.options, memory)
    }

    /// The modules that were asked for so far.
    #[must_use]
    pub fn opened(&self) -> Vec<Arc<ModuleBinary>> {
        let modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        modules.values().flatten().filter_map(|known| known.slot.get().cloned()).collect()
    }

    /// Whether [`store`](Self::store) has anything to do.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.all().iter().any(|module| {
            let has_news = |debug: &DebugInfo| debug.index.has_news();
            module.files().flat_map(Binary::unstored).next().is_some()
                || module.opened_debug_info().is_some_and(has_news)
        })
    }

    /// The modules that were asked for, and the files that were opened and are still in use.
    fn all(&self) -> Vec<Arc<ModuleBinary>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.opened().into_iter().chain(files.iter().filter_map(Weak::upgrade)).collect()
    }

    /// Writes what was unpacked of packed sections to [`SearchOptions::cache`], for the runs to come, and adds what
    /// was read of debug information to its index, if it is not much. It
    /// takes some milliseconds where there is something new: call it when nobody waits any more. What
    /// cannot be written is left.
    pub fn store(&self) {
        let modules = self.all();
        let infos = modules.iter().filter_map(|module| module.opened_debug_info());
        let infos: Vec<&DebugInfo> = infos.filter(|debug| debug.index.has_news()).collect();
        infos.iter().for_each(|debug| debug.store_index());
        let sections = modules.iter().flat_map(|module| module.files().flat_map(Binary::unstored));
        let jobs: Vec<(usize, &Section)> = sections.map(|section| (section.len(), section)).collect();
        parallel::run(&jobs, |section| section.store());
        if let Some(cache) = self.shared.cache().filter(|_| !jobs.is_empty() || !infos.is_empty()) {
            cache.make_room();
        }
    }

    /// Builds the whole index of a module's debug information in [`SearchOptions::cache`], on all processors: later
    /// runs name its addresses at once. `progress` is called by any of the threads, after each unit.
    ///
    /// # Errors
    /// When there is no debug information that can be indexed, or no place to write to.
    pub fn build_index(
        &self,
        module: &ModuleBinary,
        progress: &(dyn Fn(IndexProgress) + Sync),
    ) -> Result<IndexReport, IndexError> {
        let cache = self.shared.cache().ok_or(IndexError::NoCache)?;
        let report = module.debug_info().ok_or(IndexError::NoDebugInfo)?.build_index(progress)?;
        cache.make_room();
        Ok(report)
    }

    /// Whether names are wanted at all.
    #[must_use]
    pub fn names(&self) -> bool {
        self.options.names
    }

    fn slot(&self, module: &Module, info: &ProcessInfo) -> Slot {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let same_path = modules.get(&module.path).map_or(&[][..], Vec::as_slice);
        if let Some(known) = same_path.iter().find(|known| known.identity.is_of(module, info)) {
            return known.slot.clone();
        }
        let known = Known { identity: Identity::new(module, info), slot: Slot::default() };
        let slot = known.slot.clone();
        modules.entry(module.path.clone()).or_default().push(known);
        slot
    }
}

/// A path of the process below a directory that stands for its root. `..` does not lead out of it.
fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    let Some(root) = root else { return path.to_owned() };
    let mut joined = root.to_owned();
    joined.extend(path.components().filter(|part| matches!(part, Component::Normal(_))));
    joined
}
