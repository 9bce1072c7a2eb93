//! All rules of a module.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::{ControlFlow, Range},
};

use prospect_process::LinkAddr;
use prospect_symbols::Binary;

use super::ReturnRule;

/// No more rows are kept. The largest libraries have some millions.
const MOST_ROWS: usize = 16 << 20;

/// So many rows each part of the index has about.
const ROWS_IN_PART: u64 = 8;

/// All rules that the call frame information of one binary has, compiled into little room: 6 bytes for each row, and 16 for each different rule. It
/// never changes, and looking into it allocates nothing.
#[derive(Debug, Default)]
pub struct RuleTable {
    /// What the rows' addresses are relative to.
    start: u64,
    /// Where each row begins; it goes on to the next one.
    offsets: Vec<u32>,
    /// The rule of each row.
    rows: Vec<u16>,
    /// The different rules.
    rules: Vec<ReturnRule>,
    /// For each part of 2 to the power of `shift` bytes, how many rows begin before it.
    parts: Vec<u32>,
    shift: u32,
}

impl RuleTable {
    /// Compiles all that the binary says.
    #[must_use]
    pub fn of(binary: &Binary) -> Self {
        let Some(arch) = binary.arch() else { return Self::default() };
        let mut rules = DistinctRules::default();
        let mut rows: Vec<(Range<LinkAddr>, u16)> = Vec::new();
        binary.every_unwind_row(|range, row| {
            let rule = row.map_or(ReturnRule::BROKEN, |row| ReturnRule::from_row(row, arch));
            let rule = rules.number(rule);
            match rows.last_mut() {
                Some((last, same)) if last.end == range.start && *same == rule => last.end = range.end,
                _ => rows.push((range, rule)),
            }
            if rows.len() < MOST_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        Self::from_rows(rows, rules)
    }

    fn from_rows(mut rows: Vec<(Range<LinkAddr>, u16)>, mut rules: DistinctRules) -> Self {
        // Mostly they are in order already.
        rows.sort_by_key(|(range, _)| range.start);
        let Some((first, _)) = rows.first() else { return Self::default() };
        let start = first.start.0;
        let none = rules.number(ReturnRule::NOT_COVERED);
        let mut table = Self { start, ..Self::default() };
        let mut end = start;
        let mut row_at = |at: u64, rule: u16| {
            // Code of one binary is less than 4 GiB.
            let Ok(offset) = u32::try_from(at - start) else { return };
            if table.offsets.last() == Some(&offset) {
                table.rows.pop();
                table.offsets.pop();
            }
            if table.rows.last() != Some(&rule) {
                table.offsets.push(offset);
                table.rows.push(rule);
            }
        };
        for (range, rule) in rows {
            // Of broken rows that overlap, the first has what both have.
            let from = range.start.0.max(end);
            if from >= range.end.0 {
                continue;
            }
            if from > end {
                row_at(end, none);
            }
            row_at(from, rule);
            end = range.end.0;
        }
        row_at(end, none);
        table.offsets.shrink_to_fit();
        table.rows.shrink_to_fit();
        table.rules = rules.rules;
        table.index();
        table
    }

    fn index(&mut self) {
        let last = u64::from(self.offsets.last().copied().unwrap_or(0));
        let most = self.offsets.len() as u64 / ROWS_IN_PART + 1;
        self.shift = (0..32).find(|shift| last >> shift <= most).unwrap_or(32);
        let parts = (last >> self.shift) + 2;
        let mut row = 0;
        self.parts = (0..parts)
            .map(|part| {
                while self.offsets.get(row).is_some_and(|offset| u64::from(*offset) >> self.shift < part) {
                    row += 1;
                }
                u32::try_from(row).unwrap_or(u32::MAX)
            })
            .collect();
    }

    /// The rule for an address, as it is [looked up](crate::CodeAddress::for_lookup).
    #[must_use]
    pub fn rule(&self, at: LinkAddr) -> ReturnRule {
        self.find(at).unwrap_or(ReturnRule::NOT_COVERED)
    }

    fn find(&self, at: LinkAddr) -> Option<ReturnRule> {
        let offset = u32::try_from(at.0.checked_sub(self.start)?).ok()?;
        let part = usize::try_from(u64::from(offset) >> self.shift).ok()?;
        // The last row before this part goes on into it. Behind the last part is what the last row says.
        let from = self.parts.get(part).map_or(self.offsets.len(), |rows| *rows as usize);
        let to = self.parts.get(part + 1).map_or(self.offsets.len(), |rows| *rows as usize);
        let begun = from + self.offsets.get(from..to)?.partition_point(|start| *start <= offset);
        let rule = self.rows.get(begun.checked_sub(1)?)?;
        self.rules.get(usize::from(*rule)).copied()
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.offsets)
            + size_of_val(&*self.rows)
            + size_of_val(&*self.rules)
            + size_of_val(&*self.parts)
    }
}

/// The different rules of a table.
#[derive(Default)]
struct DistinctRules {
    rules: Vec<ReturnRule>,
    numbers: HashMap<ReturnRule, u16>,
    last: Option<(ReturnRule, u16)>,
}

impl DistinctRules {
    /// The number of a rule. The last number is that of all rules for which there are none left, and says that
    /// nothing is known: real binaries have some hundreds.
    fn number(&mut self, rule: ReturnRule) -> u16 {
        if let Some((_, number)) = self.last.filter(|(last, _)| *last == rule) {
            return number;
        }
        let room = self.rules.len() < usize::from(u16::MAX);
        let rule = if room || self.numbers.contains_key(&rule) { rule } else { ReturnRule::INEXPRESSIBLE };
        let number = match self.numbers.entry(rule) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let number = self.rules.len() as u16;
                self.rules.push(rule);
                *place.insert(number)
            }
        };
        self.last = Some((rule, number));
        number
    }
}
