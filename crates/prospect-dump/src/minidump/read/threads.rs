//! `ThreadList`, `ThreadExList`, `ThreadNames`, `ThreadInfoList`.

use std::{collections::HashMap, time::Duration};

use prospect_process::ThreadId;

use super::{
    directory::Directory,
    memory::{self, MemoryRange},
    reader::{Reader, View},
};
use crate::minidump::{MinidumpNotice, kinds};

/// More than a process has.
const MOST_THREADS: usize = 1 << 18;
/// The longest `CONTEXT`, with all that `XSAVE` writes behind it.
pub(super) const MOST_CONTEXT_BYTES: u64 = 64 << 10;

/// `MINIDUMP_THREAD`.
pub(in super::super) struct RawThread {
    pub(in super::super) id: ThreadId,
    /// Windows' block of the thread; Crashpad's writers on Linux give the thread pointer.
    pub(in super::super) block: u64,
    pub(in super::super) stack: Option<MemoryRange>,
    /// Its `CONTEXT`; empty where it is missing.
    pub(in super::super) context: Vec<u8>,
}

pub(in super::super) fn threads(
    reader: &Reader<'_>,
    directory: &Directory,
    notices: &mut Vec<MinidumpNotice>,
) -> Vec<RawThread> {
    let list = [(kinds::THREADS, 48), (kinds::THREADS_EX, 64)]
        .into_iter()
        .find_map(|(kind, entry)| Some((kind, entry, directory.bytes(reader, kind)?)));
    let Some((kind, entry, bytes)) = list else { return Vec::new() };
    let view = reader.view(&bytes);
    let entries = counted(view, entry, kind, MOST_THREADS, notices);
    let thread = |entry: View<'_>| {
        Some(RawThread {
            id: ThreadId(entry.u32(0)?),
            block: entry.u64(16)?,
            stack: memory::descriptor(entry, 24),
            context: reader.located(entry, 40, MOST_CONTEXT_BYTES).unwrap_or_default(),
        })
    };
    entries.filter_map(thread).collect()
}

/// The entries of a list that begins with their number. Some writers leave four bytes behind it, so that the entries are
/// aligned.
pub(super) fn counted<'a>(
    view: View<'a>,
    entry: usize,
    kind: u32,
    most: usize,
    notices: &mut Vec<MinidumpNotice>,
) -> impl Iterator<Item = View<'a>> + use<'a> {
    let count = u64::from(view.u32(0).unwrap_or(0));
    let start = if view.bytes.len() as u64 == 8 + count.saturating_mul(entry as u64) { 8 } else { 4 };
    checked(view, (start, entry, count), kind, most, notices)
}

/// The entries of a list that begins with the length of its header, of an entry, and their number (of 8 bytes where the
/// header has 16).
pub(super) fn sized<'a>(
    view: View<'a>,
    least: usize,
    kind: u32,
    most: usize,
    notices: &mut Vec<MinidumpNotice>,
) -> impl Iterator<Item = View<'a>> + use<'a> {
    let header = view.u32(0).unwrap_or(0) as usize;
    let entry = view.u32(4).unwrap_or(0) as usize;
    let wide = kind == kinds::MEMORY_INFO;
    let count = if wide { view.u64(8) } else { view.u32(8).map(u64::from) }.unwrap_or(0);
    let is_sound = header >= 12 && entry >= least;
    if !is_sound {
        notices.push(MinidumpNotice::BadStream(kind));
    }
    checked(view, if is_sound { (header, entry, count) } else { (0, 1, 0) }, kind, most, notices)
}

/// Entries from a place on, of a length, and so many of them. What is wrong with that is told.
fn checked<'a>(
    view: View<'a>,
    (start, entry, count): (usize, usize, u64),
    kind: u32,
    most: usize,
    notices: &mut Vec<MinidumpNotice>,
) -> impl Iterator<Item = View<'a>> + use<'a> {
    let there = view.bytes.len().saturating_sub(start) / entry;
    if view.bytes.len() < start || (there as u64) < count {
        notices.push(MinidumpNotice::BadStream(kind));
    }
    if count.min(there as u64) > most as u64 {
        notices.push(MinidumpNotice::TooMany { kind, read: most });
    }
    view.entries(start, entry, count, most)
}

/// `MINIDUMP_THREAD_NAME`: packed to four bytes.
pub(in super::super) fn names(
    reader: &Reader<'_>,
    directory: &Directory,
    notices: &mut Vec<MinidumpNotice>,
) -> HashMap<ThreadId, String> {
    let Some(bytes) = directory.bytes(reader, kinds::THREAD_NAMES) else { return HashMap::new() };
    let entries = counted(reader.view(&bytes), 12, kinds::THREAD_NAMES, MOST_THREADS, notices);
    let name = |entry: View<'_>| {
        let place = u32::try_from(entry.u64(4)?).ok()?;
        Some((ThreadId(entry.u32(0)?), reader.text(place)?))
    };
    entries.filter_map(name).collect()
}

/// What `MINIDUMP_THREAD_INFO` says of a thread: processor time in user mode and in the kernel.
pub(in super::super) struct Times {
    pub(in super::super) kernel: Duration,
    pub(in super::super) user: Duration,
}

pub(in super::super) fn times(
    reader: &Reader<'_>,
    directory: &Directory,
    notices: &mut Vec<MinidumpNotice>,
) -> HashMap<ThreadId, Times> {
    let Some(bytes) = directory.bytes(reader, kinds::THREAD_INFO) else { return HashMap::new() };
    let entries = sized(reader.view(&bytes), 64, kinds::THREAD_INFO, MOST_THREADS, notices);
    // In steps of 100 ns.
    let time = |units: u64| Duration::from_nanos(units.saturating_mul(100));
    let times = |entry: View<'_>| {
        let times = Times { kernel: time(entry.u64(32)?), user: time(entry.u64(40)?) };
        Some((ThreadId(entry.u32(0)?), times))
    };
    entries.filter_map(times).collect()
}
