//! DWARF: from addresses to functions, inlined calls and source lines, for one request of some
//! hundred addresses at a time.
//!
//! Nothing is indexed: only the units that cover one of the addresses are read, each once for all of
//! them, and only as far as needed. The units are shared out over the processors, and what was read
//! of the file is given back to the system behind them.
//!
//! ```text
//! addresses ─ unit_index ─► units ─ functions ─► entries ─ names ─┐
//!                             └──── lines ─────► rows ────────────┴─ resolve_unit ─► frames
//! ```

mod abbreviations;
mod entries;
mod file;
pub(crate) mod find;
mod fuel;
mod function_scopes;
mod functions;
pub(crate) mod index;
mod line_machine;
mod lines;
mod locations;
mod names;
mod prefetch;
mod ranges;
mod reader;
mod resolve_unit;
mod scopes;
mod sections;
mod split;
mod strings;
mod summary;
#[cfg(test)]
mod tests;
mod unit;
mod unit_index;
mod value;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use prospect_process::LinkAddr;

pub(crate) use entries::{Children, Descend, EntryUnit};
use file::DwarfFile;
pub(crate) use file::lock;
pub(crate) use fuel::{Fuel, Tank};
use function_scopes::KnownFunctions;
use index::{Index, IndexSlot};
pub(crate) use locations::Listed;
pub(crate) use names::lossy;
use scopes::KeptScopes;
pub(crate) use split::SplitDwarfSearch;
use split::SplitFiles;
use strings::Strings;
pub use summary::UnitCount;
pub(crate) use summary::unit_counts;
pub(crate) use unit::Entry;
use unit::UnitHeader;
use unit_index::{Candidate, MOST_UNITS};
pub(crate) use value::Value;

use super::LineFlags;
use crate::{
    Binary, SearchStep,
    cache::Cache,
    parallel,
    symbol::table::FunctionNames,
    type_info::{Definitions, EntryId, Remembered},
    variable::TailCalls,
};

/// How many units' root entries are one job.
const UNITS_PER_SCAN: usize = 64;

/// After so many names, what was read of the strings is given back: names lie all over them, and with the page of each the
/// system maps its neighbours.
const NAMES_STEP: usize = 256;

/// After so many bytes of units, what was read of them is given back. Each time stops all threads for a moment.
const RELEASE_STEP: usize = 2 << 20;

/// How many bytes of debug information are read in the time that an address in an index takes.
const PART_STEP: usize = 256;

/// An address is looked for in no more units than this: those of the aranges, then those whose root entries claim it.
const MOST_CANDIDATES: usize = 2 * MOST_UNITS;

/// Paths of source files that were asked for, by unit and number.
type KnownPaths = HashMap<(EntryId, u64), Option<Arc<str>>>;

/// The DWARF of one binary.
#[derive(Debug)]
pub(crate) struct DebugInfo {
    main: DwarfFile,
    /// How large its sections are, as [`Sections::size`](sections::Sections::size) counts.
    size: usize,
    supplementary: Option<DwarfFile>,
    split: SplitFiles,
    /// The types that were read.
    pub(crate) types: Remembered,
    functions: KnownFunctions,
    paths: Mutex<KnownPaths>,
    /// The units in which addresses were found that were named; `None` for those that are in none.
    units_at: Mutex<HashMap<LinkAddr, Option<usize>>>,
    pub(crate) definitions: Definitions,
    /// The calls that functions make as jumps.
    pub(crate) tail_calls: TailCalls,
    function_names: OnceLock<FunctionNames>,
    scopes: KeptScopes,
    usual_language: OnceLock<Option<gimli::DwLang>>,
    pub(crate) index: IndexSlot,
    /// For very many addresses, where there is none on disk.
    memory_index: OnceLock<Option<Box<Index>>>,
}

/// One function at one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DwarfFrame {
    /// The name in the source, with the names of the namespaces and types around it; `None` where there is a linkage name.
    pub(crate) function: Option<Arc<str>>,
    /// The name in the object file, mangled.
    pub(crate) linkage_name: Option<Arc<str>>,
    /// The linkage name demangled, where an index has that.
    pub(crate) shown: Option<Arc<str>>,
    /// The source file, with its directory.
    pub(crate) file: Option<Arc<str>>,
    /// From 1.
    pub(crate) line: Option<u32>,
    /// From 1.
    pub(crate) column: Option<u32>,
    /// Which of the pieces of code that the line has; from 1.
    pub(crate) discriminator: Option<u32>,
    /// What the line table says besides.
    pub(crate) flags: LineFlags,
    /// Whether it was inlined into the next one.
    pub(crate) inlined: bool,
    /// Whether the name says too little: it stands alone, in a language where it belongs to something. Debug
    /// information with nothing but line tables is so; the object file's symbol says more.
    pub(crate) has_bare_name: bool,
}

impl DebugInfo {
    /// The DWARF of a file; `None` where it has none. Its index is looked for in the cache.
    pub(crate) fn open(
        binary: Arc<Binary>,
        mut files: SplitDwarfSearch,
        cache: Option<&Arc<Cache>>,
    ) -> Option<Self> {
        binary.section(".debug_info").filter(|section| section.len() > 0)?;
        let supplementary = files.supplementary.take().map(|file| DwarfFile::new(file, false));
        let index = IndexSlot::new(cache, &binary);
        let main = DwarfFile::new(binary, false);
        Some(Self {
            size: main.sections().size(),
            main,
            supplementary,
            split: SplitFiles::new(files),
            index,
            memory_index: OnceLock::new(),
            types: Remembered::default(),
            functions: KnownFunctions::default(),
            paths: Mutex::default(),
            units_at: Mutex::default(),
            definitions: Definitions::default(),
            tail_calls: TailCalls::default(),
            function_names: OnceLock::new(),
            scopes: KeptScopes::default(),
            usual_language: OnceLock::new(),
        })
    }

    /// The bytes of the unit that begins at `start`.
    pub(crate) fn unit_size(&self, start: usize) -> usize {
        UnitHeader::read(&self.main.sections(), start).map_or(0, |header| header.end - header.start)
    }

    /// Where the functions of that name in the object file begin, and their clones (`.part.0`), by its symbol table.
    pub(crate) fn functions_named(&self, name: &[u8]) -> Vec<LinkAddr> {
        self.function_names.get_or_init(|| FunctionNames::new(self.main.headers())).find(name)
    }

    /// Where was looked for the files of split DWARF, and what came of it.
    pub(crate) fn split_trail(&self) -> Vec<SearchStep> {
        self.split.trail()
    }
}

/// The frames of each address of each request, the innermost first; none where nothing is known.
pub(crate) fn resolve(requests: &[(&DebugInfo, Vec<LinkAddr>)]) -> Vec<Vec<Vec<DwarfFrame>>> {
    let mut searches: Vec<Search<'_>> =
        requests.iter().map(|(debug, addresses)| Search::new(debug, addresses)).collect();
    prefetch::run(&searches);
    resolve_candidates(&mut searches);
    scan_roots(&mut searches);
    resolve_candidates(&mut searches);
    searches.into_iter().zip(requests).map(|(search, (_, addresses))| search.answers(addresses)).collect()
}

/// The search for one request's addresses.
struct Search<'a> {
    debug: &'a DebugInfo,
    /// Sorted, each once.
    pcs: Vec<u64>,
    /// As many.
    frames: Vec<Vec<DwarfFrame>>,
    /// The units where each may be found, in the order to try them.
    units: Vec<Vec<usize>>,
    /// How many of them were tried.
    tried: Vec<usize>,
    tank: Tank,
    /// How many names were read so far.
    names: AtomicUsize,
    /// How many bytes of units were read so far.
    read: AtomicUsize,
    /// What knows all candidates, where there is an index.
    index: Option<Arc<Index>>,
}

/// One unit, and those of a search's addresses that are looked for in it.
struct UnitJob {
    search: usize,
    start: usize,
    pcs: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(debug: &'a DebugInfo, addresses: &[LinkAddr]) -> Self {
        let mut pcs: Vec<u64> = addresses.iter().map(|address| address.0).collect();
        pcs.sort_unstable();
        pcs.dedup();
        let sections = debug.main.sections();
        let count = pcs.len();
        let mut search = Self {
            debug,
            pcs,
            frames: vec![Vec::new(); count],
            units: vec![Vec::new(); count],
            tried: vec![0; count],
            tank: Tank::for_size(sections.size()),
            names: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            index: None,
        };
        let indexed = debug.index.index().and_then(|index| Some((index.candidates(&search.pcs)?, index)));
        let candidates = match indexed {
            Some((candidates, index)) => {
                search.index = Some(index.clone());
                candidates
            }
            None => unit_index::from_aranges(&sections, &search.pcs, &mut search.tank.fuel()),
        };
        search.add(candidates);
        search
    }

    fn add(&mut self, candidates: Vec<Candidate>) {
        for (pc, unit) in candidates {
            let units = &mut self.units[pc];
            if units.len() < MOST_CANDIDATES && !units.contains(&unit) {
                units.push(unit);
            }
        }
    }

    /// The addresses for which nothing was found, and what of them is to be tried next.
    fn next_units(&self) -> impl Iterator<Item = Candidate> {
        let open = (0..self.pcs.len()).filter(|&pc| self.frames[pc].is_empty());
        open.filter_map(|pc| Some((pc, *self.units[pc].get(self.tried[pc])?)))
    }

    /// What a unit says of `pcs` (sorted).
    fn frames(&self, unit: usize, pcs: &[u64]) -> Vec<Vec<DwarfFrame>> {
        let fuel = &mut self.tank.fuel();
        let sections = self.debug.main.sections();
        let mut strings = Strings::new(sections.str, pcs.len());
        let indexed = self.index.as_ref().and_then(|index| index.frames(unit, pcs, &mut strings, fuel));
        let frames = indexed.unwrap_or_else(|| {
            self.debug.index.touch(unit);
            let frames = resolve_unit::frames(self.debug, unit, pcs, fuel);
            if passes_step(&self.read, self.debug.unit_size(unit), RELEASE_STEP) {
                // The next units are elsewhere: what was read need not stay in memory.
                sections.info.release(0..sections.info.len());
                sections.line.release(0..sections.line.len());
            }
            frames
        });
        if passes_step(&self.names, frames.iter().map(Vec::len).sum(), NAMES_STEP) {
            strings.release();
        }
        frames
    }

    /// Whether a unit need not be read to be asked.
    fn is_indexed(&self, unit: usize) -> bool {
        self.index.as_ref().is_some_and(|index| index.has_part(unit))
    }

    fn answers(self, addresses: &[LinkAddr]) -> Vec<Vec<DwarfFrame>> {
        self.debug.note_units(self.pcs.iter().enumerate().map(|(pc, &address)| {
            let found = (!self.frames[pc].is_empty()).then_some(self.tried[pc]);
            let unit = found.and_then(|tried| self.units[pc].get(tried.checked_sub(1)?).copied());
            (LinkAddr(address), unit)
        }));
        let frames = |address: &LinkAddr| {
            self.pcs.binary_search(&address.0).map_or_else(|_| Vec::new(), |pc| self.frames[pc].clone())
        };
        addresses.iter().map(frames).collect()
    }
}

/// Adds to a count; whether that has passed a multiple of `step`.
fn passes_step(count: &AtomicUsize, more: usize, step: usize) -> bool {
    let before = count.fetch_add(more, Ordering::Relaxed);
    before / step != before.saturating_add(more) / step
}

/// Looks in the units where the addresses may be, one after another.
fn resolve_candidates(searches: &mut [Search<'_>]) {
    loop {
        let mut jobs = Vec::new();
        for (index, search) in searches.iter().enumerate() {
            let mut by_unit: HashMap<usize, Vec<usize>> = HashMap::new();
            search.next_units().for_each(|(pc, unit)| by_unit.entry(unit).or_default().push(pc));
            for (start, pcs) in by_unit {
                let is_indexed = search.is_indexed(start);
                let size = if is_indexed { PART_STEP * pcs.len() } else { search.debug.unit_size(start) };
                jobs.push((size, UnitJob { search: index, start, pcs }));
            }
        }
        if jobs.is_empty() {
            return;
        }
        let results = parallel::run(&jobs, |job| {
            let search = &searches[job.search];
            let pcs: Vec<u64> = job.pcs.iter().map(|&pc| search.pcs[pc]).collect();
            search.frames(job.start, &pcs)
        });
        for ((_, job), frames) in jobs.iter().zip(results) {
            let search = &mut searches[job.search];
            for (&pc, frames) in job.pcs.iter().zip(frames) {
                search.tried[pc] += 1;
                search.frames[pc] = frames;
            }
        }
    }
}

/// Finds candidates for what is still open by asking every unit where its code is.
fn scan_roots(searches: &mut [Search<'_>]) {
    let mut jobs = Vec::new();
    for (index, search) in searches.iter().enumerate() {
        if search.index.is_some() || search.frames.iter().all(|frames| !frames.is_empty()) {
            continue;
        }
        let starts = search.debug.main.all_unit_starts(&search.debug.main.sections());
        for starts in starts.chunks(UNITS_PER_SCAN) {
            // The sizes of the units do not matter, only how many pages are touched.
            jobs.push((starts.len() * 1024, (index, starts.to_vec())));
        }
    }
    let results = parallel::run(&jobs, |(index, starts)| {
        let search = &searches[*index];
        let open = (0..search.pcs.len()).filter(|&pc| search.frames[pc].is_empty());
        let (indices, pcs): (Vec<usize>, Vec<u64>) = open.map(|pc| (pc, search.pcs[pc])).unzip();
        let file = &search.debug.main;
        let mut found = unit_index::from_roots(file, &file.sections(), starts, &pcs, &mut search.tank.fuel());
        found.iter_mut().for_each(|(pc, _)| *pc = indices[*pc]);
        found
    });
    for ((_, (index, _)), candidates) in jobs.iter().zip(results) {
        searches[*index].add(candidates);
    }
}
