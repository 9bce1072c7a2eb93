//! Unpacks several compressed sections at the same time.

use super::{Search, parallel, sections::Part, unit_index};

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
        let Some(last) = search.units.iter().flatten().copied().max() else { continue };
        if !sections.info.is_packed() || sections.info.len() < WORTH_IT {
            continue;
        }
        let end = unit_index::next_start(&sections, last).unwrap_or(last + 1);
        // Units' line tables come in the same order as the units.
        let proportion = last as f64 / sections.info.len() as f64;
        let line_end = (sections.line.len() as f64 * proportion) as usize;
        let parts = [
            (sections.info, end),
            (sections.line, line_end),
            (sections.abbrev, sections.abbrev.len() / 2),
            (sections.str, sections.str.len()),
        ];
        jobs.extend(parts.into_iter().filter(|(part, _)| part.is_packed()).map(|part| (part.1, part)));
    }
    parallel::run(&jobs, |(part, end)| part.up_to(*end).len());
}
