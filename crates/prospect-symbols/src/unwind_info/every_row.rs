//! All rows of a binary, for those who want a table of their own.

use std::ops::{ControlFlow, Range};

use gimli::{CommonInformationEntry, DebugFrame, EhFrame, UnwindOffset, UnwindSection};
use prospect_process::{Arch, LinkAddr};

use super::{
    CallFrameInfo, Layout, Lookup, UnwindInfoError, UnwindRow, check_addresses,
    fde_index::FdeIndex,
    row::{Bytes, RowContext, convert, malformed},
};
use crate::binary::Headers;

/// Many entries share the instructions of a common one, which are read again for each of them. What is read of a
/// section in all is so many times its size at most; that of real ones is read twice.
const MOST_WORK: usize = 16;

impl CallFrameInfo {
    /// See [`Binary::every_unwind_row`](crate::Binary::every_unwind_row).
    pub(crate) fn every_row(
        &self,
        headers: &Headers,
        mut visit: impl FnMut(Range<LinkAddr>, Result<&UnwindRow, &UnwindInfoError>) -> ControlFlow<()>,
    ) {
        let Some(arch) = headers.arch.map(|arch| arch.info()) else { return };
        let layout = self.layout.get_or_init(|| Layout::find(headers));
        let sections = Lookup { headers, layout, arch, pc: 0 };
        let mut covered = Vec::new();
        if let Some(eh_frame) = sections.section(layout.eh_frame) {
            let has_letters = headers.arch == Some(Arch::Aarch64);
            let bytes = if has_letters { self.plain(&sections, eh_frame) } else { sections.bytes(eh_frame) };
            let mut section = EhFrame::from(bytes);
            section.set_address_size(headers.address_bytes);
            section.set_vendor(sections.vendor());
            let address = eh_frame.address.0;
            let entries = match &layout.header {
                Some((index, header)) => {
                    let table = headers.sections[*index].section.all();
                    Entries::new(header.rows(table).filter_map(|(start, entry)| {
                        Some((start, usize::try_from(entry.checked_sub(address)?).ok()?))
                    }))
                }
                None => {
                    let index = || FdeIndex::read(&section, &layout.bases);
                    Entries::new(self.eh_frame_index.get_or_init(index).entries())
                }
            };
            let visit = |range: Range<LinkAddr>, row: Result<&_, &_>| {
                if row.is_ok() {
                    note(&mut covered, &range);
                }
                visit(range, row)
            };
            if sections.visit(&section, entries, visit).is_break() {
                return;
            }
        }
        let Some(debug_frame) = sections.section(layout.debug_frame) else { return };
        let mut section = DebugFrame::from(sections.bytes(debug_frame));
        section.set_address_size(headers.address_bytes);
        section.set_vendor(sections.vendor());
        let index = self.debug_frame_index.get_or_init(|| FdeIndex::read(&section, &layout.bases));
        let _ = sections.visit(&section, Entries::new(index.entries()), |range, row| {
            uncovered(&covered, range).try_for_each(|part| visit(part, row))
        });
    }
}

/// Adds a range to those before it.
pub(super) fn note(covered: &mut Vec<Range<LinkAddr>>, range: &Range<LinkAddr>) {
    match covered.last_mut().filter(|last| last.end == range.start) {
        Some(last) => last.end = range.end,
        None => covered.push(range.clone()),
    }
}

/// The parts of a range that none of `covered` (sorted) has.
pub(super) fn uncovered(
    covered: &[Range<LinkAddr>],
    range: Range<LinkAddr>,
) -> impl Iterator<Item = Range<LinkAddr>> + '_ {
    let first = covered.partition_point(|one| one.end <= range.start);
    let mut holes = covered[first..].iter();
    let mut from = range.start;
    std::iter::from_fn(move || {
        while from < range.end {
            let hole = holes.next().filter(|hole| hole.start < range.end);
            let part = from..hole.map_or(range.end, |hole| hole.start);
            from = hole.map_or(range.end, |hole| hole.end);
            if part.start < part.end {
                return Some(part);
            }
        }
        None
    })
}

/// The entries of a section by their first address, as a lookup sees them: each for the addresses up to the
/// next one.
struct Entries(Vec<(u64, usize)>);

impl Entries {
    fn new(entries: impl Iterator<Item = (u64, usize)>) -> Self {
        let mut entries: Vec<_> = entries.collect();
        // It is a stable sort, and mostly there is nothing to do.
        entries.sort_by_key(|(start, _)| *start);
        Self(entries)
    }
}

/// Reads the entries of a section one after the other.
struct Reading<'s, 'a, S, V> {
    sections: &'s Lookup<'a>,
    section: &'s S,
    visit: V,
    /// How many bytes may still be read.
    work: usize,
    /// The common entry of the last one: neighbours mostly share it.
    common: Option<(usize, CommonInformationEntry<Bytes<'a>>)>,
    context: RowContext,
    /// Room for one row.
    row: UnwindRow,
}

impl<'a> Lookup<'a> {
    fn visit<S, V>(&self, section: &S, entries: Entries, visit: V) -> ControlFlow<()>
    where
        S: UnwindSection<Bytes<'a>>,
        V: FnMut(Range<LinkAddr>, Result<&UnwindRow, &UnwindInfoError>) -> ControlFlow<()>,
    {
        let mut reading = Reading {
            sections: self,
            section,
            visit,
            work: section.section().len().saturating_mul(MOST_WORK),
            common: None,
            context: RowContext::new_in(),
            row: UnwindRow::new(),
        };
        let Entries(entries) = entries;
        for (index, (start, offset)) in entries.iter().enumerate() {
            let next = entries.get(index + 1).map_or(u64::MAX, |(next, _)| *next);
            reading.entry(*start..next, *offset)?;
        }
        ControlFlow::Continue(())
    }
}

impl<'a, S, V> Reading<'_, 'a, S, V>
where
    S: UnwindSection<Bytes<'a>>,
    V: FnMut(Range<LinkAddr>, Result<&UnwindRow, &UnwindInfoError>) -> ControlFlow<()>,
{
    /// Reads the entry at an offset, as far as it is for addresses `within` a range.
    fn entry(&mut self, within: Range<u64>, offset: usize) -> ControlFlow<()> {
        let common = &mut self.common;
        let bases = &self.sections.layout.bases;
        let fde = self.section.fde_from_offset(bases, offset.into(), |section, bases, offset| {
            let at = UnwindOffset::into(offset);
            if let Some((_, known)) = common.as_ref().filter(|(known, _)| *known == at) {
                return Ok(known.clone());
            }
            let read = section.cie_from_offset(bases, offset)?;
            *common = Some((at, read.clone()));
            Ok(read)
        });
        match fde {
            Ok(fde) => {
                let own = fde.initial_address().max(within.start)..fde.end_address().min(within.end);
                self.rows(&fde, own)
            }
            Err(error) => self.broken(within, &malformed(error)),
        }
    }

    /// Reads the rows of an entry.
    fn rows(
        &mut self,
        fde: &gimli::FrameDescriptionEntry<Bytes<'a>>,
        mut left: Range<u64>,
    ) -> ControlFlow<()> {
        let cost = fde.entry_len().saturating_add(fde.cie().entry_len());
        let Some(work) = self.work.checked_sub(cost) else {
            self.broken(
                left.start..u64::MAX,
                &UnwindInfoError::Malformed("it takes too long to read".into()),
            )?;
            return ControlFlow::Break(());
        };
        self.work = work;
        if let Err(error) = check_addresses(fde) {
            return self.broken(left, &error);
        }
        let mut rows = match fde.rows(self.section, &self.sections.layout.bases, &mut self.context) {
            Ok(rows) => rows,
            Err(error) => return self.broken(left, &malformed(error)),
        };
        while left.start < left.end {
            let row = match rows.next_row() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => return self.broken(left, &malformed(error)),
            };
            let range = row.start_address().max(left.start)..row.end_address().min(left.end);
            if range.start < range.end {
                left.start = range.end;
                let made = convert(self.section, fde, row, self.sections.arch, &mut self.row);
                let row = made.as_ref().map(|()| &self.row);
                (self.visit)(LinkAddr(range.start)..LinkAddr(range.end), row)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn broken(&mut self, range: Range<u64>, why: &UnwindInfoError) -> ControlFlow<()> {
        if range.start < range.end {
            (self.visit)(LinkAddr(range.start)..LinkAddr(range.end), Err(why))?;
        }
        ControlFlow::Continue(())
    }
}
