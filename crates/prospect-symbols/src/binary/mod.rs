//! One file of code (ELF, PE or Mach-O), or what a process's memory holds of one.

mod elf;
mod file;
mod headers;
mod loaded;
mod macho;
mod memory;
mod packed;
mod pe;
mod relocatable;
mod section;
mod symbols;
#[cfg(test)]
mod tests;

use std::{
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use gimli::RunTimeEndian;
use prospect_process::{Arch, BuildId, LinkAddr};

pub(crate) use file::{FileBytes, FileStamp};
pub(crate) use headers::{Expected, Headers, ImageFormat, NamedSection, Segment};
#[cfg(test)]
pub(crate) use section::Compression;
pub(crate) use section::{Section, SectionFile};

use crate::{
    UnwindInfoError, UnwindRow,
    cache::{Cache, Key, Slot},
    go::{GoProgram, GoRow},
    symbol::table::{self, FunctionSymbol, SymbolTable, TableKind, What},
    unwind_info::CallFrameInfo,
};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinaryError {
    /// It cannot be opened.
    #[error("cannot open: {0}")]
    Open(#[source] std::io::Error),
    /// It is of no format that is known, or broken.
    #[error("not a usable binary: {0}")]
    Malformed(String),
}

/// One file of code (ELF, PE or Mach-O), parsed as far as it was asked for.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    /// Which file it is; `None` for one that is none.
    stamp: Option<FileStamp>,
    headers: Headers,
    call_frames: CallFrameInfo,
    go: OnceLock<Option<GoProgram>>,
    symbols: SymbolTable,
    dynamic_symbols: SymbolTable,
}

impl Binary {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened, or is of no format that is known.
    pub fn open(path: &Path) -> Result<Self, BinaryError> {
        Self::open_as(path, Expected::default())
    }

    /// Opens a file of which something is known.
    pub(crate) fn open_as(path: &Path, expected: Expected) -> Result<Self, BinaryError> {
        let file = Arc::new(FileBytes::map(path).map_err(BinaryError::Open)?);
        Self::read(path.to_owned(), file, expected)
    }

    /// Parses bytes that are in hand; `path` is what they are called in messages.
    pub(crate) fn from_bytes(path: PathBuf, file: Arc<FileBytes>) -> Result<Self, BinaryError> {
        Self::read(path, file, Expected::default())
    }

    pub(crate) fn read(path: PathBuf, file: Arc<FileBytes>, expected: Expected) -> Result<Self, BinaryError> {
        let linked = relocatable::link(&file);
        let mut headers = Headers::parse(linked.as_ref().unwrap_or(&file), expected)?;
        headers.is_relocatable = linked.is_some();
        let mut binary = Self::from_parts(path, headers);
        binary.stamp = file.stamp();
        Ok(binary)
    }

    fn from_parts(path: PathBuf, headers: Headers) -> Self {
        Self {
            path,
            stamp: None,
            headers,
            call_frames: CallFrameInfo::default(),
            go: OnceLock::new(),
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

    /// Where the section of that name is in the list of sections.
    pub(crate) fn section_place(&self, name: &str) -> Option<usize> {
        self.headers.sections.iter().position(|one| *one.name == *name.as_bytes())
    }

    /// The section at a place in that list.
    pub(crate) fn section_at(&self, place: usize) -> Option<&Section> {
        Some(&self.headers.sections.get(place)?.section)
    }

    /// The same with its address.
    pub(crate) fn named_section(&self, name: &str) -> Option<&NamedSection> {
        self.headers.sections.iter().find(|one| *one.name == *name.as_bytes())
    }

    /// The sections that are loaded, by name, with their addresses as linked, in the file's order.
    pub fn loaded_sections(&self) -> impl Iterator<Item = (&[u8], Range<LinkAddr>)> {
        self.headers.loaded.iter().map(|(name, range)| (&**name, range.clone()))
    }

    /// The addresses of the sections that are code, in the file's order.
    pub fn code_sections(&self) -> impl Iterator<Item = Range<LinkAddr>> {
        self.headers.code.iter().cloned()
    }

    /// Whether it has still to be linked (`.o`, kernel modules): the addresses of its sections are not those of any process, but
    /// were given to them, one behind the other, when it was opened.
    pub fn is_relocatable(&self) -> bool {
        self.headers.is_relocatable
    }

    /// The bytes of its file that are loaded from an address on, in a part that processes cannot write to: to the end of
    /// that part, and none where there is no such part, or no file.
    #[must_use]
    pub fn constant(&self, at: LinkAddr) -> &[u8] {
        self.headers.constant(at)
    }

    /// The ranges that are loaded (`PT_LOAD`), as linked, in the file's order.
    pub fn loads(&self) -> impl Iterator<Item = Range<LinkAddr>> {
        self.headers.segments.iter().map(|segment| segment.range.clone())
    }

    /// Which file it is.
    pub(crate) fn stamp(&self) -> Option<FileStamp> {
        self.stamp
    }

    /// Has its packed sections taken from the cache. Where no build-id names its contents, nothing is.
    pub(crate) fn use_cache(&mut self, cache: &Arc<Cache>) {
        let (Some(stamp), Some(id)) = (self.stamp, &self.headers.build_id) else { return };
        for NamedSection { name, section, .. } in &mut self.headers.sections {
            let Some((packed, unpacked)) = section.packed_lengths() else { continue };
            if let Some(key) = Key::new(id, name, packed, unpacked, stamp) {
                section.use_cache(Slot::new(cache.clone(), key));
            }
        }
    }

    /// Its sections of which more was unpacked than the cache has.
    pub(crate) fn unstored(&self) -> impl Iterator<Item = &Section> {
        self.headers.sections.iter().map(|one| &one.section).filter(|section| section.has_news())
    }

    /// All that its headers say.
    pub(crate) fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Its byte order.
    pub(crate) fn endian(&self) -> RunTimeEndian {
        self.headers.endian
    }

    /// The functions, or variables, that `addresses` (sorted) lie in, by one of its symbol tables. `None` when it has no
    /// such table.
    pub(crate) fn symbols_at(
        &self,
        kind: TableKind,
        what: What,
        addresses: &[LinkAddr],
    ) -> Option<Vec<Option<FunctionSymbol<'_>>>> {
        let table = match kind {
            TableKind::Full => &self.symbols,
            TableKind::Dynamic => &self.dynamic_symbols,
        };
        table.find(&self.headers, kind, what, addresses)
    }

    /// The source file of a local function, by one of its symbol tables.
    pub(crate) fn local_file(&self, kind: TableKind, start: LinkAddr, name: &[u8]) -> Option<&[u8]> {
        let table = match kind {
            TableKind::Full => &self.symbols,
            TableKind::Dynamic => &self.dynamic_symbols,
        };
        table.local_file(&self.headers, kind, start, name)
    }

    /// The address of the symbol of this name, by one of its symbol tables.
    pub(crate) fn symbol_address(&self, kind: TableKind, what: What, name: &[u8]) -> Option<LinkAddr> {
        table::address_of(&self.headers, kind, what, name)
    }

    /// The machine it is for.
    pub fn arch(&self) -> Option<Arch> {
        self.headers.arch
    }

    /// Its build-id.
    pub fn build_id(&self) -> Option<&BuildId> {
        self.headers.build_id.as_ref()
    }

    /// What another file of the same build is expected to be.
    pub(crate) fn expected(&self) -> Expected {
        Expected { arch: self.arch(), base: self.image_base() }
    }

    /// Whether it is a Mach-O file.
    pub(crate) fn is_mach_o(&self) -> bool {
        self.headers.image.as_ref().is_some_and(|image| image.format == ImageFormat::MachO)
    }

    /// Where it begins, as linked, if it is an image (PE: `ImageBase`; Mach-O: the address of `__TEXT`); `None` for ELF, whose
    /// segments say where they are one by one.
    #[must_use]
    pub fn image_base(&self) -> Option<LinkAddr> {
        self.headers.image.as_ref().map(|image| image.base)
    }

    /// What is known of it as a Go program; `None` where it is none.
    pub(crate) fn go(&self) -> Option<&GoProgram> {
        self.go.get_or_init(|| GoProgram::find(&self.headers)).as_ref()
    }

    /// The unwind row for an address. `None` where neither call frame information nor the tables of Go's runtime cover
    /// it. What those tables say of functions that are no common ones is believed before all else.
    ///
    /// # Errors
    /// When what covers it is broken.
    pub fn unwind_row(&self, at: LinkAddr) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let go = self.go().map_or(GoRow::Unknown, |go| go.row(&self.headers, at));
        match go {
            GoRow::OtherStack => Ok(None),
            GoRow::Marked(row) => Ok(Some(*row)),
            GoRow::Unknown => self.call_frames.row(&self.headers, at),
            GoRow::Caller(row) => Ok(self.call_frames.row(&self.headers, at)?.or(Some(*row))),
        }
    }

    /// Whether it has call frame information.
    pub(crate) fn has_unwind_rows(&self) -> bool {
        let mut any = false;
        self.every_unwind_row(|_, _| {
            any = true;
            ControlFlow::Break(())
        });
        any
    }

    /// Has `visit` see every unwind row of call frame information (not those of SFrame and of ARM's exception tables),
    /// with the addresses that it is for: those of
    /// [`unwind_row`](Self::unwind_row), each once, those of `.eh_frame` before those of `.debug_frame` and each
    /// of them in order. An error stands for addresses whose row is broken. With [`ControlFlow::Break`] it
    /// ends early.
    pub fn every_unwind_row(
        &self,
        mut visit: impl FnMut(Range<LinkAddr>, Result<&UnwindRow, &UnwindInfoError>) -> ControlFlow<()>,
    ) {
        let Some(go) = self.go() else { return self.call_frames.every_row(&self.headers, visit) };
        self.call_frames.every_row(&self.headers, |range, row| match go.row(&self.headers, range.start) {
            GoRow::OtherStack => ControlFlow::Continue(()),
            GoRow::Marked(mut marked) => {
                marked.range = range.clone();
                visit(range, Ok(&marked))
            }
            GoRow::Unknown | GoRow::Caller(_) => visit(range, row),
        });
    }
}
