//! The symbols of a module that other modules can be bound to.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    hash,
    symbol::{Symbol, SymbolSource},
    version::Versions,
};
use crate::{
    Binary, ModuleBinary,
    symbol::table::{
        TableKind,
        raw::{RawEntry, RawSymbols},
    },
};

/// Broken tables claim to have more symbols than any file has.
pub(super) const MOST_SYMBOLS: usize = 16 << 20;

/// A longer file name is none.
const LONGEST_NAME: usize = 4096;

/// In which order symbols are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SymbolOrder {
    /// By address, and those of one address by name.
    #[default]
    Address,
    /// By name, and those of one name with their default version first.
    Name,
}

/// A dynamic section has some 30 entries.
const MOST_ENTRIES: usize = 1024;
/// The entry with the name that a library calls itself by (ELF gABI, "Dynamic Section").
const DT_SONAME: u64 = 14;

impl ModuleBinary {
    /// The name that the module calls itself by, and those that need it call it by too. Programs have none.
    #[must_use]
    pub fn soname(&self) -> Option<String> {
        let binary = self.binary.as_deref()?;
        let numbers = binary.headers().pointer_format(0);
        let word = usize::from(binary.headers().address_bytes);
        let entries = binary.section(".dynamic")?.all().chunks_exact(2 * word).take(MOST_ENTRIES);
        let mut entries =
            entries.map(|entry| (numbers.unsigned(&entry[..word]), numbers.unsigned(&entry[word..])));
        let (_, offset) = entries.find(|(tag, _)| *tag == DT_SONAME)?;
        let rest = binary.section(".dynstr")?.all().get(usize::try_from(offset).ok()?..)?;
        let length = rest.iter().take(LONGEST_NAME).position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    /// The symbols that the dynamic linker can bind other modules to: defined, global, weak or unique, neither hidden nor
    /// internal; with their versions. They are there in stripped files, and in memory, too.
    #[must_use]
    pub fn exports(&self, order: SymbolOrder) -> Vec<Symbol> {
        let mut exports = self.binary.as_deref().map_or_else(Vec::new, dynamic_symbols);
        exports.retain(Symbol::is_exported);
        match order {
            SymbolOrder::Address => {
                exports.sort_by(|a, b| (a.range.start, &a.name).cmp(&(b.range.start, &b.name)));
            }
            SymbolOrder::Name => exports.sort_by(|a, b| {
                let hidden = |one: &Symbol| one.version.as_ref().is_some_and(|version| !version.is_default);
                (&a.name, hidden(a), a.range.start).cmp(&(&b.name, hidden(b), b.range.start))
            }),
        }
        exports
    }

    /// The exported symbol of this linkage name, as the dynamic linker finds it: through the hash table, where the module has one.
    /// Of several versions the one asked for; with `None`, the default one, or else the first.
    #[must_use]
    pub fn export(&self, name: &[u8], version: Option<&str>) -> Option<Symbol> {
        let binary = self.binary.as_deref()?;
        let headers = binary.headers();
        let symbols = raw_symbols(binary, TableKind::Dynamic)?;
        let versions = Versions::of(headers);
        let count = symbols.len().min(MOST_SYMBOLS) as u32;
        let numbers = hash::candidates(headers, name).unwrap_or_else(|| (0..count).collect());
        let named = |number: &u32| {
            let entry = symbols.entry(*number)?;
            symbols.is_named_so(&entry, name).then_some(())?;
            dynamic_symbol(symbols, &versions, *number).filter(Symbol::is_exported)
        };
        let found: Vec<Symbol> = numbers.iter().filter_map(named).collect();
        let is_meant = |one: &&Symbol| match version {
            Some(wanted) => one.version.as_ref().is_some_and(|version| version.name == wanted),
            None => one.version.as_ref().is_none_or(|version| version.is_default),
        };
        let first = found.first().filter(|_| version.is_none());
        found.iter().find(is_meant).or(first).cloned()
    }
}

/// A table of a binary, where it has it.
pub(super) fn raw_symbols(binary: &Binary, kind: TableKind) -> Option<RawSymbols<'_>> {
    let (symbols, strings) = kind.section_names();
    RawSymbols::of(binary.headers(), symbols, strings)
}

/// What may be read of names: in a broken table, many symbols may have the same long one, or parts of it.
pub(super) struct NameBudget(AtomicUsize);

impl NameBudget {
    /// Names of this table: linkers let those share bytes that end alike.
    pub(super) fn of(table: RawSymbols<'_>) -> Self {
        Self(AtomicUsize::new(table.string_bytes().saturating_mul(16).saturating_add(1 << 20)))
    }

    /// Takes a symbol's name; `None` once there were too many.
    pub(super) fn take(&self, symbol: Symbol) -> Option<Symbol> {
        let rest = |left: usize| left.checked_sub(symbol.name.len());
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok().map(|_| symbol)
    }
}

/// What is defined in `.dynsym`.
fn dynamic_symbols(binary: &Binary) -> Vec<Symbol> {
    dynamic_symbols_that(binary, |_, _| true)
}

/// The same of the entries that may be meant.
pub(super) fn dynamic_symbols_that(
    binary: &Binary,
    may_be: impl Fn(RawSymbols<'_>, &RawEntry) -> bool,
) -> Vec<Symbol> {
    let Some(symbols) = raw_symbols(binary, TableKind::Dynamic) else { return Vec::new() };
    let (versions, budget) = (Versions::of(binary.headers()), NameBudget::of(symbols));
    let count = symbols.len().min(MOST_SYMBOLS) as u32;
    let may_be = |number: &u32| symbols.entry(*number).is_some_and(|entry| may_be(symbols, &entry));
    let defined = (0..count).filter(may_be).filter_map(|number| dynamic_symbol(symbols, &versions, number));
    defined.map_while(|symbol| budget.take(symbol)).collect()
}

fn dynamic_symbol(symbols: RawSymbols<'_>, versions: &Versions<'_>, number: u32) -> Option<Symbol> {
    let mut symbol = Symbol::new(symbols, &symbols.entry(number)?, SymbolSource::DynamicSymbols)?;
    symbol.version = versions.of_symbol(number).or(symbol.version);
    Some(symbol)
}
