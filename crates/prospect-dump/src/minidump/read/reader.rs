//! Bytes of a minidump, and numbers and texts in them.

use std::cell::Cell;

use crate::elf_core::CoreFile;

/// A text longer than this is cut.
const MOST_TEXT_BYTES: u64 = 64 << 10;
/// A stream longer than this is cut, but for memory, which is not read here.
const MOST_STREAM_BYTES: u64 = 256 << 20;

/// The file of a minidump, while it is read. What it has is referred to by places in it, and many references can be to the same
/// place: so that reading has an end, no more is read than twice what the file has.
pub(in super::super) struct Reader<'a> {
    file: &'a CoreFile,
    /// Whether the most significant byte comes first.
    pub(in super::super) big_endian: bool,
    left: Cell<u64>,
}

impl<'a> Reader<'a> {
    pub(in super::super) fn new(file: &'a CoreFile, big_endian: bool) -> Self {
        let left = file.length().min(2 * MOST_STREAM_BYTES).saturating_mul(2) + MOST_TEXT_BYTES;
        Self { file, big_endian, left: Cell::new(left) }
    }

    /// Whether something was not read since too much was.
    pub(in super::super) fn is_exhausted(&self) -> bool {
        self.left.get() == 0
    }

    /// The bytes at a place: as many of them as there are.
    pub(in super::super) fn read(&self, at: u64, length: u64) -> Vec<u8> {
        let length = length.min(MOST_STREAM_BYTES).min(self.file.length().saturating_sub(at));
        if length > self.left.get() {
            self.left.set(0);
            return Vec::new();
        }
        self.left.set(self.left.get() - length);
        self.file.read(at, length).unwrap_or_default()
    }

    pub(in super::super) fn view<'b>(&self, bytes: &'b [u8]) -> View<'b> {
        View { bytes, big_endian: self.big_endian }
    }

    /// A `MINIDUMP_STRING`: its length in bytes, and UTF-16.
    pub(in super::super) fn text(&self, at: u32) -> Option<String> {
        let bytes = self.counted(at)?;
        Some(self.view(&bytes).utf16())
    }

    /// Crashpad's `MinidumpUTF8String`, or its `MinidumpByteArray`: a length, and as many bytes.
    pub(in super::super) fn counted(&self, at: u32) -> Option<Vec<u8>> {
        if at == 0 {
            return None;
        }
        let length = self.view(&self.read(at.into(), 4)).u32(0)?;
        let bytes = self.read(u64::from(at) + 4, u64::from(length).min(MOST_TEXT_BYTES));
        (!bytes.is_empty() || length == 0).then_some(bytes)
    }

    /// What a `MINIDUMP_LOCATION_DESCRIPTOR` points at: its length comes before its place.
    pub(in super::super) fn located(&self, view: View<'_>, at: usize, most: u64) -> Option<Vec<u8>> {
        let (length, place) = (view.u32(at)?, view.u32(at + 4)?);
        let bytes = self.read(place.into(), u64::from(length).min(most));
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// Some bytes of it.
#[derive(Clone, Copy)]
pub(in super::super) struct View<'a> {
    pub(in super::super) bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> View<'a> {
    pub(in super::super) fn u16(self, at: usize) -> Option<u16> {
        let bytes = *self.from(at)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(in super::super) fn u32(self, at: usize) -> Option<u32> {
        let bytes = *self.from(at)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(in super::super) fn u64(self, at: usize) -> Option<u64> {
        let bytes = *self.from(at)?.first_chunk()?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    pub(in super::super) fn from(self, at: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..)
    }

    /// Entries of `bytes` each, from `at` on: `count` or as many as are whole, and no more than `most`.
    pub(in super::super) fn entries(
        self,
        at: usize,
        bytes: usize,
        count: u64,
        most: usize,
    ) -> impl Iterator<Item = View<'a>> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(most);
        let entries = self.from(at).unwrap_or_default().chunks_exact(bytes.max(1));
        entries.take(count).map(move |bytes| View { bytes, ..self })
    }

    /// UTF-16, up to a zero where there is one.
    pub(in super::super) fn utf16(self) -> String {
        let units =
            self.bytes.as_chunks().0.iter().map(|unit| {
                if self.big_endian { u16::from_be_bytes(*unit) } else { u16::from_le_bytes(*unit) }
            });
        let units = units.take_while(|unit| *unit != 0);
        char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }
}

/// Bytes up to a zero where there is one.
pub(in super::super) fn to_zero(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}
