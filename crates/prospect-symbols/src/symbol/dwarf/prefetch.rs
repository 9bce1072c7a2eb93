//! Unpacks several compressed sections at the same time.

use super::{
    Search,
    file::TABLE_STEP,
    sections::{Part, Sections},
    unit_index,
};
use crate::parallel;

/// Below this there is nothing to gain.
const WORTH_IT: usize = 128 << 10;

/// Unpacks, of the packed sections that the searches will need, what they will need.
///
/// A packed section can only be read from its start, by one thread; so `.debug_info` up to the last
/// unit is one job, and everything that units refer to others.
pub(super) fn run(searches: &[Search<'_>]) {
    let mut jobs: Vec<(usize, (Part<'_>, usize))> = Vec::new();
    for search in searches {
        let sections = search.debug.main.sections();
        let Sections { info, line, abbrev, ranges, rnglists, str, .. } = sections;
        let is_packed = [info, line, abbrev, ranges, rnglists, str].into_iter().any(Part::is_packed);
        if info.len() < WORTH_IT || !is_packed {
            continue;
        }
        // An index needs none of it.
        let unread = search.units.iter().flatten().copied().filter(|&unit| !search.is_indexed(unit));
        let Some(last) = unread.max() else { continue };
        let end = unit_index::next_start(&sections, last).unwrap_or(last + 1);
        // What units refer to comes in the same order as they do.
        let proportion = end as f64 / info.len() as f64;
        let as_far = |length: usize| (length as f64 * proportion) as usize + TABLE_STEP;
        let parts = [
            (info, end),
            (line, as_far(line.len())),
            (abbrev, as_far(abbrev.len())),
            (ranges, ranges.len()),
            (rnglists, rnglists.len()),
            (str, str.len()),
        ];
        let packed = parts.into_iter().filter(|(part, end)| part.needs_unpacking(*end));
        jobs.extend(packed.map(|part| (part.1, part)));
    }
    parallel::run(&jobs, |(part, end)| part.at_least(0..*end).len());
}
