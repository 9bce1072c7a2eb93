//! The bytes of a file.

use std::{
    fs::File,
    io,
    ops::{Deref, Range},
    path::Path,
};

/// A file's bytes: mapped from it, or owned (what a compressed section or a process's memory held).
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl FileBytes {
    /// Maps a file. It must be a regular one: anything else could block or never end.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        // Opening a FIFO would block: what it is comes before.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self::Owned(Vec::new()));
        }
        #[expect(unsafe_code, reason = "a file is mapped here and nowhere else")]
        // SAFETY: the mapping is private and only read. Bytes that another process writes meanwhile may
        // change under us: every reader checks what it reads at the time that it reads it.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Self::Mapped(map))
    }

    /// Gives the pages that lie wholly in `range` back: they are read from the file again when they
    /// are needed again.
    pub(crate) fn release(&self, range: Range<usize>) {
        const PAGE: usize = 4096;
        let Self::Mapped(map) = self else { return };
        let (start, end) = (range.start.next_multiple_of(PAGE), range.end.min(map.len()) / PAGE * PAGE);
        if start < end {
            #[expect(unsafe_code, reason = "a mapping of a file, private and unchanged")]
            // SAFETY: nothing was written to this private mapping, so that dropping its pages loses
            // nothing: the next access reads the file. A failure only means that memory stays in use.
            let _ =
                unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
        }
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}
