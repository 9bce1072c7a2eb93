//! Which units may cover an address.

use gimli::{Endianity, RunTimeEndian};

use super::{
    file::DwarfFile,
    fuel::Fuel,
    ranges::{covered, within},
    reader::Reader,
    sections::Sections,
    unit::Unit,
};

/// An address (as an index) and where a unit begins that may cover it.
pub(super) type Candidate = (usize, usize);

/// An address is looked for in no more units than this.
pub(super) const MOST_UNITS: usize = 4;

/// What `.debug_aranges` (DWARF 5, section 6.1.2) says of `pcs` (sorted). It may be missing, or lack
/// units, or claim too much: it only says where to look first.
pub(super) fn from_aranges(sections: &Sections<'_>, pcs: &[u64], fuel: &mut Fuel<'_>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let (Some(&first), Some(&last)) = (pcs.first(), pcs.last()) else { return candidates };
    each_arange(sections, fuel, |start, end, unit| {
        if start <= last && end > first {
            candidates.extend(within(pcs, start, end).map(|pc| (pc, unit)));
        }
    });
    candidates
}

/// Calls `each` with every range of addresses in the aranges, and the unit that it is said to be of.
pub(super) fn each_arange(
    sections: &Sections<'_>,
    fuel: &mut Fuel<'_>,
    mut each: impl FnMut(u64, u64, usize),
) {
    let bytes = sections.aranges.all();
    let mut reader = Reader::new(bytes, 0, sections.endian);
    while !reader.is_at_end() {
        let start = reader.at();
        let Some(set) = Set::read(&mut reader, bytes, start) else { break };
        if let Some(unit) = set.unit {
            let _ = fuel.burn(set.tuples.len() / 8);
            set.each(sections.endian, |start, end| each(start, end, unit));
        }
    }
}

/// Where the first unit behind `start` begins that has aranges: before it, the one at `start` ends.
pub(super) fn next_start(sections: &Sections<'_>, start: usize) -> Option<usize> {
    let bytes = sections.aranges.all();
    let mut reader = Reader::new(bytes, 0, sections.endian);
    let sets = std::iter::from_fn(|| {
        let at = reader.at();
        Set::read(&mut reader, bytes, at)
    });
    sets.filter_map(|set| set.unit).filter(|&unit| unit > start).min()
}

/// The tuples of one unit.
struct Set<'a> {
    unit: Option<usize>,
    address_size: u8,
    tuples: &'a [u8],
}

impl<'a> Set<'a> {
    /// Reads a set, and goes on to the next one.
    fn read(reader: &mut Reader<'a>, bytes: &'a [u8], start: usize) -> Option<Self> {
        let (length, format) = reader.initial_length()?;
        let end = reader.at().checked_add(length)?;
        let version = reader.uint(2)?;
        let unit = reader.offset(format)?;
        let (address_size, segment_size) = (reader.u8()?, reader.u8()?);
        let known = version == 2 && segment_size == 0 && matches!(address_size, 4 | 8);
        let tuple = usize::from(address_size).max(1) * 2;
        // The first tuple is aligned to the size of one, counted from the header.
        let first = start + (reader.at() - start).next_multiple_of(tuple);
        let tuples = bytes.get(first..end.min(bytes.len())).unwrap_or_default();
        reader.seek(end);
        Some(Self { unit: known.then_some(unit), address_size, tuples })
    }

    #[inline]
    fn each(&self, endian: RunTimeEndian, mut each: impl FnMut(u64, u64)) {
        let mut tuple = |start: u64, length: u64| {
            if start != 0 {
                each(start, start.saturating_add(length));
            }
        };
        if self.address_size == 8 {
            for bytes in self.tuples.chunks_exact(16) {
                tuple(endian.read_u64(&bytes[..8]), endian.read_u64(&bytes[8..]));
            }
        } else {
            for bytes in self.tuples.chunks_exact(8) {
                tuple(endian.read_u32(&bytes[..4]).into(), endian.read_u32(&bytes[4..]).into());
            }
        }
    }
}

pub(super) use super::ranges::unit_code;

/// What the root entries of the units that begin at `starts` say of `pcs` (sorted).
pub(super) fn from_roots(
    file: &DwarfFile,
    sections: &Sections<'_>,
    starts: &[usize],
    pcs: &[u64],
    fuel: &mut Fuel<'_>,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for &start in starts {
        let Some(unit) = Unit::open_root(file, *sections, start, fuel) else { continue };
        let add = |range: std::ops::Range<usize>| candidates.extend(range.map(|pc| (pc, start)));
        let _ = covered(&unit, &unit_code(&unit), pcs, fuel, add);
    }
    if let (Some(&first), Some(&last)) = (starts.first(), starts.last()) {
        sections.info.release(first..last);
    }
    candidates
}
