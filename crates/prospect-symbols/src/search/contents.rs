//! What the files of a module have to say, by their headers.

use std::{path::PathBuf, sync::Arc};

use prospect_process::BuildId;

use super::ModuleBinary;
use crate::{
    Binary,
    symbol::dwarf::{UnitCount, unit_counts},
};

/// The sections that say how stacks are unwound.
const UNWIND_SECTIONS: [&str; 4] = [".eh_frame", ".debug_frame", ".sframe", ".ARM.exidx"];

/// What there is of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleContents {
    /// Its files, the module's own first.
    pub files: Vec<FileContents>,
    /// How many units of the debug information are skeletons, whose other part is in a split DWARF file.
    pub skeletons: usize,
    /// How many of those other parts were found.
    pub split_units: usize,
}

/// Which of a module's files one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileRole {
    /// The module's own file.
    Own,
    /// What the process's memory holds of it.
    Memory,
    /// The separate debug file.
    Debug,
    /// What is unpacked of `.gnu_debugdata`.
    MiniDebugInfo,
    /// The file that several debug files share (dwz).
    Supplementary,
}

/// What one file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileContents {
    /// Which one it is.
    pub role: FileRole,
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes; `None` for what is no file on disk.
    pub size: Option<u64>,
    /// Its build-id.
    pub build_id: Option<BuildId>,
    /// The entries of `.symtab`, if there is one.
    pub symbols: Option<usize>,
    /// The entries of `.dynsym`, if there is one.
    pub dynamic_symbols: Option<usize>,
    /// The bytes of the sections with debug information, unpacked.
    pub debug_bytes: u64,
    /// Its units, by version of DWARF.
    pub units: Vec<UnitCount>,
    /// The names of the sections that say how stacks are unwound.
    pub unwind_sections: Vec<&'static str>,
}

impl FileContents {
    fn new(role: FileRole, binary: &Arc<Binary>) -> Self {
        let headers = binary.headers();
        let length =
            |name: &str| binary.section(name).map(|section| section.len()).filter(|length| *length > 0);
        // Entries of ELF64 and ELF32 (ELF gABI, "Symbol Table").
        let entry = if headers.address_bytes == 8 { 24 } else { 16 };
        let debug = headers.sections.iter().filter(|one| one.name.starts_with(b".debug_"));
        Self {
            role,
            path: binary.path().to_owned(),
            size: binary.stamp().map(|stamp| stamp.length),
            build_id: binary.build_id().cloned(),
            symbols: length(".symtab").map(|length| length / entry),
            dynamic_symbols: length(".dynsym").map(|length| length / entry),
            debug_bytes: debug.map(|one| one.section.len() as u64).fold(0, u64::saturating_add),
            units: unit_counts(binary),
            unwind_sections: UNWIND_SECTIONS.into_iter().filter(|name| length(name).is_some()).collect(),
        }
    }

    /// Whether it has debug information.
    #[must_use]
    pub fn has_debug_info(&self) -> bool {
        !self.units.is_empty()
    }
}

impl ModuleBinary {
    /// What there is of the module. This looks for all of its files, if nothing has yet, those of split DWARF
    /// too: [`trail`](Self::trail) says where then.
    #[must_use]
    pub fn contents(&self) -> ModuleContents {
        let own = self.binary.as_ref();
        let own_role =
            if own.is_some_and(|own| own.stamp().is_some()) { FileRole::Own } else { FileRole::Memory };
        let others = [
            (FileRole::Debug, self.debug_file()),
            (FileRole::MiniDebugInfo, self.mini_debug_info()),
            // A binary that was stripped of its debug information may still name it.
            (FileRole::Supplementary, self.debug_info().and_then(|_| self.supplementary())),
        ];
        let all = std::iter::once((own_role, own)).chain(others);
        let files = all.filter_map(|(role, binary)| Some(FileContents::new(role, binary?))).collect();
        let (skeletons, split_units) = self.debug_info().map_or((0, 0), |debug| debug.find_split_units());
        ModuleContents { files, skeletons, split_units }
    }
}
