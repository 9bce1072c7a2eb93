//! What debug information knows of its index.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{definitions::DefinitionTable, layout::Key, opened::Index};
use crate::{
    Binary,
    binary::FileBytes,
    cache::{self, Cache},
};

/// The place of one file's index in the cache. It is looked for when an address is first asked for.
#[derive(Debug, Default)]
pub(crate) struct IndexSlot {
    pub(super) place: Option<Place>,
    index: OnceLock<Option<Arc<Index>>>,
    /// The units that were read because the index has them not.
    touched: Mutex<BTreeSet<usize>>,
    /// The definitions that were looked for because the index has them not.
    sought: Mutex<DefinitionTable>,
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) cache: Arc<Cache>,
    pub(super) key: Key,
}

impl IndexSlot {
    /// That of a file with debug information; without a cache, and for a file that no build-id names, there is none.
    pub(crate) fn new(cache: Option<&Arc<Cache>>, binary: &Binary) -> Self {
        let place = || {
            let info = binary.section(".debug_info")?;
            let key = Key::new(binary.build_id()?, binary.stamp()?, info.len())?;
            Some(Place { cache: cache?.clone(), key })
        };
        Self { place: place(), ..Self::default() }
    }

    /// The index, where there is one that was not found to be damaged.
    pub(crate) fn index(&self) -> Option<&Arc<Index>> {
        let place = self.place.as_ref()?;
        let index = self.index.get_or_init(|| place.open().map(Arc::new)).as_ref()?;
        if index.is_damaged() {
            place.remove();
            return None;
        }
        Some(index)
    }

    /// Notes that a unit was read.
    pub(crate) fn touch(&self, unit: usize) {
        if self.place.is_some() {
            self.touched().insert(unit);
        }
    }

    /// Where the type is defined whose name has this number, if the index says so: also that it is nowhere.
    #[expect(clippy::option_option, reason = "not known, or nowhere")]
    pub(crate) fn definition(&self, name: u64) -> Option<Option<usize>> {
        self.index()?.definitions().get(name)
    }

    /// Notes what came of the search for a definition.
    pub(crate) fn note_definition(&self, name: u64, place: Option<usize>) {
        if self.place.is_some() {
            self.sought().add(name, place);
        }
    }

    /// Whether [`store`](super::super::DebugInfo::store_index) may have something to do.
    pub(crate) fn has_news(&self) -> bool {
        self.place.is_some() && (!self.touched().is_empty() || !self.sought().is_empty() || self.is_stale())
    }

    /// Whether what there is was not said for long to be used.
    pub(super) fn is_stale(&self) -> bool {
        self.index.get().and_then(Option::as_ref).is_some_and(|index| cache::is_stale(index.file()))
    }

    /// The units that were touched since this was asked last.
    pub(super) fn take_touched(&self) -> BTreeSet<usize> {
        std::mem::take(&mut *self.touched())
    }

    /// The definitions that were looked for since this was asked last.
    pub(super) fn take_sought(&self) -> DefinitionTable {
        std::mem::take(&mut *self.sought())
    }

    fn sought(&self) -> std::sync::MutexGuard<'_, DefinitionTable> {
        self.sought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touched(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The index as it is on disk now. What is broken is removed.
    pub(super) fn open(&self) -> Option<Index> {
        let folder = self.cache.indexes();
        if !folder.is_readable() {
            return None;
        }
        let file = FileBytes::map(&folder.file(&self.key.file_name())).ok()?;
        let index = Index::open(file, &self.key);
        if index.is_none() {
            self.remove();
        }
        index
    }

    pub(super) fn remove(&self) {
        self.cache.indexes().remove(&self.key.file_name());
    }
}
