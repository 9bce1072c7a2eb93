//! `.eh_frame_hdr`: a sorted table over `.eh_frame` (LSB Core, "DWARF Extensions", section 10.6.2).

use super::pointer::{OMIT, PointerFormat};

/// The parsed head of `.eh_frame_hdr`.
#[derive(Debug)]
pub(crate) struct EhFrameHeader {
    /// The address of `.eh_frame`.
    pub(crate) eh_frame: u64,
    format: PointerFormat,
    table: Option<Table>,
}

/// Rows of two pointers each: where a function begins, and where its entry in `.eh_frame` is.
#[derive(Debug)]
struct Table {
    offset: usize,
    rows: usize,
    encoding: u8,
    pointer_bytes: usize,
}

impl EhFrameHeader {
    /// Reads the head of the section.
    pub(crate) fn parse(section: &[u8], format: PointerFormat) -> Option<Self> {
        let [1, eh_frame_encoding, count_encoding, table_encoding] = *section.first_chunk()? else {
            return None;
        };
        let eh_frame = format.read(section, 4, eh_frame_encoding)?;
        let count_at = 4 + format.size(eh_frame_encoding)?;
        let table = (count_encoding != OMIT && table_encoding != OMIT)
            .then(|| {
                let count = format.value(section, count_at, count_encoding)?;
                let offset = count_at + format.size(count_encoding)?;
                let pointer_bytes = format.size(table_encoding)?;
                // A count that the section has no room for is cut: what is there is still sorted.
                let room = section.len().saturating_sub(offset) / (2 * pointer_bytes);
                let rows = usize::try_from(count).unwrap_or(usize::MAX).min(room);
                let table = Table { offset, rows, encoding: table_encoding, pointer_bytes };
                format.read(section, offset, table_encoding).map(|_| table)
            })
            .flatten();
        Some(Self { eh_frame, format, table })
    }

    /// Whether there is a table to search.
    pub(crate) fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// The rows of the table: where each function begins, and the address of its entry in `.eh_frame`.
    pub(crate) fn rows(&self, section: &[u8]) -> impl Iterator<Item = (u64, u64)> {
        let table = self.table.as_ref();
        let rows = 0..table.map_or(0, |table| table.rows);
        rows.filter_map(move |index| {
            let table = table?;
            let at = table.offset + index * 2 * table.pointer_bytes;
            let function = self.format.read(section, at, table.encoding)?;
            Some((function, self.format.read(section, at + table.pointer_bytes, table.encoding)?))
        })
    }

    /// The address of the entry in `.eh_frame` that may cover `pc`: of the last function that begins at
    /// or before it.
    pub(crate) fn search(&self, section: &[u8], pc: u64) -> Option<u64> {
        let table = self.table.as_ref()?;
        let row = |index: usize| table.offset + index * 2 * table.pointer_bytes;
        let (mut low, mut high) = (0, table.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.format.read(section, row(middle), table.encoding)? <= pc {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.format.read(section, row(low.checked_sub(1)?) + table.pointer_bytes, table.encoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(count: u32) -> Vec<u8> {
        let mut bytes = vec![1, 0x1b, 0x03, 0x3b];
        bytes.extend(0x100u32.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        for (function, entry) in [(0x10i32, 0x200i32), (0x20, 0x220), (0x40, 0x240)] {
            bytes.extend(function.to_le_bytes());
            bytes.extend(entry.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_last_function_at_or_before_an_address_is_found() {
        let format = PointerFormat { address_bytes: 8, big_endian: false, section_address: 0x4000 };
        for count in [3, u32::MAX] {
            let bytes = section(count);
            let header = EhFrameHeader::parse(&bytes, format).unwrap();
            assert_eq!(header.eh_frame, 0x4104);
            let search = |pc| header.search(&bytes, pc);
            assert_eq!(search(0x400f), None);
            assert_eq!(search(0x4010), Some(0x4200));
            assert_eq!(search(0x403f), Some(0x4220));
            assert_eq!(search(u64::MAX), Some(0x4240));
        }
        let bytes = section(2);
        let header = EhFrameHeader::parse(&bytes, format).unwrap();
        assert_eq!(header.search(&bytes, 0x4040), Some(0x4220));
    }

    #[test]
    fn a_header_without_a_table_still_says_where_eh_frame_is() {
        let format = PointerFormat { address_bytes: 8, big_endian: false, section_address: 0x4000 };
        let bytes = [1, 0x1b, 0xff, 0xff, 0, 1, 0, 0];
        let header = EhFrameHeader::parse(&bytes, format).unwrap();
        assert_eq!((header.eh_frame, header.has_table()), (0x4104, false));
        assert!(EhFrameHeader::parse(&[2; 8], format).is_none());
        assert!(EhFrameHeader::parse(&bytes[..7], format).is_none());
    }
}
