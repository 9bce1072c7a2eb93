//! Long ranges of memory, a part at a time.

use std::ops::Range;

use prospect_process::Addr;

/// So much of a mapping is asked about at once: what is known of more would need too much memory.
pub(crate) const WINDOW_BYTES: u64 = 1 << 30;

/// How large the windows of a range are: no range has many, also where a core has one that no process can have.
pub(crate) fn window_bytes(range: &Range<Addr>) -> u64 {
    const MOST: u64 = 4096;
    WINDOW_BYTES.max(range.end.0.saturating_sub(range.start.0) / MOST)
}

/// The windows of a range.
pub(crate) fn windows(range: Range<Addr>) -> impl Iterator<Item = Range<Addr>> {
    let (mut start, bytes) = (range.start, window_bytes(&range));
    std::iter::from_fn(move || {
        let end = Addr(start.0.saturating_add(bytes)).min(range.end);
        let window = start..end;
        start = end;
        (window.start < window.end).then_some(window)
    })
}
