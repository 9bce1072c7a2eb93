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

/// A piece of a unit's code; those that come first are asked first.
struct Piece {
    start: u64,
    end: u64,
    unit: usize,
}

impl Map {
    /// The map of a file. `None` where its addresses are too far apart, or too many units claim the same ones.
    pub(super) fn build(debug: &DebugInfo, fuel: &mut Fuel<'_>) -> Option<Self> {
        let sections = debug.main.sections();
        let pieces = pieces(debug, &sections, fuel)?;
        let mut units: Vec<usize> = pieces.iter().map(|piece| piece.unit).collect();
        units.sort_unstable();
        units.dedup();
        u32::try_from(units.len()).ok().filter(|&count| count < IS_LIST - 1)?;
        // Where pieces begin and end.
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * pieces.len());
        for (order, piece) in pieces.iter().enumerate() {
            events.extend([(piece.start, true, order), (piece.end, false, order)]);
        }
        events.sort_unstable();
        let mut map = Self { base: events.first().map_or(0, |event| event.0), units, ..Self::default() };
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        let mut written: HashMap<Vec<u32>, u32> = HashMap::new();
        for (index, &(at, begins, order)) in events.iter().enumerate() {
            if begins {
                open.insert(order, pieces[order].unit);
            } else {
                open.remove(&order);
            }
            if events.get(index + 1).is_none_or(|next| next.0 != at) {
                let value = map.value(&open, &mut written)?;
                map.add(at, value)?;
            }
        }
        Some(map)
    }

    fn value(&mut self, open: &BTreeMap<usize, usize>, written: &mut HashMap<Vec<u32>, u32>) -> Option<u32> {
        let mut list: Vec<u32> = Vec::new();
        for (count, unit) in open.values().enumerate() {
            if list.len() == MOST_CANDIDATES {
                break;
            }
            if count == MOST_OVERLAPPING {
                return None;
            }
            let number = u32::try_from(self.units.binary_search(unit).ok()?).ok()?;
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

    fn add(&mut self, at: u64, value: u32) -> Option<()> {
        if self.records.last().map_or(0, |last| last.1) != value {
            self.records.push((u32::try_from(at - self.base).ok()?, value));
        }
        Some(())
    }
}

/// What the aranges say, then what the root entries say: the order in which units are asked.
fn pieces(debug: &DebugInfo, sections: &Sections<'_>, fuel: &mut Fuel<'_>) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut add = |start: u64, end: u64, unit: usize| {
        if start < end && pieces.len() <= MOST_RANGES {
            pieces.push(Piece { start, end, unit });
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
