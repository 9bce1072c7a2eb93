//! Functions' names: through the entries that an entry refers to, and from the names around it.

use std::{rc::Rc, sync::Arc};

use gimli::constants as dw;

use super::{file::DwarfFile, fuel::Fuel, sections::Sections, unit::Unit, value::Value};
use crate::numbers::NumberMap;

/// An inlined call refers to an abstract function, that to a declaration: longer chains are broken.
const LONGEST_CHAIN: usize = 16;

/// What a function is called.
#[derive(Clone, Debug, Default)]
pub(super) struct FunctionName {
    /// The name in the source, with the names around it; not looked for where there is a linkage name.
    pub(super) name: Option<Text>,
    pub(super) linkage_name: Option<Text>,
}

/// A name, and where it stands in the file's own `.debug_str`, if it does.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: Arc<str>,
    pub(super) at: Option<usize>,
}

/// The names of the functions of a unit that were asked for. Calls that were inlined share those of the function.
#[derive(Debug, Default)]
pub(super) struct FunctionNames {
    names: NumberMap<usize, FunctionName>,
    /// Each entry that was asked for, in order, and the one that has its names.
    named_at: Vec<(usize, usize)>,
}

impl FunctionNames {
    /// The entry whose names those of the entry at `at` are.
    pub(super) fn named_at(&self, at: usize) -> usize {
        let found = self.named_at.binary_search_by_key(&at, |&(place, _)| place);
        found.map_or(at, |index| self.named_at[index].1)
    }

    pub(super) fn get(&self, at: usize) -> Option<&FunctionName> {
        self.names.get(&self.named_at(at))
    }
}

/// The units of a file and its supplementary file, opened when something refers to them.
pub(super) struct Units<'a> {
    own: (&'a DwarfFile, Sections<'a>),
    supplementary: Option<(&'a DwarfFile, Sections<'a>)>,
    opened: NumberMap<(bool, usize), Option<Rc<Unit<'a>>>>,
}

/// An entry of a unit, which may be one of the supplementary file.
struct Place<'a> {
    unit: Rc<Unit<'a>>,
    supplementary: bool,
    at: usize,
}

impl<'a> Units<'a> {
    pub(super) fn new(unit: &Rc<Unit<'a>>, supplementary: Option<&'a DwarfFile>) -> Self {
        Self {
            own: (unit.file, unit.sections),
            supplementary: supplementary.map(|file| (file, file.sections())),
            opened: std::iter::once(((false, unit.header.start), Some(unit.clone()))).collect(),
        }
    }

    /// The entry at `offset` of `.debug_info`.
    fn entry(&mut self, supplementary: bool, offset: usize, fuel: &mut Fuel<'_>) -> Option<Place<'a>> {
        let (file, sections) = if supplementary { self.supplementary? } else { self.own };
        let start = file.unit_start(&sections, offset)?;
        let open = || Unit::open(file, sections, start, fuel).map(Rc::new);
        let unit = self.opened.entry((supplementary, start)).or_insert_with(open).clone()?;
        Some(Place { unit, supplementary, at: offset - start })
    }

    pub(super) fn text(&self, unit: &Unit<'a>, value: Value<'a>) -> Option<&'a [u8]> {
        match value {
            Value::SupplementaryStr(offset) => self.supplementary.as_ref()?.1.str.text(offset),
            value => unit.text(value),
        }
    }

    /// A text, and where it stands in `.debug_str`.
    fn name(&self, place: &Place<'a>, value: Value<'a>) -> Option<(&'a [u8], Option<usize>)> {
        let text = self.text(&place.unit, value)?;
        Some((text, place.unit.str_offset(value).filter(|_| !place.supplementary)))
    }

    /// The names of the functions at `places` of `unit`.
    pub(super) fn functions(
        &mut self,
        unit: &Rc<Unit<'a>>,
        places: impl Iterator<Item = usize>,
        fuel: &mut Fuel<'_>,
    ) -> FunctionNames {
        let mut places: Vec<usize> = places.collect();
        places.sort_unstable();
        places.dedup();
        let (mut names, mut named_at) = (NumberMap::default(), Vec::with_capacity(places.len()));
        let mut unqualified = Vec::new();
        for place in places {
            let at = named_elsewhere(unit, place).unwrap_or(place);
            named_at.push((place, at));
            if names.contains_key(&at) {
                continue;
            }
            let (mut found, place) = self.function(unit, at, fuel);
            if let (None, Some(place), true) = (&found.linkage_name, place, unit.has_qualified_names()) {
                unqualified.push((at, place));
            } else if found.name.is_none() && found.linkage_name.is_none() {
                found = FunctionName::default();
            }
            names.insert(at, found);
        }
        self.qualify(unqualified, &mut names, fuel);
        FunctionNames { names, named_at }
    }

    /// A function's names, and the entry that has its plain one.
    fn function(
        &mut self,
        unit: &Rc<Unit<'a>>,
        at: usize,
        fuel: &mut Fuel<'_>,
    ) -> (FunctionName, Option<Place<'a>>) {
        let (mut name, mut linkage_name, mut named_at) = (None, None, None);
        let mut next = Some(Place { unit: unit.clone(), supplementary: false, at });
        for _ in 0..LONGEST_CHAIN {
            let Some(place) = next.take() else { break };
            let Some(entry) = place.unit.entry(place.at) else { break };
            let (mut own_name, mut reference) = (None, Value::None);
            for (attribute, value) in entry {
                match attribute {
                    dw::DW_AT_name => own_name = self.name(&place, value),
                    dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name => {
                        let found = || self.name(&place, value).filter(|(text, _)| !text.is_empty());
                        linkage_name = linkage_name.or_else(found);
                    }
                    dw::DW_AT_abstract_origin | dw::DW_AT_specification => reference = value,
                    _ => {}
                }
            }
            if linkage_name.is_none() {
                next = match reference {
                    Value::UnitEntry(at) => {
                        let (unit, supplementary) = (place.unit.clone(), place.supplementary);
                        Some(Place { unit, supplementary, at })
                    }
                    Value::InfoEntry(offset) => self.entry(place.supplementary, offset, fuel),
                    Value::SupplementaryEntry(offset) => self.entry(true, offset, fuel),
                    _ => None,
                };
            }
            if name.is_none() && own_name.is_some() {
                name = own_name;
                named_at = Some(place);
            }
        }
        let owned = |(text, at): (&[u8], Option<usize>)| Text { text: lossy(text), at };
        let name = name.filter(|_| linkage_name.is_none());
        (FunctionName { name: name.map(owned), linkage_name: linkage_name.map(owned) }, named_at)
    }

    /// Puts the names of the namespaces and types around them before functions' names.
    fn qualify(
        &self,
        functions: Vec<(usize, Place<'a>)>,
        names: &mut NumberMap<usize, FunctionName>,
        fuel: &mut Fuel<'_>,
    ) {
        type InUnit<'a> = (Rc<Unit<'a>>, Vec<(usize, usize)>);
        let mut by_unit: NumberMap<(bool, usize), InUnit<'a>> = NumberMap::default();
        for (function, place) in functions {
            let key = (place.supplementary, place.unit.header.start);
            by_unit.entry(key).or_insert((place.unit, Vec::new())).1.push((place.at, function));
        }
        for (unit, mut places) in by_unit.into_values() {
            places.sort_unstable();
            let wanted: Vec<usize> = places.iter().map(|&(at, _)| at).collect();
            for (scopes, (_, function)) in scopes_around(&unit, &wanted, fuel).into_iter().zip(places) {
                let Some(FunctionName { name: Some(name), .. }) = names.get_mut(&function) else { continue };
                let outer = scopes.iter().filter_map(|&scope| self.scope_name(&unit, scope));
                let parts: Vec<String> = outer.chain([name.text.to_string()]).collect();
                if parts.len() > 1 {
                    *name = Text { text: parts.join("::").into(), at: None };
                }
            }
        }
    }

    fn scope_name(&self, unit: &Unit<'a>, at: usize) -> Option<String> {
        let entry = unit.entry(at)?;
        let tag = entry.tag;
        for (attribute, value) in entry {
            if attribute == dw::DW_AT_name {
                let text = self.text(unit, value)?;
                return Some(String::from_utf8_lossy(text).into_owned());
            }
        }
        (tag == dw::DW_TAG_namespace).then(|| "(anonymous namespace)".to_owned())
    }
}

/// Where the entry at `at` has its names from, if it has none of its own: the same entry of the unit for all calls
/// of a function that were inlined.
fn named_elsewhere(unit: &Unit<'_>, at: usize) -> Option<usize> {
    let entry = unit.entry(at)?;
    let mut referred = None;
    for (attribute, value) in entry {
        match (attribute, value) {
            (dw::DW_AT_name | dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name, _) => return None,
            (dw::DW_AT_abstract_origin | dw::DW_AT_specification, Value::UnitEntry(at)) => {
                referred = Some(at)
            }
            (dw::DW_AT_abstract_origin | dw::DW_AT_specification, _) => return None,
            _ => {}
        }
    }
    referred
}

/// A text; what is not UTF-8 in it is replaced. Nearly all of it is, and that is seen quickly.
pub(crate) fn lossy(text: &[u8]) -> Arc<str> {
    std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text).into(), Into::into)
}

/// The namespaces and types that each of the entries `wanted` (sorted) lies in, the outermost first.
fn scopes_around(unit: &Unit<'_>, wanted: &[usize], fuel: &mut Fuel<'_>) -> Vec<Vec<usize>> {
    let mut around = vec![Vec::new(); wanted.len()];
    let _ = walk_to(unit, wanted, &mut around, fuel);
    around
}

fn walk_to(unit: &Unit<'_>, wanted: &[usize], around: &mut [Vec<usize>], fuel: &mut Fuel<'_>) -> Option<()> {
    let table = &*unit.abbreviations;
    let mut reader = unit.entries(unit.header.root);
    let mut depth = 0_usize;
    // The scopes that the reader is in, with the depths of what they hold.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut next = 0;
    while let Some(&target) = wanted.get(next) {
        fuel.burn(1)?;
        let at = reader.at();
        // One that is no entry's beginning will not be met.
        if at >= target {
            if at == target {
                around[next] = open.iter().map(|&(_, scope)| scope).collect();
            }
            next += 1;
            continue;
        }
        let code = reader.leb()?;
        if code == 0 {
            depth = depth.checked_sub(1).filter(|&depth| depth > 0)?;
            while open.last().is_some_and(|&(inner, _)| inner > depth) {
                open.pop();
            }
            continue;
        }
        let abbreviation = table.get(code)?;
        let sibling = table.pass_over(abbreviation, &mut reader)?;
        if !abbreviation.has_children {
            continue;
        }
        match sibling {
            Some(sibling) if sibling <= target && sibling >= reader.at() => reader.seek(sibling),
            _ => {
                depth += 1;
                if is_scope(abbreviation.tag) {
                    open.push((depth, at));
                }
            }
        }
    }
    Some(())
}

/// A namespace or a type: what stands before the names in it.
pub(super) fn is_scope(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        dw::DW_TAG_namespace
            | dw::DW_TAG_module
            | dw::DW_TAG_structure_type
            | dw::DW_TAG_class_type
            | dw::DW_TAG_union_type
            | dw::DW_TAG_enumeration_type
            | dw::DW_TAG_interface_type
    )
}
