//! Names as people write them, each made once.

use std::collections::HashMap;

use prospect::symbols::demangle_with_types;

/// How many bytes of names are kept.
const MOST_BYTES: usize = 16 << 20;

/// The names that were shown before: the same functions come again and again.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<Box<str>, Box<str>>,
    bytes: usize,
}

impl Names {
    /// A linkage name as people write it.
    pub(super) fn shown(&mut self, raw: &str) -> &str {
        if self.bytes > MOST_BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        if !self.known.contains_key(raw) {
            let shown = demangle_with_types(raw.as_bytes());
            self.bytes += raw.len() + shown.len();
            self.known.insert(raw.into(), shown.into());
        }
        self.known.get(raw).map_or("", |shown| shown)
    }
}
