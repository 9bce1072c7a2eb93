//! What can be made again from files, kept on disk for the runs to come: unpacked sections, and indexes of debug
//! information.
//!
//! A packed section has no entry points: who needs its end unpacks all of it, again in each run. What one
//! run has unpacked is kept here, one file for each section: its beginning, as long as it was needed. What an index is,
//! [`crate::symbol::dwarf`] says; here is where it lies.
//!
//! ```text
//! $XDG_CACHE_HOME/prospect/sections/BUILD-ID.debug_info-STAMP.v1
//! $XDG_CACHE_HOME/prospect/index/BUILD-ID-STAMP.v1
//! ```
//!
//! - Nothing is believed without its checksum, block by block as they are read ([`mod@entry`]); nor unless
//!   it was made from the very file that is read now ([`mod@format`]).
//! - The directories are used only where no other user can write ([`mod@directory`]).
//! - Whatever goes wrong, the cache is as good as empty: nothing here is an error.

mod directory;
mod entry;
mod folder;
mod format;
mod room;
mod slot;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

pub use directory::cache_directory;
use entry::Entry;
pub(crate) use folder::{Folder, is_stale};
pub(crate) use format::{Key, LONGEST_BUILD_ID, checksum};
pub(crate) use slot::Slot;

/// All files together take no more bytes than this: those that were not used for the longest go first.
const LARGEST: u64 = 512 << 20;

/// Below this, unpacking costs no more than opening a file.
pub(crate) const WORTH_A_FILE: usize = 64 << 10;

/// The cache below one directory.
#[derive(Debug)]
pub(crate) struct Cache {
    sections: Folder,
    indexes: Folder,
    largest: u64,
}

impl Cache {
    /// The cache below `root`, which need not exist.
    pub(crate) fn new(root: &Path) -> Self {
        let folder = |name| Folder::new(root, name);
        Self { sections: folder("sections"), indexes: folder("index"), largest: LARGEST }
    }

    /// Where indexes of debug information are.
    pub(crate) fn indexes(&self) -> &Folder {
        &self.indexes
    }

    /// No file may be larger.
    pub(crate) fn largest(&self) -> u64 {
        self.largest
    }

    /// What there is for a key. What is broken is removed.
    fn open(&self, key: &Key) -> Option<Entry> {
        if !self.sections.is_readable() {
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
        if !self.sections.is_writable() {
            return;
        }
        let is_longer = |entry: Entry| entry.len() >= prefix.len();
        if Entry::open(&self.path(key), key).is_ok_and(is_longer) {
            return;
        }
        if prefix.len() as u64 <= self.largest {
            let _ = self.sections.write(&key.file_name(), |file| {
                file.write_all(&key.header(prefix))?;
                file.write_all(prefix)
            });
        }
    }

    /// Removes what is too much, where anything was written.
    pub(crate) fn make_room(&self) {
        let folders = [&self.sections, &self.indexes];
        if folders.iter().any(|folder| folder.was_writable()) {
            // One that others can write to is not ours to clear.
            let ours: Vec<&Path> = folders
                .into_iter()
                .filter(|one| one.was_writable() || one.is_readable())
                .map(Folder::path)
                .collect();
            room::make(&ours, self.largest);
        }
    }

    /// Notes that a file was used, so that others go first.
    fn touch(&self, key: &Key) {
        self.sections.touch(&key.file_name());
    }

    fn remove(&self, key: &Key) {
        self.sections.remove(&key.file_name());
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.sections.file(&key.file_name())
    }
}
