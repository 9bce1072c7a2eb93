//! What a packed section knows of its file in the cache.

use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{Cache, Key, entry::Entry};

/// The place of one section in the cache. Its file is looked for when bytes are first asked for.
#[derive(Debug)]
pub(crate) struct Slot {
    cache: Arc<Cache>,
    key: Key,
    entry: OnceLock<Option<Entry>>,
    /// What was handed out before stays where it is; nothing more is taken from it.
    damaged: AtomicBool,
    /// How many bytes were written since.
    stored: AtomicUsize,
    touched: AtomicBool,
}

impl Slot {
    pub(crate) fn new(cache: Arc<Cache>, key: Key) -> Self {
        Self {
            cache,
            key,
            entry: OnceLock::new(),
            damaged: AtomicBool::new(false),
            stored: AtomicUsize::new(0),
            touched: AtomicBool::new(false),
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.entry().map_or(0, Entry::len)
    }

    /// The bytes from `range.start` to at least `range.end`, where there are so many. A file that is
    /// damaged there is removed, and not asked again.
    pub(crate) fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        let entry = self.entry().filter(|entry| entry.len() >= range.end)?;
        let bytes = entry.bytes(range);
        if bytes.is_none() {
            self.damaged.store(true, Ordering::Relaxed);
            self.cache.remove(&self.key);
        }
        bytes
    }

    /// Gives the pages of `range` back.
    pub(crate) fn release(&self, range: Range<usize>) {
        if let Some(entry) = self.entry.get().and_then(Option::as_ref) {
            entry.release(range);
        }
    }

    /// Whether [`store`](Self::store) would do anything for what was unpacked so far.
    pub(crate) fn has_news(&self, unpacked: &[u8]) -> bool {
        self.is_longer(unpacked) || self.is_stale()
    }

    /// Writes what was unpacked, or notes that what there is was used.
    pub(crate) fn store(&self, unpacked: &[u8]) {
        if self.is_longer(unpacked) {
            self.stored.store(unpacked.len(), Ordering::Relaxed);
            self.cache.write(&self.key, unpacked);
        } else if self.is_stale() {
            self.touched.store(true, Ordering::Relaxed);
            self.cache.touch(&self.key);
        }
    }

    fn is_longer(&self, unpacked: &[u8]) -> bool {
        // What was never asked for was not unpacked: that need not be looked for now.
        unpacked.len() > self.stored.load(Ordering::Relaxed) && unpacked.len() > self.len()
    }

    fn is_stale(&self) -> bool {
        let touched = self.touched.load(Ordering::Relaxed);
        !touched && self.entry.get().and_then(Option::as_ref).is_some_and(Entry::is_stale)
    }

    fn entry(&self) -> Option<&Entry> {
        let entry = self.entry.get_or_init(|| self.cache.open(&self.key)).as_ref();
        entry.filter(|_| !self.damaged.load(Ordering::Relaxed))
    }
}
