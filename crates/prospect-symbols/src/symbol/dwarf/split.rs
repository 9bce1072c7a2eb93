//! Split DWARF: the files that hold what a skeleton unit leaves out (DWARF 5, section 7.3; GNU's
//! extension to DWARF 4).

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, OnceLock},
};

use gimli::{DebugCuIndex, IndexSectionId};

use super::{
    file::{DwarfFile, lock},
    fuel::Fuel,
    reader::Reader,
    sections::Sections,
    unit::Unit,
};
use crate::{Binary, SearchOutcome, SearchStep, Sought};

/// No more `.dwo` files than this are kept open for one binary.
const MOST_FILES: usize = 4096;
/// No more places are remembered that were looked at.
const MOST_STEPS: usize = 4 * MOST_FILES;

/// Where the files are looked for that hold more of a binary's DWARF.
#[derive(Clone, Debug, Default)]
pub(crate) struct SplitDwarfSearch {
    /// The root of the file system that the process sees: before this machine's own.
    pub(crate) sysroot: Option<PathBuf>,
    /// Where `.dwo` files may have been put: the binary's directory, and directories for debug files.
    pub(crate) directories: Vec<PathBuf>,
    /// Files that may be the package of all `.dwo` files: the binary's name and `.dwp`.
    pub(crate) packages: Vec<PathBuf>,
    /// The file that `.gnu_debugaltlink` names.
    pub(crate) supplementary: Option<Arc<Binary>>,
}

impl SplitDwarfSearch {
    /// Beside the binary, and where the compiler put them.
    pub(crate) fn beside(binary: &Path) -> Self {
        let mut package = binary.as_os_str().to_owned();
        package.push(".dwp");
        Self {
            directories: binary.parent().map(Path::to_owned).into_iter().collect(),
            packages: vec![package.into()],
            ..Self::default()
        }
    }
}

/// The split DWARF files of one binary, each opened when it is first needed.
#[derive(Debug, Default)]
pub(super) struct SplitFiles {
    search: SplitDwarfSearch,
    packages: OnceLock<Vec<DwarfFile>>,
    by_id: Mutex<HashMap<u64, Option<Arc<DwarfFile>>>>,
    trail: Mutex<Vec<SearchStep>>,
}

/// Where a split unit is.
pub(super) enum SplitUnit<'a> {
    /// In the package.
    Packed(&'a DwarfFile, Box<Sections<'a>>),
    /// In a file of its own.
    File(Arc<DwarfFile>),
}

impl SplitFiles {
    pub(super) fn new(search: SplitDwarfSearch) -> Self {
        Self { search, ..Self::default() }
    }

    /// The unit that a skeleton stands for.
    pub(super) fn find(&self, skeleton: &Unit<'_>, fuel: &mut Fuel<'_>) -> Option<SplitUnit<'_>> {
        let (name, id) = skeleton.split()?;
        if let Some(found) = self.in_packages(id) {
            return Some(found);
        }
        if let Some(known) = lock(&self.by_id).get(&id) {
            return known.clone().map(SplitUnit::File);
        }
        let found =
            self.candidates(name, skeleton.comp_dir()).into_iter().find_map(|path| self.open(path, id, fuel));
        let mut by_id = lock(&self.by_id);
        if by_id.len() < MOST_FILES {
            by_id.insert(id, found.clone());
        }
        found.map(SplitUnit::File)
    }

    /// Where was looked, and what came of it.
    pub(super) fn trail(&self) -> Vec<SearchStep> {
        lock(&self.trail).clone()
    }

    fn note(&self, what: Sought, path: PathBuf, outcome: SearchOutcome) {
        let mut trail = lock(&self.trail);
        if trail.len() < MOST_STEPS {
            trail.push(SearchStep { what, path, outcome });
        }
    }

    /// A file with the split unit of this identity.
    fn open(&self, path: PathBuf, id: u64, fuel: &mut Fuel<'_>) -> Option<Arc<DwarfFile>> {
        let (file, outcome) = match Binary::open(&path) {
            Err(error) => (None, SearchOutcome::of_error(&error)),
            Ok(binary) => {
                let file = DwarfFile::new(Arc::new(binary), true);
                match unit_start(&file, id, fuel) {
                    Some(_) => (Some(Arc::new(file)), SearchOutcome::Found),
                    None => (None, SearchOutcome::Malformed(format!("it has no split unit {id:#018x}"))),
                }
            }
        };
        self.note(Sought::SplitFile, path, outcome);
        file
    }

    fn packages(&self) -> &[DwarfFile] {
        self.packages
            .get_or_init(|| self.search.packages.iter().filter_map(|path| self.open_package(path)).collect())
    }

    fn in_packages(&self, id: u64) -> Option<SplitUnit<'_>> {
        let (package, sections) = self.packed(".debug_cu_index", id)?;
        Some(SplitUnit::Packed(package, Box::new(sections)))
    }

    /// The type unit of a package that has this signature.
    pub(super) fn packed_type(&self, signature: u64) -> Option<(&DwarfFile, Sections<'_>)> {
        self.packed(".debug_tu_index", signature)
    }

    /// The signatures of the packages' type units: the hash tables of their indices, as they are (DWARF 5, section 7.3.5.3).
    pub(super) fn packed_signatures(&self) -> Vec<u64> {
        self.packages().iter().flat_map(Self::signatures).collect()
    }

    fn signatures(package: &DwarfFile) -> Vec<u64> {
        let Some(index) = package.binary.section(".debug_tu_index") else { return Vec::new() };
        let mut reader = Reader::new(index.all(), 0, package.binary.endian());
        // A version of two or four bytes, and two counts.
        reader.skip(12);
        let slots = reader.uint(4).unwrap_or(0);
        (0..slots).map_while(|_| reader.uint(8)).filter(|&signature| signature != 0).collect()
    }

    /// What the packages hold for one unit (DWARF 5, section 7.3.5).
    fn packed(&self, index: &str, id: u64) -> Option<(&DwarfFile, Sections<'_>)> {
        self.packages().iter().find_map(|package| Some((package, Self::contribution(package, index, id)?)))
    }

    fn open_package(&self, path: &Path) -> Option<DwarfFile> {
        let (file, outcome) = match Binary::open(path) {
            Err(error) => (None, SearchOutcome::of_error(&error)),
            Ok(binary) if binary.section(".debug_cu_index").is_none() => {
                (None, SearchOutcome::Malformed("it is no package of split DWARF".into()))
            }
            // Each of its units is known by its own identity.
            Ok(binary) => (Some(DwarfFile::new(Arc::new(binary), true)), SearchOutcome::Found),
        };
        self.note(Sought::SplitPackage, path.to_owned(), outcome);
        file
    }

    fn contribution<'a>(package: &'a DwarfFile, index: &str, id: u64) -> Option<Sections<'a>> {
        let whole = package.sections();
        let index = package.binary.section(index)?.all();
        let index = DebugCuIndex::new(index, whole.endian).index().ok()?;
        let row = index.find(id)?;
        let mut sections = whole;
        for one in index.sections(row).ok()? {
            let (start, length) = (usize::try_from(one.offset).ok()?, usize::try_from(one.size).ok()?);
            match one.section {
                IndexSectionId::DebugInfo => sections.info = whole.info.part(start, length),
                IndexSectionId::DebugTypes => {
                    sections = sections.of_types();
                    sections.info = whole.types.part(start, length);
                }
                IndexSectionId::DebugAbbrev => sections.abbrev = whole.abbrev.part(start, length),
                IndexSectionId::DebugStrOffsets => {
                    sections.str_offsets = whole.str_offsets.part(start, length);
                }
                IndexSectionId::DebugRngLists => sections.rnglists = whole.rnglists.part(start, length),
                IndexSectionId::DebugLoc => sections.loc = whole.loc.part(start, length),
                IndexSectionId::DebugLocLists => sections.loclists = whole.loclists.part(start, length),
                _ => {}
            }
        }
        Some(sections)
    }

    fn candidates(&self, name: &[u8], comp_dir: Option<&[u8]>) -> Vec<PathBuf> {
        let (Some(name), comp_dir) = (path(name), comp_dir.and_then(path)) else { return Vec::new() };
        let built = comp_dir.map_or_else(|| name.to_owned(), |directory| directory.join(name));
        let mut candidates = Vec::new();
        if let Some(sysroot) = &self.search.sysroot {
            candidates.push(sysroot.join(built.strip_prefix("/").unwrap_or(&built)));
        }
        // A relative path would mean another file wherever the tool is run.
        if built.is_absolute() {
            candidates.push(built);
        }
        for directory in &self.search.directories {
            if name.is_relative() {
                candidates.push(directory.join(name));
            }
            candidates.extend(name.file_name().map(|name| directory.join(name)));
        }
        let mut seen = HashSet::new();
        candidates.retain(|path| seen.insert(path.clone()));
        candidates
    }
}

impl SplitUnit<'_> {
    /// Opens the unit.
    pub(super) fn open(&self, skeleton: &Unit<'_>, fuel: &mut Fuel<'_>) -> Option<Unit<'_>> {
        match self {
            Self::Packed(file, sections) => Unit::open(file, **sections, 0, fuel),
            Self::File(file) => {
                let start = unit_start(file, skeleton.dwo_id()?, fuel)?;
                Unit::open(file, file.sections(), start, fuel)
            }
        }
    }
}

/// Where the unit with this identity begins. A file of another build has another identity.
fn unit_start(file: &DwarfFile, id: u64, fuel: &mut Fuel<'_>) -> Option<usize> {
    let sections = file.sections();
    file.all_unit_starts(&sections).into_iter().find(|&start| {
        Unit::open_root(file, sections, start, fuel).is_some_and(|unit| unit.dwo_id() == Some(id))
    })
}

fn path(bytes: &[u8]) -> Option<&Path> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()).map(Path::new)
}

/// Keeps a unit that was opened for as long as names are looked up in it.
pub(super) fn complete<'a>(mut unit: Unit<'a>, skeleton: &Unit<'a>) -> Rc<Unit<'a>> {
    unit.complete_from(skeleton);
    Rc::new(unit)
}
