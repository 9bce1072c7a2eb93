//! Cores of real programs: those that the kernel writes, and those of debuggers.

use std::{
    ffi::OsStr,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{Missing, Running, Signal, Tool, send, tool};

/// A kernel that writes cores into the directory that a program is in.
///
/// # Errors
/// When it does something else with them (`/proc/sys/kernel/core_pattern`): tests do not change that.
pub fn kernel_cores() -> Result<(), Missing> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let is_plain = pattern.starts_with("core") && !pattern.contains(['/', '|']);
    if is_plain { Ok(()) } else { Err(Missing::new("the kernel does not write cores into directories")) }
}

/// The command, to be run in `directory`, where it leaves a core when it crashes.
#[must_use]
pub fn with_cores(command: &Command, directory: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args()).current_dir(directory);
    shell
}

/// Runs a command that crashes, and returns the core that it leaves in `directory`.
///
/// # Panics
/// When it does not crash, or leaves none.
#[must_use]
pub fn crash(command: &Command, directory: &Path) -> PathBuf {
    let outcome = Tool::finish(&mut with_cores(command, directory));
    assert!(outcome.status.signal().is_some(), "{command:?} does not crash: {outcome:?}");
    core_in(directory)
}

/// Has a program crash that was started [with cores](with_cores) in `directory`, wherever it is, and returns the core.
///
/// # Panics
/// When it does not end, or leaves none.
#[must_use]
pub fn abort(mut running: Running, directory: &Path) -> PathBuf {
    assert!(send(Signal::Abort, running.pid()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while running.is_alive() {
        assert!(Instant::now() < deadline, "the program does not end");
        thread::sleep(Duration::from_millis(1));
    }
    core_in(directory)
}

/// The core that gdb writes of a process that runs on.
///
/// # Errors
/// When gdb is not there.
///
/// # Panics
/// When it writes none.
pub fn gcore(pid: u32, directory: &Path) -> Result<PathBuf, Missing> {
    tool("gdb")?;
    let core = directory.join("gcore");
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-p", &pid.to_string(), "-ex"]);
    let outcome = Tool::finish(gdb.arg(format!("gcore {}", core.display())));
    assert!(core.exists(), "gdb writes no core: {outcome:?}");
    Ok(core)
}

fn core_in(directory: &Path) -> PathBuf {
    let is_core = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("core") || name.ends_with(".core")
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = entries.into_iter().find(|path| path.file_name().is_some_and(is_core));
    found.unwrap_or_else(|| panic!("there is no core in {}", directory.display()))
}
