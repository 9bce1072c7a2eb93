//! The heartbeat of a target: counters in a file that it has mapped, so that it need not be stopped to be asked.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{Running, Scratch};

/// The counters of the fixtures `threads`, `churn` and `signals`.
#[derive(Debug)]
pub struct Heartbeat {
    scratch: Scratch,
}

impl Heartbeat {
    /// Starts a command with a heartbeat. The two belong together: drop the target first.
    #[must_use]
    pub fn start(command: &mut Command) -> (Self, Running) {
        let scratch = Scratch::new("heartbeat");
        let heartbeat = Self { scratch };
        command.env("HEARTBEAT", heartbeat.path());
        let running = Running::start_restless(command);
        (heartbeat, running)
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("counters")
    }

    /// What each counter shows now.
    #[must_use]
    pub fn counters(&self) -> Vec<u64> {
        read(&self.path())
    }

    /// Panics unless every counter moves within ten seconds.
    ///
    /// # Panics
    /// That is its purpose.
    pub fn assert_beats(&self) {
        let before = self.counters();
        assert!(!before.is_empty(), "no counters in {}", self.path().display());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let now = self.counters();
            let still = before.iter().zip(&now).filter(|(old, new)| old == new).count();
            if still == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{still} of {} threads stand still", before.len());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn read(path: &Path) -> Vec<u64> {
    use std::io::Read;
    let mut bytes = Vec::new();
    if File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).is_err() {
        return Vec::new();
    }
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}
