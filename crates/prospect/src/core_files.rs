//! What a dump left out, taken from the files that were mapped.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use prospect_dump::{
    elf_core::{CoreSegments, ElfCore},
    minidump::Minidump,
};
use prospect_process::{
    Addr, BuildId, Content, LinkAddr, Memory, MemoryError, Module, Modules, OperatingSystem, Process,
    ProcessInfo, Unreadable,
};
use prospect_symbols::{Binaries, SearchOptions};

use crate::named_modules;

/// A file that memory was read from which a dump left out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MemoryFile {
    /// Where it was found.
    pub path: PathBuf,
    /// Whether it has the build-id that the dump has for it. Without, it was taken since it was named for that:
    /// [`executable`](crate::OpenOptions::executable), [`sysroot`](crate::OpenOptions::sysroot).
    pub verified: bool,
}

/// A core over the files that its process had mapped. Those that are named for it fill in for what it does not say itself.
pub(crate) fn over_files(core: ElfCore, search: &SearchOptions) -> (ElfCore, FilesOfDump) {
    // Not the files of the session: those are looked for with this memory.
    let binaries = Arc::new(Binaries::new(SearchOptions { names: false, ..search.clone() }));
    let (mut core, mut named) = (core, Vec::new());
    let used = Used::default();
    // What the dynamic linker has loaded is known when the program is.
    loop {
        let modules = core.modules().clone();
        let found = named_modules::find(&core, &modules, search, &binaries);
        if found.is_empty() {
            break;
        }
        named.extend(found.iter().map(|module| module.range.start));
        let all = modules.iter().cloned().chain(found).collect();
        core = core.with_modules(Modules::new(all));
        let files = MappedFiles::new(&core, core.segments(), &binaries, &named, &used);
        core = core.over(Box::new(files));
    }
    let files = MappedFiles::new(&core, core.segments(), &binaries, &named, &used);
    (core.over(Box::new(files)), FilesOfDump { used })
}

/// The same for a minidump, which names its modules itself, and does not have their headers.
pub(crate) fn minidump_over_files(dump: Minidump, search: &SearchOptions) -> (Minidump, FilesOfDump) {
    let binaries = Arc::new(Binaries::new(SearchOptions { names: false, ..search.clone() }));
    let used = Used::default();
    let program = dump.modules().executable().map(|module| module.range.start);
    let named: Vec<Addr> = program.filter(|_| search.executable.is_some()).into_iter().collect();
    let files = MappedFiles::new(&dump, dump.segments(), &binaries, &named, &used);
    (dump.over(Box::new(files)), FilesOfDump { used })
}

/// A minidump whose modules have the bias that their files make: it names where they are, and not where they were linked to be.
/// Programs of ELF may be linked elsewhere than at 0, and images of other systems (PE, Mach-O) nearly always are.
pub(crate) fn linked_where_files_say(dump: Minidump, search: &SearchOptions) -> Minidump {
    let binaries = Binaries::new(SearchOptions { names: false, ..search.clone() });
    let is_elf = matches!(dump.info().system, OperatingSystem::Linux | OperatingSystem::Android);
    let link_base = |module: &Module| match is_elf {
        true if module.is_executable => elf_base(module, &dump, &binaries),
        true => None,
        false => binaries.image_base(module, dump.info(), &**dump.segments()),
    };
    let moved = |module: &Module| {
        let bias = link_base(module).map(|base| module.range.start.0.wrapping_sub(base.0));
        Module { bias: bias.unwrap_or(module.bias), ..module.clone() }
    };
    let modules = Modules::new(dump.modules().iter().map(moved).collect());
    dump.with_modules(modules)
}

/// Where the first page of an ELF file is, as linked.
fn elf_base(module: &Module, dump: &Minidump, binaries: &Binaries) -> Option<LinkAddr> {
    const PAGE: u64 = 4096;
    let files = binaries.get(module, dump.info(), &**dump.segments());
    let first = files.binary.as_ref()?.loads().map(|load| load.start.0).min()?;
    Some(LinkAddr(first & !(PAGE - 1)))
}

/// What was read from files.
#[derive(Debug, Default)]
pub(crate) struct FilesOfDump {
    used: Used,
}

type Used = Arc<Mutex<BTreeSet<MemoryFile>>>;

impl FilesOfDump {
    /// The files that were read from so far.
    pub(crate) fn used(&self) -> Vec<MemoryFile> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The binaries of modules: parts of them that the process could not write to.
struct MappedFiles {
    segments: Arc<CoreSegments>,
    modules: Modules,
    info: ProcessInfo,
    binaries: Arc<Binaries>,
    /// Where the modules begin that somebody named a file for.
    named: Vec<Addr>,
    used: Used,
}

impl MappedFiles {
    fn new(
        dump: &dyn Process,
        segments: &Arc<CoreSegments>,
        binaries: &Arc<Binaries>,
        named: &[Addr],
        used: &Used,
    ) -> Self {
        Self {
            segments: segments.clone(),
            modules: dump.modules().clone(),
            info: dump.info().clone(),
            binaries: binaries.clone(),
            named: named.to_vec(),
            used: used.clone(),
        }
    }

    /// Calls `then` with the bytes of a file from `at` on.
    fn with_bytes<T>(&self, at: Addr, then: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let module = self.modules.at(at)?;
        let is_named = self.named.contains(&module.range.start);
        if module.build_id.is_none() && !is_named {
            return None;
        }
        let files = self.binaries.get(module, &self.info, &*self.segments);
        let is_it = |id: Option<&BuildId>| is_named || id == module.build_id.as_ref();
        let binary = files.binary.as_ref().filter(|binary| is_it(binary.build_id()))?;
        let bytes = binary.constant(at.to_link(module.bias));
        if bytes.is_empty() {
            return None;
        }
        let file = MemoryFile { path: binary.path().to_owned(), verified: !is_named };
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(file);
        Some(then(bytes))
    }

    /// Where something could be found again, behind an address where there is nothing.
    fn next_place(&self, at: Addr) -> Addr {
        const PAGE: u64 = 4096;
        if self.modules.at(at).is_some() {
            return Addr((at.0 | (PAGE - 1)).saturating_add(1));
        }
        let starts = self.modules.iter().map(|module| module.range.start);
        starts.filter(|start| *start > at).min().unwrap_or(Addr(u64::MAX))
    }
}

impl Memory for MappedFiles {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let copy = |bytes: &[u8]| {
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            length
        };
        self.with_bytes(at, copy).ok_or(MemoryError { at, why: Unreadable::NotCaptured })
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        let mut contents: Vec<(Range<Addr>, Content)> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let of_file = self.with_bytes(at, |bytes| Addr(at.0.saturating_add(bytes.len() as u64)));
            let (end, content) = match of_file {
                Some(end) => (end, Content::File),
                None => (self.next_place(at), Content::Missing),
            };
            let end = end.min(range.end);
            match contents.last_mut() {
                Some((last, before)) if *before == content => last.end = end,
                _ => contents.push((at..end, content)),
            }
            at = end;
        }
        contents
    }
}

impl fmt::Debug for MappedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFiles").field("named", &self.named).finish_non_exhaustive()
    }
}
