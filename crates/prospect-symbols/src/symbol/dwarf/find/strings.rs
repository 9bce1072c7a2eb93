//! Which of a file's names may be meant, known before any entry is read.
//!
//! A name that is looked for is sought in `.debug_str` once, and where it stands there is noted. Entries then need no
//! more than a look at one bit, and no string is compared. Linkers let strings share their ends: so every place counts, not
//! only those behind a NUL.

use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem::Finder;

use super::super::{sections::Part, unit::Unit, value::Value};

/// Names that are exactly, or begin with, some text.
pub(super) struct NameFilter<'p> {
    wanted: &'p [u8],
    /// What may follow the text.
    may_follow: fn(u8) -> bool,
    /// A bit for each byte of the file's `.debug_str`.
    places: Vec<u64>,
}

impl<'p> NameFilter<'p> {
    pub(super) fn new(wanted: &'p [u8], may_follow: fn(u8) -> bool, strings: Part<'_>) -> Self {
        let bytes = strings.all();
        let mut places = vec![0_u64; bytes.len() / 64 + 1];
        for at in Finder::new(wanted).find_iter(bytes) {
            if may_follow(bytes.get(at + wanted.len()).copied().unwrap_or(0)) {
                places[at / 64] |= 1 << (at % 64);
            }
        }
        strings.release(0..bytes.len());
        Self { wanted, may_follow, places }
    }

    /// Whether an attribute may be such a name. `own` says that the unit is of the file itself, and not of a split or
    /// supplementary one.
    #[inline]
    pub(super) fn may_be<'a>(
        &self,
        unit: &Unit<'a>,
        value: Value<'a>,
        own: bool,
        text: impl FnOnce(&Unit<'a>, Value<'a>) -> Option<&'a [u8]>,
    ) -> bool {
        match value {
            Value::None => false,
            Value::Str(at) if own => self.places.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1),
            value => text(unit, value).is_some_and(|text| {
                let rest = text.strip_prefix(self.wanted);
                rest.is_some_and(|rest| (self.may_follow)(rest.first().copied().unwrap_or(0)))
            }),
        }
    }
}

/// What was said of strings before. The same names are in many units, and some tests are slow.
pub(super) struct Memo {
    /// Two bits for each byte of the file's `.debug_str`: whether the string there was tested, and what came of it.
    answers: Vec<AtomicU64>,
}

impl Memo {
    pub(super) fn new(strings: Part<'_>) -> Self {
        Self { answers: (0..=strings.len() / 32).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether the string of an attribute passes a test. `own` as above.
    pub(super) fn test(&self, value: Value<'_>, own: bool, test: impl FnOnce() -> bool) -> bool {
        let word = match value {
            Value::Str(at) if own => self.answers.get(at / 32).map(|word| (word, 2 * (at % 32))),
            _ => None,
        };
        let Some((word, shift)) = word else { return test() };
        match word.load(Ordering::Relaxed) >> shift & 3 {
            0 => {
                let passes = test();
                word.fetch_or(if passes { 3 } else { 1 } << shift, Ordering::Relaxed);
                passes
            }
            answer => answer == 3,
        }
    }
}
