//! A folder of the cache: one kind of files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{directory, room};
use crate::binary::FileBytes;

/// A file is said to be used at most this often: each time costs a write.
const TOUCH_EVERY: Duration = Duration::from_secs(3600);

/// One directory below the root of the cache.
#[derive(Debug)]
pub(crate) struct Folder {
    /// The one that the caller named.
    root: PathBuf,
    path: PathBuf,
    /// Whether it may be read from; it was looked at once.
    readable: OnceLock<bool>,
    /// The same for writing, which comes later: it may have been made meanwhile.
    writable: OnceLock<bool>,
}

impl Folder {
    pub(super) fn new(root: &Path, name: &str) -> Self {
        let path = root.join(name);
        Self { root: root.to_owned(), path, readable: OnceLock::new(), writable: OnceLock::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn is_readable(&self) -> bool {
        *self.readable.get_or_init(|| directory::is_ours(&self.root, &self.path))
    }

    /// Makes it where it is missing.
    pub(crate) fn is_writable(&self) -> bool {
        *self.writable.get_or_init(|| directory::make(&self.root, &self.path))
    }

    /// Whether anything may have been written.
    pub(super) fn was_writable(&self) -> bool {
        self.writable.get() == Some(&true)
    }

    /// Writes a file. Others see all of it or nothing: it gets its name when it is whole.
    ///
    /// What takes long to make is made in a file that has no name at all: whoever is ended meanwhile leaves nothing.
    pub(crate) fn write_slowly(
        &self,
        name: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut made = self.nameless()?;
        fill(&mut made)?;
        made.seek(SeekFrom::Start(0))?;
        self.write(name, |file| io::copy(&mut made, file).map(drop))
    }

    /// A file that goes with this process.
    fn nameless(&self) -> io::Result<File> {
        let path = self.unfinished();
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// A name for what is not finished.
    fn unfinished(&self) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("{}-{number}{}", std::process::id(), room::UNFINISHED))
    }

    /// The same of what is quickly written.
    pub(crate) fn write(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let unfinished = self.unfinished();
        let result = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).and_then(
            |mut file| {
                fill(&mut file)?;
                fs::rename(&unfinished, self.file(name))
            },
        );
        if result.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        result
    }

    /// Notes that a file was used, so that others go first.
    pub(crate) fn touch(&self, name: &str) {
        let _ = File::open(self.file(name)).and_then(|file| file.set_modified(SystemTime::now()));
    }

    pub(crate) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.file(name));
    }
}

/// Whether a file of the cache was used for the last time so long ago that it is worth saying that it is again.
pub(crate) fn is_stale(file: &FileBytes) -> bool {
    let modified = file.stamp().and_then(|stamp| u64::try_from(stamp.modified.0).ok());
    let modified =
        modified.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    let age = modified.map(|time| SystemTime::now().duration_since(time));
    // One from the future would never go.
    !matches!(age, Some(Ok(age)) if age < TOUCH_EVERY)
}
