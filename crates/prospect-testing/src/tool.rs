//! Running the command under test, with a deadline of its own.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Report;

/// The command under test.
#[derive(Clone, Debug)]
pub struct Tool {
    path: PathBuf,
}

/// What one run of it left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it said besides.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Tool {
    /// The command at a path.
    #[must_use]
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_path_buf() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The command with arguments, not started yet.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).env_remove("DEBUGINFOD_URLS").env_remove("NO_COLOR");
        // What tests unpack is not put into the user's own cache.
        command.env("XDG_CACHE_HOME", self.path.with_file_name("test-cache"));
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it takes longer than 30 s: nothing that the command does may hang.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Outcome {
        Self::finish(&mut self.command(args))
    }

    /// Runs `prospect stack --json TARGET ARGS…` and reads its one report.
    ///
    /// # Panics
    /// When it fails (exit codes other than 0 and 5) or prints no report.
    #[must_use]
    pub fn stack(&self, pid: u32, args: &[&str]) -> Report {
        let pid = pid.to_string();
        let mut all = vec!["stack", "--json", pid.as_str()];
        all.extend_from_slice(args);
        let outcome = self.run(&all);
        assert!(matches!(outcome.code(), Some(0 | 5)), "{all:?}: {outcome:?}");
        outcome.report()
    }

    /// Runs a prepared command to its end, catching what it prints.
    ///
    /// # Panics
    /// When it cannot be started or takes longer than 30 s.
    #[must_use]
    pub fn finish(command: &mut Command) -> Outcome {
        let start = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status = wait(&mut child, start + Duration::from_secs(30));
        let Some(status) = status else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} still runs after 30 s");
        };
        let took = start.elapsed();
        let stderr = String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned();
        Outcome { status, stdout: stdout.join().unwrap_or_default(), stderr, took }
    }
}

impl Outcome {
    /// The exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What it printed, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The one report that it printed.
    ///
    /// # Panics
    /// When it printed none, or more than one.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut reports = self.reports();
        assert_eq!(reports.len(), 1, "one report is wanted: {self:?}");
        reports.remove(0)
    }

    /// The reports that it printed, one per line.
    ///
    /// # Panics
    /// When a line is no JSON.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.text().lines().map(Report::parse).collect()
    }
}

fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_micros(500));
    }
    None
}
