//! An index over the entries of a section that has no table: made by reading it once.

use gimli::{BaseAddresses, CieOrFde, CommonInformationEntry, UnwindOffset, UnwindSection};

use super::row::Bytes;

/// Where each function's entry is, sorted by address.
#[derive(Debug)]
pub(super) struct FdeIndex(Vec<IndexedFde>);

/// The addresses that an entry covers, and where it is.
#[derive(Debug)]
pub(super) struct IndexedFde {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: usize,
}

impl FdeIndex {
    /// Reads all of a section. What cannot be read is left out; what follows an entry whose length is
    /// broken, too.
    pub(super) fn read<'a, S: UnwindSection<Bytes<'a>>>(section: &S, bases: &BaseAddresses) -> Self {
        let mut found = Vec::new();
        let mut entries = section.entries(bases);
        // Neighbours mostly share their common entry.
        let mut last: Option<(usize, CommonInformationEntry<Bytes<'a>>)> = None;
        loop {
            let partial = match entries.next() {
                Ok(Some(CieOrFde::Fde(partial))) => partial,
                Ok(Some(CieOrFde::Cie(_))) => continue,
                Ok(None) | Err(_) => break,
            };
            let fde = partial.parse(|section, bases, offset| {
                let at = UnwindOffset::into(offset);
                if let Some((_, cie)) = last.as_ref().filter(|(known, _)| *known == at) {
                    return Ok(cie.clone());
                }
                let cie = section.cie_from_offset(bases, offset)?;
                last = Some((at, cie.clone()));
                Ok(cie)
            });
            let Ok(fde) = fde else { continue };
            let (start, end) = (fde.initial_address(), fde.end_address());
            if start < end {
                found.push(IndexedFde { start, end, offset: fde.offset() });
            }
        }
        Self::new(found)
    }

    /// Sorts entries.
    pub(super) fn new(mut entries: Vec<IndexedFde>) -> Self {
        entries.sort_by_key(|entry| (entry.start, entry.end));
        entries.shrink_to_fit();
        Self(entries)
    }

    /// Every entry: where its function begins, and its offset.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, usize)> {
        self.0.iter().map(|entry| (entry.start, entry.offset))
    }

    /// The offset of the entry that covers `pc`.
    pub(super) fn search(&self, pc: u64) -> Option<usize> {
        let index = self.0.partition_point(|entry| entry.start <= pc).checked_sub(1)?;
        self.0.get(index).filter(|entry| pc < entry.end).map(|entry| entry.offset)
    }
}
