//! `/proc/PID/auxv`: what the kernel told a program when it started.

use std::path::Path;

pub use prospect_process::auxv::*;
use prospect_process::{Arch, ProcessId};

use super::{ProcError, file::read_all};

/// The kernel's own limit is far below (`AT_VECTOR_SIZE`).
pub(super) const LIMIT_BYTES: usize = 16 << 10;

/// The auxiliary vector of a process that runs as `arch`.
///
/// # Errors
/// When the process is gone or the kernel does not let us look.
pub fn read(pid: ProcessId, arch: Arch) -> Result<Auxv, ProcError> {
    let path = format!("/proc/{pid}/auxv");
    let path = Path::new(&path);
    let bytes = read_all(path, LIMIT_BYTES).map_err(|error| ProcError::of_process(pid, path, error))?;
    let info = arch.info();
    Ok(Auxv::parse(&bytes, info.word_bytes, info.big_endian))
}
