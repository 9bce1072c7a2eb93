//! All that there is of one module: its binary, its debug file, its symbols.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use prospect_process::{BuildId, LinkAddr, Memory, Module, ProcessInfo};

use super::{
    SearchOptions, SearchOutcome, SearchStep, SharedFiles, Sought,
    debug_file::{DebugFileSearch, mini_debug_info},
    own_file, symbol_file,
};
use crate::{
    Binary, BinaryError, GoProgram, UnwindInfoError, UnwindRow,
    breakpad::{SymbolFile, SymbolFileName},
    go::field_offsets,
    symbol::{
        dwarf::DebugInfo,
        table::{FunctionSymbol, TableKind, What},
    },
    type_info::RememberedTypes,
    variable::RememberedScopes,
};

/// What there is of one module: its binary, and its debug file where there is one.
#[derive(Debug)]
pub struct ModuleBinary {
    /// The module's own file, or what memory holds of it.
    pub binary: Option<Arc<Binary>>,
    own_trail: Vec<SearchStep>,
    search: DebugFileSearch,
    debug_file: OnceLock<Found>,
    mini_debug_info: OnceLock<Found>,
    supplementary: OnceLock<Found>,
    build_id: Option<BuildId>,
    symbol_file_name: Option<SymbolFileName>,
    breakpad_file: OnceLock<Found<SymbolFile>>,
    debug_info: OnceLock<Option<RememberedTypes>>,
    pub(crate) scopes: RememberedScopes,
}

/// A file that was looked for, once.
#[derive(Debug)]
struct Found<T = Binary> {
    file: Option<Arc<T>>,
    trail: Vec<SearchStep>,
}

impl<T> Found<T> {
    /// What a search finds that notes its steps.
    fn by(search: impl FnOnce(&mut Vec<SearchStep>) -> Option<Arc<T>>) -> Self {
        let mut trail = Vec::new();
        Self { file: search(&mut trail), trail }
    }
}

impl ModuleBinary {
    pub(super) fn of_module(
        module: &Module,
        info: &ProcessInfo,
        options: &Arc<SearchOptions>,
        shared: &Arc<SharedFiles>,
        memory: &dyn Memory,
    ) -> Self {
        let (binary, own_trail) = own_file::find(module, info, options, shared, memory);
        let replaced = options.executable.as_ref().filter(|_| module.is_executable);
        let module_path = replaced.cloned().unwrap_or_else(|| PathBuf::from(module.path_lossy().as_ref()));
        let search = DebugFileSearch {
            options: options.clone(),
            shared: shared.clone(),
            root: info.files.root.clone(),
            module_path,
        };
        Self {
            symbol_file_name: SymbolFileName::of_module(module, info),
            build_id: module.build_id.clone(),
            ..Self::new(binary, own_trail, search)
        }
    }

    /// A file that no process is asked about: it is what its path says.
    pub(super) fn of_file(
        path: &Path,
        options: &Arc<SearchOptions>,
        shared: &Arc<SharedFiles>,
    ) -> Result<Self, BinaryError> {
        let binary = shared.own_file(Binary::open(path)?);
        let step = SearchStep { what: Sought::Binary, path: path.to_owned(), outcome: SearchOutcome::Found };
        // Its debug file may lie beside what a link leads to.
        let module_path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let search =
            DebugFileSearch { options: options.clone(), shared: shared.clone(), root: None, module_path };
        Ok(Self {
            symbol_file_name: SymbolFileName::of_binary(&binary),
            build_id: binary.build_id().cloned(),
            ..Self::new(Some(binary), vec![step], search)
        })
    }

    /// A binary that was opened in some other way.
    #[cfg(test)]
    pub(crate) fn of_binary(binary: Binary, path: &Path) -> Self {
        let search = DebugFileSearch {
            options: Arc::default(),
            shared: Arc::new(SharedFiles::new(None)),
            root: None,
            module_path: path.to_owned(),
        };
        Self::new(Some(Arc::new(binary)), Vec::new(), search)
    }

    fn new(binary: Option<Arc<Binary>>, own_trail: Vec<SearchStep>, search: DebugFileSearch) -> Self {
        Self {
            binary,
            own_trail,
            search,
            debug_file: OnceLock::new(),
            mini_debug_info: OnceLock::new(),
            supplementary: OnceLock::new(),
            build_id: None,
            symbol_file_name: None,
            breakpad_file: OnceLock::new(),
            debug_info: OnceLock::new(),
            scopes: RememberedScopes::default(),
        }
    }

    /// The unwind row for an address of the module, from the first of its binary, its debug file and its symbol file
    /// that covers it. Those two are not looked for before the binary was found to say nothing, or nothing
    /// but what is [true at calls](UnwindRow::only_at_calls).
    ///
    /// # Errors
    /// When the information that covers the address is broken.
    pub fn unwind_row(&self, at: LinkAddr) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let own = self.binary.as_ref().map_or(Ok(None), |binary| binary.unwind_row(at));
        if matches!(&own, Ok(Some(row)) if !row.only_at_calls) {
            return own;
        }
        match (self.debug_file().map(|debug| debug.unwind_row(at)), &own) {
            (Some(Ok(Some(row))), _) => Ok(Some(row)),
            (_, Ok(Some(_))) => own,
            _ => match self.breakpad_file().map(|symbols| symbols.unwind_row(at)) {
                Some(Ok(Some(row))) => Ok(Some(row)),
                Some(Err(error)) => own.and(Err(error)),
                _ => own,
            },
        }
    }

    /// What is known of the module as a Go program; `None` where it is none, or its file cannot be had.
    #[must_use]
    pub fn go_program(&self) -> Option<&GoProgram> {
        self.binary.as_ref()?.go()
    }

    /// How many bytes each field lies from the start of a structure of a Go program, by its debug information. A field of a
    /// member that is a structure itself has both names (`sched.sp`); `parts` are the structures that such members
    /// are. Fields that are not there have no place. `None` where the structure is not described. All of the debug information may be
    /// read for that.
    #[must_use]
    pub fn go_field_offsets(
        &self,
        structure: &str,
        parts: &[&str],
        fields: &[&str],
    ) -> Option<Vec<Option<u64>>> {
        let debug = self.debug_binary().filter(|one| has_debug_info(one))?;
        field_offsets(debug, structure, parts, fields)
    }

    /// The file that [every row](Binary::every_unwind_row) is to be taken from: the module's own, or its debug
    /// file where the own one has no call frame information at all.
    #[must_use]
    pub fn unwind_binary(&self) -> Option<&Arc<Binary>> {
        let own = self.binary.as_ref().filter(|binary| binary.has_unwind_rows());
        own.or_else(|| self.debug_file().filter(|binary| binary.has_unwind_rows()))
    }

    /// The function that an address of the module lies in, by the binary's own symbols: where it begins, and
    /// how many bytes it has, which is 0 where they do not say. `None`
    /// where they do not say, or say that it is a part which was split off its function.
    #[must_use]
    pub fn function_at(&self, at: LinkAddr) -> Option<(LinkAddr, u64)> {
        let symbol = self.own_symbol_at(at)?;
        let is_part = symbol.name.windows(5).any(|part| part == b".cold");
        (!is_part).then_some((symbol.start, symbol.size))
    }

    /// Where the kernel starts the module, if it is a program or a loader (ELF gABI, `e_entry`).
    #[must_use]
    pub fn entry_point(&self) -> Option<LinkAddr> {
        self.binary.as_ref()?.headers().entry
    }

    /// The name in the binary's own symbols of the function that an address of the module lies in, as it is there.
    /// `None` where they do not say where that function ends: the code may as well be that of another one.
    #[must_use]
    pub fn linkage_name_at(&self, at: LinkAddr) -> Option<&[u8]> {
        let symbol = self.own_symbol_at(at)?;
        let end = symbol.start.0.saturating_add(symbol.size);
        (at.0 < end).then_some(symbol.name)
    }

    fn own_symbol_at(&self, at: LinkAddr) -> Option<FunctionSymbol<'_>> {
        let binary = self.binary.as_ref()?;
        [TableKind::Full, TableKind::Dynamic].into_iter().find_map(|kind| {
            let mut found = binary.symbols_at(kind, What::Code, &[at])?;
            found.pop().flatten()
        })
    }

    /// The file that holds the debug information: the separate debug file, or the binary itself.
    #[must_use]
    pub fn debug_path(&self) -> Option<&Path> {
        self.debug_binary().filter(|one| has_debug_info(one)).map(|one| one.path())
    }

    /// Where was looked for the module and for its debug file, and what came of it. This looks for the
    /// debug file, if nothing has yet.
    #[must_use]
    pub fn trail(&self) -> Vec<SearchStep> {
        if self.debug_file().is_none() && self.debug_info().is_none() {
            self.breakpad_file();
        }
        self.done()
    }

    /// What was wrong with the files that were found so far, in sentences for people.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.done().iter().filter_map(SearchStep::problem).collect();
        let has_symbols = self.breakpad_file.get().is_some_and(|found| found.file.is_some());
        if self.binary.is_none() && !has_symbols {
            problems.extend(
                self.own_trail
                    .iter()
                    .filter(|step| step.what == Sought::Memory)
                    .map(|step| format!("nothing usable of {} on disk or in memory", step.path.display())),
            );
        }
        problems
    }

    /// The steps of the searches that were made.
    pub(super) fn done(&self) -> Vec<SearchStep> {
        let later = [&self.debug_file, &self.mini_debug_info, &self.supplementary];
        let found = later.into_iter().filter_map(OnceLock::get).flat_map(|one| &one.trail);
        let symbol_file = self.breakpad_file.get().into_iter().flat_map(|one| &one.trail);
        let debug_info = self.debug_info.get().and_then(Option::as_ref);
        let split = debug_info.map(|types| types.debug().split_trail()).unwrap_or_default();
        self.own_trail.iter().chain(found).chain(symbol_file).cloned().chain(split).collect()
    }

    /// The files that were opened so far.
    pub(super) fn files(&self) -> impl Iterator<Item = &Binary> {
        let found = [&self.debug_file, &self.mini_debug_info, &self.supplementary];
        let others = found.into_iter().filter_map(|one| one.get()?.file.as_deref());
        self.binary.as_deref().into_iter().chain(others)
    }

    /// The separate debug file. Not looked for when the binary has debug information itself, or when no
    /// names are wanted.
    pub(crate) fn debug_file(&self) -> Option<&Arc<Binary>> {
        let found = self.debug_file.get_or_init(|| {
            Found::by(|trail| {
                let binary = self.binary_with_names().filter(|binary| !has_debug_info(binary))?;
                self.search.find(binary, trail)
            })
        });
        found.file.as_ref()
    }

    /// The file to read debug information from: the separate one, else the binary.
    pub(crate) fn debug_binary(&self) -> Option<&Arc<Binary>> {
        self.debug_file().or_else(|| self.binary_with_names())
    }

    /// The symbols of a binary that was stripped of them, in `.gnu_debugdata`.
    pub(crate) fn mini_debug_info(&self) -> Option<&Arc<Binary>> {
        let found = self
            .mini_debug_info
            .get_or_init(|| Found::by(|trail| mini_debug_info(self.binary_with_names()?, trail)));
        found.file.as_ref()
    }

    /// The debug information, with all the files that it is spread over.
    pub(crate) fn debug_info(&self) -> Option<&Arc<DebugInfo>> {
        let open = || {
            let debug = self.debug_binary().filter(|one| has_debug_info(one))?;
            let search = self.search.split_dwarf(debug, self.supplementary().cloned());
            let debug = Arc::new(DebugInfo::open(debug.clone(), search, self.search.shared.cache())?);
            Some(RememberedTypes::of(&debug))
        };
        self.debug_info.get_or_init(open).as_ref().map(RememberedTypes::debug)
    }

    /// The file that the debug information shares with that of other modules.
    pub(super) fn supplementary(&self) -> Option<&Arc<Binary>> {
        let found = self
            .supplementary
            .get_or_init(|| Found::by(|trail| self.search.supplementary(self.debug_binary()?, trail)));
        found.file.as_ref()
    }

    /// Breakpad's symbol file.
    pub(crate) fn breakpad_file(&self) -> Option<&Arc<SymbolFile>> {
        let found = self.breakpad_file.get_or_init(|| {
            Found::by(|trail| {
                let wanted = self.symbol_file_name.as_ref()?;
                symbol_file::find(wanted, self.build_id.as_ref(), &self.search.options, trail).map(Arc::new)
            })
        });
        found.file.as_ref()
    }

    /// The same, if it was asked for before.
    pub(super) fn opened_debug_info(&self) -> Option<&DebugInfo> {
        self.debug_info.get()?.as_ref().map(|types| &**types.debug())
    }

    fn binary_with_names(&self) -> Option<&Arc<Binary>> {
        self.binary.as_ref().filter(|_| self.search.options.names)
    }
}

fn has_debug_info(binary: &Binary) -> bool {
    binary.section(".debug_info").is_some()
}
