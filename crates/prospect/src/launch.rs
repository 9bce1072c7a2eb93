//! Processes that are started to be looked at.

use std::{
    io,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use prospect_process::ProcessId;

/// How often is looked whether a process that was started has ended.
const PATIENCE: Duration = Duration::from_millis(10);

/// Why a command cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// It cannot be started.
    #[error("cannot start {program}: {error}")]
    Start {
        /// What was to be run.
        program: String,
        /// Why it was not.
        error: io::Error,
    },
    /// It had ended when it was to be looked at.
    #[error("{program} ended ({status}) before it was looked at")]
    Ended {
        /// What was run.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// A process that was started to be looked at. It is killed and waited for when this is dropped, unless it is
/// [kept](Self::keep); those that it has started itself are not.
#[derive(Debug)]
pub struct Launched {
    /// There until it is kept.
    child: Option<Child>,
    id: ProcessId,
}

impl Launched {
    /// Starts a command, as its caller has set up its input, its output and its environment, and lets it run for a while.
    ///
    /// # Errors
    /// When it cannot be started, or has ended by then.
    pub fn start(command: &mut Command, run_for: Duration) -> Result<Self, LaunchError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Err(LaunchError::Start { program, error }),
        };
        let mut launched = Self::from(child);
        let end = Instant::now() + run_for;
        loop {
            if let Some(Ok(Some(status))) = launched.child.as_mut().map(Child::try_wait) {
                return Err(LaunchError::Ended { program, status });
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(launched);
            }
            thread::sleep(left.min(PATIENCE));
        }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Lets it run on for as long as it likes.
    #[must_use = "who has the child should wait for it some day"]
    pub fn keep(mut self) -> Option<Child> {
        self.child.take()
    }
}

impl From<Child> for Launched {
    /// Takes over a process that was started elsewhere.
    fn from(child: Child) -> Self {
        Self { id: ProcessId(child.id()), child: Some(child) }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
