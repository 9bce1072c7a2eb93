//! One section of a file, inflated when it is asked for and only as far.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, sync::Arc};

use super::{file::FileBytes, packed::Packed};
use crate::cache::Slot;

/// How a section's bytes are packed (ELF gABI, `ch_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compression {
    Zlib,
    Zstd,
}

/// One section's bytes.
#[derive(Debug)]
pub(crate) struct Section {
    file: Arc<FileBytes>,
    /// Its bytes in the file; of a packed one, those behind the compression header.
    range: Range<usize>,
    packed: Option<Box<Packed>>,
}

impl Section {
    /// The section that lies in `range` of `file`, packed into it from so many bytes or not.
    pub(crate) fn new(
        file: Arc<FileBytes>,
        range: Range<usize>,
        packed: Option<(Compression, usize)>,
    ) -> Self {
        let packed =
            packed.map(|(compression, length)| Box::new(Packed::new(compression, length, range.len())));
        Self { file, range, packed }
    }

    /// Takes what follows it in the file in, as if both were one; not where either is packed.
    pub(super) fn join(&mut self, range: &Range<usize>) -> bool {
        let joins = self.packed.is_none() && self.range.end == range.start;
        if joins {
            self.range.end = range.end;
        }
        joins
    }

    /// Its length, inflated.
    pub(crate) fn len(&self) -> usize {
        self.packed.as_ref().map_or(self.range.len(), |packed| packed.length)
    }

    /// How long it is in the file and unpacked; `None` for one that is not packed.
    pub(crate) fn packed_lengths(&self) -> Option<(usize, usize)> {
        Some((self.range.len(), self.packed.as_ref()?.length))
    }

    /// Has what earlier runs unpacked taken from the cache, where it is packed.
    pub(crate) fn use_cache(&mut self, slot: Slot) {
        if let Some(packed) = &mut self.packed {
            packed.slot = Some(slot);
        }
    }

    /// Whether [`store`](Self::store) has anything to do.
    pub(crate) fn has_news(&self) -> bool {
        self.unpacked().is_some_and(|(slot, bytes)| slot.has_news(bytes))
    }

    /// Puts what was unpacked into the cache.
    pub(crate) fn store(&self) {
        if let Some((slot, bytes)) = self.unpacked() {
            slot.store(bytes);
        }
    }

    fn unpacked(&self) -> Option<(&Slot, &[u8])> {
        let packed = self.packed.as_ref()?;
        Some((packed.slot.as_ref()?, packed.unpacked()))
    }

    /// Whether its bytes before `end` have to be inflated before they can be read.
    pub(crate) fn needs_unpacking(&self, end: usize) -> bool {
        let Some(packed) = &self.packed else { return false };
        let ready = packed.unpacked().len();
        let end = end.min(packed.length);
        ready < end && packed.slot.as_ref().is_none_or(|slot| slot.len() < end)
    }

    /// All of its bytes. Fewer, or none, where a range lies outside the file or the stream is broken.
    pub(crate) fn all(&self) -> &[u8] {
        self.at_least(0..usize::MAX)
    }

    /// The bytes from `range.start` on, at least to `range.end`, where there are so many. Of a packed
    /// section, what is behind is not unpacked; a later request goes on where the last one stopped.
    pub(crate) fn at_least(&self, range: Range<usize>) -> &[u8] {
        let Some(packed) = &self.packed else { return self.raw().get(range.start..).unwrap_or_default() };
        let end = range.end.min(packed.length);
        if range.start > end {
            return &[];
        }
        let mut unpacked = packed.unpacked();
        if unpacked.len() < end {
            if let Some(bytes) = packed.slot.as_ref().and_then(|slot| slot.bytes(range.start..end)) {
                return bytes;
            }
            unpacked = packed.grow(end, &self.file, &self.range);
        }
        unpacked.get(range.start..).unwrap_or_default()
    }

    /// Its file, to read what lies far apart without mapping what lies around it. `None` for what is packed, or in no file.
    pub(crate) fn reopen(&self) -> Option<SectionFile> {
        let file = self.packed.is_none().then(|| self.file.reopen())??;
        Some(SectionFile { file, range: self.range.clone() })
    }

    fn raw(&self) -> &[u8] {
        self.file.get(self.range.clone()).unwrap_or_default()
    }

    /// Says that `range` of the section will not be read again soon, so that its pages are given back.
    pub(crate) fn release(&self, range: Range<usize>) {
        match &self.packed {
            None => {
                let within = |offset: usize| self.range.start.saturating_add(offset).min(self.range.end);
                self.file.release(within(range.start)..within(range.end));
            }
            Some(packed) => {
                if let Some(slot) = &packed.slot {
                    slot.release(range);
                }
            }
        }
    }
}

/// The file that a section lies in, opened.
#[derive(Debug)]
pub(crate) struct SectionFile {
    file: File,
    range: Range<usize>,
}

impl SectionFile {
    /// Reads what lies at `offset` in the section into `buffer`, as far as it fits and there is so much: how many bytes.
    /// 0 where it cannot be read.
    pub(crate) fn read(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let Some(at) = self.range.start.checked_add(offset) else { return 0 };
        let length = buffer.len().min(self.range.end.saturating_sub(at));
        buffer.get_mut(..length).and_then(|buffer| self.file.read_at(buffer, at as u64).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::binary::packed::PREFIX_STEP;

    fn packed(bytes: &[u8]) -> Section {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        let file = encoder.finish().unwrap();
        let range = 0..file.len();
        Section::new(Arc::new(FileBytes::Owned(file)), range, Some((Compression::Zlib, bytes.len())))
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        };
        (0..length).map(step).collect()
    }

    #[test]
    fn prefixes_grow_and_stay_where_they_are() {
        let bytes = noise(3 << 20);
        let section = packed(&bytes);
        let first = section.at_least(0..10);
        assert_eq!(first, &bytes[..PREFIX_STEP]);
        for end in (0..bytes.len()).step_by(100_000) {
            let prefix = section.at_least(0..end);
            assert!(prefix.len() >= end && bytes.starts_with(prefix), "up to {end}");
        }
        assert_eq!(section.all(), bytes);
        assert_eq!(first, &bytes[..PREFIX_STEP]);
    }

    #[test]
    fn a_broken_stream_gives_what_came_before() {
        let bytes = noise(1 << 20);
        let whole = packed(&bytes);
        let half = whole.range.len() / 2;
        let cut = Section::new(whole.file.clone(), 0..half, Some((Compression::Zlib, bytes.len())));
        assert!(!cut.all().is_empty() && cut.all().len() < bytes.len() && bytes.starts_with(cut.all()));
        let liar = Section::new(whole.file.clone(), 0..half, Some((Compression::Zlib, usize::MAX)));
        assert_eq!((liar.len(), liar.all()), (0, &[][..]));
    }
}
