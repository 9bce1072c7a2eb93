//! Files of `/proc` that writers for Linux put into streams.

use prospect_process::{Mapping, ThreadState, proc_maps};

use super::{directory::Directory, reader::Reader};
use crate::minidump::kinds;

/// What is in them of the process.
pub(in super::super) struct LinuxFacts {
    pub(in super::super) command_line: Vec<Vec<u8>>,
    pub(in super::super) auxiliary_vector: Vec<u8>,
    pub(in super::super) mappings: Option<Vec<Mapping>>,
    pub(in super::super) name: Option<String>,
    pub(in super::super) process: Option<u32>,
    pub(in super::super) parent: Option<u32>,
    pub(in super::super) state: ThreadState,
    pub(in super::super) user_and_group: Option<(u32, u32)>,
    pub(in super::super) process_group: Option<u32>,
    pub(in super::super) session: Option<u32>,
    /// Of the first thread: signals that were sent to it, and those that are held back from it.
    pub(in super::super) pending: u64,
    pub(in super::super) blocked: u64,
}

impl LinuxFacts {
    pub(in super::super) fn read(reader: &Reader<'_>, directory: &Directory) -> Self {
        let bytes = |kind| directory.bytes(reader, kind);
        let status = bytes(kinds::LINUX_STATUS).unwrap_or_default();
        // Of several, the first: real numbers before effective ones, those of the process's own namespace last.
        let first = |name: &[u8]| {
            std::str::from_utf8(field(&status, name)?)
                .ok()?
                .split_ascii_whitespace()
                .next()
                .map(str::to_owned)
        };
        let number = |name: &[u8]| first(name)?.parse::<u32>().ok();
        let mask = |name: &[u8]| u64::from_str_radix(&first(name)?, 16).ok();
        let state = field(&status, b"State").and_then(<[u8]>::first);
        let name = field(&status, b"Name").map(|name| String::from_utf8_lossy(name).into_owned());
        let command_line = bytes(kinds::LINUX_COMMAND_LINE).unwrap_or_default();
        Self {
            command_line: without_empty_end(&command_line),
            auxiliary_vector: bytes(kinds::LINUX_AUXV).unwrap_or_default(),
            mappings: bytes(kinds::LINUX_MAPS).map(|text| proc_maps::parse(&text)),
            name,
            process: number(b"Pid").filter(|number| *number > 0),
            parent: number(b"PPid").filter(|number| *number > 0),
            state: state.map_or(ThreadState::Unknown, |code| ThreadState::from_code(*code)),
            user_and_group: number(b"Uid").zip(number(b"Gid")),
            process_group: number(b"NSpgid").filter(|number| *number > 0),
            session: number(b"NSsid").filter(|number| *number > 0),
            pending: mask(b"SigPnd").unwrap_or(0),
            blocked: mask(b"SigBlk").unwrap_or(0),
        }
    }
}

/// Texts that each end with a zero.
pub(in super::super) fn without_empty_end(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.strip_suffix(b"\0").unwrap_or(bytes).split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// A line `NAME:<tab>VALUE`.
fn field<'a>(status: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = status.split(|byte| *byte == b'\n');
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(b":")?.trim_ascii()))
}
