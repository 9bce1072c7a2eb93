//! Damaged indexes of debug information, with checksums that are right all the same.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use prospect_process::LinkAddr;
use prospect_symbols::{Binaries, ModuleBinary, Names, SearchOptions};
use prospect_testing::{Random, Scratch};

use crate::subject::Cursor;

/// A program, and its index.
struct Intact {
    program: PathBuf,
    name: OsString,
    bytes: Vec<u8>,
}

/// `None` where no compiler is.
static INTACT: LazyLock<Option<Intact>> = LazyLock::new(|| {
    let program = prospect_testing::fixture("inlines-cxx").ok()?.path();
    let scratch = Scratch::new("fuzz-index");
    let (binaries, module) = open(&program, &scratch.path().join("prospect"))?;
    let index = binaries.build_index(&module, &|_| {}).ok()?.path;
    Some(Intact { program, name: index.file_name()?.to_owned(), bytes: fs::read(&index).ok()? })
});

fn open(program: &Path, cache: &Path) -> Option<(Binaries, Arc<ModuleBinary>)> {
    let cache = Some(cache.to_owned());
    let binaries = Binaries::new(SearchOptions { cache, ..SearchOptions::default() });
    let module = binaries.open(program).ok()?;
    Some((binaries, module))
}

/// Names addresses by an index that `data` has damaged.
pub fn index(data: &[u8]) {
    let Some(intact) = &*INTACT else { return };
    let mut bytes = intact.bytes.clone();
    let mut cursor = Cursor(data);
    let with_checksums = cursor.byte() & 7 != 0;
    while !cursor.is_empty() {
        let at = u32::from_le_bytes([0; 4].map(|_: u8| cursor.byte())) as usize % bytes.len();
        bytes[at] = cursor.byte();
    }
    if with_checksums {
        // What is left of it is all the same an index.
        let _ = mend(&mut bytes);
    }
    let _ = named(intact, &bytes);
}

/// How many of the program's addresses have names.
fn named(intact: &Intact, index: &[u8]) -> Option<usize> {
    let scratch = Scratch::new("fuzz-index");
    let cache = scratch.path().join("prospect");
    let folder = cache.join("index");
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder).ok()?;
    fs::write(folder.join(&intact.name), index).ok()?;
    let (binaries, module) = open(&intact.program, &cache)?;
    let addresses: Vec<LinkAddr> = (0x1000..0x6000).step_by(7).map(LinkAddr).collect();
    let resolved = module.resolve(&addresses);
    // So many that they are looked for in another way.
    let many: Vec<LinkAddr> = addresses.iter().copied().cycle().take(8192).collect();
    module.resolve_each(&many, Names::Demangled, |_, _| {});
    binaries.store();
    Some(resolved.iter().filter(|address| !address.frames.is_empty()).count())
}

/// Damages as they are read: a place in the index and a byte.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    let count = 1 + random.below(12);
    let mut data = vec![1];
    for _ in 0..count {
        let length = INTACT.as_ref().map_or(1, |intact| intact.bytes.len());
        data.extend_from_slice(&(random.below(length) as u32).to_le_bytes());
        data.push([0, 1, 0x7f, 0x80, 0xff, random.number() as u8][random.below(6)]);
    }
    data
}

/// Puts right all checksums of an index (`prospect-symbols/src/symbol/dwarf/index/layout.rs`).
fn mend(bytes: &mut [u8]) -> Option<()> {
    let directory = number(bytes, 112, 8)?;
    let directory_end = directory.checked_add(number(bytes, 120, 8)?)?;
    let units = number(bytes, directory, 4)?;
    let (records, records_at) = (number(bytes, directory + 4, 4)?, number(bytes, directory + 16, 8)?);
    let chunks = directory.checked_add(32)?.checked_add(units.checked_mul(28)?)?;
    for unit in 0..units.min(4096) {
        let entry = directory + 32 + 28 * unit;
        let start = number(bytes, entry + 8, 8)?;
        let end = start.checked_add(number(bytes, entry + 16, 4)?)?;
        put_checksum(bytes, start, end, entry + 20);
    }
    for chunk in 0..records.div_ceil(1024).min(4096) {
        let start = records_at.checked_add(chunk * 8192)?;
        let end = records_at.checked_add(records.checked_mul(8)?)?.min(start.checked_add(8192)?);
        put_checksum(bytes, start, end, chunks + 8 * chunk + 4);
    }
    put_checksum(bytes, directory, directory_end, 128);
    put_checksum(bytes, 0, 252, 252);
    Some(())
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

fn put_checksum(bytes: &mut [u8], start: usize, end: usize, at: usize) {
    let Some(sum) = bytes.get(start..end).map(crc32) else { return };
    if let Some(place) = at.checked_add(4).and_then(|end| bytes.get_mut(at..end)) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// CRC-32 as zlib has it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is mended is believed: else nothing behind the checksums would be fuzzed.
    #[test]
    fn an_index_is_read_and_so_is_one_that_was_mended() {
        let Some(intact) = &*INTACT else { return };
        let before = named(intact, &intact.bytes).unwrap();
        assert!(before > 8, "{before}");
        let mut mended = intact.bytes.clone();
        mend(&mut mended).unwrap();
        assert!(mended == intact.bytes, "nothing was to be mended");
        // The map begins later: what lies before has no line any more.
        let directory = number(&mended, 112, 8).unwrap();
        mended[directory + 24] ^= 0x40;
        mend(&mut mended).unwrap();
        assert_ne!(mended[128..132], intact.bytes[128..132]);
        assert!(named(intact, &mended).is_some());
    }
}
