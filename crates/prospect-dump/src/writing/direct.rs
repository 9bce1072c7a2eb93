//! Writing past the kernel's cache of files (`O_DIRECT`, `man 2 open`).

use std::{
    fs::{File, OpenOptions},
    io,
    ops::{Deref, DerefMut, Range},
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, OpenOptionsExt as _},
    },
    time::{Duration, Instant},
};

/// Memory and places in the file are multiples of this: the largest block of usual disks.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Less is not worth the wait for the disk.
const LEAST_BYTES: usize = 256 << 10;

/// A file that is written to past the cache, as long as that is no slower than through it.
#[derive(Debug)]
pub(super) struct DirectFile {
    file: File,
    pub(super) pace: Pace,
    /// Whether it has refused a write.
    refused: bool,
}

impl DirectFile {
    /// The same file, opened once more; `None` where the file system cannot do that, or has no `/proc`.
    pub(super) fn of(file: &File) -> Option<Self> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok()?;
        Some(Self { file, pace: Pace::default(), refused: false })
    }

    /// Which part of `bytes` can be written so when they belong to `position`, and is worth it.
    pub(super) fn part(&self, position: u64, bytes: &[u8]) -> Option<Range<usize>> {
        if self.refused || bytes.len() < LEAST_BYTES || !self.pace.prefers_direct() {
            return None;
        }
        let before =
            [position as usize, bytes.as_ptr().addr()].map(|at| at.next_multiple_of(BLOCK_BYTES) - at);
        let end = bytes.len() - (bytes.len() - before[0]) % BLOCK_BYTES;
        (before[0] == before[1] && end - before[0] >= LEAST_BYTES).then_some(before[0]..end)
    }

    /// Writes what [`part`](Self::part) said, and says how much was written: what is left is for the cache. So is the error, which is
    /// seen there again unless it was about this way of writing.
    pub(super) fn write_at(&mut self, bytes: &[u8], at: u64) -> usize {
        let mut written = 0;
        self.pace.direct(bytes.len(), || {
            while written < bytes.len() && written % BLOCK_BYTES == 0 {
                match self.file.write_at(&bytes[written..], at + written as u64) {
                    Ok(more @ 1..) => written += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(_) | Err(_) => {
                        self.refused = true;
                        break;
                    }
                }
            }
        });
        written
    }
}

/// Bytes that begin where a block may: what is read into it can be written so.
#[derive(Debug)]
pub(super) struct AlignedBuffer {
    bytes: Vec<u8>,
    skipped: usize,
}

impl AlignedBuffer {
    /// So many zeros.
    pub(super) fn new(length: usize) -> Self {
        let bytes = vec![0; length + BLOCK_BYTES];
        let start = bytes.as_ptr().addr();
        let skipped = start.next_multiple_of(BLOCK_BYTES) - start;
        Self { bytes, skipped }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.skipped..self.bytes.len() - (BLOCK_BYTES - self.skipped)]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - (BLOCK_BYTES - self.skipped);
        &mut self.bytes[self.skipped..end]
    }
}

/// How fast the two ways were of late, in bytes a second; `None` for one that was not tried.
///
/// Past the cache it is as fast as the disk. Through it, it is as fast as memory, until so much is to be written that the kernel lets
/// writers wait, or has to look for memory. Which is faster depends on the machine and what else it does, so both are measured as they are used.
#[derive(Debug, Default)]
pub(super) struct Pace {
    direct: Option<f64>,
    cached: Option<f64>,
}

impl Pace {
    /// What the cache is taken for before it was tried, in bytes a second.
    const CACHED: f64 = 1e9;
    /// The cache has to be so much faster: what is written through it costs others something too.
    const MARGIN: f64 = 2.0;
    /// Less is no measure.
    const LEAST_MEASURED: usize = 64 << 10;

    fn prefers_direct(&self) -> bool {
        self.direct.is_none_or(|direct| direct * Self::MARGIN >= self.cached.unwrap_or(Self::CACHED))
    }

    fn direct<T>(&mut self, bytes: usize, write: impl FnOnce() -> T) -> T {
        Self::measure(&mut self.direct, bytes, write)
    }

    pub(super) fn cached<T>(&mut self, bytes: usize, write: impl FnOnce() -> T) -> T {
        Self::measure(&mut self.cached, bytes, write)
    }

    fn measure<T>(speed: &mut Option<f64>, bytes: usize, write: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = write();
        if bytes >= Self::LEAST_MEASURED {
            let now = bytes as f64 / begin.elapsed().max(Duration::from_nanos(1)).as_secs_f64();
            *speed = Some(speed.map_or(now, |before| (3.0 * before + now) / 4.0));
        }
        result
    }
}
