//! `/proc/PID/cmdline`: the arguments of a process.

use std::path::Path;

use prospect_process::ProcessId;

use super::{ProcError, file::read_all};

/// `execve` allows 6 MiB of arguments, but a process can point the kernel at any of its memory
/// (`PR_SET_MM_ARG_START`).
const LIMIT_BYTES: usize = 6 << 20;

/// So many empty arguments would take more room than all of their bytes.
const LIMIT_ARGUMENTS: usize = 1 << 16;

/// The arguments, the empty ones too. Nothing for a kernel thread or a zombie. A process that has written a
/// title over its arguments has that title, mostly without the final NUL, as its only one.
///
/// At most 65,536 arguments are taken.
#[must_use]
pub fn parse(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|byte| *byte == 0).take(LIMIT_ARGUMENTS).map(<[u8]>::to_vec).collect()
}

/// The arguments of a process.
///
/// # Errors
/// When the process is gone.
pub fn command_line(pid: ProcessId) -> Result<Vec<Vec<u8>>, ProcError> {
    read(pid, LIMIT_BYTES).map(|bytes| parse(&bytes))
}

/// The start of the file, where only the first argument is of interest.
pub(super) fn read(pid: ProcessId, limit: usize) -> Result<Vec<u8>, ProcError> {
    let path = format!("/proc/{pid}/cmdline");
    let path = Path::new(&path);
    read_all(path, limit).map_err(|error| ProcError::of_process(pid, path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_is_kept() {
        assert_eq!(parse(b"cat\0\0-\xff\0\0"), [&b"cat"[..], b"", b"-\xff", b""]);
        assert_eq!(parse(b"a b\0"), [b"a b"]);
        assert_eq!(parse(b"\0"), [b""]);
        assert!(parse(b"").is_empty());
    }

    #[test]
    fn a_title_needs_no_nul() {
        assert_eq!(parse(b"nginx: worker process"), [b"nginx: worker process"]);
        assert_eq!(parse(b"a\0b"), [b"a", b"b"]);
    }

    #[test]
    fn a_flood_of_empty_arguments_is_cut() {
        assert_eq!(parse(&vec![0; 1 << 20]).len(), LIMIT_ARGUMENTS);
    }
}
