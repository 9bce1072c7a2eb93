//! A target that runs, and is surely ended when its test ends.

use std::{
    io::{BufRead, BufReader, ErrorKind},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use crate::procfs;

/// A running program of ours. Killed and reaped when dropped, also when the test panics.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    const START_DEADLINE: Duration = Duration::from_secs(30);

    /// Starts a command and waits until it has printed `READY` and its threads have come to rest.
    ///
    /// # Panics
    /// When it ends first, or takes too long.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let running = Self::start_restless(command);
        running.settle();
        running
    }

    /// Starts a command that says nothing, and waits until `is_ready` and its threads have come to rest.
    ///
    /// # Panics
    /// When it ends first, or takes too long.
    #[must_use]
    pub fn start_silent(command: &mut Command, is_ready: impl Fn(u32) -> bool) -> Self {
        let mut running = Self::spawn(command);
        let deadline = Instant::now() + Self::START_DEADLINE;
        while !is_ready(running.pid()) {
            assert!(running.is_alive(), "{command:?} ended before it was ready");
            assert!(Instant::now() < deadline, "{command:?} did not become ready");
            thread::sleep(Duration::from_millis(10));
        }
        running.settle();
        running
    }

    /// As [`Running::start`] without waiting for rest: for programs that never rest.
    ///
    /// # Panics
    /// As [`Running::start`].
    #[must_use]
    pub fn start_restless(command: &mut Command) -> Self {
        Self::start_saying(command, "READY")
    }

    /// Starts a command and waits until it has printed a line that begins so.
    ///
    /// # Panics
    /// As [`Running::start`].
    #[must_use]
    pub fn start_saying(command: &mut Command, beginning: &str) -> Self {
        let running = Self::spawn(command);
        let deadline = Instant::now() + Self::START_DEADLINE;
        loop {
            match running.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with(beginning) => return running,
                Ok(_) => {}
                Err(error) => panic!("{command:?} did not become ready: {error}"),
            }
        }
    }

    /// Starts a command, and waits for nothing.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let deadline = Instant::now() + Self::START_DEADLINE;
        let mut child = command.spawn();
        // A program that was just copied: a process that another test was starting at that moment has inherited the
        // file that was written, and has it until it runs its own program.
        while child.as_ref().is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy)
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(5));
            child = command.spawn();
        }
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    if line.is_ok_and(|line| sender.send(line).is_ok()) {
                        continue;
                    }
                    break;
                }
            });
        }
        Self { child, lines }
    }

    /// Forgets the lines that it has printed until now.
    pub(crate) fn forget_lines(&self) {
        let _ = self.lines.try_iter().count();
    }

    /// The next line that it prints. `None` when it is not printed in time, or its output has ended.
    pub(crate) fn next_line(&self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its number, as an argument.
    #[must_use]
    pub fn arg(&self) -> String {
        self.pid().to_string()
    }

    /// How it has ended; `None` while it lives.
    pub fn ending(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills it, and says how it has ended: by itself, if it was before that.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> ExitStatus {
        // An error: it was waited for before.
        let _ = self.child.kill();
        self.child.wait().unwrap_or_else(|error| panic!("cannot wait for {}: {error}", self.pid()))
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits (half a second at most, two while it waits for a disk) until no thread runs any more.
    ///
    /// Who waits for a disk is on its way: its program or a library of it is being read.
    pub fn settle(&self) {
        let start = Instant::now();
        let most = |states: &str| Duration::from_millis(if states.contains('D') { 2000 } else { 500 });
        let mut quiet = 0;
        while quiet < 3 {
            let states = procfs::states(self.pid());
            if start.elapsed() >= most(&states) {
                return;
            }
            quiet = if states.contains(['R', 'D']) { 0 } else { quiet + 1 };
            thread::sleep(Duration::from_millis(3));
        }
    }

    /// Waits until the states of its threads are as wanted; says whether they came to be so in time.
    pub fn wait_for_states(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if wanted(&procfs::states(self.pid())) {
                return true;
            }
            thread::sleep(Duration::from_millis(2));
        }
        false
    }

    /// Panics unless the target is as it was before a tool came: alive, untraced, not stopped.
    ///
    /// # Panics
    /// That is its purpose.
    pub fn assert_unharmed(&mut self) {
        assert!(self.is_alive(), "the target has ended");
        let free = self.wait_for_states(|states| !states.is_empty() && !states.contains(['t', 'T']));
        assert!(free, "the target is left stopped: {}", procfs::states(self.pid()));
        assert_eq!(procfs::tracer(self.pid()), 0, "the target is still traced");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Where programs write the names of code that they make; one that is killed cannot remove it.
        let _ = std::fs::remove_file(format!("/tmp/perf-{}.map", self.child.id()));
    }
}
