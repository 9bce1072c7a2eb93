//! Makes parts: asks the readers of debug information what they say of all code of a unit.
//!
//! Where the answer may change is collected first: the addresses where functions, calls, blocks and rows of the line
//! table begin and end. Between two neighbours it is the same everywhere, so that the answers for these addresses are all
//! that there are; and since they come from the readers themselves, an index says what they say.

use std::rc::Rc;

use super::{
    super::{
        DebugInfo,
        fuel::Fuel,
        functions,
        functions::Scopes,
        line_machine::Row,
        lines::LineProgram,
        names::{FunctionNames, Units},
        resolve_unit::{call_place, has_bare_name},
        unit::Unit,
    },
    encode::{Call, Name, PartWriter},
    part::State,
};
use crate::{numbers::NumberMap, symbol::demangle::demangle};

/// A unit with more places where something changes is not indexed: each takes some hundred bytes of memory.
const MOST_BOUNDARIES: usize = 2_000_000;

/// Names of functions that are called are kept as people write them from this length on: it takes longer to make them
/// than to find them. Inlined functions are many more, each less often met.
const LONG_NAME: usize = 128;

/// The part for the unit that begins at `start`. `None` where there can be none: for split DWARF, whose other files
/// may be others later, and for units that are broken or too large.
pub(super) fn part(debug: &DebugInfo, start: usize, fuel: &mut Fuel<'_>) -> Option<Vec<u8>> {
    let sections = debug.main.sections();
    let unit = Rc::new(Unit::open(&debug.main, sections, start, fuel)?);
    let part = whole_part(debug, &unit, fuel);
    sections.info.release(unit.header.start..unit.header.end);
    part.filter(|_| !fuel.is_out())
}

fn whole_part(debug: &DebugInfo, unit: &Rc<Unit<'_>>, fuel: &mut Fuel<'_>) -> Option<Vec<u8>> {
    if unit.split().is_some() {
        return None;
    }
    let lines = LineProgram::open(unit);
    let mut boundaries = Vec::new();
    functions::boundaries(unit, &mut boundaries, fuel)?;
    if let Some(lines) = &lines {
        lines.boundaries(&mut boundaries, fuel);
    }
    // Much of it is in order already: this way of sorting sees that.
    boundaries.sort();
    boundaries.dedup();
    if boundaries.len() > MOST_BOUNDARIES {
        return None;
    }
    let rows = lines.as_ref().map_or_else(|| vec![None; boundaries.len()], |one| one.rows(&boundaries, fuel));
    let scopes = functions::find(unit, &boundaries, fuel);
    if scopes.iter().map(Vec::len).sum::<usize>() >= functions::MOST_SCOPES {
        return None;
    }
    let mut units = Units::new(unit, debug.supplementary.as_ref());
    let names = units.functions(unit, places(&scopes), fuel);
    // What is in a packed section would have to be unpacked for each name.
    let in_place = !debug.main.sections().str.is_packed();
    let extent = lines.as_ref().map(LineProgram::extent);
    let mut maker =
        Maker { unit, lines, names, in_place, writer: PartWriter::default(), memo: Memo::default() };
    let mut intervals: Vec<(u64, State)> = Vec::new();
    for ((&at, row), scopes) in boundaries.iter().zip(rows).zip(&scopes) {
        let state = row.map_or_else(State::default, |row| maker.state(row));
        let state = State { scope: maker.scope(scopes)?, ..state };
        if intervals.last().map_or(State::default(), |&(_, last)| last) != state {
            intervals.push((at, state));
        }
    }
    if let Some(extent) = extent {
        unit.sections.line.release(extent);
    }
    // Behind the last boundary there is nothing: one that says otherwise is broken.
    if intervals.last().is_some_and(|&(_, last)| last != State::default()) {
        return None;
    }
    maker.writer.finish(&intervals)
}

/// The entries in `scopes`, most of them once: neighbours often share the outer ones.
fn places(scopes: &[Scopes]) -> impl Iterator<Item = usize> {
    let before = std::iter::once(&[][..]).chain(scopes.iter().map(Vec::as_slice));
    scopes.iter().zip(before).flat_map(|(scopes, before)| {
        let shared = scopes.iter().zip(before).take_while(|(one, other)| one == other).count();
        scopes[shared..].iter().copied()
    })
}

struct Maker<'u, 'a> {
    unit: &'u Rc<Unit<'a>>,
    lines: Option<LineProgram<'a>>,
    names: FunctionNames,
    in_place: bool,
    writer: PartWriter,
    memo: Memo,
}

/// What was written before.
#[derive(Default)]
struct Memo {
    /// By number in the line table.
    files: NumberMap<u64, u32>,
    /// Neighbours often have the same one.
    last_file: Option<(u64, u32)>,
    /// By the entry that has the name, and whether it is kept as people write it.
    functions: NumberMap<(usize, bool), Option<u32>>,
    /// By the node around it and the entry.
    nodes: NumberMap<(u32, usize), u32>,
    /// Neighbours often have the same scopes.
    last: (Scopes, u32),
}

impl Maker<'_, '_> {
    fn file(&mut self, number: u64) -> u32 {
        if let Some((_, file)) = self.memo.last_file.filter(|last| last.0 == number) {
            return file;
        }
        let known = self.memo.files.get(&number).copied();
        let file = known.unwrap_or_else(|| {
            let path = self.lines.as_mut().and_then(|lines| lines.path(number));
            path.and_then(|path| self.writer.path(&path)).unwrap_or(0)
        });
        self.memo.files.insert(number, file);
        self.memo.last_file = Some((number, file));
        file
    }

    fn place(&mut self, file: Option<u64>, line: u32, column: u32) -> Call {
        let file = file.map_or(0, |number| self.file(number));
        // Columns of no line say nothing.
        Call { file, line, column: if line > 0 { column } else { 0 }, discriminator: 0 }
    }

    /// What a row says.
    fn state(&mut self, row: Row) -> State {
        let Row { discriminator, flags, .. } = row;
        let Call { file, line, column, .. } = self.place(Some(row.file), row.line, row.column);
        State { file, line, column, scope: 0, discriminator, flags }
    }

    /// The node of the innermost of the scopes; 0 without any.
    fn scope(&mut self, scopes: &Scopes) -> Option<u32> {
        if self.memo.last.0 != *scopes {
            let mut node = 0;
            for &at in scopes {
                node = self.node(node, at)?;
            }
            self.memo.last = (scopes.clone(), node);
        }
        Some(self.memo.last.1)
    }

    fn node(&mut self, around: u32, at: usize) -> Option<u32> {
        if let Some(&node) = self.memo.nodes.get(&(around, at)) {
            return Some(node);
        }
        let function = self.function(at, around == 0);
        let caller = (around > 0).then(|| {
            let place = call_place(self.unit, at);
            let discriminator = place.discriminator;
            (around, Call { discriminator, ..self.place(place.file, place.line, place.column) })
        });
        let node = self.writer.node(function, caller)?;
        self.memo.nodes.insert((around, at), node);
        Some(node)
    }

    fn function(&mut self, at: usize, was_called: bool) -> Option<u32> {
        let key = (self.names.named_at(at), was_called);
        if let Some(&function) = self.memo.functions.get(&key) {
            return function;
        }
        let name = self.names.get(at).cloned().unwrap_or_default();
        let is_bare = has_bare_name(self.unit, &name);
        let is_linkage_name = name.linkage_name.is_some();
        let function = name.linkage_name.or(name.name).and_then(|name| {
            let at = name.at.filter(|_| self.in_place);
            let shown = (was_called && is_linkage_name && name.text.len() >= LONG_NAME)
                .then(|| demangle(name.text.as_bytes()));
            self.writer.function(&Name { text: &name.text, at, is_linkage_name, is_bare, shown })
        });
        self.memo.functions.insert(key, function);
        function
    }
}
