//! Strings that are read one here and one there.

use super::sections::Part;
use crate::binary::SectionFile;

/// Where strings lie further apart than this, each of them costs a page fault. The system then maps what lies around it, too,
/// 64 KiB at once, and that takes as long as reading ten strings from the file.
const FAR_APART: usize = 16 << 10;

/// For fewer strings than this, the file is not opened once more.
const WORTH_A_FILE: usize = 8;

/// What is read at once. Longer strings are taken from the mapping.
const AT_ONCE: usize = 1024;

/// Strings of a section, such as `.debug_str`.
pub(super) struct Strings<'a> {
    part: Part<'a>,
    /// Where they are read from the file: it, and where in its section the part begins.
    file: Option<(SectionFile, usize)>,
    buffer: Vec<u8>,
}

impl<'a> Strings<'a> {
    /// To read one after another, about so many in all.
    pub(super) fn new(part: Part<'a>, count: usize) -> Self {
        let are_far_apart = count >= WORTH_A_FILE && count < part.len() / FAR_APART;
        let file = if are_far_apart { part.reopen() } else { None };
        Self { part, file, buffer: Vec::new() }
    }

    /// The string at `offset`, without its NUL.
    pub(super) fn text(&mut self, offset: usize) -> Option<&[u8]> {
        match self.read(offset) {
            Some(length) => self.buffer.get(..length),
            None => self.part.text(offset),
        }
    }

    /// Reads the string at `offset` from the file: its length.
    fn read(&mut self, offset: usize) -> Option<usize> {
        let (file, start) = self.file.as_ref()?;
        let left = self.part.len().checked_sub(offset)?;
        self.buffer.resize(AT_ONCE, 0);
        let read = file.read(start.checked_add(offset)?, self.buffer.get_mut(..left.min(AT_ONCE))?);
        memchr::memchr(0, self.buffer.get(..read)?)
    }

    /// Gives the pages that were mapped back, if they are many.
    pub(super) fn release(&self) {
        if self.file.is_none() {
            self.part.release(0..self.part.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;
    use crate::{Binary, symbol::dwarf::sections::Sections, testing::Random};

    #[test]
    fn strings_are_the_same_from_the_file_and_from_its_mapping() {
        // The program of these tests.
        let binary = Binary::open(&env::current_exe().unwrap()).unwrap();
        let part = Sections::of(&binary, false).str;
        let mut read = Strings::new(part, WORTH_A_FILE);
        let mut mapped = Strings::new(part, WORTH_A_FILE - 1);
        assert!(read.file.is_some() && mapped.file.is_none());
        let mut random = Random(7);
        let (mut from_file, mut long) = (0, 0);
        for _ in 0..5_000 {
            let at = random.below(part.len());
            from_file += usize::from(read.read(at).is_some());
            let text = read.text(at).unwrap();
            long += usize::from(text.len() >= AT_ONCE);
            assert_eq!(text, mapped.text(at).unwrap());
            assert_eq!(text, part.text(at).unwrap());
        }
        assert_eq!(from_file + long, 5_000);
        for at in [part.len(), part.len() + 1, usize::MAX] {
            assert_eq!(read.text(at), None);
        }
        // A part does not say what is behind it.
        let whole = part.text(0).unwrap();
        for length in [whole.len(), whole.len() + 1] {
            let mut cut = Strings { part: part.part(0, length), file: part.reopen(), buffer: Vec::new() };
            assert_eq!(cut.text(0).is_some(), length > whole.len());
        }
    }
}
