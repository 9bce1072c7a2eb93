//! Mozilla's streams of macOS (`MINIDUMP_MAC_CRASH_INFO`, `MINIDUMP_MAC_BOOTARGS`).

use super::{
    directory::Directory,
    reader::{Reader, to_zero},
};
use crate::minidump::kinds;

const MOST_RECORDS: usize = 20;
const MOST_RECORD_BYTES: u64 = 1 << 20;

/// What libraries said (`CRSetCrashLogMessage`), each text by itself.
pub(super) fn crash_info(reader: &Reader<'_>, directory: &Directory) -> Vec<String> {
    let mut texts = Vec::new();
    let Some(bytes) = directory.bytes(reader, kinds::MAC_CRASH_INFO) else { return texts };
    let view = reader.view(&bytes);
    let count = view.u32(4).unwrap_or(0).min(MOST_RECORDS as u32) as usize;
    // Where the texts of a record begin, behind its numbers.
    let start = view.u32(8).unwrap_or(0) as usize;
    for index in 0..count {
        let Some(record) = reader.located(view, 12 + 8 * index, MOST_RECORD_BYTES) else { continue };
        let Some(strings) = record.get(start..) else { continue };
        let all = strings.split(|byte| *byte == 0).filter(|text| !text.is_empty());
        texts.extend(all.map(|text| String::from_utf8_lossy(text).into_owned()));
    }
    texts
}

/// The arguments of the kernel.
pub(super) fn boot_arguments(reader: &Reader<'_>, directory: &Directory) -> Option<String> {
    let bytes = directory.bytes(reader, kinds::MAC_BOOT_ARGUMENTS)?;
    // Behind the kind: where the text is.
    let place = u32::try_from(reader.view(&bytes).u64(4)?).ok()?;
    reader.text(place).or_else(|| Some(String::from_utf8_lossy(to_zero(&bytes)).into_owned()))
}
