//! From source lines to addresses: one for each place where a debugger would stop.
//!
//! Of all units the headers of their line tables are read, and the tables of those that name the file.

use std::collections::{BTreeMap, HashMap, HashSet};

use gimli::{LineProgramHeader, LineRow, constants as dw};
use prospect_process::LinkAddr;

use super::{
    super::{
        DebugInfo,
        fuel::{Fuel, Tank},
        functions,
        lines::LineProgram,
        ranges::is_dropped,
        sections::Slice,
        unit::Unit,
        unit_index,
    },
    opened::{OpenedUnit, with_unit},
    unit_jobs,
};
use crate::{
    find::{LinePlace, SourceLine},
    parallel,
    symbol::demangle,
};

/// What reading the header of a line table costs, in bytes of debug information.
const HEADER_COST: usize = 2048;
/// What keeping a row costs.
const ROW_COST: usize = 32;

/// A row of a line table at which a statement begins, or the end of a sequence.
#[derive(Clone, Copy, Debug)]
struct Row {
    address: u64,
    file: u64,
    /// 0: the code belongs to no line.
    line: u32,
    column: u32,
    is_statement: bool,
    is_behind_prologue: bool,
    is_end: bool,
}

/// The rows of one line in one unit.
struct UnitRows {
    unit: usize,
    line: u32,
    rows: Vec<Row>,
    /// The paths of the files that are meant, by number.
    files: HashMap<u64, String>,
}

/// The places of a line, sorted by address; of the next line that has code, where it has none itself.
pub(crate) fn places(debug: &DebugInfo, wanted: &SourceLine, limit: usize) -> Vec<LinePlace> {
    let tank = Tank::for_size(debug.main.sections().size());
    let starts = debug.main.all_unit_starts(&debug.main.sections());
    let jobs: Vec<(usize, usize)> = starts.into_iter().map(|start| (HEADER_COST, start)).collect();
    let mut found: Vec<UnitRows> =
        parallel::run(&jobs, |start| rows_of(debug, *start, wanted, &mut tank.fuel()))
            .into_iter()
            .flatten()
            .collect();
    let Some(line) = found.iter().map(|one| one.line).min() else { return Vec::new() };
    found.retain(|one| one.line == line);
    let jobs: Vec<(usize, UnitRows)> =
        found.into_iter().map(|one| (unit_jobs(debug, Some(&[(false, one.unit)]))[0].0, one)).collect();
    let places = parallel::run(&jobs, |rows| {
        let fuel = &mut tank.fuel();
        with_unit(debug, (false, rows.unit), fuel, |unit, fuel| choose(debug, unit, rows, wanted, fuel))
    });
    let mut places: Vec<LinePlace> = places.into_iter().flatten().flatten().collect();
    places.sort_by_key(|place| place.address);
    places.dedup_by_key(|place| place.address);
    places.truncate(limit);
    places
}

/// The address at which the arguments of each function that begins at one of these can be read; none for those of which nothing is known. Each
/// unit is read once, however many of its functions are asked for.
pub(crate) fn after_prologues(debug: &DebugInfo, starts: &[LinkAddr]) -> HashMap<LinkAddr, LinkAddr> {
    let sections = debug.main.sections();
    let tank = Tank::for_size(sections.size());
    let mut fuel = tank.fuel();
    let mut pcs: Vec<u64> = starts.iter().map(|start| start.0).collect();
    pcs.sort_unstable();
    pcs.dedup();
    let mut candidates = unit_index::from_aranges(&sections, &pcs, &mut fuel);
    if candidates.is_empty() {
        let starts = debug.main.all_unit_starts(&sections);
        candidates = unit_index::from_roots(&debug.main, &sections, &starts, &pcs, &mut fuel);
    }
    // By address, as they were found: only the first units of each are looked into.
    candidates.sort_by_key(|(pc, _)| *pc);
    let mut by_unit: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for of_one in candidates.chunk_by(|(one, _), (other, _)| one == other) {
        for (pc, unit) in of_one.iter().take(unit_index::MOST_UNITS) {
            by_unit.entry(*unit).or_default().extend(pcs.get(*pc));
        }
    }
    let mut found = HashMap::new();
    for (unit_start, pcs) in by_unit {
        let behind = with_unit(debug, (false, unit_start), &mut tank.fuel(), |unit, fuel| {
            let scopes = functions::find(&unit.unit, &pcs, fuel);
            let outer = scopes.iter().zip(&pcs).filter_map(|(scopes, pc)| Some((*scopes.first()?, *pc)));
            behind_prologues(debug, &unit, unit_start, outer, fuel)
        });
        for (start, behind) in behind.flatten().unwrap_or_default() {
            found.entry(LinkAddr(start)).or_insert(LinkAddr(behind));
        }
    }
    found
}

/// The rows of the wanted line in a unit, or of the next one that has some.
fn rows_of(debug: &DebugInfo, start: usize, wanted: &SourceLine, fuel: &mut Fuel<'_>) -> Option<UnitRows> {
    // Units may share a table: it is read for each of them, as long as that is reasonable.
    fuel.burn(HEADER_COST)?;
    let sections = debug.main.sections();
    let unit = Unit::open_root(&debug.main, sections, start, fuel)?;
    let mut lines = LineProgram::open(&unit)?;
    fuel.burn(lines.extent().len())?;
    let mut files = HashMap::new();
    for number in files_named(&lines, wanted) {
        let Some(path) = lines.path(number) else { continue };
        fuel.burn(path.len())?;
        if wanted.is_file(&path) {
            files.insert(number, path.to_string());
        }
    }
    if files.is_empty() {
        return None;
    }
    let mut found = UnitRows { unit: start, line: u32::MAX, rows: Vec::new(), files };
    run(lines.header(), fuel, |row, fuel| {
        let is_candidate =
            row.is_statement && !row.is_end && row.line >= wanted.line && row.line <= found.line;
        if is_candidate && found.files.contains_key(&row.file) {
            if row.line < found.line {
                found.line = row.line;
                found.rows.clear();
            }
            if fuel.burn(ROW_COST).is_some() {
                found.rows.push(row);
            }
        }
    });
    sections.line.release(lines.extent());
    (!found.rows.is_empty()).then_some(found)
}

/// The numbers of the files that have the wanted name, whatever their directories are.
fn files_named(lines: &LineProgram<'_>, wanted: &SourceLine) -> Vec<u64> {
    let header = lines.header();
    let files = header.file_names();
    let first = u64::from(header.version() < 5);
    let name = wanted.file_name().as_bytes();
    let is_named = |text: &[u8]| text.ends_with(name);
    let numbers = files
        .iter()
        .zip(first..)
        .filter(|(file, _)| lines.text(file.path_name()).is_some_and(|text| is_named(&text)));
    numbers.map(|(_, number)| number).collect()
}

/// Calls `visit` for every row of code that the linker kept.
fn run(
    header: &LineProgramHeader<Slice<'_>>,
    fuel: &mut Fuel<'_>,
    mut visit: impl FnMut(Row, &mut Fuel<'_>),
) {
    let mut program = Program(header);
    let mut instructions = header.instructions();
    let mut state = LineRow::new(header);
    let (mut begins, mut dropped) = (true, false);
    while let Ok(Some(instruction)) = instructions.next_instruction(header) {
        if fuel.burn(1).is_none() {
            return;
        }
        match state.execute(instruction, &mut program) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => return,
        }
        if std::mem::replace(&mut begins, state.end_sequence()) {
            dropped = is_dropped(state.address(), header.address_size());
        }
        if !dropped {
            let small = |number: u64| u32::try_from(number).unwrap_or(0);
            let row = Row {
                address: state.address(),
                file: state.file_index(),
                line: state.line().map_or(0, |line| small(line.get())),
                column: match state.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => small(column.get()),
                },
                is_statement: state.is_stmt(),
                is_behind_prologue: state.prologue_end(),
                is_end: state.end_sequence(),
            };
            visit(row, fuel);
        }
        state.reset(header);
    }
}

/// A program whose files are all known.
struct Program<'h, 'a>(&'h LineProgramHeader<Slice<'a>>);

impl<'a> gimli::LineProgram<Slice<'a>> for Program<'_, 'a> {
    fn header(&self) -> &LineProgramHeader<Slice<'a>> {
        self.0
    }

    fn add_file(&mut self, _: gimli::FileEntry<Slice<'a>>) {}
}

/// Of the rows of each function and inlined call, the first one.
fn choose(
    debug: &DebugInfo,
    mut unit: OpenedUnit<'_>,
    found: &UnitRows,
    wanted: &SourceLine,
    fuel: &mut Fuel<'_>,
) -> Vec<LinePlace> {
    let mut rows = found.rows.clone();
    rows.sort_by_key(|row| row.address);
    rows.dedup_by_key(|row| row.address);
    let addresses: Vec<u64> = rows.iter().map(|row| row.address).collect();
    let scopes = functions::find(&unit.unit, &addresses, fuel);
    let mut seen = HashSet::new();
    let mut chosen: Vec<(Row, functions::Scopes)> = rows.into_iter().zip(scopes).collect();
    chosen.retain(|(_, scopes)| scopes.last().is_none_or(|innermost| seen.insert(*innermost)));
    let innermost = chosen.iter().filter_map(|(_, scopes)| scopes.last().copied());
    let names = unit.units.functions(&unit.unit.clone(), innermost, fuel);
    let behind = if wanted.after_prologue {
        let starts = chosen.iter().filter_map(|(row, scopes)| match scopes.as_slice() {
            [function] => Some((*function, row.address)),
            _ => None,
        });
        behind_prologues(debug, &unit, found.unit, starts, fuel).unwrap_or_default()
    } else {
        HashMap::new()
    };
    let place = |(row, scopes): (Row, functions::Scopes)| {
        let name = scopes.last().and_then(|at| names.get(*at));
        let linkage_name = name.and_then(|name| name.linkage_name.as_ref());
        let function = linkage_name.map(|name| demangle(name.text.as_bytes()));
        let function = function.or_else(|| Some(name?.name.as_ref()?.text.to_string()));
        let file = found.files.get(&row.file).cloned().unwrap_or_default();
        fuel.burn(file.len() + function.as_ref().map_or(0, String::len))?;
        Some(LinePlace {
            address: LinkAddr(behind.get(&row.address).copied().unwrap_or(row.address)),
            file,
            line: row.line,
            column: Some(row.column).filter(|column| *column > 0),
            is_exact: row.line == wanted.line,
            function,
            is_inlined: scopes.len() > 1,
        })
    };
    chosen.into_iter().map_while(place).collect()
}

/// For functions of a unit, and addresses in them: where an address is that of the function's start, the one behind its prologue,
/// where the compiler says that it is, or at the second row of its lines.
fn behind_prologues(
    debug: &DebugInfo,
    unit: &OpenedUnit<'_>,
    unit_start: usize,
    functions: impl Iterator<Item = (usize, u64)>,
    fuel: &mut Fuel<'_>,
) -> Option<HashMap<u64, u64>> {
    struct Function {
        range: std::ops::Range<u64>,
        marked: Option<u64>,
        second: Option<u64>,
    }
    let begins_at = |(function, at): (usize, u64)| {
        let first = unit.code_of(function, fuel).into_iter().next()?;
        (first.start.0 == at).then_some(Function { range: at..first.end.0, marked: None, second: None })
    };
    let mut found: Vec<Function> = functions.filter_map(begins_at).collect();
    if found.is_empty() {
        return None;
    }
    found.sort_by_key(|function| function.range.start);
    let skeleton = Unit::open_root(&debug.main, debug.main.sections(), unit_start, fuel)?;
    let lines = LineProgram::open(&skeleton)?;
    run(lines.header(), fuel, |row, _| {
        let before = found.partition_point(|function| function.range.start <= row.address);
        let Some(function) = before.checked_sub(1).and_then(|index| found.get_mut(index)) else { return };
        if row.is_end || !function.range.contains(&row.address) {
            return;
        }
        let earlier = |known: Option<u64>| Some(known.map_or(row.address, |at: u64| at.min(row.address)));
        if row.is_behind_prologue {
            function.marked = earlier(function.marked);
        }
        if row.address > function.range.start && row.line > 0 {
            function.second = earlier(function.second);
        }
    });
    let is_true_everywhere = has_true_places(unit);
    let behind = |function: Function| {
        let second = function.second.filter(|_| !is_true_everywhere);
        Some((function.range.start, function.marked.or(second)?))
    };
    Some(found.into_iter().filter_map(behind).collect())
}

/// Whether the debug information says where variables are at every address: GCC's does of optimised code, and there is nothing
/// to be skipped then.
fn has_true_places(unit: &OpenedUnit<'_>) -> bool {
    let table = &unit.unit.abbreviations;
    let has_lists = table.iter().any(|abbreviation| {
        table.specifications(abbreviation).iter().any(|one| {
            one.name == dw::DW_AT_location
                && matches!(one.form, dw::DW_FORM_sec_offset | dw::DW_FORM_loclistx | dw::DW_FORM_data4)
        })
    });
    has_lists && unit.producer().is_some_and(|producer| producer.starts_with(b"GNU "))
}
