//! The executable and the libraries of a process, as its memory shows them.

mod image;
mod loader;

use std::{borrow::Cow, fmt, ops::Range, path::PathBuf};

pub use image::ElfImage;
pub use loader::LoadedFile;

use crate::{Addr, FileAccess, FileId, Mapping, Mappings, Memory};

/// The bytes that name one build of a binary: of an ELF file, its `NT_GNU_BUILD_ID` note; of a PE file, the GUID of its
/// CodeView record as it is stored, and the age in four bytes, little-endian; of a Mach-O file, its `LC_UUID`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId(pub Vec<u8>);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What kind of thing a module is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ModuleKind {
    /// A file on disk, or one that was.
    File,
    /// The code that the kernel gives every process; it is in no file.
    Vdso,
}

/// One loaded file: ELF, on other systems PE or Mach-O.
#[derive(Clone, Debug)]
pub struct Module {
    /// From its first mapped byte to its last.
    pub range: Range<Addr>,
    /// What to add to an address as linked to get the address in the process, wrapping.
    pub bias: u64,
    /// The path as the process's own mount namespace has it, or `[vdso]`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: ModuleKind,
    /// The file, where there is one.
    pub file: Option<FileId>,
    /// Whether the file has no name any more.
    pub deleted: bool,
    /// The build-id in the process's memory, whatever the file on disk says now.
    pub build_id: Option<BuildId>,
    /// The path of the file with its debug information, as the file itself names it when it was linked (PE: the PDB of the
    /// CodeView record).
    pub debug_file: Option<Vec<u8>>,
    /// The range of the first mapping, which names it in [`FileAccess::by_mapping`].
    pub first_mapping: Range<Addr>,
    /// Whether this is the program itself and not a library.
    pub is_executable: bool,
}

impl Module {
    /// The path as text, with bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn path_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }

    /// The last part of the path, which may be one of Windows.
    #[must_use]
    pub fn file_name(&self) -> Cow<'_, str> {
        let separator: &[u8] = if is_windows_path(&self.path) { b"/\\" } else { b"/" };
        let start = self.path.iter().rposition(|byte| separator.contains(byte)).map_or(0, |at| at + 1);
        String::from_utf8_lossy(&self.path[start..])
    }

    /// Where its file may be opened, the surest first. What is found must still be checked against
    /// [`build_id`](Self::build_id).
    #[must_use]
    pub fn file_candidates(&self, access: &FileAccess) -> Vec<PathBuf> {
        let mut candidates = Vec::new();
        if self.kind == ModuleKind::Vdso {
            return candidates;
        }
        if let Some(directory) = &access.by_mapping {
            let Range { start, end } = &self.first_mapping;
            candidates.push(directory.join(format!("{:x}-{:x}", start.0, end.0)));
        }
        if let Some(path) = access.executable.as_ref().filter(|_| self.is_executable) {
            candidates.push(path.clone());
        }
        if !self.deleted {
            let path = self.path_lossy();
            if let Some(root) = &access.root {
                candidates.push(root.join(path.trim_start_matches('/')));
            } else {
                candidates.push(PathBuf::from(path.as_ref()));
            }
        }
        candidates
    }
}

/// Whether a path begins with a drive or a share of Windows: `C:\`, `\\server`. What is a backslash elsewhere is part of a
/// name.
fn is_windows_path(path: &[u8]) -> bool {
    path.starts_with(br"\\") || matches!(path, [drive, b':', ..] if drive.is_ascii_alphabetic())
}

/// The modules of a process, by address.
#[derive(Clone, Debug, Default)]
pub struct Modules(Vec<Module>);

impl Modules {
    /// Puts modules in order.
    #[must_use]
    pub fn new(mut modules: Vec<Module>) -> Self {
        modules.sort_by_key(|module| module.range.start);
        Self(modules)
    }

    /// Finds the modules among a process's mappings: the files with a mapping that can be run and an
    /// ELF header in memory where their first mapping begins, and the vdso. `executable` is the path of
    /// the program itself.
    #[must_use]
    pub fn find(mappings: &Mappings, memory: &dyn Memory, executable: Option<&[u8]>) -> Self {
        let mut found: Vec<Module> = Vec::new();
        let mut index = 0;
        let mappings = mappings.as_slice();
        while let Some(first) = mappings.get(index) {
            let group = &mappings[index..index + group_length(&mappings[index..])];
            index += group.len();
            if !(first.file.is_some() || first.name == b"[vdso]") {
                continue;
            }
            let Some(start) = group.iter().find(|mapping| mapping.offset == 0) else { continue };
            if !group.iter().any(|mapping| mapping.permissions.execute) {
                continue;
            }
            let Some(image) = ElfImage::read(start.range.start, memory) else { continue };
            found.push(Module {
                range: first.range.start..group[group.len() - 1].range.end,
                bias: image.bias,
                path: first.name.clone(),
                kind: if first.file.is_some() { ModuleKind::File } else { ModuleKind::Vdso },
                file: first.file,
                deleted: first.deleted,
                build_id: image.build_id,
                debug_file: None,
                first_mapping: start.range.clone(),
                is_executable: executable == Some(first.name.as_slice()),
            });
        }
        Self(found)
    }

    /// The module that an address lies in.
    #[must_use]
    pub fn at(&self, at: Addr) -> Option<&Module> {
        let index = self.0.partition_point(|module| module.range.start <= at).checked_sub(1)?;
        self.0.get(index).filter(|module| module.range.contains(&at))
    }

    /// The program itself.
    #[must_use]
    pub fn executable(&self) -> Option<&Module> {
        self.0.iter().find(|module| module.is_executable)
    }

    /// The C library, by the name of its file (glibc, musl, bionic). None where it is part of the program.
    #[must_use]
    pub fn c_library(&self) -> Option<&Module> {
        self.0.iter().find(|module| is_c_library(&module.file_name()))
    }

    /// The library that threads are made by: `libpthread` where there is one, and else the C library, which
    /// has become one with it (musl; glibc since 2.34).
    #[must_use]
    pub fn thread_library(&self) -> Option<&Module> {
        let threads = self.0.iter().find(|module| is_versioned(&module.file_name(), "libpthread"));
        threads.or_else(|| self.c_library())
    }

    /// The dynamic linker, by the name of its file. None where the program is static.
    #[must_use]
    pub fn loader(&self) -> Option<&Module> {
        self.0.iter().find(|module| is_loader(&module.file_name()))
    }

    /// All of them, by address.
    #[must_use]
    pub fn as_slice(&self) -> &[Module] {
        &self.0
    }

    /// Every module, by address.
    pub fn iter(&self) -> std::slice::Iter<'_, Module> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Modules {
    type Item = &'a Module;
    type IntoIter = std::slice::Iter<'a, Module>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// glibc (`ld-linux-x86-64.so.2`, `ld64.so.2`, `ld-2.31.so`), musl, whose C library it is, bionic, uClibc.
fn is_loader(file_name: &str) -> bool {
    let is_glibc = ["ld-", "ld.so", "ld64.so"].iter().any(|start| file_name.starts_with(start))
        && file_name.contains(".so");
    is_glibc || matches!(file_name, "libc.so" | "linker" | "linker64")
}

fn is_c_library(file_name: &str) -> bool {
    let is_musl = ["ld-musl-", "libc.musl-"].iter().any(|start| file_name.starts_with(start));
    is_musl || is_versioned(file_name, "libc")
}

/// Whether this is `NAME.so`, with a version behind it (`.so.6`) or before (`-2.31.so`), and no other library
/// whose name begins so (`libc-client.so`).
fn is_versioned(file_name: &str, name: &str) -> bool {
    let Some(rest) = file_name.strip_prefix(name) else { return false };
    let version = rest.strip_prefix('-').map(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    rest == ".so" || rest.starts_with(".so.") || (version == Some(true) && rest.ends_with(".so"))
}

/// How many mappings belong to the load that begins with the first: those of the same file at rising
/// offsets, and memory without a file (`.bss`, guards) between two of them.
fn group_length(mappings: &[Mapping]) -> usize {
    let (mut length, mut offset) = (1, mappings[0].offset);
    if mappings[0].file.is_none() {
        return length;
    }
    for (index, next) in mappings.iter().enumerate().skip(1) {
        if next.file == mappings[0].file && next.offset >= offset && next.offset > 0 {
            (length, offset) = (index + 1, next.offset);
        } else if next.file.is_some() || !next.name.is_empty() {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests;
