//! One file of the cache, mapped, and verified as far as it was read.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    Key, folder,
    format::{self, BLOCK},
};
use crate::binary::FileBytes;

/// The first bytes of a section, as an earlier run has left them.
#[derive(Debug)]
pub(super) struct Entry {
    file: FileBytes,
    length: usize,
    start: usize,
    /// A bit for each block that is known to be intact.
    verified: Box<[AtomicU64]>,
}

impl Entry {
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is not what the key asks for, or damaged.
    pub(super) fn open(path: &Path, key: &Key) -> io::Result<Self> {
        let file = FileBytes::map(path)?;
        let (length, start) = format::stored(&file, key).ok_or(io::ErrorKind::InvalidData)?;
        let verified = (0..length.div_ceil(BLOCK).div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { file, length, start, verified })
    }

    /// How many bytes of the section it has.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The bytes from `range.start` on, to the end of the block that `range.end` lies in. `None` when
    /// there are not so many, or they are not what was written.
    pub(super) fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        let end = range.end.checked_next_multiple_of(BLOCK)?.min(self.length);
        if range.end > end || range.start > range.end {
            return None;
        }
        let intact = (range.start / BLOCK..end.div_ceil(BLOCK)).all(|block| self.is_intact(block));
        self.file.get(self.start..)?.get(range.start..end).filter(|_| intact)
    }

    fn is_intact(&self, block: usize) -> bool {
        let Some(bits) = self.verified.get(block / 64) else { return false };
        let bit = 1 << (block % 64);
        // Whoever sees the bit has nothing else to see that another thread wrote.
        if bits.load(Ordering::Relaxed) & bit != 0 {
            return true;
        }
        let intact = format::is_intact(&self.file, self.length, block);
        if intact {
            bits.fetch_or(bit, Ordering::Relaxed);
        }
        intact
    }

    /// Gives the pages of `range` back.
    pub(super) fn release(&self, range: Range<usize>) {
        let within = |offset: usize| self.start + offset.min(self.length);
        self.file.release(within(range.start)..within(range.end));
    }

    /// Whether it was not said for long that it is used.
    pub(super) fn is_stale(&self) -> bool {
        folder::is_stale(&self.file)
    }
}
