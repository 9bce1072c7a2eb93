//! Memory whose pages are there before anybody writes to it: what is copied while a process stands still is not held up by faults
//! of pages.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

/// Zeros, whose pages are there. The kernel makes them all in one call (`MADV_POPULATE_WRITE`, Linux 5.14), which takes a fraction of
/// what a fault of each takes; an older one has each written to.
pub(crate) fn present_bytes(length: usize) -> Vec<u8> {
    /// The smallest of any machine. Where pages are larger, the call may refuse a range that is not of whole ones.
    const PAGE_BYTES: usize = 4096;
    let mut bytes = vec![0; length];
    let before = bytes.as_ptr().align_offset(PAGE_BYTES);
    let whole = length.saturating_sub(before) / PAGE_BYTES * PAGE_BYTES;
    if let Some(pages) = bytes.get_mut(before..before + whole)
        && !pages.is_empty()
    {
        // SAFETY: the range is borrowed for the time of the call, which leaves what is in it as it is.
        let done =
            unsafe { libc::madvise(pages.as_mut_ptr().cast(), pages.len(), libc::MADV_POPULATE_WRITE) };
        if done == 0 {
            return bytes;
        }
    }
    // The compiler is not to know that these are zeros already.
    bytes.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *std::hint::black_box(byte) = 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::pagemap::PageMap;
    use prospect_process::{Addr, Content, ProcessId};

    #[test]
    fn its_pages_are_there() {
        const LENGTH: usize = 8 << 20;
        for (bytes, is_there) in [(present_bytes(LENGTH), true), (vec![0; LENGTH], false)] {
            let start = Addr(bytes.as_ptr() as u64);
            let pages = PageMap::open(ProcessId(std::process::id())).unwrap();
            let contents = pages.contents(start..start.wrapping_add(LENGTH as u64)).unwrap();
            let there: u64 = contents
                .iter()
                .filter(|(_, content)| *content == Content::Own)
                .map(|(range, _)| range.end.0 - range.start.0)
                .sum();
            assert_eq!(there > LENGTH as u64 / 2, is_there, "{contents:?}");
            assert!(bytes.iter().all(|byte| *byte == 0));
        }
        for length in [0, 1, 4095, 4096, 12_289] {
            assert_eq!(present_bytes(length), vec![0; length]);
        }
    }
}
