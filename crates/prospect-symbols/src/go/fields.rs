//! Numbers in Go's tables.

/// Bytes with the byte order and the word size of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) word_bytes: usize,
    pub(super) big_endian: bool,
}

impl<'a> Fields<'a> {
    /// A number of so many bytes, eight at most.
    pub(super) fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let mix = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, mix) } else { bytes.iter().rev().fold(0, mix) })
    }

    /// A number of four bytes.
    pub(super) fn half(&self, at: usize) -> Option<u32> {
        self.number(at, 4).map(|value| value as u32)
    }

    /// A pointer, or a number as wide as one.
    pub(super) fn word(&self, at: usize) -> Option<u64> {
        self.number(at, self.word_bytes)
    }

    /// The same as an offset.
    pub(super) fn offset(&self, at: usize) -> Option<usize> {
        usize::try_from(self.word(at)?).ok()
    }

    /// The bytes from an offset on.
    pub(super) fn from(&self, at: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..)
    }
}

/// Names that are longer are none: generic functions have some hundred letters.
const LONGEST_NAME: usize = 1 << 14;

/// The string at the start of some bytes, without its NUL.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let bytes = &bytes[..bytes.len().min(LONGEST_NAME)];
    let length = bytes.iter().position(|byte| *byte == 0)?;
    (length > 0).then(|| String::from_utf8_lossy(&bytes[..length]).into_owned())
}
