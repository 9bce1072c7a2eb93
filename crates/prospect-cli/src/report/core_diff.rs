//! The output of `prospect core diff`.

use std::{collections::HashMap, fmt, path::PathBuf};

use prospect::{
    ThreadStack,
    dump::{
        compare::{Change, Differences, ThreadChange},
        elf_core::ElfCore,
    },
    process::{Mapping, Module, Process as _, Registers, ThreadId},
};
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, Hex, VERSION},
    style::{FUNCTION, HEADING, PLACE, PLAIN, Page, Printable, Table, WARNING},
};

/// What differs between two cores.
#[derive(Debug)]
pub(crate) struct CoreDiffReport<'a> {
    pub(crate) paths: [PathBuf; 2],
    pub(crate) cores: [&'a ElfCore; 2],
    pub(crate) differences: Differences,
    /// The stacks of threads that differ, in each.
    pub(crate) stacks: [HashMap<ThreadId, ThreadStack>; 2],
    /// What each should have, and has not.
    pub(crate) missing: [Vec<String>; 2],
}

/// Of calls and changed ranges, no more are shown to people.
const MOST_CALLS: usize = 10;
const MOST_RANGES: usize = 100;

pub(crate) fn diff_text(report: &CoreDiffReport<'_>) -> std::io::Result<()> {
    let mut page = Page::new();
    for (sign, (path, core)) in ["-", "+"].iter().zip(report.paths.iter().zip(report.cores)) {
        let (id, name) = (core.info().id, &core.info().name);
        let threads = core.threads().len();
        page.styled(HEADING, Printable(&format!("{sign} {}", path.display())));
        page.push(Printable(&format!("  process {id} {name}, {threads} threads")));
        page.end_line();
    }
    let Differences { threads, mappings, modules, .. } = &report.differences;
    heading(&mut page, threads.len(), "thread");
    threads.iter().for_each(|change| thread_text(&mut page, report, change));
    changes_text(&mut page, "module", modules, |module| ModuleRow(module).to_string());
    changes_text(&mut page, "mapping", mappings, |mapping| MappingRow(mapping).to_string());
    memory_text(&mut page, report);
    for (path, missing) in report.paths.iter().zip(&report.missing) {
        for missing in missing {
            let words = format!("missing: {}: {missing}", path.display());
            page.styled(WARNING, Printable(&words));
            page.end_line();
        }
    }
    page.print()
}

fn heading(page: &mut Page, count: usize, what: &str) {
    if count > 0 {
        let (plural, verb) = if count == 1 { ("", "differs") } else { ("s", "differ") };
        page.end_line();
        page.styled(HEADING, format_args!("{count} {what}{plural} {verb}"));
        page.end_line();
    }
}

fn thread_text(page: &mut Page, report: &CoreDiffReport<'_>, change: &ThreadChange) {
    let what = match &change.registers {
        Change::Removed(_) => "gone".to_owned(),
        Change::Added(_) => "new".to_owned(),
        Change::Changed { before, after } if before.pc() != after.pc() => "moved".to_owned(),
        Change::Changed { .. } => "same pc".to_owned(),
    };
    page.push(format_args!("  thread {}  ", change.id));
    page.styled(WARNING, what);
    let registers = changed_registers(change);
    if let Change::Changed { .. } = change.registers {
        let mut names: Vec<String> = registers.iter().map(|one| one.name.to_owned()).collect();
        names.extend(change.sets.iter().map(|set| format!("set {:#x}", set.0)));
        page.styled(PLACE, format_args!("  {}", names.join(" ")));
    }
    page.end_line();
    let stacks = report.stacks.each_ref().map(|stacks| calls(stacks.get(&change.id)));
    let common = common_callers(&stacks);
    if let Change::Changed { .. } = change.registers
        && stacks[0].len() == common
        && stacks[1].len() == common
    {
        return;
    }
    for (sign, calls) in ["-", "+"].iter().zip(&stacks) {
        let own = &calls[..calls.len() - common];
        for call in own.iter().take(MOST_CALLS) {
            page.push(format_args!("    {sign} "));
            page.styled(FUNCTION, Printable(call));
            page.end_line();
        }
        if let Some(more @ 1..) = own.len().checked_sub(MOST_CALLS) {
            page.push(format_args!("    {sign} and {more} more\n"));
        }
    }
    if common > 0 {
        let plural = if common == 1 { "call" } else { "calls" };
        page.styled(PLACE, format_args!("      {common} {plural} above are the same"));
        page.end_line();
    }
}

/// The calls of a stack, the innermost one first: by name and line, else by address.
fn calls(stack: Option<&ThreadStack>) -> Vec<String> {
    let call = |call: prospect::Call<'_>| {
        let name = call.function.map_or_else(|| call.frame.code.addr().to_string(), str::to_owned);
        match (call.file, call.line) {
            (Some(file), Some(line)) => format!("{name}  {file}:{line}"),
            _ => name,
        }
    };
    stack.map(|stack| stack.calls().map(call).collect()).unwrap_or_default()
}

/// How many of the outermost calls are the same in both.
fn common_callers([before, after]: &[Vec<String>; 2]) -> usize {
    before.iter().rev().zip(after.iter().rev()).take_while(|(one, other)| one == other).count()
}

fn changes_text<T>(page: &mut Page, what: &str, changes: &[Change<T>], row: impl Fn(&T) -> String) {
    heading(page, changes.len(), what);
    let mut line = |sign: &str, it: &T| {
        page.push(format_args!("  {sign} {}", Printable(&row(it))));
        page.end_line();
    };
    for change in changes {
        match change {
            Change::Removed(it) => line("-", it),
            Change::Added(it) => line("+", it),
            Change::Changed { before, after } => {
                line("-", before);
                line("+", after);
            }
        }
    }
}

struct ModuleRow<'a>(&'a Module);

impl fmt::Display for ModuleRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Module { range, build_id, .. } = self.0;
        write!(f, "{}-{}  {}", range.start, range.end, self.0.path_lossy())?;
        build_id.as_ref().map_or(Ok(()), |id| write!(f, "  build-id {id}"))
    }
}

struct MappingRow<'a>(&'a Mapping);

impl fmt::Display for MappingRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mapping { range, permissions, name, .. } = self.0;
        let (size, name) = (size_text(self.0.bytes()), String::from_utf8_lossy(name));
        write!(f, "{:016x}-{:016x} {permissions} {size:>9}  {name}", range.start.0, range.end.0)
    }
}

fn memory_text(page: &mut Page, report: &CoreDiffReport<'_>) {
    let memory = &report.differences.memory;
    let changed = memory.changed_pages.saturating_mul(memory.page_bytes);
    page.end_line();
    if memory.changed_pages == 0 {
        page.styled(HEADING, format_args!("all {} pages that both have are the same", memory.compared_pages));
    } else {
        let (changed_pages, pages, size) = (memory.changed_pages, memory.compared_pages, size_text(changed));
        page.styled(HEADING, format_args!("{changed_pages} of {pages} pages differ, {size}"));
    }
    page.end_line();
    let mut table = Table::indented(2);
    for range in memory.changed.iter().take(MOST_RANGES) {
        let bytes = range.end.0 - range.start.0;
        let name = report.cores[1].mappings().at(range.start).map(|mapping| mapping.name.clone());
        table.cell(PLAIN, format_args!("{:016x}-{:016x}", range.start.0, range.end.0));
        table.cell(PLAIN, format_args!("{:>5}", bytes.div_ceil(memory.page_bytes.max(1))));
        table.cell(PLACE, Printable(&String::from_utf8_lossy(&name.unwrap_or_default())));
        table.end_row();
    }
    table.write(page, 40);
    if let Some(more @ 1..) = memory.changed.len().checked_sub(MOST_RANGES) {
        page.push(format_args!("  and {more} more ranges (--json has them)\n"));
    }
    if memory.of_files > 0 {
        page.push(format_args!("  {} were left to their files by both\n", size_text(memory.of_files)));
    }
    if memory.uncompared > 0 {
        page.push("  ");
        let size = size_text(memory.uncompared);
        page.styled(WARNING, format_args!("{size} cannot be compared: only one has them"));
        page.end_line();
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    before: CoreJson,
    after: CoreJson,
    equal: bool,
    complete: bool,
    threads: Vec<ThreadJson<'a>>,
    modules: Vec<ChangeJson<ModuleJson>>,
    mappings: Vec<ChangeJson<MappingJson>>,
    memory: MemoryJson,
}

#[derive(Serialize)]
struct CoreJson {
    path: Bytes,
    pid: u32,
    name: String,
    threads: usize,
    missing: Vec<String>,
}

#[derive(Serialize)]
struct ChangeJson<T> {
    change: &'static str,
    before: Option<T>,
    after: Option<T>,
}

impl<T> ChangeJson<T> {
    fn of<S>(change: &Change<S>, one: impl Fn(&S) -> T) -> Self {
        let (change, before, after) = match change {
            Change::Removed(it) => ("removed", Some(it), None),
            Change::Added(it) => ("added", None, Some(it)),
            Change::Changed { before, after } => ("changed", Some(before), Some(after)),
        };
        Self { change, before: before.map(&one), after: after.map(one) }
    }
}

#[derive(Serialize)]
struct ThreadJson<'a> {
    tid: u32,
    #[serde(flatten)]
    pc: ChangeJson<PcJson>,
    registers: Vec<RegisterJson>,
    register_sets: Vec<u32>,
    stack_before: Vec<CallJson<'a>>,
    stack_after: Vec<CallJson<'a>>,
}

#[derive(Serialize)]
struct PcJson {
    pc: Option<Hex>,
    sp: Option<Hex>,
}

#[derive(Serialize)]
struct RegisterJson {
    name: &'static str,
    before: Option<Hex>,
    after: Option<Hex>,
}

#[derive(Serialize)]
struct CallJson<'a> {
    pc: Hex,
    function: Option<&'a str>,
}

#[derive(Serialize)]
struct ModuleJson {
    path: Bytes,
    start: Hex,
    end: Hex,
    build_id: Option<String>,
}

#[derive(Serialize)]
struct MappingJson {
    start: Hex,
    end: Hex,
    permissions: String,
    name: Bytes,
}

#[derive(Serialize)]
struct MemoryJson {
    page_bytes: u64,
    compared_pages: u64,
    changed_pages: u64,
    changed: Vec<RangeJson>,
    more_pages: u64,
    of_files_bytes: u64,
    uncompared_bytes: u64,
}

#[derive(Serialize)]
struct RangeJson {
    start: Hex,
    end: Hex,
    name: Option<Bytes>,
}

/// The general registers of a thread that are in both cores and are not equal.
fn changed_registers(change: &ThreadChange) -> Vec<RegisterJson> {
    let Change::Changed { before, after } = &change.registers else { return Vec::new() };
    let value = |registers: &Registers, name: &str| {
        registers.known().find(|(register, _)| register.name == name).map(|(_, value)| value)
    };
    let all = before.arch().info().registers.iter().map(|register| register.name);
    all.map(|name| (name, value(before, name), value(after, name)))
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| RegisterJson { name, before: before.map(Hex), after: after.map(Hex) })
        .collect()
}

pub(crate) fn diff_json(report: &CoreDiffReport<'_>) -> std::io::Result<()> {
    let core = |index: usize| CoreJson {
        path: Bytes::new(report.paths[index].as_os_str().as_encoded_bytes()),
        pid: report.cores[index].info().id.0,
        name: report.cores[index].info().name.clone(),
        threads: report.cores[index].threads().len(),
        missing: report.missing[index].clone(),
    };
    let pc = |registers: &Registers| PcJson {
        pc: registers.pc().map(|pc| Hex(pc.0)),
        sp: registers.sp().map(|sp| Hex(sp.0)),
    };
    let calls = |index: usize, id: ThreadId| -> Vec<CallJson<'_>> {
        let calls = report.stacks[index].get(&id).into_iter().flat_map(ThreadStack::calls);
        calls.map(|call| CallJson { pc: Hex(call.frame.code.addr().0), function: call.function }).collect()
    };
    let thread = |change: &ThreadChange| ThreadJson {
        tid: change.id.0,
        pc: ChangeJson::of(&change.registers, pc),
        registers: changed_registers(change),
        register_sets: change.sets.iter().map(|set| set.0).collect(),
        stack_before: calls(0, change.id),
        stack_after: calls(1, change.id),
    };
    let module = |module: &Module| ModuleJson {
        path: Bytes::new(&module.path),
        start: Hex(module.range.start.0),
        end: Hex(module.range.end.0),
        build_id: module.build_id.as_ref().map(ToString::to_string),
    };
    let mapping = |mapping: &Mapping| MappingJson {
        start: Hex(mapping.range.start.0),
        end: Hex(mapping.range.end.0),
        permissions: mapping.permissions.to_string(),
        name: Bytes::new(&mapping.name),
    };
    let Differences { threads, mappings, modules, memory, .. } = &report.differences;
    let name = |at| report.cores[1].mappings().at(at).map(|mapping| Bytes::new(&mapping.name));
    json::print(&Report {
        version: VERSION,
        before: core(0),
        after: core(1),
        equal: report.differences.is_empty(),
        complete: memory.uncompared == 0 && report.missing.iter().all(Vec::is_empty),
        threads: threads.iter().map(thread).collect(),
        modules: modules.iter().map(|change| ChangeJson::of(change, module)).collect(),
        mappings: mappings.iter().map(|change| ChangeJson::of(change, mapping)).collect(),
        memory: MemoryJson {
            page_bytes: memory.page_bytes,
            compared_pages: memory.compared_pages,
            changed_pages: memory.changed_pages,
            changed: memory
                .changed
                .iter()
                .map(|range| RangeJson {
                    start: Hex(range.start.0),
                    end: Hex(range.end.0),
                    name: name(range.start),
                })
                .collect(),
            more_pages: memory.more_pages,
            of_files_bytes: memory.of_files,
            uncompared_bytes: memory.uncompared,
        },
    })
}
