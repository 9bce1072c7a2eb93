//! Where the records of a symbol file are.

use super::record::{Fields, Lines, is_line_record};

/// Where a record is that something is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its address, or its number.
    pub(super) key: u64,
    /// Where its line begins.
    pub(super) offset: usize,
}

/// The records of each kind, sorted by what they are found by; of equal ones the first.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) files: Table,
    pub(super) origins: Table,
    pub(super) functions: Table,
    pub(super) publics: Table,
    /// `STACK CFI INIT`: the records for the rest of the function follow it.
    pub(super) call_frames: Table,
    /// `STACK WIN` of type 4, those with programs.
    pub(super) programs: Table,
    /// `STACK WIN` of type 0.
    pub(super) frames: Table,
}

/// Records of one kind.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Entry>);

impl Table {
    /// The last record at `key` or before it.
    pub(super) fn at_or_before(&self, key: u64) -> Option<Entry> {
        self.0.get(self.0.partition_point(|entry| entry.key <= key).checked_sub(1)?).copied()
    }

    /// The record of a number.
    pub(super) fn exactly(&self, key: u64) -> Option<Entry> {
        self.at_or_before(key).filter(|entry| entry.key == key)
    }

    fn add(&mut self, key: Option<u64>, offset: usize) {
        self.0.extend(key.map(|key| Entry { key, offset }));
    }

    fn sort(&mut self) {
        if !self.0.is_sorted_by(|one, next| one.key < next.key) {
            self.0.sort_by_key(|entry| entry.key);
            self.0.dedup_by_key(|entry| entry.key);
        }
        self.0.shrink_to_fit();
    }
}

impl Index {
    /// Passes over a file once.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut index = Self::default();
        for (offset, line) in Lines::from(bytes, 0) {
            if !is_line_record(line) {
                index.add(offset, line);
            }
        }
        let Self { files, origins, functions, publics, call_frames, programs, frames } = &mut index;
        for table in [files, origins, functions, publics, call_frames, programs, frames] {
            table.sort();
        }
        index
    }

    fn add(&mut self, offset: usize, line: &[u8]) {
        let decimal = |mut fields: Fields<'_>| fields.decimal().map(u64::from);
        if let Some(mut fields) = Fields::of(line, "FUNC") {
            fields.skip_multiple();
            self.functions.add(fields.hex(), offset);
        } else if let Some(mut fields) = Fields::of(line, "STACK CFI INIT") {
            self.call_frames.add(fields.hex(), offset);
        } else if let Some(mut fields) = Fields::of(line, "PUBLIC") {
            fields.skip_multiple();
            self.publics.add(fields.hex(), offset);
        } else if let Some(mut fields) = Fields::of(line, "STACK WIN") {
            match fields.hex() {
                Some(4) => self.programs.add(fields.hex(), offset),
                Some(0) => self.frames.add(fields.hex(), offset),
                _ => {}
            }
        } else if let Some(fields) = Fields::of(line, "FILE") {
            self.files.add(decimal(fields), offset);
        } else if let Some(fields) = Fields::of(line, "INLINE_ORIGIN") {
            self.origins.add(decimal(fields), offset);
        }
    }
}
