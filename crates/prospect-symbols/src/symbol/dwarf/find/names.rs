//! The entries whose names are meant.

use gimli::constants as dw;

use super::{
    super::{DebugInfo, fuel::Fuel, value::Value},
    TargetName, UnitPlace,
    opened::{OpenedUnit, with_unit},
    plan::{Plan, Purpose, Role, Taken},
    strings::{Memo, NameFilter},
};
use crate::{
    find::{Definition, DefinitionKinds, Pattern, is_end_of_base},
    type_info::EntryId,
};

/// Scopes in scopes: deeper, they do not count.
const DEEPEST: usize = 64;
/// What names that stand before one may be long together.
const LONGEST_PATH: usize = 16 << 10;

/// A search for names in the units of a file.
pub(super) struct Search<'p> {
    debug: &'p DebugInfo,
    pattern: &'p Pattern,
    kinds: DefinitionKinds,
    filter: Option<NameFilter<'p>>,
    by_linkage_name: bool,
    /// Which linkage names are meant.
    memo: Option<Memo>,
}

/// What was found in one unit.
#[derive(Default)]
pub(super) struct Hits {
    pub(super) definitions: Vec<Definition>,
    /// Entries that only name something: others may refer to them, with code or a place.
    pub(super) open: Vec<(EntryId, TargetName)>,
    pub(super) refers_to_others: bool,
}

impl<'p> Search<'p> {
    pub(super) fn new(debug: &'p DebugInfo, pattern: &'p Pattern, kinds: DefinitionKinds) -> Self {
        let strings = debug.main.sections().str;
        let linkage_name = pattern.linkage_name();
        let filter = match (linkage_name, pattern.base()) {
            (Some(name), _) => Some(NameFilter::new(name.as_bytes(), |next| next == 0, strings)),
            (None, Some(base)) => Some(NameFilter::new(base.as_bytes(), is_end_of_base, strings)),
            (None, None) => None,
        };
        let memo = pattern.is_regex().then(|| Memo::new(strings));
        Self { debug, pattern, kinds, filter, by_linkage_name: linkage_name.is_some(), memo }
    }

    /// What is meant in one unit.
    pub(super) fn unit(&self, place: UnitPlace, fuel: &mut Fuel<'_>) -> Hits {
        let scan = |unit: OpenedUnit<'_>, fuel: &mut Fuel<'_>| {
            let table = unit.unit.abbreviations.clone();
            let plan = Plan::new(&table, unit.unit.header.encoding, Purpose::Names);
            let mut hits = Hits { refers_to_others: plan.refers_to_others, ..Hits::default() };
            let _ = self.entries(&unit, &plan, fuel, &mut hits);
            hits
        };
        with_unit(self.debug, place, fuel, scan).unwrap_or_default()
    }

    fn entries(
        &self,
        unit: &OpenedUnit<'_>,
        plan: &Plan<'_>,
        fuel: &mut Fuel<'_>,
        hits: &mut Hits,
    ) -> Option<()> {
        let mut reader = unit.unit.entries(unit.unit.header.root);
        let mut scopes = Scopes::default();
        let mut depth = 0_usize;
        while !reader.is_at_end() {
            fuel.burn(1)?;
            let at = reader.at();
            let code = reader.leb()?;
            if code == 0 {
                depth = depth.checked_sub(1).filter(|depth| *depth > 0)?;
                scopes.close(depth);
                continue;
            }
            let shape = plan.shape(code)?;
            let mut taken = Taken::none();
            plan.step_over(shape, &mut reader, &mut taken)?;
            if self.wants(shape.role) && self.may_be(unit, &taken) {
                self.hit(unit, at, shape.role, &taken, &mut scopes, fuel, hits)?;
            }
            if !shape.has_children {
                continue;
            }
            // What is local to a call, an enumeration's constants, parameters: nothing of it is looked for.
            let skip = matches!(shape.role, Role::Other | Role::Inlined) && depth > 0;
            match taken.sibling {
                Some(sibling) if skip && sibling >= reader.at() => reader.seek(sibling),
                _ => {
                    depth += 1;
                    if matches!(shape.role, Role::Namespace | Role::Type | Role::Function) {
                        scopes.open(depth, at, shape.role == Role::Namespace);
                    }
                }
            }
        }
        Some(())
    }

    fn wants(&self, role: Role) -> bool {
        match role {
            Role::Function => self.kinds.functions || self.kinds.inlined,
            Role::Variable => self.kinds.variables,
            Role::Type => self.kinds.types,
            Role::Enumerator => self.kinds.enumerators,
            _ => false,
        }
    }

    /// Whether it is worth to put the whole name together.
    #[inline]
    fn may_be<'a>(&self, unit: &OpenedUnit<'a>, taken: &Taken<'a>) -> bool {
        let value = if self.by_linkage_name { taken.linkage_name } else { taken.name };
        match &self.filter {
            Some(filter) => {
                filter.may_be(&unit.unit, value, unit.has_own_strings(), |_, value| unit.text(value))
            }
            None => value != Value::None,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one place calls it, which has them all at hand")]
    fn hit<'a>(
        &self,
        unit: &OpenedUnit<'a>,
        at: usize,
        role: Role,
        taken: &Taken<'a>,
        scopes: &mut Scopes,
        fuel: &mut Fuel<'_>,
        hits: &mut Hits,
    ) -> Option<()> {
        let linkage_name = unit.text(taken.linkage_name);
        let Some(name) = unit.text(taken.name).or(linkage_name) else { return Some(()) };
        fuel.burn((name.len() + linkage_name.map_or(0, <[u8]>::len)) / 16)?;
        // To take a name apart that a hostile file has may be some work.
        let mut is_linked = || {
            let name = linkage_name.filter(|name| fuel.burn(name.len()).is_some());
            name.is_some_and(|name| self.pattern.matches_symbol(name))
        };
        // A regular expression is tried on the linkage name as people write it, which says as much as what is put together here.
        let tested = self.memo.as_ref().filter(|_| linkage_name.is_some());
        let tested = tested.map(|memo| memo.test(taken.linkage_name, unit.has_own_strings(), &mut is_linked));
        if tested == Some(false) {
            return Some(());
        }
        let name = [scopes.path(unit), &String::from_utf8_lossy(name)].concat();
        if tested.is_none() && !self.pattern.matches(&name) && !is_linked() {
            return Some(());
        }
        fuel.burn(name.len())?;
        let linkage_name = linkage_name.map(|name| String::from_utf8_lossy(name).into_owned());
        let target = TargetName { name, linkage_name };
        match unit.definition(at, role, &target, fuel) {
            Some(mut found) => {
                if let (Role::Enumerator, Some(around)) = (role, scopes.innermost()) {
                    found.entry = unit.place(around);
                }
                hits.definitions.push(found);
            }
            None if !matches!(role, Role::Type | Role::Enumerator) => {
                hits.open.push((unit.place(at), target))
            }
            None => {}
        }
        Some(())
    }
}

/// The namespaces, types and functions that the reader is in.
#[derive(Default)]
struct Scopes {
    /// The depth of what it holds, where it is, and whether it is a namespace.
    open: Vec<(usize, usize, bool)>,
    /// Their names, where they were asked for.
    path: Option<String>,
}

impl Scopes {
    fn open(&mut self, depth: usize, at: usize, is_namespace: bool) {
        if self.open.len() < DEEPEST {
            self.open.push((depth, at, is_namespace));
            self.path = None;
        }
    }

    fn close(&mut self, depth: usize) {
        while self.open.last().is_some_and(|&(inner, ..)| inner > depth) {
            self.open.pop();
            self.path = None;
        }
    }

    /// Where the one is that holds all of what is read.
    fn innermost(&self) -> Option<usize> {
        self.open.last().map(|&(_, at, _)| at)
    }

    /// What stands before the name of anything in them.
    fn path(&mut self, unit: &OpenedUnit<'_>) -> &str {
        self.path.get_or_insert_with(|| {
            let mut path = String::new();
            for &(_, at, is_namespace) in &self.open {
                if path.len() > LONGEST_PATH {
                    break;
                }
                let name = unit.attribute(at, dw::DW_AT_name).and_then(|value| unit.text(value));
                match name {
                    Some(name) => path.push_str(&String::from_utf8_lossy(name)),
                    None if is_namespace => path.push_str("(anonymous namespace)"),
                    None => continue,
                }
                path.push_str("::");
            }
            path
        })
    }
}
