//! Ranges of memory, each byte once.

use std::{collections::BTreeMap, ops::Range};

use prospect_process::Addr;

/// Memory in so many pieces takes some megabytes to remember.
const MOST_RANGES: usize = 1 << 16;

/// A set of addresses as ranges that neither overlap nor touch. It has room for a bounded number of them: see
/// [`insert`](Self::insert).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PageSet {
    /// The end of each by its start.
    ranges: BTreeMap<Addr, Addr>,
}

impl PageSet {
    /// Adds a range. Says whether there was room: where there is none, only what continues another range is added.
    pub fn insert(&mut self, range: Range<Addr>) -> bool {
        let Range { mut start, mut end } = range;
        if start >= end {
            return true;
        }
        if let Some((first, last)) = self.ranges.range(..=start).next_back().filter(|one| *one.1 >= start) {
            (start, end) = (*first, end.max(*last));
        }
        let mut joined = Vec::new();
        for (first, last) in self.ranges.range(start..=end) {
            end = end.max(*last);
            joined.push(*first);
        }
        if joined.is_empty() && self.ranges.len() >= MOST_RANGES {
            return false;
        }
        for first in joined {
            self.ranges.remove(&first);
        }
        self.ranges.insert(start, end);
        true
    }

    /// What of a range is in it, by address.
    pub fn within(&self, range: Range<Addr>) -> impl Iterator<Item = Range<Addr>> + '_ {
        let before = self.ranges.range(..range.start).next_back();
        let rest = self.ranges.range(range.start..range.end.max(range.start));
        let parts = before.into_iter().chain(rest);
        parts
            .map(move |(start, end)| range.start.max(*start)..range.end.min(*end))
            .filter(|part| part.start < part.end)
    }

    /// What of a range is not in it, by address.
    #[must_use]
    pub fn gaps(&self, range: Range<Addr>) -> Vec<Range<Addr>> {
        let mut next = range.start;
        let mut gaps = Vec::new();
        for part in self.within(range.clone()) {
            if next < part.start {
                gaps.push(next..part.start);
            }
            next = part.end;
        }
        if next < range.end {
            gaps.push(next..range.end);
        }
        gaps
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, at: Addr) -> bool {
        self.ranges.range(..=at).next_back().is_some_and(|(_, end)| at < *end)
    }

    /// Its ranges, by address.
    pub fn iter(&self) -> impl Iterator<Item = Range<Addr>> + '_ {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    /// How many bytes are in it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.iter().map(|range| range.end.0 - range.start.0).sum()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromIterator<Range<Addr>> for PageSet {
    fn from_iter<T: IntoIterator<Item = Range<Addr>>>(ranges: T) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<Addr> {
        Addr(start)..Addr(end)
    }

    #[test]
    fn it_is_what_a_list_of_flags_would_be() {
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let (mut set, mut flags) = (PageSet::default(), [false; 200]);
        for _ in 0..400 {
            let start = random(190);
            let end = start + random(6);
            assert!(set.insert(range(start, end)));
            flags[start as usize..end as usize].fill(true);
            assert_eq!(set.bytes(), flags.iter().filter(|set| **set).count() as u64);
            let all: Vec<_> = set.iter().collect();
            assert!(all.windows(2).all(|pair| pair[0].end < pair[1].start), "{all:?}");
            let (from, to) = (random(200), random(200));
            let mut seen = flags;
            seen.iter_mut().enumerate().for_each(|(at, flag)| *flag &= (from..to).contains(&(at as u64)));
            for part in set.within(range(from, to)) {
                seen[part.start.0 as usize..part.end.0 as usize].iter_mut().for_each(|flag| {
                    assert!(*flag);
                    *flag = false;
                });
            }
            assert!(seen.iter().all(|flag| !flag));
            let missing: u64 = set.gaps(range(from, to)).iter().map(|gap| gap.end.0 - gap.start.0).sum();
            let there: u64 = set.within(range(from, to)).map(|part| part.end.0 - part.start.0).sum();
            assert_eq!(missing + there, to.saturating_sub(from));
        }
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut set: PageSet =
            (0..2 * MOST_RANGES as u64).map(|index| range(4 * index, 4 * index + 1)).collect();
        assert_eq!(set.iter().count(), MOST_RANGES);
        assert!(!set.insert(range(u64::MAX - 1, u64::MAX)));
        assert!(set.insert(range(1, 2)), "what continues one needs no room");
    }
}
