//! Functions by address, from symbol tables.
//!
//! Few addresses are looked up by reading the table once, in the order that it has: that costs less
//! than sorting it. Only when lookups repeat is an index made.

mod by_name;
mod files;
mod index;
pub(crate) mod raw;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use prospect_process::LinkAddr;

pub(crate) use by_name::FunctionNames;

use crate::binary::Headers;
use files::LocalFiles;
use index::SymbolIndex;
use raw::RawSymbols;
pub(crate) use raw::What;

/// Beyond so many addresses at once, or so many times, an index is made.
const MOST_SCANNED: usize = 4096;
const MOST_SCANS: u32 = 8;

/// So many source files are looked for before a list of them is made.
const MOST_FILE_SCANS: u32 = 4;

/// Which of a file's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    /// `.symtab`: all functions.
    Full,
    /// `.dynsym`: the functions that other modules may call.
    Dynamic,
}

impl TableKind {
    pub(crate) fn section_names(self) -> (&'static str, &'static str) {
        match self {
            Self::Full => (".symtab", ".strtab"),
            Self::Dynamic => (".dynsym", ".dynstr"),
        }
    }
}

/// The address of what a file exports under that name.
pub(crate) fn exported(headers: &Headers, name: &[u8]) -> Option<LinkAddr> {
    let (symbols, strings) = TableKind::Dynamic.section_names();
    RawSymbols::of(headers, symbols, strings)?.value_of(name).map(LinkAddr)
}

/// A function in a symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FunctionSymbol<'a> {
    /// Its name, still mangled.
    pub(crate) name: &'a [u8],
    /// Where it begins.
    pub(crate) start: LinkAddr,
    /// Its bytes; 0 where that is not known.
    pub(crate) size: u64,
}

/// What is kept between the lookups in one table.
#[derive(Debug, Default)]
pub(crate) struct SymbolTable {
    scans: AtomicU32,
    index: OnceLock<SymbolIndex>,
    data: OnceLock<SymbolIndex>,
    file_scans: AtomicU32,
    files: OnceLock<LocalFiles>,
}

impl SymbolTable {
    /// The functions, or variables, that `addresses` (sorted) lie in, one answer for each. `None` when the file has no
    /// such table.
    pub(crate) fn find<'a>(
        &self,
        headers: &'a Headers,
        kind: TableKind,
        what: What,
        addresses: &[LinkAddr],
    ) -> Option<Vec<Option<FunctionSymbol<'a>>>> {
        let (symbols, strings) = kind.section_names();
        let symbols = RawSymbols::of(headers, symbols, strings)?.wanting(what);
        let index = if what == What::Code { &self.index } else { &self.data };
        let scan = index.get().is_none()
            && addresses.len() <= MOST_SCANNED
            && self.scans.fetch_add(1, Ordering::Relaxed) < MOST_SCANS;
        Some(if scan {
            scan::find(symbols, headers, addresses)
        } else {
            let index = index.get_or_init(|| SymbolIndex::new(symbols));
            addresses.iter().map(|at| index.find(symbols, headers, *at)).collect()
        })
    }
}

impl SymbolTable {
    /// The source file of the local function of this name that begins at `start`.
    pub(crate) fn local_file<'a>(
        &self,
        headers: &'a Headers,
        kind: TableKind,
        start: LinkAddr,
        name: &[u8],
    ) -> Option<&'a [u8]> {
        let (symbols, strings) = kind.section_names();
        let symbols = RawSymbols::of(headers, symbols, strings)?;
        let scan =
            self.files.get().is_none() && self.file_scans.fetch_add(1, Ordering::Relaxed) < MOST_FILE_SCANS;
        if scan {
            return files::scan(symbols, start.0, name);
        }
        self.files.get_or_init(|| LocalFiles::new(symbols)).find(symbols, start.0, name)
    }
}

/// Where the function, label or variable of this name begins. One lookup reads the table once.
pub(crate) fn address_of(headers: &Headers, kind: TableKind, what: What, name: &[u8]) -> Option<LinkAddr> {
    let (symbols, strings) = kind.section_names();
    let symbols = RawSymbols::of(headers, symbols, strings)?.wanting(what);
    let found = symbols.functions().find(|(_, symbol)| symbols.function_name(symbol) == name);
    found.map(|(_, symbol)| LinkAddr(symbol.start))
}

/// The name of the dynamic symbol of that number, defined here or not.
pub(crate) fn dynamic_name(headers: &Headers, number: u32) -> Option<&[u8]> {
    RawSymbols::of(headers, ".dynsym", ".dynstr")?.name_of(number)
}
