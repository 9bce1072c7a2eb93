//! The bytes of a core.

use std::{fmt, fs::File, io, os::unix::fs::FileExt as _, path::Path};

use prospect_process::Memory;

use super::CoreError;

/// Where the bytes of a core come from. Nothing is read before it is asked for: a core can be larger than memory.
///
/// The file is read and not mapped: so one that is cut or changed meanwhile is an error and no signal, and what was
/// read does not count as memory of this process.
pub(crate) enum CoreFile {
    File {
        file: File,
        length: u64,
    },
    Bytes(Vec<u8>),
    /// The beginning, with headers and notes, and the process that the rest is about: its memory is read there.
    Head {
        bytes: Vec<u8>,
        memory: Box<dyn Memory + Send>,
    },
}

impl CoreFile {
    pub(crate) fn open(path: &Path) -> Result<Self, CoreError> {
        // Opening a FIFO would block: what it is comes before.
        if !std::fs::metadata(path)?.is_file() {
            return Err(CoreError::NotRegular);
        }
        Self::new(File::open(path)?)
    }

    pub(crate) fn new(file: File) -> Result<Self, CoreError> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(CoreError::NotRegular);
        }
        Ok(Self::File { file, length: metadata.len() })
    }

    /// How long it was when it was opened. Of what was only begun to be read it is not known, and nothing is missing.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Head { .. } => u64::MAX,
            _ => self.held(),
        }
    }

    /// How many bytes can be read from it.
    fn held(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Bytes(bytes) | Self::Head { bytes, .. } => bytes.len() as u64,
        }
    }

    /// The memory of the process, where that is not in the file.
    pub(crate) fn memory(&self) -> Option<&dyn Memory> {
        match self {
            Self::Head { memory, .. } => Some(&**memory),
            _ => None,
        }
    }

    /// Reads at most so many bytes as there are; 0 at the end.
    pub(crate) fn read_up_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => loop {
                match file.read_at(buffer, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            },
            Self::Bytes(bytes) | Self::Head { bytes, .. } => {
                let from =
                    usize::try_from(offset).ok().and_then(|from| bytes.get(from..)).unwrap_or_default();
                let length = from.len().min(buffer.len());
                buffer[..length].copy_from_slice(&from[..length]);
                Ok(length)
            }
        }
    }

    /// The bytes from `offset` on, `length` of them or as many as there are.
    pub(crate) fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let there = self.held().saturating_sub(offset).min(length);
        let mut bytes = vec![0; usize::try_from(there).map_err(io::Error::other)?];
        let mut done = 0;
        while done < bytes.len() {
            match self.read_up_to(offset + done as u64, &mut bytes[done..])? {
                0 => break,
                read => done += read,
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }
}

impl fmt::Debug for CoreFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreFile").field("held", &self.held()).finish_non_exhaustive()
    }
}
