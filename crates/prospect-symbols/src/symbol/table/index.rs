//! A sorted index over a symbol table, for those who ask again and again.

use prospect_process::LinkAddr;

use super::{
    FunctionSymbol,
    raw::{RawSymbol, RawSymbols},
};
use crate::binary::Headers;

/// Symbols that overlap more deeply than this are broken or hostile.
const MOST_OVERLAPPING: usize = 1000;

/// All functions, sorted by address.
#[derive(Debug)]
pub(super) struct SymbolIndex(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    start: u64,
    end: u64,
    /// The furthest end of this entry and all before it.
    reach: u64,
    number: u32,
}

impl SymbolIndex {
    pub(super) fn new(symbols: RawSymbols<'_>) -> Self {
        let mut entries: Vec<Entry> = symbols
            .functions()
            .filter(|(_, symbol)| symbols.is_named(symbol))
            .map(|(number, symbol)| Entry {
                start: symbol.start,
                end: symbol.start.saturating_add(symbol.size),
                reach: 0,
                number,
            })
            .collect();
        entries.sort_by_key(|entry| entry.start);
        let mut reach = 0;
        for entry in &mut entries {
            reach = entry.end.max(reach);
            entry.reach = reach;
        }
        Self(entries)
    }

    pub(super) fn find<'a>(
        &self,
        symbols: RawSymbols<'a>,
        headers: &Headers,
        at: LinkAddr,
    ) -> Option<FunctionSymbol<'a>> {
        let end = self.0.partition_point(|entry| entry.start <= at.0);
        let before = self.0.get(..end)?;
        let nearest_start = before.last()?.start;
        let covering = before
            .iter()
            .rev()
            .take(MOST_OVERLAPPING)
            .take_while(|entry| entry.reach > at.0)
            .find(|entry| entry.end > at.0);
        let start = match covering {
            Some(entry) => entry.start,
            // A symbol without a size reaches to the next symbol, or to the end of its section.
            None if headers.code_end(LinkAddr(nearest_start)).is_some_and(|end| at < end) => nearest_start,
            None => return None,
        };
        let covers = |entry: &&Entry| {
            if covering.is_some() { entry.end > at.0 } else { entry.end == entry.start }
        };
        let same = before[before.partition_point(|entry| entry.start < start)..]
            .iter()
            .take(MOST_OVERLAPPING)
            .take_while(|entry| entry.start == start);
        let same = same.filter(covers).filter_map(|entry| symbols.get(entry.number));
        // Of two equal ones the first counts, as in a scan.
        let order = |symbol: &RawSymbol| (std::cmp::Reverse(symbol.size), symbols.rank(symbol));
        let best = same.reduce(|best, other| if order(&other) > order(&best) { other } else { best });
        best.map(|symbol| FunctionSymbol {
            name: symbols.function_name(&symbol),
            start: LinkAddr(start),
            size: symbol.size,
        })
    }
}
