//! Looks up a few addresses in one pass over a symbol table.

use std::cmp::{Ordering, Reverse};

use prospect_process::LinkAddr;

use super::{
    FunctionSymbol,
    raw::{RawSymbol, RawSymbols},
};
use crate::binary::Headers;

/// In a sane table few symbols overlap. One in which each covers everything must not take for ever.
const MOST_COMPARISONS: usize = 4 << 20;

/// What was found for one address, or for the gap below it.
#[derive(Clone, Copy, Default)]
struct Found {
    /// The best symbol whose size reaches over the address.
    covering: Option<RawSymbol>,
    /// The best symbol without a size between this address and the one before it.
    sizeless: Option<RawSymbol>,
}

/// Names are looked at as late as can be: those of a large table are on many pages.
pub(super) fn find<'a>(
    symbols: RawSymbols<'a>,
    headers: &Headers,
    addresses: &[LinkAddr],
) -> Vec<Option<FunctionSymbol<'a>>> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let mut found = vec![Found::default(); addresses.len()];
    let mut comparisons = 0;
    for_each_below(symbols, addresses, |first, symbol| {
        if symbol.size == 0 {
            replace_if_better(symbols, &mut found[first].sizeless, symbol);
            return true;
        }
        let end = symbol.start.saturating_add(symbol.size);
        for (one, _) in found[first..].iter_mut().zip(&addresses[first..]).take_while(|(_, at)| at.0 < end) {
            replace_if_better(symbols, &mut one.covering, symbol);
            comparisons += 1;
        }
        comparisons <= MOST_COMPARISONS
    });
    reach_further(symbols, headers, addresses, &mut found);
    let best = found.iter().map(|one| one.covering.or(one.sizeless));
    let function = |symbol: RawSymbol| FunctionSymbol {
        name: symbols.function_name(&symbol),
        start: LinkAddr(symbol.start),
        size: symbol.size,
    };
    best.map(|best| best.map(function)).collect()
}

/// Calls `visit` with each symbol that begins at one of `addresses` (sorted) or below, and the place of the first such
/// address, for as long as it says so.
fn for_each_below(
    symbols: RawSymbols<'_>,
    addresses: &[LinkAddr],
    mut visit: impl FnMut(usize, RawSymbol) -> bool,
) {
    let mut first = 0;
    for (_, symbol) in symbols.functions() {
        // Linkers often put symbols in the order of their addresses: it is the place of the one before.
        let is_first = addresses.get(first).is_some_and(|at| at.0 >= symbol.start)
            && first.checked_sub(1).is_none_or(|before| addresses[before].0 < symbol.start);
        if !is_first {
            first = addresses.partition_point(|at| at.0 < symbol.start);
        }
        if first < addresses.len() && !visit(first, symbol) {
            return;
        }
    }
}

/// Of two that cover an address, the inner one is meant: it begins later, or ends earlier. Of equal ones
/// the first, as binutils has it.
fn replace_if_better(symbols: RawSymbols<'_>, place: &mut Option<RawSymbol>, other: RawSymbol) {
    let inner = |one: &RawSymbol| (one.start, Reverse(one.size));
    let is_better = |best: &RawSymbol| match inner(&other).cmp(&inner(best)) {
        Ordering::Equal => symbols.rank(&other) > symbols.rank(best),
        order => order.is_gt(),
    };
    if place.as_ref().is_none_or(is_better) && symbols.is_named(&other) {
        *place = Some(other);
    }
}

/// A symbol without a size reaches to the next symbol, or to the end of its section: lets those that reach to the addresses
/// that none covers, and no others, be what was found for them.
fn reach_further(symbols: RawSymbols<'_>, headers: &Headers, addresses: &[LinkAddr], found: &mut [Found]) {
    let mut nearest = None;
    for (one, at) in found.iter_mut().zip(addresses) {
        nearest = one.sizeless.or(nearest);
        let in_section =
            |symbol: &RawSymbol| headers.code_end(LinkAddr(symbol.start)).is_some_and(|end| *at < end);
        one.sizeless = nearest.filter(|symbol| one.covering.is_none() && in_section(symbol));
    }
    let places: Vec<usize> = (0..found.len()).filter(|&place| found[place].sizeless.is_some()).collect();
    let open: Vec<LinkAddr> = places.iter().map(|&place| addresses[place]).collect();
    if open.is_empty() {
        return;
    }
    // Of the addresses in a gap, those that come later may be beyond a symbol, too: what begins below one is below them.
    for_each_below(symbols, &open, |first, symbol| {
        for &place in &places[first..] {
            let reaching = &mut found[place].sizeless;
            if reaching.is_none_or(|reaching| reaching.start >= symbol.start) {
                break;
            }
            if !symbols.is_named(&symbol) {
                break;
            }
            *reaching = None;
        }
        true
    });
}
