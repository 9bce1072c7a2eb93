//! A core that comes through a pipe, as the kernel sends it to the program in `/proc/sys/kernel/core_pattern`.

use std::io::{self, Read};

use prospect_process::Memory;

use super::{CoreError, ElfCore, core::MOST_NOTE_BYTES, file::CoreFile, header};

/// More bytes than the headers and notes of a process have.
const MOST_HEAD_BYTES: u64 = 2 * MOST_NOTE_BYTES;

/// Reads the beginning of a core: its headers and its notes, which the kernel writes before all memory (`elf_core_dump` in
/// `fs/binfmt_elf.c`). What was read is appended to the empty `head`, also where this fails. Says whether all of them are
/// there; where not, the stream has ended, or has them elsewhere.
///
/// # Errors
/// Those of `from`.
pub fn read_head(from: &mut dyn Read, head: &mut Vec<u8>) -> io::Result<bool> {
    let mut until = |head: &mut Vec<u8>, end: Option<u64>| {
        let Some(end) = end.filter(|end| *end <= MOST_HEAD_BYTES) else { return Ok(false) };
        (&mut *from).take(end.saturating_sub(head.len() as u64)).read_to_end(head)?;
        Ok::<_, io::Error>(head.len() as u64 >= end)
    };
    if !until(head, Some(64))? {
        return Ok(false);
    }
    let entry = header::first_entry_end(head);
    if !until(head, entry)? {
        return Ok(false);
    }
    let notes = header::first_notes_end(head);
    until(head, notes)
}

impl ElfCore {
    /// The core that begins with these [headers and notes](read_head), of a process that is still there: the memory that would
    /// follow is read from it. That which the core leaves out is left out here too.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_head(head: Vec<u8>, memory: Box<dyn Memory + Send>) -> Result<Self, CoreError> {
        Self::read(CoreFile::Head { bytes: head, memory })
    }
}
