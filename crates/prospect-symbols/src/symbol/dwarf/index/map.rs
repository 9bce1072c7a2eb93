//! Which units may cover an address: for all of a file at once, as [`unit_index`] has it for some addresses.

use std::collections::{BTreeMap, HashMap};

use super::super::{
    DebugInfo, MOST_CANDIDATES,
    fuel::Fuel,
    ranges::each,
    sections::Sections,
    unit::Unit,
    unit_index::{self, unit_code},
};

/// A file with more ranges of code than this is not indexed.
const MOST_RANGES: usize = 20_000_000;

/// So many ranges over each other are looked at for the units that come first.
const MOST_OVERLAPPING: usize = 256;

/// The bit of a record's value that says that it is a place in the lists.
pub(super) const IS_LIST: u32 = 1 << 31;

/// Addresses in order, each with the units that may cover the code from there on.
#[derive(Default)]
pub(super) struct Map {
    /// What `records` count from.
    pub(super) base: u64,
    /// Addresses, and: 0 for none, the number of a unit and 1, or [`IS_LIST`] and a place in `lists`.
    pub(super) records: Vec<(u32, u32)>,
    /// Each with its length before it.
    pub(super) lists: Vec<u32>,
    /// Where the units begin, in order; their numbers are their places here.
    pub(super) units: Vec<usize>,
}

/// A piece of a unit's code.
struct Piece {
    start: u64,
    end: u64,
    unit: usize,
    /// Those that come first are asked first.
    order: usize,
}

/// The lists that were written, and what refers to each.
type Written = HashMap<Vec<u32>, u32>;

impl Map {
    /// The map of a file. `None` where its addresses are too far apart, or too many units claim the same ones.
    pub(super) fn build(debug: &DebugInfo, fuel: &mut Fuel<'_>) -> Option<Self> {
        let sections = debug.main.sections();
        Self::of(pieces(debug, &sections, fuel)?)
    }

    fn of(mut pieces: Vec<Piece>) -> Option<Self> {
        let mut units: Vec<usize> = pieces.iter().map(|piece| piece.unit).collect();
        units.dedup();
        units.sort_unstable();
        units.dedup();
        u32::try_from(units.len()).ok().filter(|&count| count < IS_LIST - 1)?;
        // Much of it is in order already: this way of sorting sees that. Most is said by aranges and roots alike.
        let place = |piece: &Piece| (piece.start, piece.end, piece.unit);
        pieces.sort_by_key(place);
        pieces.dedup_by(|next, piece| place(next) == place(piece));
        let mut map = Self { base: pieces.first().map_or(0, |piece| piece.start), units, ..Self::default() };
        let mut written = Written::new();
        let mut rest = &pieces[..];
        while let Some(first) = rest.first() {
            // Those that lie over each other, directly or by others between them.
            let mut end = first.end;
            let count = rest.iter().take_while(|piece| {
                let is_over = std::ptr::eq(*piece, first) || piece.start < end;
                end = end.max(piece.end);
                is_over
            });
            let (together, behind) = rest.split_at(count.count());
            map.add_together(together, &mut written)?;
            rest = behind;
        }
        Some(map)
    }

    /// Adds pieces, sorted, that lie over each other and behind all others.
    fn add_together(&mut self, pieces: &[Piece], written: &mut Written) -> Option<()> {
        if let [piece] = pieces {
            let value = self.number(piece.unit)? + 1;
            self.add(piece.start, value)?;
            return self.add(piece.end, 0);
        }
        // Where they begin and end.
        let both = |piece: &Piece| {
            [(piece.start, true, piece.order, piece.unit), (piece.end, false, piece.order, piece.unit)]
        };
        let mut events: Vec<(u64, bool, usize, usize)> = pieces.iter().flat_map(both).collect();
        events.sort_unstable();
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        for (index, &(at, begins, order, unit)) in events.iter().enumerate() {
            if begins {
                open.insert(order, unit);
            } else {
                open.remove(&order);
            }
            if events.get(index + 1).is_none_or(|next| next.0 != at) {
                let value = self.value(&open, written)?;
                self.add(at, value)?;
            }
        }
        Some(())
    }

    /// The number of the unit that begins at `start`.
    fn number(&self, start: usize) -> Option<u32> {
        u32::try_from(self.units.binary_search(&start).ok()?).ok()
    }

    fn value(&mut self, open: &BTreeMap<usize, usize>, written: &mut Written) -> Option<u32> {
        let mut list: Vec<u32> = Vec::new();
        for (count, unit) in open.values().enumerate() {
            if list.len() == MOST_CANDIDATES {
                break;
            }
            if count == MOST_OVERLAPPING {
                return None;
            }
            let number = self.number(*unit)?;
            if !list.contains(&number) {
                list.push(number);
            }
        }
        Some(match *list {
            [] => 0,
            [one] => one + 1,
            _ => {
                if let Some(&value) = written.get(&list) {
                    return Some(value);
                }
                let place = u32::try_from(self.lists.len()).ok().filter(|&place| place < IS_LIST)?;
                self.lists.push(list.len() as u32);
                self.lists.extend_from_slice(&list);
                written.insert(list, IS_LIST | place);
                IS_LIST | place
            }
        })
    }

    /// From `at` on, this is so. What is said of one address last counts.
    fn add(&mut self, at: u64, value: u32) -> Option<()> {
        let at = u32::try_from(at - self.base).ok()?;
        if self.records.last().is_some_and(|last| last.0 == at) {
            self.records.pop();
        }
        if self.records.last().map_or(0, |last| last.1) != value {
            self.records.push((at, value));
        }
        Some(())
    }
}

/// What the aranges say, then what the root entries say: the order in which units are asked.
fn pieces(debug: &DebugInfo, sections: &Sections<'_>, fuel: &mut Fuel<'_>) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut add = |start: u64, end: u64, unit: usize| {
        if start < end && pieces.len() <= MOST_RANGES {
            pieces.push(Piece { start, end, unit, order: pieces.len() });
        }
    };
    unit_index::each_arange(sections, fuel, &mut add);
    let starts = debug.main.all_unit_starts(sections);
    for chunk in starts.chunks(super::super::UNITS_PER_SCAN) {
        for &start in chunk {
            let Some(unit) = Unit::open_root(&debug.main, *sections, start, fuel) else { continue };
            let _ = each(&unit, &unit_code(&unit), fuel, |low, high, _| {
                add(low, high, start);
                Some(())
            });
        }
        if let (Some(&first), Some(&last)) = (chunk.first(), chunk.last()) {
            sections.info.release(first..last);
        }
    }
    (pieces.len() <= MOST_RANGES && !fuel.is_out()).then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// The units, by number, that the pieces over an address are of, in their order.
    fn expected(pieces: &[(u64, u64, usize)], units: &[usize], at: u64) -> Vec<u32> {
        let over = pieces.iter().filter(|&&(start, end, _)| (start..end).contains(&at));
        let mut found: Vec<u32> = Vec::new();
        for &(_, _, unit) in over {
            let number = units.iter().position(|&one| one == unit).unwrap() as u32;
            if !found.contains(&number) && found.len() < MOST_CANDIDATES {
                found.push(number);
            }
        }
        found
    }

    fn found(map: &Map, at: u64) -> Vec<u32> {
        let before = map.records.partition_point(|record| u64::from(record.0) + map.base <= at);
        match before.checked_sub(1).map_or(0, |index| map.records[index].1) {
            0 => Vec::new(),
            list if list & IS_LIST != 0 => {
                let list = &map.lists[(list & !IS_LIST) as usize..];
                list[1..=list[0] as usize].to_vec()
            }
            one => vec![one - 1],
        }
    }

    #[test]
    fn pieces_may_lie_side_by_side_and_over_each_other() {
        let mut random = Random(7);
        for round in 0..300 {
            let pieces: Vec<(u64, u64, usize)> = (0..1 + random.below(20))
                .map(|_| {
                    // Most are as long as there is room for them.
                    let start = 100 + 4 * random.below(30) as u64;
                    let length = if random.below(3) > 0 { 4 } else { 1 + random.below(40) as u64 };
                    (start, start + length, 10 * random.below(5))
                })
                .collect();
            let numbered = pieces.iter().enumerate();
            let numbered = numbered.map(|(order, &(start, end, unit))| Piece { start, end, unit, order });
            let map = Map::of(numbered.collect()).unwrap();
            assert!(map.records.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
            for at in 90..300 {
                assert_eq!(found(&map, at), expected(&pieces, &map.units, at), "{round}: {at}: {pieces:?}");
            }
        }
    }
}
