//! The searches in one module.

use std::collections::{HashMap, HashSet};

use prospect_process::LinkAddr;

use crate::{
    Binary, ModuleBinary, parallel,
    symbol::{
        dwarf,
        table::{
            TableKind,
            raw::{RawEntry, RawSymbols},
        },
    },
    type_info::TypeRef,
};

use super::{
    Definition, DefinitionKind, DefinitionKinds, LinePlace, Pattern, SourceLine, Symbol, SymbolSource,
    exports,
};

/// Of types with one name, no more are looked at.
pub(super) const MOST_TYPES: usize = 10_000;
/// Symbols that are one job.
const SYMBOLS_PER_JOB: u32 = 8192;
/// What one symbol costs, in bytes of debug information.
const SYMBOL_COST: usize = 64;

impl ModuleBinary {
    /// The symbols that are meant, at most so many: those of `.dynsym`, with versions, and of one `.symtab`: its own, or that of the
    /// debug file, or the one in `.gnu_debugdata`. What both have is there once, with the version. Sorted by address.
    #[must_use]
    pub fn symbols(&self, pattern: &Pattern, limit: usize) -> Vec<Symbol> {
        let mut symbols = self.symbols_that(&|_, _| true, &|symbol| pattern.matches_symbol(&symbol.name));
        symbols.truncate(limit);
        symbols
    }

    /// The symbol of the function or variable that an address of the module lies in, or that begins there. All symbols are
    /// looked at, but only the names of those that are there are read.
    #[must_use]
    pub fn symbol_at(&self, at: LinkAddr) -> Option<Symbol> {
        let is_there = |table: RawSymbols<'_>, entry: &RawEntry| {
            let start = table.address_of(entry);
            start == at.0 || (start..start.saturating_add(entry.size)).contains(&at.0)
        };
        let mut symbols = self.symbols_that(&is_there, &|_| true);
        // Of several the one that says the most exactly where it is.
        symbols.sort_by_key(|symbol| (symbol.range.is_empty(), symbol.range.end.0 - symbol.range.start.0));
        symbols.into_iter().next()
    }

    /// The symbols that are meant, of the entries that may be.
    fn symbols_that(
        &self,
        may_be: &(impl Fn(RawSymbols<'_>, &RawEntry) -> bool + Sync),
        is_meant: &(impl Fn(&Symbol) -> bool + Sync),
    ) -> Vec<Symbol> {
        let own = self.binary.as_deref();
        let has_table = |binary: &Binary| binary.section(".symtab").is_some();
        let full = own.filter(|own| has_table(own)).map(|own| (own, SymbolSource::SymbolTable));
        let full = full
            .or_else(|| {
                let debug = self.debug_file().filter(|debug| has_table(debug))?;
                Some((debug, SymbolSource::DebugFile))
            })
            .or_else(|| Some((self.mini_debug_info()?, SymbolSource::MiniDebugInfo)));
        let mut symbols = own.map_or_else(Vec::new, |own| exports::dynamic_symbols_that(own, may_be));
        symbols.retain(is_meant);
        if let Some((binary, source)) = full
            && let Some(table) = exports::raw_symbols(binary, TableKind::Full)
        {
            let known: HashSet<(LinkAddr, &[u8])> =
                symbols.iter().map(|one| (one.range.start, one.name.as_slice())).collect();
            let mut others = matching(table, source, may_be, is_meant);
            others.retain(|one| !known.contains(&(one.range.start, one.name.as_slice())));
            symbols.extend(others);
        }
        symbols.sort_by(|a, b| (a.range.start, &a.name).cmp(&(b.range.start, &b.name)));
        symbols
    }

    /// What the debug information defines by the names that are meant, at most so many, sorted by address: functions that
    /// have no symbol too, all their copies, and all calls that were inlined.
    #[must_use]
    pub fn definitions(&self, pattern: &Pattern, kinds: DefinitionKinds, limit: usize) -> Vec<Definition> {
        let debug = self.debug_info();
        debug.map_or_else(Vec::new, |debug| dwarf::find::definitions(debug, pattern, kinds, limit))
    }

    /// The type with a name, with all that is around it: `std::vector<int, std::allocator<int> >`. Of several of one name one
    /// that is defined, and not only declared.
    #[must_use]
    pub fn type_named(&self, name: &str) -> Option<TypeRef> {
        let debug = self.debug_info()?;
        let pattern = Pattern::name(name).ok()?.qualified(true);
        let found = dwarf::find::definitions(debug, &pattern, DefinitionKinds::TYPES, MOST_TYPES);
        let is_declared =
            |one: &&Definition| matches!(one.kind, DefinitionKind::Type { is_declaration: true });
        let best = found.iter().find(|one| !is_declared(one)).or(found.first())?;
        Some(TypeRef::at_entry(debug, best.entry))
    }

    /// Whether a type is from the debug information of this module.
    #[must_use]
    pub fn describes(&self, ty: &TypeRef) -> bool {
        self.debug_info().is_some_and(|debug| ty.is_of(debug))
    }

    /// The places in the code that belong to a source line, at most so many, sorted by address: one for each function and each
    /// inlined call that has code of it, which is where a debugger would stop. Where the line has no code, those of the next
    /// line that has some.
    #[must_use]
    pub fn line_places(&self, line: &SourceLine, limit: usize) -> Vec<LinePlace> {
        let described =
            self.debug_info().map_or_else(Vec::new, |debug| dwarf::find::places(debug, line, limit));
        if described.iter().any(|place| place.is_exact) {
            return described;
        }
        // What only the tables of Go's runtime know.
        let go = self.binary.as_ref().and_then(|binary| Some((binary, binary.go()?)));
        let known = go.map_or_else(Vec::new, |(binary, go)| go.line_places(binary.headers(), line, limit));
        if known.is_empty() || !described.is_empty() && !known[0].is_exact { described } else { known }
    }

    /// Where the arguments of a function that begins at `start` can be read: behind its prologue, as far as the line table says where
    /// that ends, or else at its start.
    #[must_use]
    pub fn after_prologue(&self, start: LinkAddr) -> LinkAddr {
        self.after_prologues(&[start]).get(&start).copied().unwrap_or(start)
    }

    /// The same for many functions at once, by where they begin: quicker than one after the other, and without those of which nothing is
    /// known.
    #[must_use]
    pub fn after_prologues(&self, starts: &[LinkAddr]) -> HashMap<LinkAddr, LinkAddr> {
        self.debug_info().map_or_else(HashMap::new, |debug| dwarf::find::after_prologues(debug, starts))
    }
}

/// The symbols of a table that are meant, of the entries that may be.
fn matching(
    table: RawSymbols<'_>,
    source: SymbolSource,
    may_be: &(impl Fn(RawSymbols<'_>, &RawEntry) -> bool + Sync),
    is_meant: &(impl Fn(&Symbol) -> bool + Sync),
) -> Vec<Symbol> {
    let count = table.len().min(exports::MOST_SYMBOLS) as u32;
    let starts = (0..count).step_by(SYMBOLS_PER_JOB as usize);
    let jobs: Vec<(usize, u32)> =
        starts.map(|start| (SYMBOLS_PER_JOB as usize * SYMBOL_COST, start)).collect();
    let budget = exports::NameBudget::of(table);
    let found = parallel::run(&jobs, |start| {
        let numbers = *start..start.saturating_add(SYMBOLS_PER_JOB).min(count);
        let symbol = |number| {
            let entry = table.entry(number).filter(|entry| may_be(table, entry))?;
            Symbol::new(table, &entry, source)
        };
        let named = numbers.filter_map(symbol).map_while(|symbol| budget.take(symbol));
        named.filter(is_meant).collect::<Vec<Symbol>>()
    });
    found.into_iter().flatten().collect()
}
