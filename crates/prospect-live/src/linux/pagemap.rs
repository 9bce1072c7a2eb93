//! Which pages of a process were ever touched: `/proc/PID/pagemap` (`Documentation/admin-guide/mm/pagemap.rst`).
//!
//! No capability is needed beyond the right to trace: the kernel hides where pages lie in the machine, and not whether
//! they are there.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    fs::File,
    io,
    ops::Range,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    sync::atomic::{AtomicBool, Ordering},
};

use prospect_process::{Addr, Content, ProcessId};

/// `PAGEMAP_SCAN` (Linux 6.7, `include/uapi/linux/fs.h`): `_IOWR('f', 16, struct pm_scan_arg)`.
const SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
/// `PAGE_IS_FILE`, `PAGE_IS_PRESENT`, `PAGE_IS_SWAPPED`, `PAGE_IS_PFNZERO`.
const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZERO: u64 = 1 << 5;

/// Bits of an entry of the file.
const ENTRY_FILE: u64 = 1 << 61;
const ENTRY_SWAPPED: u64 = 1 << 62;
const ENTRY_PRESENT: u64 = 1 << 63;
const ENTRY_BYTES: usize = 8;

/// So many entries or regions are asked for at once.
const AT_ONCE: usize = 4096;

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Debug, Default)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    region_count: u64,
    max_pages: u64,
    inverted: u64,
    all_of: u64,
    any_of: u64,
    returned: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// The page map of a process.
#[derive(Debug)]
pub(crate) struct PageMap {
    file: File,
    page_bytes: u64,
    /// Whether the kernel has the scan, as far as was tried.
    scans: AtomicBool,
}

impl PageMap {
    /// That of a process, by a number under which it has its memory.
    pub(crate) fn open(process: ProcessId) -> io::Result<Self> {
        let file = File::open(format!("/proc/{process}/pagemap"))?;
        // SAFETY: it takes a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page_bytes = u64::try_from(page).map_err(|_| io::Error::last_os_error())?;
        Ok(Self { file, page_bytes, scans: AtomicBool::new(true) })
    }

    /// What is known of a range.
    pub(crate) fn contents(&self, range: Range<Addr>) -> io::Result<Vec<(Range<Addr>, Content)>> {
        let mut found = Contents { parts: Vec::new(), next: range.start, end: range.end };
        let whole = range.start.0 / self.page_bytes * self.page_bytes..range.end.0;
        if range.start < range.end {
            match self.scan(whole.clone(), &mut found) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
                    self.scans.store(false, Ordering::Relaxed);
                    self.read(whole, &mut found)?;
                }
                result => result?,
            }
            found.until(range.end, Content::Untouched);
        }
        Ok(found.parts)
    }

    /// Asks for the pages that are there: what lies between them costs nothing.
    fn scan(&self, range: Range<u64>, found: &mut Contents) -> io::Result<()> {
        if !self.scans.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::ENOTTY));
        }
        let end = range.end.next_multiple_of(self.page_bytes);
        let most = (end - range.start) / self.page_bytes;
        let mut regions = vec![Region::default(); most.min(AT_ONCE as u64) as usize];
        let mut next = range.start;
        while next < end {
            let mut argument = ScanArgument {
                size: size_of::<ScanArgument>() as u64,
                start: next,
                end,
                regions: regions.as_mut_ptr() as u64,
                region_count: regions.len() as u64,
                any_of: IS_PRESENT | IS_SWAPPED,
                returned: IS_FILE | IS_ZERO,
                ..ScanArgument::default()
            };
            // SAFETY: `argument` has the size that it says and names `regions` with their number; both outlive the call.
            let count = unsafe { libc::ioctl(self.file.as_raw_fd(), SCAN, &raw mut argument) };
            let Ok(count) = usize::try_from(count) else {
                return Err(io::Error::last_os_error());
            };
            for region in &regions[..count.min(regions.len())] {
                found.until(Addr(region.start), Content::Untouched);
                found.until(
                    Addr(region.end),
                    content(region.categories & IS_FILE != 0, region.categories & IS_ZERO != 0),
                );
            }
            if argument.walk_end <= next {
                break;
            }
            next = argument.walk_end;
        }
        Ok(())
    }

    /// The same from the file, eight bytes for each page, for older kernels.
    fn read(&self, range: Range<u64>, found: &mut Contents) -> io::Result<()> {
        let mut entries = vec![0; AT_ONCE * ENTRY_BYTES];
        let mut at = range.start;
        while at < range.end {
            let pages = (range.end - at).div_ceil(self.page_bytes).min(AT_ONCE as u64) as usize;
            let offset = at / self.page_bytes * ENTRY_BYTES as u64;
            let read = self.file.read_at(&mut entries[..pages * ENTRY_BYTES], offset)? / ENTRY_BYTES;
            if read == 0 {
                break;
            }
            for entry in entries[..read * ENTRY_BYTES].chunks_exact(ENTRY_BYTES) {
                let bits = entry.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
                at += self.page_bytes;
                found.until(
                    Addr(at),
                    match bits & (ENTRY_PRESENT | ENTRY_SWAPPED) {
                        0 => Content::Untouched,
                        _ => content(bits & ENTRY_FILE != 0, false),
                    },
                );
            }
        }
        Ok(())
    }
}

/// What a page has that is there.
fn content(is_file: bool, is_zero: bool) -> Content {
    match (is_file, is_zero) {
        (_, true) => Content::Untouched,
        (true, false) => Content::File,
        (false, false) => Content::Own,
    }
}

/// Parts without gaps, equal ones joined.
struct Contents {
    parts: Vec<(Range<Addr>, Content)>,
    next: Addr,
    /// Where all ends.
    end: Addr,
}

impl Contents {
    /// What there is from the end of the last part to `end`; nothing where that lies behind.
    fn until(&mut self, end: Addr, content: Content) {
        let end = end.min(self.end);
        if end <= self.next {
            return;
        }
        match self.parts.last_mut() {
            Some((range, before)) if *before == content => range.end = end,
            _ => self.parts.push((self.next..end, content)),
        }
        self.next = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;
    const PAGES: usize = 64;

    /// Memory of our own that nothing has touched.
    fn fresh() -> &'static mut [u8] {
        // SAFETY: new memory, which stays.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let at = libc::mmap(
                std::ptr::null_mut(),
                PAGES * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            );
            assert_ne!(at, libc::MAP_FAILED);
            libc::madvise(at, PAGES * PAGE, libc::MADV_NOHUGEPAGE);
            std::slice::from_raw_parts_mut(at.cast(), PAGES * PAGE)
        }
    }

    #[test]
    fn what_was_written_is_told_from_what_was_not() {
        let memory = fresh();
        let start = memory.as_ptr() as u64;
        for page in [3, 4, 9] {
            memory[page * PAGE] = 1;
        }
        let at = |page: usize| Addr(start + (page * PAGE) as u64);
        let map = PageMap::open(ProcessId(std::process::id())).unwrap();
        let range = at(1)..Addr(at(PAGES).0 - 5);
        let expected = [
            (at(1)..at(3), Content::Untouched),
            (at(3)..at(5), Content::Own),
            (at(5)..at(9), Content::Untouched),
            (at(9)..at(10), Content::Own),
            (at(10)..range.end, Content::Untouched),
        ];
        assert_eq!(map.contents(range.clone()).unwrap(), expected);
        map.scans.store(false, Ordering::Relaxed);
        assert_eq!(map.contents(range).unwrap(), expected);
        assert_eq!(map.contents(at(1)..at(1)).unwrap(), []);
    }

    #[test]
    fn a_page_that_was_only_read_is_zero() {
        let memory = fresh();
        let start = Addr(memory.as_ptr() as u64);
        let zero = memory[5 * PAGE + 1];
        assert_eq!(zero, 0);
        let map = PageMap::open(ProcessId(std::process::id())).unwrap();
        let whole = start..start.wrapping_add((PAGES * PAGE) as u64);
        let parts = map.contents(whole.clone()).unwrap();
        if map.scans.load(Ordering::Relaxed) {
            assert_eq!(parts, [(whole, Content::Untouched)]);
        }
    }

    #[test]
    fn code_is_the_files() {
        let code = Addr(content as fn(bool, bool) -> Content as usize as u64);
        let map = PageMap::open(ProcessId(std::process::id())).unwrap();
        assert_eq!(map.contents(code..code.wrapping_add(1)).unwrap()[0].1, Content::File);
    }
}
