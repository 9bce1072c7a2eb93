//! Programs that are not ours.

use std::{path::Path, process::Command};

use crate::{Missing, Running, tool};

/// The distribution's Python with four threads, each some calls deep and asleep.
///
/// # Errors
/// When there is no Python.
pub fn python_threads() -> Result<Running, Missing> {
    // The distribution's own, wherever another one comes first on the search path.
    let own = "/usr/bin/python3";
    python_threads_of(if Path::new(own).exists() { own } else { "python3" })
}

/// The same of another build of Python.
///
/// # Errors
/// When it is not there.
pub fn python_threads_of(program: &str) -> Result<Running, Missing> {
    const SCRIPT: &str = "
import threading, time
def rec(n):
    if n: return [x for x in map(lambda y: rec(n - 1), [1])]
    time.sleep(900)
for i in range(3): threading.Thread(target=rec, args=(5 * i,), daemon=True).start()
time.sleep(0.2)
print('READY', flush=True)
sorted([2, 1], key=lambda x: rec(10))
";
    tool(program)?;
    Ok(Running::start(Command::new(program).args(["-c", SCRIPT])))
}
