//! One ELF file, or what a process's memory holds of one.

mod elf;
mod file;
mod loaded;
mod memory;
mod section;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gimli::RunTimeEndian;
use prospect_process::{Arch, BuildId, LinkAddr};

pub(crate) use elf::{ElfHeaders, NamedSection, Segment};
pub(crate) use file::FileBytes;
pub(crate) use section::Section;

use crate::{
    UnwindInfoError, UnwindRow,
    symbol::table::{FunctionSymbol, SymbolTable, TableKind},
    unwind_info::CallFrameInfo,
};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinaryError {
    /// It cannot be opened.
    #[error("cannot open: {0}")]
    Open(#[source] std::io::Error),
    /// It is not an ELF file, or a broken one.
    #[error("not a usable ELF file: {0}")]
    Malformed(String),
}

/// One ELF file, parsed as far as it was asked for.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    headers: ElfHeaders,
    call_frames: CallFrameInfo,
    symbols: SymbolTable,
    dynamic_symbols: SymbolTable,
}

impl Binary {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened or is no ELF file.
    pub fn open(path: &Path) -> Result<Self, BinaryError> {
        let file = Arc::new(FileBytes::map(path).map_err(BinaryError::Open)?);
        Self::from_bytes(path.to_owned(), file)
    }

    /// Parses bytes that are in hand; `path` is what they are called in messages.
    pub(crate) fn from_bytes(path: PathBuf, file: Arc<FileBytes>) -> Result<Self, BinaryError> {
        Ok(Self::from_parts(path, ElfHeaders::parse(&file)?))
    }

    fn from_parts(path: PathBuf, headers: ElfHeaders) -> Self {
        Self {
            path,
            headers,
            call_frames: CallFrameInfo::default(),
            symbols: SymbolTable::default(),
            dynamic_symbols: SymbolTable::default(),
        }
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A section by name, `.debug_*` also for one that is called `.zdebug_*`.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        Some(&self.named_section(name)?.section)
    }

    /// The same with its address.
    pub(crate) fn named_section(&self, name: &str) -> Option<&NamedSection> {
        self.headers.sections.iter().find(|one| *one.name == *name.as_bytes())
    }

    /// All that its headers say.
    pub(crate) fn headers(&self) -> &ElfHeaders {
        &self.headers
    }

    /// Its byte order.
    pub(crate) fn endian(&self) -> RunTimeEndian {
        self.headers.endian
    }

    /// The functions that `addresses` (sorted) lie in, by one of its symbol tables. `None` when it has no
    /// such table.
    pub(crate) fn functions(
        &self,
        kind: TableKind,
        addresses: &[LinkAddr],
    ) -> Option<Vec<Option<FunctionSymbol<'_>>>> {
        let table = match kind {
            TableKind::Full => &self.symbols,
            TableKind::Dynamic => &self.dynamic_symbols,
        };
        table.find(&self.headers, kind, addresses)
    }

    /// The machine it is for.
    pub fn arch(&self) -> Option<Arch> {
        self.headers.arch
    }

    /// Its build-id.
    pub fn build_id(&self) -> Option<&BuildId> {
        self.headers.build_id.as_ref()
    }

    /// The unwind row for an address. `None` where no call frame information covers it.
    ///
    /// # Errors
    /// When what covers it is broken.
    pub fn unwind_row(&self, at: LinkAddr) -> Result<Option<UnwindRow>, UnwindInfoError> {
        self.call_frames.row(&self.headers, at)
    }
}
