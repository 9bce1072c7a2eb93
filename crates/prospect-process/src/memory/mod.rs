//! Reading a process's memory.

mod captured;

pub use captured::CapturedMemory;

use std::ops::Range;

use crate::{Addr, Arch};

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read memory at {at}: {why}")]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryError {
    /// The first byte that could not be read.
    pub at: Addr,
    /// What stood in the way.
    pub why: Unreadable,
}

/// What stands in the way of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Unreadable {
    /// Nothing is mapped there, or the mapping cannot be read.
    #[error("not mapped or not readable")]
    Unmapped,
    /// The system refuses access to the process's memory.
    #[error("permission denied")]
    Denied,
    /// The process has ended.
    #[error("the process has ended")]
    Gone,
    /// The bytes were not copied when the process was frozen or dumped.
    #[error("not captured")]
    NotCaptured,
}

/// One of several reads that are asked for together; see [`Memory::read_many`].
#[derive(Debug)]
pub struct ReadRequest<'a> {
    /// Where to start.
    pub at: Addr,
    /// Filled from its start on.
    pub buffer: &'a mut [u8],
    /// How many bytes were read: as many as could be, from the start on without a gap.
    pub done: usize,
}

/// What is known of a range of memory before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes of its own, or it is not known.
    Own,
    /// What the mapped file has there.
    File,
    /// It was never touched: zero in memory without a file, else what the file has.
    Untouched,
    /// It is not there: a dump left it out.
    Missing,
}

/// The bytes of a process.
///
/// One method is required; everything else is built on it.
pub trait Memory: Sync {
    /// Reads at least one byte and at most `buffer.len()` bytes from `at` on. Returns how many.
    ///
    /// # Errors
    /// When not even the first byte can be read. An empty buffer is read without an error.
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError>;

    /// Fills `buffer` from `at` on.
    ///
    /// # Errors
    /// With the address of the first byte that cannot be read; the bytes before it are in place.
    fn read(&self, at: Addr, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let mut done = 0;
        while done < buffer.len() {
            let here = at.wrapping_add(done as u64);
            match self.read_up_to(here, &mut buffer[done..])? {
                0 => return Err(MemoryError { at: here, why: Unreadable::Unmapped }),
                read => done += read,
            }
        }
        Ok(())
    }

    /// The bytes from `at` on that can be looked at without a read, as many as there are in one piece. `None`
    /// where a read is needed.
    fn at_hand(&self, _at: Addr) -> Option<&[u8]> {
        None
    }

    /// What is known of the parts of `range` without reading them: in order, without gaps, from its start to its end.
    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        vec![(range, Content::Own)]
    }

    /// Does several reads at once: a live process takes them all in one system call.
    fn read_many(&self, requests: &mut [ReadRequest<'_>]) {
        for request in requests {
            request.done = self.read_available(request.at, request.buffer);
        }
    }

    /// Reads as much of `buffer` as there is without a gap, and says how much.
    fn read_available(&self, at: Addr, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_up_to(at.wrapping_add(done as u64), &mut buffer[done..]) {
                Ok(0) | Err(_) => break,
                Ok(read) => done += read,
            }
        }
        done
    }

    /// Reads one word of `arch`.
    ///
    /// # Errors
    /// When a byte of it cannot be read.
    fn read_word(&self, arch: Arch, at: Addr) -> Result<u64, MemoryError> {
        let info = arch.info();
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..usize::from(info.word_bytes)];
        self.read(at, bytes)?;
        info.word(bytes).ok_or(MemoryError { at, why: Unreadable::Unmapped })
    }

    /// Reads bytes up to (not including) a NUL, at most `limit` of them.
    ///
    /// # Errors
    /// When a byte before the NUL cannot be read.
    fn read_c_string(&self, at: Addr, limit: usize) -> Result<Vec<u8>, MemoryError> {
        let mut string = Vec::new();
        let mut chunk = [0; 256];
        while string.len() < limit {
            let wanted = chunk.len().min(limit - string.len());
            let read = self.read_up_to(at.wrapping_add(string.len() as u64), &mut chunk[..wanted])?;
            if let Some(end) = chunk[..read].iter().position(|byte| *byte == 0) {
                string.extend_from_slice(&chunk[..end]);
                break;
            }
            string.extend_from_slice(&chunk[..read]);
        }
        Ok(string)
    }
}
