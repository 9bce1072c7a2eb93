//! Where types are defined that were looked for through all of a file: by their names, also that they are nowhere.
//!
//! ```text
//!   …  each, in the order of the names: number of the name u64, where the definition is in .debug_info u64
//! ```
//! All bits are set where there is none.

use std::{collections::BTreeMap, ops::Range};

/// So many are kept of one file.
const MOST: usize = 4096;
const RECORD: usize = 16;
const NOWHERE: u64 = u64::MAX;

/// Definitions by the numbers of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DefinitionTable(BTreeMap<u64, Option<usize>>);

impl DefinitionTable {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, name: u64, place: Option<usize>) {
        if self.0.len() < MOST {
            self.0.insert(name, place);
        }
    }

    /// Adds what another one has besides; whether there was something.
    pub(super) fn extend(&mut self, other: Self) -> bool {
        let before = self.0.len();
        other.0.into_iter().for_each(|(name, place)| self.add(name, place));
        self.0.len() > before
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(RECORD * self.0.len());
        for (&name, place) in &self.0 {
            let place = place.map_or(NOWHERE, |place| place as u64);
            bytes.extend_from_slice(&name.to_le_bytes());
            bytes.extend_from_slice(&place.to_le_bytes());
        }
        bytes
    }

    /// Those that were written; `None` for what is not whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (records, rest) = bytes.as_chunks::<RECORD>();
        if !rest.is_empty() || records.len() > MOST {
            return None;
        }
        let number = |record: &[u8; RECORD], range: Range<usize>| {
            record.get(range)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
        };
        let read = |record| {
            let place = match number(record, 8..RECORD)? {
                NOWHERE => None,
                place => Some(usize::try_from(place).ok()?),
            };
            Some((number(record, 0..8)?, place))
        };
        records.iter().map(read).collect::<Option<_>>().map(Self)
    }

    /// Where the definition is; `None` where nobody has looked for it.
    #[expect(clippy::option_option, reason = "not looked for, or nowhere")]
    pub(super) fn get(&self, name: u64) -> Option<Option<usize>> {
        self.0.get(&name).copied()
    }
}
