//! The answers that one unit has for some addresses.

use std::{rc::Rc, sync::Arc};

use gimli::constants as dw;

use super::{
    super::LineFlags,
    DebugInfo, DwarfFrame,
    fuel::Fuel,
    functions::{self, Scopes},
    line_machine::Row,
    lines::LineProgram,
    names::{FunctionName, FunctionNames, Units},
    split,
    unit::Unit,
};

/// A place in the source.
#[derive(Default)]
struct Place {
    file: Option<Arc<str>>,
    line: Option<u32>,
    column: Option<u32>,
    discriminator: Option<u32>,
    flags: LineFlags,
}

/// The frames of each of `pcs` (sorted), as far as the unit that begins at `start` covers them.
pub(super) fn frames(
    debug: &DebugInfo,
    start: usize,
    pcs: &[u64],
    fuel: &mut Fuel<'_>,
) -> Vec<Vec<DwarfFrame>> {
    let sections = debug.main.sections();
    let Some(unit) = Unit::open(&debug.main, sections, start, fuel) else {
        return vec![Vec::new(); pcs.len()];
    };
    let mut lines = LineProgram::open(&unit);
    let rows = lines.as_ref().map_or_else(|| vec![None; pcs.len()], |lines| lines.rows(pcs, fuel));
    let split_unit = debug.split.find(&unit, fuel);
    let split_unit = split_unit.as_ref().and_then(|found| found.open(&unit, fuel));
    let skeleton = Rc::new(unit);
    let unit = split_unit.map_or_else(|| skeleton.clone(), |unit| split::complete(unit, &skeleton));
    let scopes = functions::find(&unit, pcs, fuel);
    let frames = Frames::new(debug, &unit, lines.as_mut(), &scopes, fuel);
    let answers = frames.of_all(&scopes, &rows, fuel);
    debug.note_functions(start, pcs, &scopes);
    answers
}

struct Frames<'u, 'a, 'l> {
    unit: &'u Rc<Unit<'a>>,
    lines: Option<&'l mut LineProgram<'a>>,
    names: FunctionNames,
}

impl<'u, 'a, 'l> Frames<'u, 'a, 'l> {
    fn new(
        debug: &'a DebugInfo,
        unit: &'u Rc<Unit<'a>>,
        lines: Option<&'l mut LineProgram<'a>>,
        scopes: &[Scopes],
        fuel: &mut Fuel<'_>,
    ) -> Self {
        let mut units = Units::new(unit, debug.supplementary.as_ref());
        let names = units.functions(unit, scopes.iter().flatten().copied(), fuel);
        Self { unit, lines, names }
    }

    fn of_all(
        mut self,
        scopes: &[Scopes],
        rows: &[Option<Row>],
        fuel: &mut Fuel<'_>,
    ) -> Vec<Vec<DwarfFrame>> {
        scopes.iter().zip(rows).map(|(scopes, row)| self.of(scopes, *row, fuel)).collect()
    }

    fn of(&mut self, scopes: &Scopes, row: Option<Row>, fuel: &mut Fuel<'_>) -> Vec<DwarfFrame> {
        let mut place = row.map(|row| self.place(Some(row.file), row.line, row.column)).unwrap_or_default();
        if let Some(row) = row {
            place.discriminator = Some(row.discriminator).filter(|number| *number > 0);
            place.flags = row.flags;
        }
        if scopes.is_empty() {
            // A function that nobody described; its line may be known (assembler).
            let Place { file, line, column, discriminator, flags } = place;
            let known = file.is_some() || line.is_some();
            return known
                .then(|| DwarfFrame { file, line, column, discriminator, flags, ..DwarfFrame::default() })
                .into_iter()
                .collect();
        }
        let mut frames = Vec::with_capacity(scopes.len());
        for (depth, &at) in scopes.iter().enumerate().rev() {
            let inlined = depth > 0;
            let caller = if inlined { self.call_place(at) } else { Place::default() };
            let Place { file, line, column, discriminator, flags } = std::mem::replace(&mut place, caller);
            let name = self.names.get(at).cloned().unwrap_or_default();
            let has_bare_name = has_bare_name(self.unit, &name);
            let function = name.name.map(|name| name.text);
            let linkage_name = name.linkage_name.map(|name| name.text);
            // Long names times many frames: they are made into text of their own later.
            let length = [&function, &linkage_name, &file].into_iter().flatten().map(|text| text.len()).sum();
            if fuel.burn(length).is_none() {
                break;
            }
            frames.push(DwarfFrame {
                function,
                linkage_name,
                shown: None,
                file,
                line,
                column,
                discriminator,
                flags,
                inlined,
                has_bare_name,
            });
        }
        frames
    }

    fn place(&mut self, file: Option<u64>, line: u32, column: u32) -> Place {
        let path = file.and_then(|file| self.lines.as_mut()?.path(file));
        // Columns of no line say nothing.
        let known = |number: u32| Some(number).filter(|&number| number > 0);
        Place {
            file: path,
            line: known(line),
            column: known(column).filter(|_| line > 0),
            ..Place::default()
        }
    }

    /// Where an inlined function was called.
    fn call_place(&mut self, at: usize) -> Place {
        let CallPlace { file, line, column, discriminator } = call_place(self.unit, at);
        let discriminator = Some(discriminator).filter(|number| *number > 0);
        Place { discriminator, ..self.place(file, line, column) }
    }
}

/// Where an inlined function was called, in the numbers of the line table.
#[derive(Clone, Copy, Default)]
pub(super) struct CallPlace {
    pub(super) file: Option<u64>,
    /// 0: not known.
    pub(super) line: u32,
    /// 0: not known.
    pub(super) column: u32,
    /// 0: none.
    pub(super) discriminator: u32,
}

/// Where the function was called that is inlined by the entry at `at`.
pub(super) fn call_place(unit: &Unit<'_>, at: usize) -> CallPlace {
    let mut place = CallPlace::default();
    let Some(entry) = unit.entry(at) else { return place };
    let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    for (attribute, value) in entry {
        match attribute {
            dw::DW_AT_call_file => place.file = value.number(),
            dw::DW_AT_call_line => place.line = small(value.number()),
            dw::DW_AT_call_column => place.column = small(value.number()),
            dw::DW_AT_GNU_discriminator => place.discriminator = small(value.number()),
            _ => {}
        }
    }
    place
}

/// Whether a name stands alone in a language where it belongs to something.
pub(super) fn has_bare_name(unit: &Unit<'_>, name: &FunctionName) -> bool {
    name.linkage_name.is_none()
        && unit.has_qualified_names()
        && name.name.as_ref().is_some_and(|name| !name.text.contains("::"))
}
