//! `MemoryList`, `Memory64List`, `MemoryInfoList`.

use prospect_process::{Addr, Advice, FileId, Mapping, Permissions};

use super::{
    directory::Directory,
    reader::{Reader, View},
    threads::{counted, sized},
};
use crate::minidump::{MinidumpNotice, kinds};

/// A process has at most a million mappings.
const MOST_RANGES: usize = 1 << 20;

/// Memory, and where its bytes are in the file.
#[derive(Clone, Debug)]
pub(in super::super) struct MemoryRange {
    pub(in super::super) start: Addr,
    pub(in super::super) bytes: u64,
    pub(in super::super) offset: u64,
}

/// `MINIDUMP_MEMORY_DESCRIPTOR`. `None` for none.
pub(super) fn descriptor(view: View<'_>, at: usize) -> Option<MemoryRange> {
    let (start, bytes, offset) = (view.u64(at)?, view.u32(at + 8)?, view.u32(at + 12)?);
    (bytes > 0 && offset > 0).then(|| MemoryRange {
        start: Addr(start),
        bytes: bytes.into(),
        offset: offset.into(),
    })
}

/// The memory that is in the dump, in its order.
pub(in super::super) fn memory(
    reader: &Reader<'_>,
    directory: &Directory,
    notices: &mut Vec<MinidumpNotice>,
) -> Vec<MemoryRange> {
    let mut ranges = Vec::new();
    if let Some(bytes) = directory.bytes(reader, kinds::MEMORY) {
        let entries = counted(reader.view(&bytes), 16, kinds::MEMORY, MOST_RANGES, notices);
        ranges.extend(entries.filter_map(|entry| descriptor(entry, 0)));
    }
    if let Some(bytes) = directory.bytes(reader, kinds::MEMORY_64) {
        let view = reader.view(&bytes);
        let (Some(count), Some(mut offset)) = (view.u64(0), view.u64(8)) else {
            notices.push(MinidumpNotice::BadStream(kinds::MEMORY_64));
            return ranges;
        };
        let before = ranges.len();
        for entry in view.entries(16, 16, count, MOST_RANGES) {
            let (Some(start), Some(bytes)) = (entry.u64(0), entry.u64(8)) else { break };
            ranges.push(MemoryRange { start: Addr(start), bytes, offset });
            offset = offset.saturating_add(bytes);
        }
        let read = ranges.len() - before;
        if read == MOST_RANGES && count > read as u64 {
            notices.push(MinidumpNotice::TooMany { kind: kinds::MEMORY_64, read });
        } else if count > read as u64 {
            notices.push(MinidumpNotice::BadStream(kinds::MEMORY_64));
        }
    }
    ranges
}

/// The memory map of Windows: what is in use of it.
pub(in super::super) fn memory_map(
    reader: &Reader<'_>,
    directory: &Directory,
    notices: &mut Vec<MinidumpNotice>,
) -> Option<Vec<Mapping>> {
    const COMMITTED: u32 = 0x1000;
    let bytes = directory.bytes(reader, kinds::MEMORY_INFO)?;
    let entries = sized(reader.view(&bytes), 48, kinds::MEMORY_INFO, MOST_RANGES, notices);
    let mapping = |entry: View<'_>| {
        let (start, bytes) = (entry.u64(0)?, entry.u64(24)?);
        let (state, protection) = (entry.u32(32)?, entry.u32(36)?);
        (state == COMMITTED).then(|| Mapping {
            range: Addr(start)..Addr(start.saturating_add(bytes)),
            permissions: permissions(protection),
            offset: 0,
            file: None::<FileId>,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        })
    };
    Some(entries.filter_map(mapping).collect())
}

/// `PAGE_…`, of which one of eight bits says what may be done, and others more.
fn permissions(protection: u32) -> Permissions {
    let any = |bits: u32| protection & bits != 0;
    Permissions { read: any(0xee), write: any(0xcc), execute: any(0xf0), shared: false }
}
