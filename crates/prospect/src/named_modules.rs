//! Modules of a core that does not have their headers, so that no build-id says which files they are: those that somebody named
//! files for are taken, and nothing else.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use prospect_dump::elf_core::ElfCore;
use prospect_process::{Addr, LinkAddr, Module, ModuleKind, Modules, Process as _};
use prospect_symbols::{Binaries, ModuleBinary, SearchOptions};

/// The smallest size that pages have.
const PAGE: u64 = 4096;

/// The modules that named files are for, besides those that are known.
pub(crate) fn find(
    core: &ElfCore,
    known: &Modules,
    search: &SearchOptions,
    binaries: &Binaries,
) -> Vec<Module> {
    let mut found = Vec::new();
    found.extend(program(core, known, search, binaries));
    if let Some(root) = &search.sysroot {
        found.extend(libraries(core, known, root, binaries));
    }
    found.retain(|module| {
        known.iter().all(|one| one.range.end <= module.range.start || one.range.start >= module.range.end)
    });
    found
}

fn program(core: &ElfCore, known: &Modules, search: &SearchOptions, binaries: &Binaries) -> Option<Module> {
    let path = search.executable.as_ref().filter(|_| known.executable().is_none())?;
    let file = binaries.open(path).ok()?;
    let bias = core.entry()?.0.wrapping_sub(file.entry_point()?.0);
    let name = core.info().executable.clone();
    let name = name.unwrap_or_else(|| path.as_os_str().as_encoded_bytes().to_vec());
    module(core, &file, bias, name, true)
}

/// The libraries, where their files are below a directory that stands for the root.
fn libraries(core: &ElfCore, known: &Modules, root: &Path, binaries: &Binaries) -> Vec<Module> {
    let below = |path: &[u8]| -> PathBuf { root.join(String::from_utf8_lossy(path).trim_start_matches('/')) };
    let open = |path: &[u8]| -> Option<Arc<ModuleBinary>> {
        Some(below(path)).filter(|path| path.is_file()).and_then(|path| binaries.open(&path).ok())
    };
    let is_known = |at: Addr| known.at(at).is_some();
    // Those that the core names, at their first page.
    let mapped = core
        .mappings()
        .iter()
        .filter(|one| one.file.is_some() && one.offset == 0 && !is_known(one.range.start));
    let mapped = mapped.filter_map(|mapping| {
        let file = open(&mapping.name)?;
        let first = file.binary.as_ref()?.loads().next()?.start.0 & !(PAGE - 1);
        let is_program = core.info().executable.as_ref() == Some(&mapping.name);
        module(core, &file, mapping.range.start.0.wrapping_sub(first), mapping.name.clone(), is_program)
    });
    // Those that the dynamic linker knows.
    let arch = core.info().arch;
    let loaded = known.loaded_files(arch, core.memory()).into_iter().filter(|one| !is_known(one.dynamic));
    let loaded = loaded.filter_map(|one| module(core, &*open(&one.path)?, one.bias, one.path, false));
    let mut all: Vec<Module> = mapped.chain(loaded).collect();
    all.sort_by_key(|module| module.range.start);
    all.dedup_by_key(|module| module.range.start);
    all
}

/// The module that a file is, loaded with this bias; `None` when the core has no memory where it would be.
fn module(
    core: &ElfCore,
    file: &ModuleBinary,
    bias: u64,
    path: Vec<u8>,
    is_executable: bool,
) -> Option<Module> {
    let binary = file.binary.as_ref()?;
    let at = |link: LinkAddr| link.to_addr(bias);
    let is_mapped = |at: Addr| core.mappings().at(at).is_some();
    if !bias.is_multiple_of(PAGE) || !binary.loads().all(|load| is_mapped(at(load.start))) {
        return None;
    }
    let start = Addr(at(binary.loads().map(|load| load.start).min()?).0 & !(PAGE - 1));
    let end = Addr(at(binary.loads().map(|load| load.end).max()?).0.checked_next_multiple_of(PAGE)?);
    let first_end = core.mappings().at(start)?.range.end;
    Some(Module {
        range: start..end,
        bias,
        path,
        kind: ModuleKind::File,
        file: None,
        deleted: false,
        build_id: binary.build_id().cloned(),
        debug_file: None,
        first_mapping: start..first_end,
        is_executable,
    })
}
