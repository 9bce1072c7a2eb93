//! The bytes of a file.

use std::{
    fs::{File, Metadata},
    io,
    ops::{Deref, Range},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A file's bytes: mapped from it, or owned (what a compressed section or a process's memory held).
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped { map: memmap2::Mmap, stamp: FileStamp, path: PathBuf },
    Owned(Vec<u8>),
}

/// What tells a file from all others of this machine, and from itself before it was changed: the system
/// says it, so that whoever made the file's bytes cannot make it up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FileStamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) length: u64,
    /// Seconds and nanoseconds since 1970, as for `changed`.
    pub(crate) modified: (i64, i64),
    /// When it was last changed in any way. Users cannot set this one.
    pub(crate) changed: (i64, i64),
}

impl FileStamp {
    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl FileStamp {
    /// All of it, as files of the cache have it.
    pub(crate) fn to_bytes(self) -> [u8; 56] {
        let Self { device, inode, length, modified, changed } = self;
        let times = [modified.0, modified.1, changed.0, changed.1].map(i64::cast_unsigned);
        let mut bytes = [0; 56];
        let numbers = [device, inode, length].into_iter().chain(times);
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

impl FileBytes {
    /// Maps a file. It must be a regular one: anything else could block or never end.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let (file, metadata) = open(path)?;
        if metadata.len() == 0 {
            return Ok(Self::Owned(Vec::new()));
        }
        #[expect(unsafe_code, reason = "a file is mapped here and nowhere else")]
        // SAFETY: the mapping is private and only read. Bytes that another process writes meanwhile may
        // change under us: every reader checks what it reads at the time that it reads it.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Self::Mapped { map, stamp: FileStamp::new(&metadata), path: path.to_owned() })
    }

    /// What tells the file from others; `None` for bytes that are no file's.
    pub(crate) fn stamp(&self) -> Option<FileStamp> {
        match self {
            Self::Mapped { stamp, .. } => Some(*stamp),
            Self::Owned(_) => None,
        }
    }

    /// The file opened once more, where that is still the one that was mapped. It is not held open: there may be more of
    /// them than a process may have open.
    pub(crate) fn reopen(&self) -> Option<File> {
        let Self::Mapped { stamp, path, .. } = self else { return None };
        let (file, metadata) = open(path).ok()?;
        (FileStamp::new(&metadata) == *stamp).then_some(file)
    }

    /// Gives the pages that lie wholly in `range` back: they are read from the file again when they
    /// are needed again.
    pub(crate) fn release(&self, range: Range<usize>) {
        const PAGE: usize = 4096;
        let Self::Mapped { map, .. } = self else { return };
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

/// Opens a regular file.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Opening a FIFO would block: what it is comes before.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped { map, .. } => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_file_that_was_changed_or_replaced_is_not_opened_once_more() {
        let directory = TempDir::new();
        let path = directory.write("file", b"some bytes");
        let bytes = FileBytes::map(&path).unwrap();
        assert!(bytes.reopen().is_some());
        fs::copy(&path, directory.path("other")).unwrap();
        fs::rename(directory.path("other"), &path).unwrap();
        assert!(bytes.reopen().is_none());
        let bytes = FileBytes::map(&path).unwrap();
        fs::write(&path, b"more bytes than before").unwrap();
        assert!(bytes.reopen().is_none());
        fs::remove_file(&path).unwrap();
        assert!(bytes.reopen().is_none());
        assert!(FileBytes::Owned(vec![1]).reopen().is_none());
    }
}
