//! Where the fields of the runtime's structures are, by the debug information of a program that has it.

use std::collections::HashMap;

use gimli::{
    AttributeValue, DebugAbbrev, DebugInfo, DebugStr, DebuggingInformationEntry, DwTag, EndianSlice,
    RunTimeEndian, UnitHeader, constants as dw,
};

use crate::Binary;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// A program with more units is broken: each package of it is one.
const MOST_UNITS: usize = 1 << 16;
/// Entries that are read in all.
const MOST_ENTRIES: usize = 1 << 26;

/// A structure: where it and its name are described, and its members, each with its place and where its type is described.
/// Go gives each structure its name once more, and it is that name which members refer to.
#[derive(Debug, Default)]
struct Structure {
    at: Vec<usize>,
    members: Vec<(String, u64, usize)>,
}

/// How many bytes each field lies from the start of a structure. A field of a member that is a structure itself has both
/// names (`sched.sp`); `parts` are the structures that such members are. Fields that are not there have no place. `None`
/// where the structure is not described.
pub(crate) fn field_offsets(
    binary: &Binary,
    structure: &str,
    parts: &[&str],
    fields: &[&str],
) -> Option<Vec<Option<u64>>> {
    let wanted: Vec<&str> = [structure].iter().chain(parts).copied().collect();
    let found = structures(binary, &wanted).ok()?;
    let whole = found.get(structure)?;
    let member = |of: &Structure, name: &str| {
        of.members.iter().find(|(member, ..)| member == name).map(|(_, offset, kind)| (*offset, *kind))
    };
    let place = |field: &&str| {
        let Some((outer, inner)) = field.split_once('.') else {
            return member(whole, field).map(|(at, _)| at);
        };
        let (start, kind) = member(whole, outer)?;
        let part = found.values().find(|part| part.at.contains(&kind))?;
        start.checked_add(member(part, inner)?.0)
    };
    Some(fields.iter().map(place).collect())
}

/// The structures of these names, with their names.
fn structures(binary: &Binary, wanted: &[&str]) -> gimli::Result<HashMap<String, Structure>> {
    let slice =
        |name| EndianSlice::new(binary.section(name).map_or(&[][..], |one| one.all()), binary.endian());
    let info = DebugInfo::from(slice(".debug_info"));
    let abbreviations = DebugAbbrev::from(slice(".debug_abbrev"));
    let strings = DebugStr::from(slice(".debug_str"));
    let mut found: HashMap<String, Structure> = HashMap::new();
    let mut left = MOST_ENTRIES;
    let mut units = info.units();
    for _ in 0..MOST_UNITS {
        let Some(unit) = units.next()? else { break };
        let forms = unit.abbreviations(&abbreviations)?;
        let mut entries = unit.entries(&forms);
        // The structure whose members come now, and how deep it lies.
        let mut inside: Option<(String, isize)> = None;
        while let Some(entry) = entries.next_dfs()? {
            left = left.saturating_sub(1);
            if left == 0 {
                return Ok(found);
            }
            inside = inside.filter(|(_, depth)| entry.depth() > *depth);
            let is_structure = entry.tag() == dw::DW_TAG_structure_type;
            if is_structure || entry.tag() == dw::DW_TAG_typedef {
                if let Some(name) = name(entry, &strings).filter(|name| wanted.contains(&&**name)) {
                    let structure = found.entry(name.clone()).or_default();
                    structure.at.push(section_offset(&unit, entry.offset().0));
                    if is_structure && structure.members.is_empty() {
                        inside = Some((name, entry.depth()));
                    }
                }
            } else if let Some((structure, _)) = inside.as_ref().filter(|_| is_member(entry.tag()))
                && let Some(name) = name(entry, &strings)
                && let Some(offset) =
                    entry.attr_value(dw::DW_AT_data_member_location).and_then(|at| at.udata_value())
                && let Some(structure) = found.get_mut(structure)
            {
                let kind = kind(&unit, entry).unwrap_or(0);
                structure.members.push((name, offset, kind));
            }
        }
    }
    Ok(found)
}

fn is_member(tag: DwTag) -> bool {
    tag == dw::DW_TAG_member
}

fn name(entry: &Entry<'_>, strings: &DebugStr<Slice<'_>>) -> Option<String> {
    let text = match entry.attr_value(dw::DW_AT_name)? {
        AttributeValue::String(text) => text,
        AttributeValue::DebugStrRef(at) => strings.get_str(at).ok()?,
        _ => return None,
    };
    Some(text.to_string_lossy().into_owned())
}

/// Where the type of a member is described, in the section.
fn kind(unit: &UnitHeader<Slice<'_>>, entry: &Entry<'_>) -> Option<usize> {
    match entry.attr_value(dw::DW_AT_type)? {
        AttributeValue::UnitRef(at) => Some(section_offset(unit, at.0)),
        AttributeValue::DebugInfoRef(at) => Some(at.0),
        _ => None,
    }
}

fn section_offset(unit: &UnitHeader<Slice<'_>>, offset: usize) -> usize {
    unit.debug_info_offset().map_or(0, |start| start.0).saturating_add(offset)
}
