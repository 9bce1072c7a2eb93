//! Looks up a few addresses in one pass over a symbol table.

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
    /// The best symbol without a size, and the start of any symbol, between this address and the one
    /// before it.
    sizeless: Option<RawSymbol>,
    nearest_start: Option<u64>,
}

pub(super) fn find<'a>(
    symbols: RawSymbols<'a>,
    headers: &Headers,
    addresses: &[LinkAddr],
) -> Vec<Option<FunctionSymbol<'a>>> {
    let mut found = vec![Found::default(); addresses.len()];
    let Some(last) = addresses.last() else { return Vec::new() };
    let mut comparisons = 0;
    for (_, symbol) in symbols.functions() {
        if symbol.start > last.0 {
            continue;
        }
        let first = addresses.partition_point(|at| at.0 < symbol.start);
        let Some(gap) = found.get_mut(first) else { continue };
        let end = symbol.start.saturating_add(symbol.size);
        let covers = addresses.get(first).is_some_and(|at| at.0 < end);
        if !covers && gap.nearest_start.is_some_and(|start| start > symbol.start) {
            continue;
        }
        if !symbols.is_named(&symbol) {
            continue;
        }
        gap.nearest_start = gap.nearest_start.max(Some(symbol.start));
        if symbol.size == 0 {
            replace_if_better(symbols, &mut gap.sizeless, symbol);
            continue;
        }
        for (one, at) in found[first..].iter_mut().zip(&addresses[first..]) {
            if at.0 >= end {
                break;
            }
            replace_if_better(symbols, &mut one.covering, symbol);
            comparisons += 1;
        }
        if comparisons > MOST_COMPARISONS {
            break;
        }
    }
    choose(symbols, &found, headers, addresses)
}

/// Of two that cover an address, the inner one is meant: it begins later, or ends earlier. Of equal ones
/// the first, as binutils has it.
fn replace_if_better(symbols: RawSymbols<'_>, place: &mut Option<RawSymbol>, other: RawSymbol) {
    let order = |one: &RawSymbol| (one.start, std::cmp::Reverse(one.size), symbols.rank(one));
    if place.as_ref().is_none_or(|best| order(&other) > order(best)) {
        *place = Some(other);
    }
}

fn choose<'a>(
    symbols: RawSymbols<'a>,
    found: &[Found],
    headers: &Headers,
    addresses: &[LinkAddr],
) -> Vec<Option<FunctionSymbol<'a>>> {
    let (mut sizeless, mut nearest_start) = (None::<RawSymbol>, None);
    let mut chosen = Vec::with_capacity(found.len());
    for (one, at) in found.iter().zip(addresses) {
        sizeless = one.sizeless.or(sizeless);
        nearest_start = one.nearest_start.or(nearest_start);
        // A symbol without a size reaches to the next symbol, or to the end of its section.
        let reaches = |candidate: &RawSymbol| {
            Some(candidate.start) == nearest_start
                && headers.code_end(LinkAddr(candidate.start)).is_some_and(|end| *at < end)
        };
        let best = one.covering.or_else(|| sizeless.filter(reaches));
        chosen.push(best.map(|symbol| FunctionSymbol {
            name: symbols.function_name(&symbol),
            start: LinkAddr(symbol.start),
            size: symbol.size,
        }));
    }
    chosen
}
