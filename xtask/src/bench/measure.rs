//! Measuring one run of one tool: from outside by `wait4`, and from inside its target.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Fixture, Running, Scratch};

/// What one run cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) wall_ms: f64,
    pub(super) cpu_ms: f64,
    pub(super) rss_mb: f64,
}

impl Sample {
    /// The medians of several runs.
    pub(super) fn median_of(samples: &[Self]) -> Self {
        let of = |what: fn(&Self) -> f64| median(samples.iter().map(what));
        Self { wall_ms: of(|one| one.wall_ms), cpu_ms: of(|one| one.cpu_ms), rss_mb: of(|one| one.rss_mb) }
    }
}

/// Runs tools under the small C program that calls `wait4`.
pub(super) struct Meter {
    program: PathBuf,
    scratch: Scratch,
}

impl Meter {
    pub(super) fn new() -> Result<Self> {
        let fixture =
            prospect_testing::fixture("bench-measure").map_err(|missing| anyhow::anyhow!("{missing}"))?;
        Ok(Self { program: fixture.path(), scratch: Scratch::new("bench") })
    }

    pub(super) fn run(&self, argv: &[String]) -> Result<Sample> {
        self.run_with(argv, None)
    }

    /// The same with a variable in its environment.
    pub(super) fn run_with(&self, argv: &[String], variable: Option<(&str, &Path)>) -> Result<Sample> {
        let out = self.scratch.path().join("sample");
        let mut command = Command::new("timeout");
        command.arg("120").arg(&self.program).arg(&out).args(argv).envs(variable);
        let status = command.status()?;
        ensure!(status.success(), "{argv:?}: {status}");
        let text = fs::read_to_string(&out)?;
        let words: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [wall_ns, user_us, system_us, rss_kib, code] = words[..] else {
            anyhow::bail!("{argv:?}: no sample in {text:?}");
        };
        ensure!(code == 0.0 || code == 5.0, "{argv:?}: exit code {code}");
        Ok(Sample { wall_ms: wall_ns / 1e6, cpu_ms: (user_us + system_us) / 1e3, rss_mb: rss_kib / 1024.0 })
    }
}

/// The thread inside a target that measures its own stops (`fixtures/bench/gap.h`).
pub(super) struct Gap {
    file: File,
    _scratch: Scratch,
}

impl Gap {
    const WANTED: u64 = 0;
    const ADOPTED: u64 = 8;
    const LONGEST: u64 = 16;
    const FORK: u64 = 40;

    /// Starts a target with such a thread: before its other threads, or after them.
    pub(super) fn start(fixture: &Fixture, args: &[&str], is_last: bool) -> Result<(Self, Running)> {
        let scratch = Scratch::new("gap");
        let path: &Path = &scratch.path().join("words");
        fs::write(path, vec![0; 4096])?;
        let mut command = fixture.command(args);
        command.env("GAP", path);
        if is_last {
            command.env("GAP_LAST", "1");
        }
        let running = Running::start_restless(&mut command);
        let file = OpenOptions::new().read(true).write(true).open(path).context("the gap file")?;
        Ok((Self { file, _scratch: scratch }, running))
    }

    fn word(&self, at: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Forgets what was measured so far.
    pub(super) fn reset(&self) -> Result<()> {
        let wanted = self.word(Self::WANTED)? + 1;
        self.file.write_all_at(&wanted.to_ne_bytes(), Self::WANTED)?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.word(Self::ADOPTED)? != wanted {
            ensure!(Instant::now() < deadline, "the target's gap thread does not answer");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// How long a bare `fork` of the target takes, in milliseconds, where it can be asked for one.
    pub(super) fn fork_ms(&self, target: &Running) -> Result<f64> {
        self.file.write_all_at(&[0; 8], Self::FORK)?;
        let status = Command::new("kill").args(["-USR1", &target.arg()]).status()?;
        ensure!(status.success(), "kill: {status}");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.word(Self::FORK)? {
                0 => ensure!(Instant::now() < deadline, "the target does not fork"),
                took => return Ok(took as f64 / 1e6),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The longest stop since then, in milliseconds.
    pub(super) fn longest_ms(&self) -> Result<f64> {
        thread::sleep(Duration::from_millis(2));
        Ok(self.word(Self::LONGEST)? as f64 / 1e6)
    }
}

/// The middle value; 0 for none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
