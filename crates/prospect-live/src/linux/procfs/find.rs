//! The processes of the machine, and those of a name.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use prospect_process::{ProcessId, ThreadState};

use super::{ProcError, command_line, cursor::whole_number, executable, process_stat};

/// How much of the command line is looked at: room for the longest path (`PATH_MAX`).
const FIRST_ARGUMENT_BYTES: usize = 4096;

/// All processes that we can see, in rising order of their numbers.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn process_ids() -> Result<Vec<ProcessId>, ProcError> {
    let path = Path::new("/proc");
    let failed = |error| ProcError::of_file(path, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = whole_number(name.as_bytes()).and_then(|number| u32::try_from(number).ok());
        found.extend(number.map(ProcessId));
    }
    found.sort_unstable();
    Ok(found)
}

/// The processes that are called `name`: by their short name (`comm`), the file name of their executable,
/// or the file name in their first argument. Without ourselves, and without zombies, of which there is
/// nothing left to see.
///
/// The kernel cuts short names at 15 bytes; longer names are found through the other two.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn find_by_name(name: &[u8]) -> Result<Vec<ProcessId>, ProcError> {
    let mut found = process_ids()?;
    found.retain(|pid| pid.0 != std::process::id() && is_called(*pid, name));
    Ok(found)
}

/// A process that ends or hides while we look has no name.
fn is_called(pid: ProcessId, name: &[u8]) -> bool {
    let mut buffer = Vec::new();
    let Ok(stat) = process_stat(pid, &mut buffer) else { return false };
    // A zombie among several threads is the first one only.
    if matches!(stat.state, ThreadState::Zombie | ThreadState::Dead) && stat.threads <= 1 {
        return false;
    }
    if stat.name == name {
        return true;
    }
    if stat.is_kernel_thread() {
        return false;
    }
    if let Ok(Some(exe)) = executable(pid)
        && file_name(&exe.path) == name
    {
        return true;
    }
    let Ok(start) = command_line::read(pid, FIRST_ARGUMENT_BYTES) else { return false };
    start.split(|byte| *byte == 0).next().is_some_and(|argument| file_name(argument) == name)
}

/// What follows the last slash; nothing is the name of nothing.
fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
