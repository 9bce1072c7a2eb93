//! What the modules of a process share: debug files that several of them need, and the cache on disk.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Binary, binary::FileStamp, cache::Cache};

/// Debug files, each opened once, and the cache of what was unpacked of any file.
#[derive(Debug, Default)]
pub(super) struct SharedFiles {
    cache: Option<Arc<Cache>>,
    debug_files: Mutex<HashMap<FileStamp, Arc<Binary>>>,
}

impl SharedFiles {
    pub(super) fn new(cache: Option<Cache>) -> Self {
        Self { cache: cache.map(Arc::new), debug_files: Mutex::default() }
    }

    pub(super) fn cache(&self) -> Option<&Arc<Cache>> {
        self.cache.as_ref()
    }

    /// Takes a module's own file, which no other has.
    pub(super) fn own_file(&self, mut binary: Binary) -> Arc<Binary> {
        if let Some(cache) = &self.cache {
            binary.use_cache(cache);
        }
        Arc::new(binary)
    }

    /// Takes a debug file; where it is open already, that one is returned, with what was unpacked of it
    /// and parsed: dwz has many files share one, and a file may have several names.
    pub(super) fn debug_file(&self, binary: Binary) -> Arc<Binary> {
        let Some(stamp) = binary.stamp() else { return self.own_file(binary) };
        let mut files = self.debug_files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(stamp).or_insert_with(|| self.own_file(binary)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_file_that_several_modules_share_is_kept_once() {
        let directory = TempDir::new();
        let path = directory.compile("program", "int main(void) { return 0; }", &["-g"]);
        let (link, copy) = (directory.path("link"), directory.path("copy"));
        std::fs::hard_link(&path, &link).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        let shared = SharedFiles::default();
        let open = |path| shared.debug_file(Binary::open(path).unwrap());
        let first = open(&path);
        assert!(Arc::ptr_eq(&first, &open(&path)) && Arc::ptr_eq(&first, &open(&link)));
        assert!(!Arc::ptr_eq(&first, &open(&copy)), "another file may hold anything");
        // It was changed since.
        std::fs::write(&path, std::fs::read(&copy).unwrap()).unwrap();
        assert!(!Arc::ptr_eq(&first, &open(&path)));
    }
}
