//! Reads numbers and strings off a slice. Every read may fail, none may panic.

use gimli::{Endianity, Format, RunTimeEndian};

/// A place in a slice.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    endian: RunTimeEndian,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize, endian: RunTimeEndian) -> Self {
        Self { bytes, at: at.min(bytes.len()), endian }
    }

    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Goes on at `at`, at most at the end.
    #[inline]
    pub(super) fn seek(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
    }

    /// Passes over bytes; where there are not so many, to the end: the next read fails then.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.bytes.len());
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The number of four bytes that stands so many bytes behind this place, which stays where it is.
    #[inline]
    pub(super) fn u32_ahead(&self, distance: usize) -> Option<u32> {
        let bytes = self.bytes.get(self.at.checked_add(distance)?..)?.first_chunk::<4>()?;
        Some(self.endian.read_u32(bytes))
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(bytes)
    }

    /// An unsigned number of 1, 2, 3, 4 or 8 bytes.
    #[inline]
    pub(super) fn uint(&mut self, size: u8) -> Option<u64> {
        let bytes = self.bytes(size.into())?;
        Some(match *bytes {
            [a] => a.into(),
            [a, b] => self.endian.read_u16(&[a, b]).into(),
            [a, b, c] if self.endian.is_big_endian() => u32::from_be_bytes([0, a, b, c]).into(),
            [a, b, c] => u32::from_le_bytes([a, b, c, 0]).into(),
            [a, b, c, d] => self.endian.read_u32(&[a, b, c, d]).into(),
            _ => self.endian.read_u64(bytes.first_chunk::<8>()?),
        })
    }

    /// An offset: its size depends on the unit's format.
    pub(super) fn offset(&mut self, format: Format) -> Option<usize> {
        usize::try_from(self.uint(format.word_size())?).ok()
    }

    /// A length that says which format follows (DWARF 5, section 7.4).
    pub(super) fn initial_length(&mut self) -> Option<(usize, Format)> {
        match self.uint(4)? {
            0xffff_ffff => Some((usize::try_from(self.uint(8)?).ok()?, Format::Dwarf64)),
            0xffff_fff0.. => None,
            length => Some((usize::try_from(length).ok()?, Format::Dwarf32)),
        }
    }

    /// An unsigned LEB128 number; bits beyond the 64th are dropped.
    #[inline]
    pub(super) fn leb(&mut self) -> Option<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(first.into());
        }
        let second = self.u8()?;
        let value = u64::from(first & 0x7f) | u64::from(second & 0x7f) << 7;
        if second < 0x80 {
            return Some(value);
        }
        self.long_leb(value)
    }

    /// What follows two bytes that give `value`.
    fn long_leb(&mut self, mut value: u64) -> Option<u64> {
        let mut shift = 14;
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte < 0x80 {
                return Some(value);
            }
            shift = (shift + 7).min(64);
        }
    }

    #[inline]
    pub(super) fn skip_leb(&mut self) -> Option<()> {
        while self.u8()? >= 0x80 {}
        Some(())
    }

    /// A signed LEB128 number.
    #[inline]
    pub(super) fn signed_leb(&mut self) -> Option<i64> {
        let first = self.u8()?;
        if first < 0x80 {
            // Bit 6 is the sign.
            return Some(((first << 1).cast_signed() >> 1).into());
        }
        self.long_signed_leb(first)
    }

    fn long_signed_leb(&mut self, first: u8) -> Option<i64> {
        let mut value = i64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= i64::from(byte & 0x7f) << shift;
            }
            shift = (shift + 7).min(64);
            if byte < 0x80 {
                let negative = byte & 0x40 != 0 && shift < 64;
                return Some(if negative { value | (-1_i64 << shift) } else { value });
            }
        }
    }

    /// The bytes before the next NUL; the reader goes on behind it.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|&byte| byte == 0)?;
        self.at += length + 1;
        Some(&rest[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, 0, RunTimeEndian::Little)
    }

    #[test]
    fn numbers_are_those_of_the_standard() {
        // DWARF 5, section 7.6, figures 13 and 14.
        for (bytes, value) in [(&[2][..], 2), (&[127], 127), (&[0x80, 1], 128), (&[0xb9, 0x64], 12857)] {
            assert_eq!(reader(bytes).leb(), Some(value));
        }
        let signed: [(&[u8], i64); 5] =
            [(&[2], 2), (&[0x7e], -2), (&[0xff, 0], 127), (&[0x80, 0x7f], -128), (&[0xff, 0x7e], -129)];
        for (bytes, value) in signed {
            assert_eq!(reader(bytes).signed_leb(), Some(value));
        }
        assert_eq!(reader(&[1, 2, 3]).uint(3), Some(0x03_0201));
        assert_eq!(Reader::new(&[1, 2, 3], 0, RunTimeEndian::Big).uint(3), Some(0x01_0203));
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        assert_eq!((reader(&[0x80]).leb(), reader(&[0x80]).signed_leb()), (None, None));
        assert_eq!((reader(&[1, 2, 3]).uint(4), reader(b"abc").text()), (None, None));
        let mut endless = reader(&[0xff; 40]);
        assert_eq!((endless.leb(), endless.is_at_end()), (None, true));
    }
}
