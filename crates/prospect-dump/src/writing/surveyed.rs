//! Memory of which is asked what is there for many mappings at once.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use prospect_process::{Addr, Content, Mapping, Memory, MemoryError, memory::ReadRequest};

use super::WINDOW_BYTES;

/// Mappings that lie no further apart are asked about together: a system call takes longer than passing over so much.
const GAP_BYTES: u64 = 2 << 20;

/// The memory of a process that stands still. Asking what is there of a mapping takes a system call, which costs more than the
/// answer where there are thousands of small ones: so it is asked for those around it too, and the answer is kept.
pub(crate) struct SurveyedMemory<'a> {
    memory: &'a dyn Memory,
    /// Ranges with many mappings, none longer than a window where it has more than one of them: by address.
    spans: Vec<Range<Addr>>,
    last: Mutex<Answer>,
}

/// What is known of a range.
#[derive(Default)]
struct Answer {
    range: Range<Addr>,
    parts: Vec<(Range<Addr>, Content)>,
}

impl<'a> SurveyedMemory<'a> {
    pub(crate) fn new(memory: &'a dyn Memory, mappings: impl Iterator<Item = &'a Mapping>) -> Self {
        let mut spans: Vec<Range<Addr>> = Vec::new();
        for Mapping { range, .. } in mappings {
            match spans.last_mut() {
                Some(last)
                    if range.start.0.saturating_sub(last.end.0) <= GAP_BYTES
                        && range.end.0.saturating_sub(last.start.0) <= WINDOW_BYTES =>
                {
                    last.end = last.end.max(range.end);
                }
                _ => spans.push(range.clone()),
            }
        }
        Self { memory, spans, last: Mutex::default() }
    }

    /// The span that all of `range` lies in, if it can be asked about at once.
    fn span(&self, range: &Range<Addr>) -> Option<&Range<Addr>> {
        let index = self.spans.partition_point(|span| span.end <= range.start);
        let holds = |span: &&Range<Addr>| {
            span.start <= range.start && range.end <= span.end && span.end.0 - span.start.0 <= WINDOW_BYTES
        };
        self.spans.get(index).filter(holds)
    }
}

impl Answer {
    fn part(&self, range: &Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        let first = self.parts.partition_point(|(part, _)| part.end <= range.start);
        let inside = self.parts[first..].iter().take_while(|(part, _)| part.start < range.end);
        inside
            .map(|(part, content)| (part.start.max(range.start)..part.end.min(range.end), *content))
            .collect()
    }
}

impl Memory for SurveyedMemory<'_> {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        self.memory.read_up_to(at, buffer)
    }

    fn at_hand(&self, at: Addr) -> Option<&[u8]> {
        self.memory.at_hand(at)
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        if range.start >= range.end {
            return Vec::new();
        }
        let Some(span) = self.span(&range) else { return self.memory.contents(range) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.range != *span {
            *last = Answer { range: span.clone(), parts: self.memory.contents(span.clone()) };
        }
        last.part(&range)
    }

    fn read_many(&self, requests: &mut [ReadRequest<'_>]) {
        self.memory.read_many(requests);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use prospect_process::{Advice, Permissions};

    use super::*;

    /// Every second page is there; counts how often it is asked.
    #[derive(Default)]
    struct Striped(AtomicU32);

    impl Memory for Striped {
        fn read_up_to(&self, _: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
            Ok(buffer.len())
        }

        fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let pages = (range.start.0..range.end.0).step_by(0x1000);
            pages
                .map(|at| {
                    let content = if at & 0x1000 == 0 { Content::Own } else { Content::Untouched };
                    (Addr(at)..Addr(at + 0x1000).min(range.end), content)
                })
                .collect()
        }
    }

    fn mapping(range: Range<u64>) -> Mapping {
        Mapping {
            range: Addr(range.start)..Addr(range.end),
            permissions: Permissions::default(),
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        }
    }

    #[test]
    fn many_mappings_are_one_question_and_the_answers_the_same() {
        let near: Vec<Mapping> =
            (1..1000).map(|index| mapping(index * 0x4000..index * 0x4000 + 0x3000)).collect();
        let far = mapping(0x7000_0000_0000..0x7000_0000_5000);
        let striped = Striped::default();
        let surveyed = SurveyedMemory::new(&striped, near.iter().chain([&far]));
        for mapping in near.iter().chain([&far]) {
            let found = surveyed.contents(mapping.range.clone());
            assert_eq!(found, Striped::default().contents(mapping.range.clone()));
        }
        assert_eq!(striped.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_is_in_no_mapping_or_too_large_is_asked_for_as_it_is() {
        let (large, striped) = (mapping(0x1000..0x1000 + 2 * WINDOW_BYTES), Striped::default());
        let surveyed = SurveyedMemory::new(&striped, [&large].into_iter());
        for range in [0x1000..0x3000, 0..0x2000, 5..5] {
            let range = Addr(range.start)..Addr(range.end);
            assert_eq!(surveyed.contents(range.clone()), Striped::default().contents(range));
        }
    }
}
