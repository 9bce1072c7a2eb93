//! Memory that was copied while its process stood still.

use std::{fmt, ops::Range};

use super::{Content, Memory, MemoryError, Unreadable};
use crate::Addr;

/// Copied ranges of a process's memory, over an optional source for all other addresses.
///
/// The ranges hold what was there at the moment of the copy. The source, where there is one, is the
/// process as it runs on: right for code and constants, which do not change, and for nothing else.
#[derive(Default)]
pub struct CapturedMemory {
    /// All copied bytes, one range after the other.
    bytes: Vec<u8>,
    /// Sorted by address, without overlap.
    ranges: Vec<CapturedRange>,
    source: Option<Box<dyn Memory + Send>>,
}

#[derive(Clone, Copy, Debug)]
struct CapturedRange {
    start: Addr,
    length: usize,
    /// Where it begins in `bytes`.
    offset: usize,
}

impl CapturedMemory {
    /// Memory of `ranges`, each (start, length, offset in `bytes`). Of two ranges that overlap, the
    /// part of the later-starting one that the other holds already is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>, ranges: impl IntoIterator<Item = (Addr, usize, usize)>) -> Self {
        let mut sorted: Vec<CapturedRange> = ranges
            .into_iter()
            .map(|(start, length, offset)| CapturedRange {
                start,
                length: length.min(bytes.len().saturating_sub(offset)),
                offset,
            })
            .filter(|range| range.length > 0)
            .collect();
        sorted.sort_by_key(|range| (range.start, std::cmp::Reverse(range.length)));
        let mut end = 0;
        sorted.retain_mut(|range| {
            let overlap = end.max(range.start.0) - range.start.0;
            if overlap >= range.length as u64 {
                return false;
            }
            range.start = range.start.wrapping_add(overlap);
            range.length -= overlap as usize;
            range.offset += overlap as usize;
            end = range.start.0.saturating_add(range.length as u64);
            true
        });
        Self { bytes, ranges: sorted, source: None }
    }

    /// The same ranges, with `source` behind every other address.
    #[must_use]
    pub fn over(mut self, source: Box<dyn Memory + Send>) -> Self {
        self.source = Some(source);
        self
    }

    /// The copied bytes from `at` to the end of their range; `None` where nothing was copied.
    #[must_use]
    pub fn captured(&self, at: Addr) -> Option<&[u8]> {
        let index = self.ranges.partition_point(|range| range.start <= at).checked_sub(1)?;
        let range = self.ranges[index];
        let skip = usize::try_from(at.0 - range.start.0).ok().filter(|skip| *skip < range.length)?;
        self.bytes.get(range.offset + skip..range.offset + range.length)
    }

    /// How many bytes were copied.
    #[must_use]
    pub fn captured_bytes(&self) -> usize {
        self.ranges.iter().map(|range| range.length).sum()
    }
}

impl Memory for CapturedMemory {
    fn at_hand(&self, at: Addr) -> Option<&[u8]> {
        self.captured(at)
    }

    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if let Some(bytes) = self.captured(at) {
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            return Ok(length);
        }
        let source = self.source.as_ref().ok_or(MemoryError { at, why: Unreadable::NotCaptured })?;
        // Bytes that were copied must not be taken from the source, where they may have changed.
        let next = self.ranges.partition_point(|range| range.start <= at);
        let room = self.ranges.get(next).map_or(u64::MAX, |range| range.start.0 - at.0);
        let length = buffer.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        source.read_up_to(at, &mut buffer[..length])
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        let mut contents = Vec::new();
        let rest = |from: Addr, to: Addr| match &self.source {
            _ if from >= to => Vec::new(),
            Some(source) => source.contents(from..to),
            None => vec![(from..to, Content::Missing)],
        };
        let mut at = range.start;
        let first = self.ranges.partition_point(|one| one.start.0.saturating_add(one.length as u64) <= at.0);
        for one in &self.ranges[first..] {
            if one.start >= range.end {
                break;
            }
            contents.extend(rest(at, one.start));
            let end = range.end.min(Addr(one.start.0.saturating_add(one.length as u64)));
            contents.push((at.max(one.start)..end, Content::Own));
            at = end;
        }
        contents.extend(rest(at, range.end));
        contents
    }
}

impl fmt::Debug for CapturedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedMemory")
            .field("ranges", &self.ranges)
            .field("source", &self.source.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fives;
    impl Memory for Fives {
        fn read_up_to(&self, _at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
            buffer.fill(5);
            Ok(buffer.len())
        }
    }

    #[test]
    fn reads_cross_from_copy_to_source_and_back() {
        let memory = CapturedMemory::new(vec![1, 2, 3, 4], [(Addr(0x10), 2, 0), (Addr(0x14), 2, 2)]);
        let mut bytes = [0; 8];
        assert_eq!(memory.read_available(Addr(0x10), &mut bytes), 2);
        let memory = memory.over(Box::new(Fives));
        memory.read(Addr(0xf), &mut bytes).unwrap();
        assert_eq!(bytes, [5, 1, 2, 5, 5, 3, 4, 5]);
    }

    #[test]
    fn overlapping_ranges_are_joined_without_contradiction() {
        let memory = CapturedMemory::new(
            vec![1, 2, 3, 4, 9, 9, 5],
            [(Addr(0x10), 4, 0), (Addr(0x12), 3, 4), (Addr(0x11), 1, 4)],
        );
        let mut bytes = [0; 5];
        memory.read(Addr(0x10), &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4, 5]);
        assert_eq!(memory.captured_bytes(), 5);
        assert_eq!(memory.read_up_to(Addr(0xf), &mut bytes).unwrap_err().why, Unreadable::NotCaptured);
    }

    #[test]
    fn strings_end_at_their_nul_or_their_limit() {
        let memory = CapturedMemory::new(b"hello\0world".to_vec(), [(Addr(0x100), 11, 0)]);
        assert_eq!(memory.read_c_string(Addr(0x100), 100).unwrap(), b"hello");
        assert_eq!(memory.read_c_string(Addr(0x100), 3).unwrap(), b"hel");
        assert!(memory.read_c_string(Addr(0x106), 100).is_err());
    }

    #[test]
    fn words_have_the_width_of_the_architecture() {
        let memory = CapturedMemory::new((1..=8).collect(), [(Addr(0), 8, 0)]);
        assert_eq!(memory.read_word(Arch::I386, Addr(0)).unwrap(), 0x0403_0201);
        assert_eq!(memory.read_word(Arch::X86_64, Addr(0)).unwrap(), 0x0807_0605_0403_0201);
        assert!(memory.read_word(Arch::X86_64, Addr(1)).is_err());
    }
    use crate::Arch;
}
