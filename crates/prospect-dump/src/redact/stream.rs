//! The rules at work on memory that passes by.
//!
//! Bytes come in pieces and leave a little later: what is searched for may lie across the ends of pieces, of pages and of mappings, and
//! what is decided of a byte depends on 64 KiB behind it. Where memory in the dump ends, what lies beyond is looked at as well.

use std::ops::Range;

use prospect_process::{Addr, Content};
use regex::bytes::Regex;

use super::{Manifest, Prepared, What, random};

/// What is searched at once.
const WINDOW_BYTES: usize = 512 << 10;
/// A match of this length is found wherever it lies.
pub(super) const LONGEST_MATCH: usize = 64 << 10;
/// So much is looked at where the dump has no more.
const EDGE_BYTES: u64 = 16 << 10;
/// What stays for patterns that look at what is before (`\b`), and for words that begin there.
const CONTEXT_BYTES: usize = 16;

/// What takes bytes that lie at an address.
type Take<'a, E> = &'a mut dyn FnMut(Addr, &[u8]) -> Result<(), E>;

/// Zeroes what rules say.
pub(crate) struct Redactor<'a> {
    rules: &'a Prepared<'a>,
    /// The bytes as they are, those that have left up to [`CONTEXT_BYTES`] before.
    window: Vec<u8>,
    /// Where they are.
    base: Addr,
    /// How many of them have left, or are not to.
    done: usize,
    /// For each rule, where its search goes on, and whether what it found last may go on there.
    searches: Vec<(usize, bool)>,
    /// What is to be zeroed, as far as it has not left, with the indexes of rules.
    marks: Vec<(Range<usize>, usize)>,
    /// What leaves.
    out: Vec<u8>,
    names: Vec<usize>,
    manifest: Manifest,
}

impl<'a> Redactor<'a> {
    pub(crate) fn new(rules: &'a Prepared<'a>) -> Self {
        let all = rules.redaction.names();
        let place = |name: &str| all.iter().position(|one| *one == name).unwrap_or(0);
        let names = rules.redaction.rules.iter().map(|rule| place(&rule.name)).collect();
        Self {
            searches: vec![(0, false); rules.redaction.rules.len()],
            rules,
            window: Vec::new(),
            base: Addr(0),
            done: 0,
            marks: Vec::new(),
            out: Vec::new(),
            names,
            manifest: Manifest::default(),
        }
    }

    /// Takes bytes that lie at `at`, and gives away those that are decided, in their order.
    pub(crate) fn push<E>(&mut self, at: Addr, bytes: &[u8], take: Take<'_, E>) -> Result<(), E> {
        if at != self.end() {
            self.flush(take)?;
        }
        if self.window.is_empty() {
            self.begin(at);
        }
        for part in bytes.chunks(WINDOW_BYTES) {
            self.window.extend(part);
            if self.window.len() >= self.done + WINDOW_BYTES + LONGEST_MATCH {
                // Whole words, that is, of every size.
                let until = (self.window.len() - LONGEST_MATCH) & !15;
                self.search(until, false);
                self.leave(until, take)?;
            }
        }
        Ok(())
    }

    /// Gives away the rest: what comes then lies elsewhere.
    pub(crate) fn flush<E>(&mut self, take: Take<'_, E>) -> Result<(), E> {
        if self.window.is_empty() {
            return Ok(());
        }
        let end = self.window.len();
        let beyond = self.beyond(self.end()..Addr(self.end().0.saturating_add(EDGE_BYTES)), false);
        self.window.extend(beyond);
        self.search(self.window.len(), true);
        self.leave(end, take)?;
        self.window.clear();
        self.marks.clear();
        self.searches.fill((0, false));
        self.done = 0;
        Ok(())
    }

    /// What was done.
    pub(crate) fn into_manifest(self) -> Manifest {
        let mut manifest = self.manifest;
        manifest.zeroed.sort_by_key(|zeroed| (zeroed.rule, zeroed.range.start));
        // What a rule has found twice.
        manifest.zeroed.dedup_by(|next, last| {
            let is_same = next.rule == last.rule && next.range.start <= last.range.end;
            if is_same {
                last.range.end = last.range.end.max(next.range.end);
            }
            is_same
        });
        manifest.zeroed.sort_by_key(|zeroed| (zeroed.range.start, zeroed.range.end));
        manifest
    }

    fn end(&self) -> Addr {
        self.base.wrapping_add(self.window.len() as u64)
    }

    fn begin(&mut self, at: Addr) {
        let before = self.beyond(Addr(at.0.saturating_sub(EDGE_BYTES))..at, true);
        self.base = Addr(at.0 - before.len() as u64);
        self.done = before.len();
        self.window = before;
    }

    /// Memory next to what passes by: the last part of `range` without a gap, or the first one. What was never touched stays so.
    fn beyond(&self, range: Range<Addr>, last: bool) -> Vec<u8> {
        let memory = self.rules.process.memory();
        let mut bytes: Vec<u8> = Vec::new();
        for (part, content) in memory.contents(range) {
            let mut there = vec![0; (part.end.0 - part.start.0).min(EDGE_BYTES) as usize];
            let read = match content {
                Content::Own | Content::File => memory.read_available(part.start, &mut there),
                Content::Untouched | Content::Missing => 0,
            };
            let is_whole = read == there.len();
            match (last, is_whole) {
                (true, true) => bytes.extend(there),
                // It may be readable from the next page on.
                (true, false) => {
                    bytes.clear();
                    let page = 4096 - (part.start.0 % 4096) as usize;
                    let pages = (page..there.len()).step_by(4096);
                    let readable = |from: usize| {
                        let mut rest = vec![0; there.len() - from];
                        memory.read(part.start.wrapping_add(from as u64), &mut rest).ok().map(|()| rest)
                    };
                    if read > 0 || matches!(content, Content::Own | Content::File) {
                        bytes.extend(pages.into_iter().find_map(readable).unwrap_or_default());
                    }
                }
                (false, _) => {
                    bytes.extend(&there[..read]);
                    if !is_whole {
                        break;
                    }
                }
            }
        }
        bytes
    }

    /// Decides over all before `until`; at the end nothing more comes.
    fn search(&mut self, until: usize, is_end: bool) {
        for (index, rule) in self.rules.redaction.rules.iter().enumerate() {
            let (from, is_open) = self.searches[index];
            self.searches[index] = match &rule.what {
                What::Pattern(pattern) => {
                    let mut from = from;
                    while from <= self.window.len() {
                        let Some(found) =
                            pattern.find_at(&self.window, from).filter(|found| found.start() < until)
                        else {
                            break;
                        };
                        let zeroed = group(pattern, &self.window, from).unwrap_or(found.range());
                        self.marks.push((zeroed, index));
                        from = found.end().max(found.start() + 1);
                    }
                    (from.max(until), false)
                }
                What::Random => {
                    let (mut from, mut is_open) = (from, is_open);
                    if is_open {
                        let more =
                            self.window[from..].iter().take_while(|byte| random::is_part(**byte)).count();
                        self.marks.push((from..from + more, index));
                        from += more;
                        is_open = from == self.window.len();
                    }
                    while let Some(run) = random::next(&self.window, from).filter(|run| run.start < until) {
                        let bytes = &self.window[run.clone()];
                        let is_secret = random::is_random(bytes) && !self.rules.names.contains(bytes);
                        is_open = is_secret && run.end == self.window.len();
                        from = run.end;
                        if is_secret {
                            self.marks.push((run, index));
                        } else if from == self.window.len() {
                            // Decided anew with what comes.
                            from = until;
                            break;
                        }
                    }
                    (from.max(until), is_open && !is_end)
                }
                What::Ranges(_) | What::Environment(_) | What::Arguments | What::Found(_) => continue,
            };
        }
    }

    /// Gives away all before `until`.
    fn leave<E>(&mut self, until: usize, take: Take<'_, E>) -> Result<(), E> {
        let here = self.done..until;
        self.out.clear();
        self.out.extend(&self.window[here.clone()]);
        for (mark, index) in std::mem::take(&mut self.marks) {
            for part in self.without_addresses(mark.start.max(here.start)..mark.end.min(until)) {
                self.zero(part, index);
            }
            if mark.end > until {
                self.marks.push((mark, index));
            }
        }
        let first = self.rules.fixed.partition_point(|(range, _)| range.end <= self.at(here.start));
        let (start, end) = (self.at(here.start), self.at(until));
        for place in first..self.rules.fixed.len() {
            let (range, index) = self.rules.fixed[place].clone();
            if range.start >= end {
                break;
            }
            let part = range.start.max(start).0 - self.base.0..range.end.min(end).0 - self.base.0;
            self.zero(part.start as usize..part.end as usize, index);
        }
        take(start, &self.out)?;
        match self.manifest.kept.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.manifest.kept.push(start..end),
        }
        let gone = until.saturating_sub(CONTEXT_BYTES);
        self.window.drain(..gone);
        self.base = self.base.wrapping_add(gone as u64);
        self.done = until - gone;
        self.searches.iter_mut().for_each(|(from, _)| *from = from.saturating_sub(gone));
        self.marks.iter_mut().for_each(|(mark, _)| *mark = mark.start.saturating_sub(gone)..mark.end - gone);
        Ok(())
    }

    fn at(&self, index: usize) -> Addr {
        self.base.wrapping_add(index as u64)
    }

    fn zero(&mut self, part: Range<usize>, index: usize) {
        if part.start < part.end {
            self.out[part.start - self.done..part.end - self.done].fill(0);
            self.manifest.add(self.at(part.start)..self.at(part.end), self.names[index]);
        }
    }

    /// The parts of a range of the window that are no words with addresses.
    fn without_addresses(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let word = usize::from(self.rules.process.info().arch.info().word_bytes);
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let within = (self.at(at).0 % word as u64) as usize;
            let next = (at + word - within).min(range.end);
            let bytes = at.checked_sub(within).and_then(|start| self.window.get(start..start + word));
            let is_address =
                bytes.is_some_and(|bytes| self.rules.is_address(Addr(self.at(at).0 - within as u64), bytes));
            if !is_address {
                match parts.last_mut() {
                    Some(last) if last.end == at => last.end = next,
                    _ => parts.push(at..next),
                }
            }
            at = next;
        }
        parts
    }
}

/// What the first group of a pattern that matched has matched, in the first match.
fn group(pattern: &Regex, bytes: &[u8], from: usize) -> Option<Range<usize>> {
    if pattern.captures_len() == 1 {
        return None;
    }
    let captures = pattern.captures_at(bytes, from)?;
    (1..captures.len()).find_map(|group| captures.get(group)).map(|group| group.range())
}

/// What a pattern zeroes.
pub(super) fn matches(pattern: &Regex, bytes: &[u8]) -> Vec<Range<usize>> {
    let found = pattern.find_iter(bytes);
    found.map(|found| group(pattern, bytes, found.start()).unwrap_or(found.range())).collect()
}
