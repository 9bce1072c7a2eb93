//! The tables of Go's runtime with damaged contents, in a program whose headers are sound.

use prospect_process::LinkAddr;
use prospect_symbols::{Binaries, SearchOptions};
use prospect_testing::Random;

use crate::subject::{Cursor, as_file};

/// Where the file is linked, and where its functions are.
const BASE: u64 = 0x1_0000;
const TEXT: u64 = 0x40_0000;
/// Functions, each of so many bytes.
const FUNCTIONS: u32 = 6;
const FUNCTION_BYTES: u32 = 0x40;
/// The sizes of the tables before that of functions: names, units, files, numbers over addresses.
const TABLE_BYTES: [usize; 4] = [0x80, 0x20, 0x40, 0x180];
/// ELF's headers, and Go's.
const HEADERS: usize = 64 + 56;
const GO_HEADER: usize = 72;
/// Words of module data.
const MODULE_WORDS: usize = 48;

/// Functions, lines, inlined calls and unwind rows of a program whose tables are `data`.
pub fn go(data: &[u8]) {
    look_up(data);
}

/// How many frames were found.
fn look_up(data: &[u8]) -> usize {
    let path = as_file(&program(data));
    let Ok(module) = Binaries::new(SearchOptions::default()).open(&path) else { return 0 };
    let end = TEXT + u64::from(FUNCTIONS * FUNCTION_BYTES);
    let addresses: Vec<LinkAddr> = (TEXT - 1..=end).step_by(5).map(LinkAddr).collect();
    for at in &addresses {
        if let Ok(Some(row)) = module.unwind_row(*at) {
            assert!(row.range.contains(at), "{at:?} is in {:?}", row.range);
        }
    }
    module.resolve(&addresses).iter().map(|address| address.frames.len()).sum()
}

fn program(data: &[u8]) -> Vec<u8> {
    let mut cursor = Cursor(data);
    let is_new = cursor.byte() & 1 == 1;
    let content =
        |length: usize, cursor: &mut Cursor<'_>| -> Vec<u8> { (0..length).map(|_| cursor.byte()).collect() };
    let mut table: Vec<u8> = vec![if is_new { 0xf1 } else { 0xf0 }, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let mut offset = GO_HEADER as u64;
    let mut words = vec![u64::from(FUNCTIONS), 2, TEXT, offset];
    for length in TABLE_BYTES {
        offset += length as u64;
        words.push(offset);
    }
    words.iter().for_each(|word| table.extend(word.to_le_bytes()));
    TABLE_BYTES.iter().for_each(|length| table.extend(content(*length, &mut cursor)));
    let descriptions = 8 * (FUNCTIONS + 1);
    for index in 0..=FUNCTIONS {
        table.extend((index * FUNCTION_BYTES).to_le_bytes());
        table.extend((descriptions + index * 96).to_le_bytes());
    }
    for index in 0..FUNCTIONS {
        let mut description = (index * FUNCTION_BYTES).to_le_bytes().to_vec();
        // Small numbers lead into the tables: the name, two that do not matter, those of sp, files and lines.
        for _ in 0..6 {
            description.extend(u32::from(cursor.byte() & 0x7f).to_le_bytes());
        }
        description.extend([4, 0, 0, 0, 0, 0, 0, 0]);
        description.extend(content(if is_new { 4 } else { 0 }, &mut cursor));
        description.extend([cursor.byte(), cursor.byte(), 0, 4]);
        for _ in 0..8 {
            description.extend(u32::from(cursor.byte() & 0x7f).to_le_bytes());
        }
        description.resize(96, 0);
        table.extend(description);
    }
    table.resize(table.len().next_multiple_of(8), 0);
    // Module data: the header, the slice of the names, where code is, and where the data of functions are.
    let at = BASE + HEADERS as u64;
    let mut module = [0; MODULE_WORDS];
    module[..4].copy_from_slice(&[at, at + GO_HEADER as u64, 1, 1]);
    module[22] = TEXT;
    module[if is_new { 40 } else { 38 }] = at + GO_HEADER as u64;
    module.iter().for_each(|word: &u64| table.extend(word.to_le_bytes()));
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    [TEXT, 64, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    let length = (HEADERS + table.len()) as u64;
    // One loaded segment that can be read and written: all of the file.
    file.extend([1, 0, 0, 0, 6, 0, 0, 0]);
    [0, BASE, BASE, length, length, 0x1000].iter().for_each(|word: &u64| file.extend(word.to_le_bytes()));
    file.extend(table);
    file
}

/// What [`go`] begins with: small numbers, as most are.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    let shift = random.below(8);
    (0..1200).map(|_| random.number() as u8 >> random.below(shift + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else it would fuzz nothing.
    #[test]
    fn some_tables_have_frames_and_inlined_calls() {
        let mut random = Random::new(3);
        let frames: Vec<usize> = (0..200).map(|_| look_up(&seed(&mut random))).collect();
        let addresses = (FUNCTIONS * FUNCTION_BYTES).div_ceil(5) as usize + 1;
        assert!(frames.iter().filter(|found| **found > 0).count() > 100, "{frames:?}");
        assert!(frames.iter().any(|found| *found > addresses), "none is inlined: {frames:?}");
    }
}
