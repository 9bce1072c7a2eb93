//! From names to entries, and from source lines to addresses.
//!
//! No table is kept: all units are passed over, on all processors. Names are searched for in two steps.
//!
//! ```text
//! pattern ─ strings ─► which strings may be meant
//!              └─ names ─► entries with such names, in all units
//!                            └─ instances ─► what refers to these entries, with code or a place
//! ```

mod instances;
mod lines;
mod names;
mod opened;
mod plan;
mod strings;

use std::collections::HashMap;

use super::{DebugInfo, fuel::Tank, unit::UnitHeader};
use crate::{
    find::{Definition, DefinitionKinds, Pattern},
    parallel,
    type_info::EntryId,
};
pub(crate) use lines::{after_prologues, places};
use names::{Hits, Search};

/// A unit of the file (`false`) or its supplementary one, and where it begins.
type UnitPlace = (bool, usize);

/// Entries refer to entries that refer to others, in other units: a declaration, what it declares, a clone.
const MOST_ROUNDS: usize = 8;

/// What is called so, and which entries are of it.
#[derive(Default)]
struct Targets {
    names: Vec<TargetName>,
    entries: HashMap<EntryId, usize>,
}

struct TargetName {
    name: String,
    linkage_name: Option<String>,
}

/// What the debug information defines by the names that are meant: of functions, all copies of their code.
/// Sorted by address. At most `limit`, and which ones of more is not said.
pub(crate) fn definitions(
    debug: &DebugInfo,
    pattern: &Pattern,
    kinds: DefinitionKinds,
    limit: usize,
) -> Vec<Definition> {
    let sections = debug.main.sections();
    let size =
        sections.size().saturating_add(debug.supplementary.as_ref().map_or(0, |file| file.sections().size()));
    let tank = Tank::for_size(size);
    let pattern = pattern.without_parameters();
    let search = Search::new(debug, &pattern, kinds);
    let jobs = unit_jobs(debug, None);
    let found = parallel::run(&jobs, |place| search.unit(*place, &mut tank.fuel()));
    let (mut definitions, mut targets) = (Vec::new(), Targets::default());
    let (mut units, mut others) = (Vec::new(), Vec::new());
    for ((_, place), hits) in jobs.iter().zip(found) {
        let Hits { definitions: own, open, refers_to_others } = hits;
        definitions.extend(own);
        if !open.is_empty() {
            units.push(*place);
        } else if refers_to_others {
            others.push(*place);
        }
        if refers_to_others && !open.is_empty() {
            others.push(*place);
        }
        for (entry, name) in open {
            targets.entries.insert(entry, targets.names.len());
            targets.names.push(name);
        }
    }
    if !targets.entries.is_empty() {
        units.extend(&others);
        units.sort_unstable();
        units.dedup();
        for _ in 0..MOST_ROUNDS {
            let jobs = unit_jobs(debug, Some(&units));
            let found = parallel::run(&jobs, |place| {
                instances::in_unit(debug, *place, &targets, kinds, &mut tank.fuel())
            });
            let before = targets.entries.len();
            for (own, entries) in found {
                definitions.extend(own);
                targets.entries.extend(entries);
            }
            if targets.entries.len() == before || others.is_empty() || definitions.len() > limit {
                break;
            }
            units.clone_from(&others);
        }
    }
    definitions.sort_by_cached_key(|one: &Definition| (one.code.first().map(|code| code.start), one.entry));
    // The constants of an enumeration share its entry.
    definitions.dedup_by(|one, other| one.entry == other.entry && one.name == other.name);
    definitions.truncate(limit);
    definitions
}

/// All units, or these, with their sizes.
fn unit_jobs(debug: &DebugInfo, only: Option<&[UnitPlace]>) -> Vec<(usize, UnitPlace)> {
    let main = debug.main.sections();
    let supplementary = debug.supplementary.as_ref().map(|file| (file, file.sections()));
    let places = match only {
        Some(places) => places.to_vec(),
        None => {
            let own = debug.main.all_unit_starts(&main).into_iter().map(|start| (false, start));
            let others = supplementary.as_ref().map(|(file, sections)| file.all_unit_starts(sections));
            own.chain(others.into_iter().flatten().map(|start| (true, start))).collect()
        }
    };
    let size = |&(is_supplementary, start): &UnitPlace| {
        let sections = if is_supplementary { &supplementary.as_ref()?.1 } else { &main };
        UnitHeader::read(sections, start).map(|header| header.end - header.start)
    };
    places.into_iter().map(|place| (size(&place).unwrap_or(0), place)).collect()
}
