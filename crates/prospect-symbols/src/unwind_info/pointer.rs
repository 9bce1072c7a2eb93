//! Encoded pointers, as `.eh_frame_hdr` has them (LSB Core, "DWARF Extensions", section 10.5).

/// Where and how a section's pointers are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PointerFormat {
    /// The size of an address in bytes: 4 or 8.
    pub(crate) address_bytes: u8,
    pub(crate) big_endian: bool,
    /// The address of the section: what relative pointers of `.eh_frame_hdr` are relative to.
    pub(crate) section_address: u64,
}

/// The value format: the low half of an encoding byte.
const FORMAT: u8 = 0x0f;
/// What the value is relative to.
const APPLICATION: u8 = 0x70;
const PC_RELATIVE: u8 = 0x10;
const DATA_RELATIVE: u8 = 0x30;
/// The pointer is where the real one is: memory that a file does not have.
const INDIRECT: u8 = 0x80;
/// There is no value.
pub(super) const OMIT: u8 = 0xff;

impl PointerFormat {
    /// The size in bytes of a pointer of this encoding, where every one has the same.
    pub(super) fn size(&self, encoding: u8) -> Option<usize> {
        match encoding & FORMAT {
            0x00 => Some(usize::from(self.address_bytes)),
            0x02 | 0x0a => Some(2),
            0x03 | 0x0b => Some(4),
            0x04 | 0x0c => Some(8),
            _ => None,
        }
    }

    /// The pointer at `offset` of the section. `None` when it is not there, or has an encoding that
    /// makes no sense in `.eh_frame_hdr`.
    #[inline]
    pub(super) fn read(&self, section: &[u8], offset: usize, encoding: u8) -> Option<u64> {
        let base = match encoding & APPLICATION {
            0 => 0,
            PC_RELATIVE => self.section_address.wrapping_add(offset as u64),
            DATA_RELATIVE => self.section_address,
            _ => return None,
        };
        if encoding & INDIRECT != 0 {
            return None;
        }
        let value = self.value(section, offset, encoding)?;
        Some(base.wrapping_add(value) & (u64::MAX >> (64 - 8 * u32::from(self.address_bytes.clamp(1, 8)))))
    }

    /// The value alone, relative to nothing.
    #[inline]
    pub(super) fn value(&self, section: &[u8], offset: usize, encoding: u8) -> Option<u64> {
        let size = self.size(encoding)?;
        let bytes = section.get(offset..offset.checked_add(size)?)?;
        let unsigned = self.unsigned(bytes);
        let is_signed = encoding & 0x08 != 0;
        let unused = 64 - 8 * size as u32;
        Some(if is_signed { ((unsigned << unused) as i64 >> unused) as u64 } else { unsigned })
    }

    /// The number that at most eight bytes are.
    #[inline]
    pub(crate) fn unsigned(&self, bytes: &[u8]) -> u64 {
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read_by_their_encoding() {
        let format = PointerFormat { address_bytes: 4, big_endian: false, section_address: 0x1000 };
        let bytes = [0xf0, 0xff, 0xff, 0xff, 0x34, 0x12, 0, 0];
        assert_eq!(format.read(&bytes, 0, 0x1b), Some(0xff0));
        assert_eq!(format.read(&bytes, 4, 0x1b), Some(0x1004 + 0x1234));
        assert_eq!(format.read(&bytes, 4, 0x3b), Some(0x2234));
        assert_eq!(format.read(&bytes, 4, 0x02), Some(0x1234));
        assert_eq!(format.read(&bytes, 0, 0x03), Some(0xffff_fff0));
        assert_eq!(format.read(&bytes, 5, 0x03), None, "beyond the end");
        assert_eq!(format.read(&bytes, 0, 0x9b), None, "indirect");
        assert_eq!(format.read(&bytes, 0, 0x2b), None, "relative to text");
        let format = PointerFormat { address_bytes: 8, big_endian: true, section_address: 0 };
        assert_eq!(format.read(&bytes, 0, 0x0a), Some(0xffff_ffff_ffff_f0ff));
        assert_eq!(format.read(&bytes, 0, 0x00), Some(0xf0ff_ffff_3412_0000));
    }
}
