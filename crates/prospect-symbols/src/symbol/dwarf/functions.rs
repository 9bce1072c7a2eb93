//! The search for the functions, and the calls inlined into them, that cover addresses.
//!
//! Most of a unit's entries are types and declarations. They are passed over as quickly as their
//! abbreviations allow, whole subtrees at once where the compiler says where the next sibling is.

use super::{
    abbreviations::{Kind, Taken},
    fuel::Fuel,
    ranges::{CodeAttributes, covered, each},
    reader::Reader,
    unit::Unit,
};

/// The entries that cover one address: the function that was really called, then the ones inlined
/// into it, the innermost last. As places from the unit's start.
pub(super) type Scopes = Vec<usize>;

/// Functions inlined into each other deeper than this are not followed.
const DEEPEST_INLINE: usize = 500;

/// All scopes of a search together are no more: calls may be nested deeply everywhere.
pub(super) const MOST_SCOPES: usize = 16 << 20;

/// Which subtrees are left out of a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    /// All but functions' own. GCC puts every function with code at a unit's top level.
    TopLevel,
    /// Those of functions that do not cover an address, and of types.
    Namespaces,
    /// None: functions may be nested in others, and in types.
    Everything,
}

/// The scopes of each of `pcs` (sorted) in this unit; none where no function of it covers one.
pub(super) fn find(unit: &Unit<'_>, pcs: &[u64], fuel: &mut Fuel<'_>) -> Vec<Scopes> {
    let mut search = Search {
        unit,
        pcs,
        scopes: vec![Scopes::new(); pcs.len()],
        left: pcs.len(),
        room: MOST_SCOPES,
        fuel,
    };
    for pass in [Pass::TopLevel, Pass::Namespaces, Pass::Everything] {
        if search.left == 0 || !search.pass(pass).unwrap_or(false) {
            break;
        }
    }
    search.scopes
}

/// Adds to `addresses` where the code of each function, inlined call and block begins and ends: between two
/// neighbours, [`find`] has the same answer everywhere. `None` where the unit cannot be read to its end.
pub(super) fn boundaries(unit: &Unit<'_>, addresses: &mut Vec<u64>, fuel: &mut Fuel<'_>) -> Option<()> {
    let table = &*unit.abbreviations;
    let mut reader = unit.entries(unit.header.root);
    while !reader.is_at_end() {
        fuel.burn(1)?;
        let code = reader.leb()?;
        if code == 0 {
            continue;
        }
        let abbreviation = table.get(code)?;
        if !matches!(abbreviation.kind, Kind::Function | Kind::Inlined | Kind::Block) {
            table.pass_over(abbreviation, &mut reader)?;
            continue;
        }
        let mut taken = Taken::default();
        table.step_over(abbreviation, &mut reader, &mut taken)?;
        if !taken.has_no_code() {
            // A list that breaks off does so in each search.
            let _ = each(unit, &CodeAttributes::from(&taken), fuel, |low, high, _| {
                addresses.extend([low, high]);
                Some(())
            });
        }
    }
    Some(())
}

struct Search<'u, 'a, 'f, 't> {
    unit: &'u Unit<'a>,
    pcs: &'u [u64],
    scopes: Vec<Scopes>,
    /// How many have no function yet.
    left: usize,
    /// How many scopes may be noted yet.
    room: usize,
    fuel: &'f mut Fuel<'t>,
}

impl<'a> Search<'_, 'a, '_, '_> {
    /// Whether something was left out.
    fn pass(&mut self, pass: Pass) -> Option<bool> {
        let unit = self.unit;
        let table = &*unit.abbreviations;
        let mut reader = unit.entries(unit.header.root);
        let root = table.get(reader.leb()?)?;
        table.pass_over(root, &mut reader)?;
        let mut depth = usize::from(root.has_children);
        let mut left_out = false;
        while depth > 0 && self.left > 0 && !reader.is_at_end() {
            self.fuel.burn(1)?;
            let at = reader.at();
            let code = reader.leb()?;
            if code == 0 {
                depth -= 1;
                continue;
            }
            let abbreviation = table.get(code)?;
            let sibling = if abbreviation.kind == Kind::Function {
                let mut taken = Taken::default();
                table.step_over(abbreviation, &mut reader, &mut taken)?;
                let hits = self.hits(&taken);
                if !hits.is_empty() {
                    reader = self.function(at, hits, reader, abbreviation.has_children)?;
                    continue;
                }
                taken.sibling
            } else {
                table.pass_over(abbreviation, &mut reader)?
            };
            if !abbreviation.has_children {
                continue;
            }
            let skip = match pass {
                Pass::TopLevel => true,
                Pass::Namespaces => abbreviation.kind != Kind::Namespace,
                Pass::Everything => false,
            };
            match sibling {
                Some(sibling) if skip && sibling >= reader.at() => {
                    reader.seek(sibling);
                    left_out = true;
                }
                _ => depth += 1,
            }
        }
        Some(left_out)
    }

    /// The addresses without a function that this code covers.
    fn hits(&mut self, taken: &Taken<'a>) -> Vec<usize> {
        let mut hits = Vec::new();
        let scopes = &self.scopes;
        let _ = covered(self.unit, &CodeAttributes::from(taken), self.pcs, self.fuel, |range| {
            hits.extend(range.filter(|&pc| scopes[pc].is_empty()));
        });
        // A broken list of ranges may repeat itself.
        hits.sort_unstable();
        hits.dedup();
        hits
    }

    /// Walks through a function that covers addresses. The reader stands behind its attributes, and
    /// is returned behind its subtree.
    fn function(
        &mut self,
        at: usize,
        hits: Vec<usize>,
        mut reader: Reader<'a>,
        has_children: bool,
    ) -> Option<Reader<'a>> {
        // Functions that are nested in this one, with code that lies elsewhere.
        let mut nested = Vec::new();
        self.enter(at, &hits);
        let end = self.inlines(&mut reader, hits, has_children, &mut nested);
        while let Some(at) = nested.pop() {
            self.nested_function(at, &mut nested);
        }
        end?;
        Some(reader)
    }

    fn enter(&mut self, at: usize, hits: &[usize]) {
        for &pc in hits {
            self.scopes[pc].push(at);
        }
        self.left -= hits.len();
        self.room = self.room.saturating_sub(hits.len());
    }

    fn nested_function(&mut self, at: usize, nested: &mut Vec<usize>) -> Option<()> {
        let table = &*self.unit.abbreviations;
        let mut reader = self.unit.entries(at);
        let abbreviation = table.get(reader.leb()?)?;
        let mut taken = Taken::default();
        table.step_over(abbreviation, &mut reader, &mut taken)?;
        let hits = self.hits(&taken);
        if !hits.is_empty() {
            self.enter(at, &hits);
            self.inlines(&mut reader, hits, abbreviation.has_children, nested)?;
        }
        Some(())
    }

    /// Walks through a function's subtree for the calls inlined into it that cover `hits`.
    fn inlines(
        &mut self,
        reader: &mut Reader<'a>,
        hits: Vec<usize>,
        has_children: bool,
        nested: &mut Vec<usize>,
    ) -> Option<()> {
        let (unit, table) = (self.unit, &*self.unit.abbreviations);
        let pcs: Vec<u64> = hits.iter().map(|&pc| self.pcs[pc]).collect();
        let mut depth = usize::from(has_children);
        // The inlined calls that the reader is in, with their depths.
        let mut open: Vec<(usize, usize)> = Vec::new();
        // In a block or call that covers none of the addresses: nothing in it does.
        let mut outside = usize::MAX;
        while depth > 0 && !reader.is_at_end() {
            self.fuel.burn(1)?;
            let at = reader.at();
            let code = reader.leb()?;
            if code == 0 {
                depth -= 1;
                while open.last().is_some_and(|&(inner, _)| inner > depth) {
                    open.pop();
                }
                if depth < outside {
                    outside = usize::MAX;
                }
                continue;
            }
            let abbreviation = table.get(code)?;
            let may_cover = matches!(abbreviation.kind, Kind::Inlined | Kind::Block);
            let mut taken = Taken::default();
            if may_cover {
                table.step_over(abbreviation, reader, &mut taken)?;
            } else {
                taken.sibling = table.pass_over(abbreviation, reader)?;
            }
            let mut covers = false;
            match abbreviation.kind {
                Kind::Inlined | Kind::Block if outside == usize::MAX && !taken.has_no_code() => {
                    let (scopes, room) = (&mut self.scopes, &mut self.room);
                    let _ = covered(unit, &CodeAttributes::from(&taken), &pcs, self.fuel, |range| {
                        covers = true;
                        if abbreviation.kind != Kind::Inlined {
                            return;
                        }
                        for &pc in &hits[range] {
                            if *room > 0 && add_inlined(&mut scopes[pc], at, &open) {
                                *room -= 1;
                            }
                        }
                    });
                }
                // A block that does not say where it is.
                Kind::Block if taken.has_no_code() => covers = true,
                Kind::Function => nested.push(at),
                _ => {}
            }
            if !abbreviation.has_children {
                continue;
            }
            let may_hold_code = covers || abbreviation.kind == Kind::Other && taken.sibling.is_none();
            match taken.sibling {
                Some(sibling) if !may_hold_code && sibling >= reader.at() => reader.seek(sibling),
                _ => {
                    depth += 1;
                    if covers && abbreviation.kind == Kind::Inlined {
                        open.push((depth, at));
                    } else if !covers && may_cover {
                        outside = outside.min(depth);
                    }
                }
            }
        }
        Some(())
    }
}

/// Notes an inlined call, if it lies in the innermost one that was noted for that address. Where two
/// neighbours claim an address, the first has it.
fn add_inlined(scopes: &mut Scopes, at: usize, open: &[(usize, usize)]) -> bool {
    let Some(&innermost) = scopes.last() else { return false };
    let inside = scopes.len() == 1 || open.iter().any(|&(_, one)| one == innermost);
    let is_new = inside && innermost != at && scopes.len() < DEEPEST_INLINE;
    if is_new {
        scopes.push(at);
    }
    is_new
}
