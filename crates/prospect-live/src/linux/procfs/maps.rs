//! `/proc/PID/maps`: the memory map.

use std::path::Path;

pub use prospect_process::proc_maps::parse;
use prospect_process::{Mapping, Mappings, ProcessId};

use super::{ProcError, file::read_into, info};

/// A process has at most `vm.max_map_count` mappings, 65,530 by default and a million on some desktops.
const LIMIT_BYTES: usize = 256 << 20;

/// The memory map of a process. Of one whose first thread has ended while others live on, it is the map
/// that those see; kernel threads and zombies have none.
///
/// # Errors
/// When the process is gone or the kernel does not let us look.
pub fn mappings(pid: ProcessId) -> Result<Mappings, ProcError> {
    let found = read(pid)?;
    if found.is_empty() {
        let view = info::memory_view(pid);
        if view != pid {
            return Ok(Mappings::new(read(view)?));
        }
    }
    Ok(Mappings::new(found))
}

fn read(pid: ProcessId) -> Result<Vec<Mapping>, ProcError> {
    let mut bytes = Vec::new();
    let length = read_bytes(pid, &mut bytes)?;
    Ok(parse(&bytes[..length]))
}

fn read_bytes(pid: ProcessId, bytes: &mut Vec<u8>) -> Result<usize, ProcError> {
    let path = format!("/proc/{pid}/maps");
    let path = Path::new(&path);
    read_into(path, LIMIT_BYTES, bytes).map_err(|error| ProcError::of_process(pid, path, error))
}

/// The memory map of a process, read before the process is stopped so that reading it once more while it is costs
/// little: no memory is asked for, and what has not changed is not parsed again.
#[derive(Debug)]
pub(crate) struct RepeatedMap {
    view: ProcessId,
    text: Vec<u8>,
    length: usize,
    next: Vec<u8>,
    mappings: Mappings,
}

impl RepeatedMap {
    /// Reads the map for the first time. A map that cannot be read is empty.
    pub(crate) fn new(pid: ProcessId) -> Self {
        let view = info::memory_view(pid);
        let mut text = Vec::new();
        let length = read_bytes(view, &mut text).unwrap_or(0);
        let mappings = Mappings::new(parse(&text[..length]));
        // Written, so that its pages are there.
        let next = vec![1; text.len()];
        Self { view, text, length, next, mappings }
    }

    /// The map as it is now.
    pub(crate) fn now(mut self, pid: ProcessId) -> Mappings {
        let length = read_bytes(self.view, &mut self.next).unwrap_or(0);
        if length == 0 {
            // The thread that it was read through has ended.
            return mappings(pid).unwrap_or_default();
        }
        if self.text[..self.length] == self.next[..length] {
            return self.mappings;
        }
        Mappings::new(parse(&self.next[..length]))
    }
}
