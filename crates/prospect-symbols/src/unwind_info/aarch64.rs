//! What AArch64's call frame information has of its own, and what reads `.eh_frame` for us does not know ("DWARF for
//! the Arm 64-bit Architecture" (AADWARF64), sections 4.3 and 4.4):
//! - letters in the augmentation string of common entries: `B` for return addresses that are signed with key B, `G` for
//!   a stack with memory tags. Neither changes how to unwind.
//! - `DW_CFA_AARCH64_negate_ra_state_with_pc`, which says of the lowest bit of `RA_SIGN_STATE` what
//!   `DW_CFA_AARCH64_negate_ra_state` says: the return address is signed from here on, or no longer.

use super::PointerFormat;

const NEGATE_RA_STATE_WITH_PC: u8 = 0x2c;
const NEGATE_RA_STATE: u8 = 0x2d;

/// No common entry has so many bytes before its instructions.
const LONGEST_HEAD: usize = 256;

/// A copy of `.eh_frame` in other words. Every entry stays where it is: what follows letters that are left out moves
/// up, and `DW_CFA_nop` fills the end.
pub(super) fn in_plain_words(section: &[u8], format: PointerFormat) -> Box<[u8]> {
    let mut copy: Box<[u8]> = section.into();
    for pass in [strip, replace] {
        let mut at = 0;
        while let Some((content, next)) = entry(&copy, at, format) {
            pass(&mut copy, content, next, format);
            at = next;
        }
    }
    copy
}

/// Where the content of the entry at an offset begins, and the next entry; `None` at the end.
fn entry(section: &[u8], at: usize, format: PointerFormat) -> Option<(usize, usize)> {
    let number = |at: usize, bytes: usize| Some(format.unsigned(section.get(at..at.checked_add(bytes)?)?));
    let (length, content) = match number(at, 4)? {
        0 => return None,
        0xffff_ffff => (number(at + 4, 8)?, at + 12),
        length => (length, at + 4),
    };
    let next = content.checked_add(usize::try_from(length).ok()?)?.min(section.len());
    Some((content, next))
}

/// Takes the letters out of an entry, if it is a common one: its identifier is 0, its version 1 or 3, and its
/// augmentation follows.
fn strip(section: &mut [u8], content: usize, next: usize, _: PointerFormat) {
    let Some(entry @ [0, 0, 0, 0, 1 | 3, b'z', ..]) = section.get_mut(content..next) else { return };
    let mut place = 6;
    while let Some(letter @ 1..) = entry.get(place).copied() {
        if letter == b'B' || letter == b'G' {
            entry.copy_within(place + 1.., place);
            if let Some(last) = entry.last_mut() {
                *last = 0;
            }
        } else {
            place += 1;
        }
    }
}

/// Replaces the instruction in an entry, of either kind.
fn replace(section: &mut [u8], content: usize, next: usize, format: PointerFormat) {
    let Some((start, pointer_bytes)) = instructions(section, content, next, format) else { return };
    let Some(bytes) = section.get_mut(start..next) else { return };
    let mut at = 0;
    while let Some(instruction) = bytes.get_mut(at) {
        if *instruction == NEGATE_RA_STATE_WITH_PC {
            *instruction = NEGATE_RA_STATE;
        }
        let mut operands = Cursor { bytes, at };
        if operands.skip_instruction(pointer_bytes).is_none() {
            return;
        }
        at = operands.at;
    }
}

/// Where the instructions of an entry begin, and the size of encoded pointers in it.
fn instructions(
    section: &[u8],
    content: usize,
    next: usize,
    format: PointerFormat,
) -> Option<(usize, usize)> {
    let id = format.unsigned(section.get(content..content.checked_add(4)?)?);
    if id == 0 {
        return common(section.get(content..next)?, format).map(|(start, bytes, _)| (content + start, bytes));
    }
    let parent = content.checked_sub(usize::try_from(id).ok()?)?;
    let (parent_content, parent_end) = entry(section, parent, format)?;
    let (_, pointer_bytes, has_data) = common(section.get(parent_content..parent_end)?, format)?;
    let mut cursor = Cursor { bytes: section.get(..next)?, at: content };
    cursor.skip(4 + 2 * pointer_bytes)?;
    if has_data {
        let length = cursor.number()?;
        cursor.skip(length)?;
    }
    Some((cursor.at, pointer_bytes))
}

/// Of a common entry: where its instructions begin, the size of the pointers in entries of its kind, and whether
/// those have augmentation data.
fn common(entry: &[u8], format: PointerFormat) -> Option<(usize, usize, bool)> {
    let mut cursor = Cursor { bytes: &entry[..entry.len().min(LONGEST_HEAD)], at: 5 };
    let version = *entry.get(4)?;
    let string = entry.get(5..)?.iter().take(LONGEST_HEAD).position(|byte| *byte == 0)?;
    cursor.skip(string + 1)?;
    cursor.number()?;
    cursor.number()?;
    if version == 1 {
        cursor.skip(1)?
    } else {
        cursor.number().map(drop)?
    }
    let mut pointer_bytes = usize::from(format.address_bytes);
    let [b'z', letters @ ..] = &entry[5..5 + string] else { return Some((cursor.at, pointer_bytes, false)) };
    let end = cursor.number()?.checked_add(cursor.at)?;
    for letter in letters {
        match letter {
            b'L' => cursor.skip(1)?,
            b'P' => {
                let encoding = *entry.get(cursor.at)?;
                cursor.skip(1 + format.size(encoding)?)?;
            }
            b'R' => {
                pointer_bytes = format.size(*entry.get(cursor.at)?)?;
                cursor.skip(1)?;
            }
            _ => {}
        }
    }
    Some((end, pointer_bytes, true))
}

/// A place in bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// A number in LEB128: signed ones have the same length. `None` for one of more bytes than any needs.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Skips an instruction and its operands (DWARF 5, section 7.24). `None` for one that is not known.
    fn skip_instruction(&mut self, pointer_bytes: usize) -> Option<()> {
        let instruction = *self.bytes.get(self.at)?;
        self.skip(1)?;
        let (numbers, has_block) = match instruction {
            0x01 => return self.skip(pointer_bytes),
            0x02..=0x04 => return self.skip(1 << (instruction - 2)),
            0x00 | 0x0a | 0x0b | NEGATE_RA_STATE | 0x40..=0x7f | 0xc0..=0xff => (0, false),
            0x06..=0x08 | 0x0d | 0x0e | 0x13 | 0x2e | 0x80..=0xbf => (1, false),
            0x05 | 0x09 | 0x0c | 0x11 | 0x12 | 0x14 | 0x15 => (2, false),
            0x0f => (0, true),
            0x10 | 0x16 => (1, true),
            _ => return None,
        };
        for _ in 0..numbers {
            self.number()?;
        }
        if has_block {
            let length = self.number()?;
            self.skip(length)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_are() {
        let format = PointerFormat { address_bytes: 8, big_endian: false, section_address: 0 };
        let common = |string: &[u8]| {
            let mut bytes = vec![16, 0, 0, 0, 0, 0, 0, 0, 1];
            bytes.extend(string);
            bytes.extend([0, 4, 0x78, 30, 1, 0x1b]);
            bytes.resize(20, 0x0c);
            bytes
        };
        let function = [8, 0, 0, 0, 24, 0, 0, 0, b'z', b'B', 0, 0];
        let section =
            [common(b"zR"), common(b"zRBG"), function.to_vec(), common(b"zBS"), vec![0; 4]].concat();
        let mut expected = section.clone();
        expected[29..40].copy_from_slice(&[b'z', b'R', 0, 4, 0x78, 30, 1, 0x1b, 0x0c, 0, 0][..11]);
        expected[61..72].copy_from_slice(&[b'z', b'S', 0, 4, 0x78, 30, 1, 0x1b, 0x0c, 0x0c, 0][..11]);
        let found = in_plain_words(&section, format);
        assert_eq!(found, expected.into());
        for end in 0..section.len() {
            assert_eq!(in_plain_words(&section[..end], format).len(), end);
        }
        let endless = [0xff; 40];
        assert_eq!(*in_plain_words(&endless, format), endless);
    }
}
