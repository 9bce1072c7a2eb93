//! What was zeroed, and what was kept.

use std::ops::Range;

use prospect_process::Addr;

/// More ranges than these are only counted.
const MOST_RANGES: usize = 1 << 17;

/// What a redaction has done: where, and never what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Manifest {
    /// What was zeroed, by address.
    pub zeroed: Vec<Zeroed>,
    /// How many bytes were zeroed besides, for which there was no room in the list.
    pub zeroed_more: u64,
    /// The memory that the dump has, by address, with its zeroed parts.
    pub kept: Vec<Range<Addr>>,
}

/// Bytes that were zeroed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Zeroed {
    /// Which.
    pub range: Range<Addr>,
    /// The index of the rule's name in [`Redaction::names`](super::Redaction::names).
    pub rule: usize,
}

impl Manifest {
    /// How many ranges a rule zeroed, and how many bytes; ranges that there was no room for are not counted.
    #[must_use]
    pub fn of_rule(&self, rule: usize) -> (u64, u64) {
        let zeroed = self.zeroed.iter().filter(|zeroed| zeroed.rule == rule);
        zeroed.fold((0, 0), |(count, bytes), one| (count + 1, bytes + one.range.end.0 - one.range.start.0))
    }

    pub(super) fn add(&mut self, range: Range<Addr>, rule: usize) {
        let has_room = self.zeroed.len() < MOST_RANGES;
        match self.zeroed.last_mut() {
            Some(last) if last.rule == rule && last.range.end == range.start => last.range.end = range.end,
            _ if has_room => self.zeroed.push(Zeroed { range, rule }),
            _ => self.zeroed_more = self.zeroed_more.saturating_add(range.end.0 - range.start.0),
        }
    }
}
