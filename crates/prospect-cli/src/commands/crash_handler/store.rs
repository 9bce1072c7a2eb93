//! Where crashes are stored: a directory of root alone, with one for each crash.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    record::{CrashRecord, utc},
    settings::{Rate, SettingsArgs},
};
use crate::exit::{Failure, Result};

/// What is known of a crash, in its directory.
const RECORD: &str = "crash.json";
/// How it was installed.
const CONFIGURATION: &str = "handler.json";
const COUNTERS: &str = "counters.json";
const LOCK: &str = "lock";
/// Our own files are not larger.
const MOST_BYTES: u64 = 1 << 20;
/// The lock is held for as long as it takes to write a small file.
const LOCK_TIME: Duration = Duration::from_secs(5);

/// How it was installed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Configuration {
    /// What `core_pattern` was before.
    pub(crate) earlier: String,
    pub(crate) settings: SettingsArgs,
}

/// What was counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    /// When the last crashes were stored, in seconds since 1970: as many as the rate needs.
    pub(crate) recent: Vec<u64>,
    /// Crashes that were stored.
    pub(crate) stored: u64,
    /// Crashes beyond the rate.
    pub(crate) only_counted: u64,
    /// The last of them: when, and the name.
    pub(crate) last_counted: Option<(u64, String)>,
    /// How often the handler failed.
    pub(crate) failed: u64,
    pub(crate) last_failure: Option<String>,
}

/// A stored crash.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    /// `None` where it makes no sense.
    pub(crate) record: Option<CrashRecord>,
    /// How much it takes on the disk.
    pub(crate) disk_bytes: u64,
}

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Store {
    /// Opens it, and makes it where it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or others may write to it: they could have files written anywhere.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Failure::denied(format_args!("cannot make {}: {error}", path.display()))
            }
            _ => Failure::failed(format_args!("cannot make {}: {error}", path.display())),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let there = fs::symlink_metadata(path).map_err(failed)?;
        let own = fs::metadata("/proc/self").map_or(0, |own| own.uid());
        if !there.is_dir() || there.uid() != own || there.mode() & 0o022 != 0 {
            return Err(Failure::failed(format_args!(
                "{} is not a directory that we alone may write to",
                path.display()
            )));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The same as it is: nothing is made.
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How it was installed; `None` when it was not, or that cannot be read.
    pub(super) fn configuration(&self) -> Option<Configuration> {
        read_json(&self.path.join(CONFIGURATION))
    }

    pub(super) fn configure(&self, configuration: &Configuration) -> io::Result<()> {
        write_json(&self.path.join(CONFIGURATION), configuration)
    }

    pub(super) fn forget_configuration(&self) -> io::Result<()> {
        fs::remove_file(self.path.join(CONFIGURATION))
    }

    pub(super) fn counters(&self) -> Counters {
        read_json(&self.path.join(COUNTERS)).unwrap_or_default()
    }

    /// Changes what was counted, and nobody else does meanwhile.
    pub(super) fn count<T>(&self, change: impl FnOnce(&mut Counters) -> T) -> io::Result<T> {
        let lock = new_file().create(true).truncate(false).open(self.path.join(LOCK))?;
        let deadline = Instant::now() + LOCK_TIME;
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if Instant::now() > deadline {
                return Err(error.into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        let mut counters = self.counters();
        let result = change(&mut counters);
        write_json(&self.path.join(COUNTERS), &counters)?;
        Ok(result)
    }

    /// Whether one more may be stored now; otherwise it is counted.
    pub(super) fn admit(&self, now: u64, rate: Rate, name: &str) -> io::Result<bool> {
        self.count(|counters| {
            let is_recent = |at: &u64| *at <= now && now - *at < u64::from(rate.seconds);
            counters.recent.retain(is_recent);
            let is_room = counters.recent.len() < rate.count as usize;
            if is_room {
                counters.recent.push(now);
                counters.stored += 1;
            } else {
                counters.only_counted += 1;
                counters.last_counted = Some((now, name.into()));
            }
            is_room
        })
    }

    /// All crashes that are stored, the oldest first.
    pub(super) fn crashes(&self) -> Vec<Stored> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = names.filter(|name| name.to_str().is_some_and(is_crash)).collect();
        names.sort();
        let stored = |name| {
            let path = self.path.join(name);
            Stored { record: read_json(&path.join(RECORD)), disk_bytes: disk_bytes(&path), path }
        };
        names.into_iter().map(stored).collect()
    }

    /// Removes the oldest crashes, until at most `keep` are there, of `most_bytes` altogether. One that is being stored stays.
    pub(super) fn make_room(&self, keep: usize, most_bytes: u64) {
        let crashes = self.crashes();
        let mut count = crashes.len();
        let mut bytes: u64 = crashes.iter().map(|crash| crash.disk_bytes).sum();
        for crash in crashes {
            if count <= keep && bytes <= most_bytes {
                return;
            }
            let is_idle = lock_directory(&crash.path).is_ok();
            if is_idle && fs::remove_dir_all(&crash.path).is_ok() {
                count -= 1;
                bytes -= crash.disk_bytes;
            }
        }
    }

    /// Begins to store a crash.
    pub(super) fn begin(&self, unix: u64, pid: u32, name: &str) -> io::Result<Crash> {
        let [year, month, day, hour, minute, second] = utc(unix);
        let base =
            format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{pid}-{}", harmless(name));
        for again in 0..100 {
            let name = if again == 0 { base.clone() } else { format!("{base}.{again}") };
            let path = self.path.join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Crash { lock: lock_directory(&path)?, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// The directory of a crash that is being stored.
#[derive(Debug)]
pub(super) struct Crash {
    path: PathBuf,
    #[expect(dead_code, reason = "as long as it is open, nobody removes the directory")]
    lock: File,
}

impl Crash {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new file in it.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        new_file().read(true).create_new(true).open(self.path.join(name))
    }

    /// A file in it that has no name, and goes when it is closed.
    pub(super) fn unnamed(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
        if let Ok(file) = rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR) {
            return Ok(file.into());
        }
        let file = self.create("unnamed")?;
        fs::remove_file(self.path.join("unnamed"))?;
        Ok(file)
    }

    /// Writes a file, or replaces it.
    pub(super) fn write(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        replace(&self.path.join(name), contents)
    }

    pub(super) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path.join(name));
    }
}

/// Writes what is known of a crash into its directory.
pub(super) fn write_record(directory: &Path, record: &CrashRecord) -> io::Result<()> {
    write_json(&directory.join(RECORD), record)
}

fn lock_directory(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// A name of letters, digits and a few signs: what a program calls itself may be anything.
fn harmless(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_+".contains(letter);
    let name: String = name.chars().take(32).map(|letter| if plain(letter) { letter } else { '_' }).collect();
    if name.is_empty() { "_".into() } else { name }
}

/// Whether a name is one that [`Store::begin`] gives.
fn is_crash(name: &str) -> bool {
    let time = b"00000000T000000Z-";
    let fits =
        |(byte, wanted): (&u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    name.len() > time.len() && name.as_bytes().iter().zip(time).all(fits)
}

/// How much the files in a directory take on the disk.
fn disk_bytes(path: &Path) -> u64 {
    let files = fs::read_dir(path).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.blocks() * 512).sum()
}

fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    replace(path, &text)
}

/// Writes a file whole or not at all.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let written =
        new_file().create(true).truncate(true).open(&name).and_then(|mut file| file.write_all(contents));
    let result = written.and_then(|()| fs::rename(&name, path));
    if result.is_err() {
        let _ = fs::remove_file(&name);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        let names = ["../../x\n", "", "a b/c", ".hidden", "päper", "ok-1_2+3"].map(harmless);
        assert_eq!(names, ["______x_", "_", "a_b_c", "_hidden", "p_per", "ok-1_2+3"]);
        assert_eq!(harmless(&"x".repeat(500)).len(), 32);
        assert!(is_crash("20261121T211103Z-7-x") && !is_crash("lock") && !is_crash("20261121T211103Z-"));
    }
}
