//! The output of `prospect symbols`.

use std::path::PathBuf;

use prospect::{
    process::ProcessInfo,
    symbols::{FileContents, FileRole, ModuleContents, SearchStep, Sought, UnitCount},
};
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, VERSION},
    search::{SearchPart, outcome, sought},
    style::{FUNCTION, HEADING, PLACE, PLAIN, Page, Printable, Table, WARNING},
};

/// A program may have been built from thousands of files, each with a split DWARF file: so many places are shown.
const MOST_SPLIT_STEPS: usize = 20;

/// What is known of the symbols of a file or of a process.
#[derive(Debug)]
pub(crate) struct SymbolsReport {
    pub(crate) subject: Subject,
    pub(crate) modules: Vec<ModuleSymbols>,
    /// What could not be had, and why.
    pub(crate) missing: Vec<String>,
}

/// What was asked about.
#[derive(Debug)]
pub(crate) enum Subject {
    File(PathBuf),
    Process(Box<ProcessInfo>),
}

impl Subject {
    /// One of them, as JSON has it.
    pub(super) fn pid_and_file(&self) -> (Option<u32>, Option<String>) {
        match self {
            Self::Process(info) => (Some(info.id.0), None),
            Self::File(path) => (None, Some(path.display().to_string())),
        }
    }
}

/// A module, its files, and where they were looked for.
#[derive(Debug)]
pub(crate) struct ModuleSymbols {
    pub(crate) path: Vec<u8>,
    pub(crate) deleted: bool,
    /// As the process's memory, or else the file, says.
    pub(crate) build_id: Option<String>,
    pub(crate) contents: ModuleContents,
    pub(crate) searched: Vec<SearchStep>,
    pub(crate) problems: Vec<String>,
}

pub(crate) fn symbols_text(report: &SymbolsReport) -> std::io::Result<()> {
    let mut page = Page::new();
    if let Subject::Process(info) = &report.subject {
        page.styled(HEADING, format_args!("process {} {}", info.id, Printable(&info.name)));
        page.end_line();
    }
    for module in &report.modules {
        module_text(&mut page, module);
    }
    for missing in &report.missing {
        page.styled(WARNING, format_args!("missing: {}", Printable(missing)));
        page.end_line();
    }
    page.print()
}

fn module_text(page: &mut Page, module: &ModuleSymbols) {
    page.styled(FUNCTION, Printable(&String::from_utf8_lossy(&module.path)));
    page.push(if module.deleted { "  (deleted)\n" } else { "\n" });
    let mut table = Table::indented(2);
    table.entry("build-id", module.build_id.as_deref().unwrap_or("none"));
    for file in &module.contents.files {
        file_text(&mut table, file, module);
    }
    let ModuleContents { files, skeletons, split_units, .. } = &module.contents;
    if *skeletons > 0 {
        table.entry("split files", format_args!("{split_units} of {skeletons} units found"));
    }
    if !files.iter().any(FileContents::has_debug_info) {
        table.entry("debug info", "none");
    }
    let mut split_steps = 0;
    for step in &module.searched {
        split_steps += usize::from(step.what == Sought::SplitFile);
        if step.what == Sought::SplitFile && split_steps > MOST_SPLIT_STEPS {
            continue;
        }
        table.cell(PLACE, "looked for");
        let style = if step.outcome.is_found() { PLAIN } else { PLACE };
        let (what, outcome) = (sought(step.what), outcome(&step.outcome));
        let path = step.path.to_string_lossy();
        table.cell(style, format_args!("{what}: {} ({})", Printable(&path), Printable(&outcome)));
        table.end_row();
    }
    if let Some(more) = split_steps.checked_sub(MOST_SPLIT_STEPS).filter(|more| *more > 0) {
        table.entry("looked for", format_args!("{more} more split files (--json names them)"));
    }
    for problem in &module.problems {
        table.cell(WARNING, "problem");
        table.cell(WARNING, Printable(problem));
        table.end_row();
    }
    table.write(page, 40);
}

fn file_text(table: &mut Table, file: &FileContents, module: &ModuleSymbols) {
    let role = match file.role {
        FileRole::Own => "file",
        FileRole::Memory => "memory",
        FileRole::Debug => "debug file",
        FileRole::MiniDebugInfo => "mini debug info",
        FileRole::Supplementary => "supplementary",
        _ => "other file",
    };
    let path = file.path.to_string_lossy();
    // The module's own path stands above.
    let path = if path.as_bytes() == module.path { String::new() } else { format!("{}: ", Printable(&path)) };
    table.entry(role, format_args!("{path}{}", contents_text(file)));
}

fn contents_text(file: &FileContents) -> String {
    let mut parts = Vec::new();
    parts.extend(file.size.map(size_text));
    parts.extend(file.symbols.map(|count| format!("{count} symbols")));
    parts.extend(file.dynamic_symbols.map(|count| format!("{count} dynamic symbols")));
    parts.extend(file.units.iter().map(units_text));
    if file.debug_bytes > 0 {
        parts.push(format!("{} of debug sections", size_text(file.debug_bytes)));
    }
    parts.extend((!file.unwind_sections.is_empty()).then(|| file.unwind_sections.join(" ")));
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}

fn units_text(count: &UnitCount) -> String {
    let UnitCount { version, units, types, .. } = count;
    let plural = if *units == 1 { "" } else { "s" };
    let types = if *types > 0 { format!(" ({types} of types)") } else { String::new() };
    format!("DWARF {version} in {units} unit{plural}{types}")
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    pid: Option<u32>,
    file: Option<String>,
    modules: Vec<ModulePart<'a>>,
    missing: &'a [String],
}

#[derive(Serialize)]
struct ModulePart<'a> {
    path: Bytes,
    deleted: bool,
    build_id: Option<&'a str>,
    files: Vec<FilePart>,
    skeletons: usize,
    split_units: usize,
    searched: Vec<SearchPart>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct FilePart {
    role: &'static str,
    path: String,
    bytes: Option<u64>,
    build_id: Option<String>,
    symbols: Option<usize>,
    dynamic_symbols: Option<usize>,
    debug_bytes: u64,
    units: Vec<UnitPart>,
    unwind_sections: Vec<&'static str>,
}

#[derive(Serialize)]
struct UnitPart {
    dwarf: u16,
    units: usize,
    types: usize,
}

pub(crate) fn symbols_json(report: &SymbolsReport) -> std::io::Result<()> {
    let (pid, file) = report.subject.pid_and_file();
    json::print(&Report {
        version: VERSION,
        pid,
        file,
        modules: report.modules.iter().map(module_part).collect(),
        missing: &report.missing,
    })
}

fn module_part(module: &ModuleSymbols) -> ModulePart<'_> {
    ModulePart {
        path: Bytes::new(&module.path),
        deleted: module.deleted,
        build_id: module.build_id.as_deref(),
        files: module.contents.files.iter().map(file_part).collect(),
        skeletons: module.contents.skeletons,
        split_units: module.contents.split_units,
        searched: module.searched.iter().map(SearchPart::new).collect(),
        problems: &module.problems,
    }
}

fn file_part(file: &FileContents) -> FilePart {
    let units = file.units.iter();
    FilePart {
        role: match file.role {
            FileRole::Own => "own",
            FileRole::Memory => "memory",
            FileRole::Debug => "debug",
            FileRole::MiniDebugInfo => "mini-debug-info",
            FileRole::Supplementary => "supplementary",
            _ => "other",
        },
        path: file.path.display().to_string(),
        bytes: file.size,
        build_id: file.build_id.as_ref().map(ToString::to_string),
        symbols: file.symbols,
        dynamic_symbols: file.dynamic_symbols,
        debug_bytes: file.debug_bytes,
        units: units.map(|one| UnitPart { dwarf: one.version, units: one.units, types: one.types }).collect(),
        unwind_sections: file.unwind_sections.clone(),
    }
}
