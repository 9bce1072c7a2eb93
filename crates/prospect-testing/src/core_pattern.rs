//! The kernel's setting of where cores go, changed for the time of a test.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{Missing, root, tool};

const SETTING: &str = "/proc/sys/kernel/core_pattern";

/// What the guard runs: it holds a lock, so that only one test of this machine is about the setting, says that it is
/// ready, waits for the end of its input, which comes however the test ends, or for two minutes, and puts back what was
/// there.
const GUARD: &str = "
    before=$(cat $0) || exit 1
    trap '' INT TERM HUP PIPE
    echo ready
    timeout -s KILL 120 cat > /dev/null
    printf '%s\\n' \"$before\" > $0
    echo restored";

/// As long as this lives, a test may change `/proc/sys/kernel/core_pattern`: a process of its own puts back what was
/// there, also when the test is killed.
#[derive(Debug)]
pub struct CorePattern {
    guard: Child,
    said: BufReader<ChildStdout>,
}

impl CorePattern {
    /// Begins to guard the setting.
    ///
    /// # Errors
    /// When it may not be changed here, or another test is about it for a minute.
    pub fn guard() -> Result<Self, Missing> {
        root()?;
        for name in ["setsid", "flock", "timeout"] {
            tool(name)?;
        }
        let refused = |_| Missing::new("kernel.core_pattern cannot be changed here");
        fs::OpenOptions::new().write(true).open(SETTING).map_err(refused)?;
        let mut command = Command::new("setsid");
        command.args(["flock", "-w", "60", "/tmp/prospect-core-pattern.lock", "sh", "-c", GUARD, SETTING]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut guard = spawned.map_err(|_| Missing::new("no guard can be started"))?;
        let mut said =
            BufReader::new(guard.stdout.take().ok_or_else(|| Missing::new("a guard without output"))?);
        let mut line = String::new();
        let _ = said.read_line(&mut line);
        let guard = Self { guard, said };
        if line.trim() == "ready" { Ok(guard) } else { Err(Missing::new("another test has the setting")) }
    }

    /// What is set.
    #[must_use]
    pub fn now() -> String {
        fs::read_to_string(SETTING).unwrap_or_default().trim_end().to_owned()
    }
}

impl Drop for CorePattern {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let mut line = String::new();
        let _ = self.said.read_line(&mut line);
        let _ = self.guard.wait();
    }
}
