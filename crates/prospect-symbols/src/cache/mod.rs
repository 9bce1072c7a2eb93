//! Unpacked sections on disk, for the runs to come.
//!
//! A packed section has no entry points: who needs its end unpacks all of it, again in each run. What one
//! run has unpacked is kept here, one file for each section: its beginning, as long as it was needed.
//!
//! ```text
//! $XDG_CACHE_HOME/prospect/sections/BUILD-ID.debug_info-STAMP.v1
//! ```
//!
//! - Nothing is believed without its checksum, block by block as they are read ([`mod@entry`]); nor unless
//!   it was unpacked from the very file that is read now ([`mod@format`]).
//! - The directory is used only where no other user can write ([`mod@directory`]).
//! - Whatever goes wrong, the cache is as good as empty: nothing here is an error.

mod directory;
mod entry;
mod format;
mod room;
mod slot;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

pub use directory::cache_directory;
use entry::Entry;
pub(crate) use format::Key;
pub(crate) use slot::Slot;

/// All files together take no more bytes than this: those that were not used for the longest go first.
const LARGEST: u64 = 512 << 20;

/// Below this, unpacking costs no more than opening a file.
pub(crate) const WORTH_A_FILE: usize = 64 << 10;

/// The cache below one directory.
#[derive(Debug)]
pub(crate) struct Cache {
    /// The one that the caller named.
    root: PathBuf,
    sections: PathBuf,
    /// Whether it may be read from; it was looked at once.
    readable: OnceLock<bool>,
    /// The same for writing, which comes later: it may have been made meanwhile.
    writable: OnceLock<bool>,
    largest: u64,
}

impl Cache {
    /// The cache below `root`, which need not exist.
    pub(crate) fn new(root: PathBuf) -> Self {
        let sections = root.join("sections");
        Self { root, sections, readable: OnceLock::new(), writable: OnceLock::new(), largest: LARGEST }
    }

    /// What there is for a key. What is broken is removed.
    fn open(&self, key: &Key) -> Option<Entry> {
        if !self.readable.get_or_init(|| directory::is_ours(&self.root, &self.sections)) {
            return None;
        }
        let entry = Entry::open(&self.path(key), key);
        if matches!(&entry, Err(error) if error.kind() == io::ErrorKind::InvalidData) {
            self.remove(key);
        }
        entry.ok()
    }

    /// Keeps the first bytes of a section, unless more of them are there already.
    fn write(&self, key: &Key, prefix: &[u8]) {
        if !self.writable.get_or_init(|| directory::make(&self.root, &self.sections)) {
            return;
        }
        let path = self.path(key);
        let is_longer = |entry: Entry| entry.len() >= prefix.len();
        if Entry::open(&path, key).is_ok_and(is_longer) {
            return;
        }
        if prefix.len() as u64 <= self.largest {
            let _ = self.write_file(&path, key, prefix);
        }
    }

    /// Removes what is too much, where anything was written.
    pub(crate) fn make_room(&self) {
        if self.writable.get() == Some(&true) {
            room::make(&self.sections, self.largest);
        }
    }

    /// Others see all of the file or nothing: it gets its name when it is whole.
    fn write_file(&self, path: &Path, key: &Key, prefix: &[u8]) -> io::Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.sections.join(format!("{}-{number}{}", std::process::id(), room::UNFINISHED));
        let result = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).and_then(
            |mut file| {
                file.write_all(&key.header(prefix))?;
                file.write_all(prefix)?;
                fs::rename(&unfinished, path)
            },
        );
        if result.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        result
    }

    /// Notes that a file was used, so that others go first.
    fn touch(&self, key: &Key) {
        let _ = File::open(self.path(key)).and_then(|file| file.set_modified(std::time::SystemTime::now()));
    }

    fn remove(&self, key: &Key) {
        let _ = fs::remove_file(self.path(key));
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.sections.join(key.file_name())
    }
}
