//! The output of `prospect info`.

use std::{path::PathBuf, time::SystemTime};

use prospect::{
    Crash,
    process::{Mappings, Module, ModuleKind, OperatingSystem, ProcessId, ProcessInfo, Thread, ThreadState},
    symbols::{SearchStep, Sought},
};
use serde::Serialize;

use super::{
    CoreReport,
    core::CoreJson,
    json::{self, Bytes, Hex, VERSION},
    minidump::{CrashJson, MinidumpJson, MinidumpReport},
    search::{SearchPart, outcome, sought},
    style::{FUNCTION, HEADING, PLACE, PLAIN, Page, Printable, Table, WARNING},
};

/// What is known of a process; a part is `None` where it was not asked for or could not be had.
#[derive(Debug)]
pub(crate) struct InfoReport {
    pub(crate) info: ProcessInfo,
    /// The core that it is in.
    pub(crate) core: Option<CoreReport>,
    /// Why it crashed.
    pub(crate) crash: Option<Crash>,
    /// The minidump that it is in.
    pub(crate) minidump: Option<MinidumpReport>,
    pub(crate) show_process: bool,
    pub(crate) children: Option<Vec<ProcessId>>,
    pub(crate) threads: Option<Vec<Thread>>,
    pub(crate) modules: Option<Vec<ModuleReport>>,
    pub(crate) mappings: Option<Mappings>,
    /// What could not be had, and why.
    pub(crate) missing: Vec<String>,
}

/// A module and its files.
#[derive(Debug)]
pub(crate) struct ModuleReport {
    pub(crate) module: Module,
    /// The version of its file, where a dump says it.
    pub(crate) version: Option<String>,
    pub(crate) debug_path: Option<PathBuf>,
    pub(crate) searched: Vec<SearchStep>,
    pub(crate) problems: Vec<String>,
}

pub(crate) fn info_text(report: &InfoReport) -> std::io::Result<()> {
    let mut page = Page::new();
    let info = &report.info;
    page.styled(HEADING, format_args!("process {} {}", info.id, Printable(&info.name)));
    page.end_line();
    if let Some(core) = &report.core {
        page.push(format_args!("  {} {}\n", core.format(), core.path.display()));
        if core.happened.is_some() {
            page.push("  ");
            core.signal_line(&mut page);
        }
        if let Some(crash) =
            report.crash.as_ref().filter(|crash| crash.instruction.is_some() || crash.explanation.is_some())
        {
            page.push("  ");
            page.styled(WARNING, Printable(&crash.text()));
            page.end_line();
        }
    }
    if report.show_process {
        process_text(&mut page, report);
    }
    if let Some(minidump) = &report.minidump {
        minidump.write(&mut page);
    }
    if let Some(threads) = &report.threads {
        section(&mut page, threads.len(), "thread");
        threads_text(&mut page, threads);
    }
    if let Some(modules) = &report.modules {
        section(&mut page, modules.len(), "module");
        modules.iter().for_each(|module| module_text(&mut page, module));
    }
    if let Some(mappings) = &report.mappings {
        section(&mut page, mappings.as_slice().len(), "mapping");
        mappings_text(&mut page, mappings);
    }
    if let Some(minidump) = &report.minidump {
        minidump.write_lists(&mut page);
    }
    for missing in &report.missing {
        page.end_line();
        page.styled(WARNING, format_args!("missing: {}", Printable(missing)));
        page.end_line();
    }
    page.print()
}

pub(super) fn section(page: &mut Page, count: usize, what: &str) {
    page.end_line();
    page.styled(HEADING, format_args!("{count} {what}{}", if count == 1 { "" } else { "s" }));
    page.end_line();
}

fn process_text(page: &mut Page, report: &InfoReport) {
    let info = &report.info;
    let mut table = Table::indented(2);
    if let Some(parent) = info.parent {
        table.entry("parent", parent);
    }
    if let Some(path) = &info.executable {
        table.entry("executable", quoted(path));
    }
    let arguments: Vec<String> = info.command_line.iter().map(|argument| quoted(argument)).collect();
    table.entry("command line", arguments.join(" "));
    if let Some(path) = &info.working_directory {
        table.entry("directory", quoted(path));
    }
    if let Some(age) = info.started.and_then(|started| SystemTime::now().duration_since(started).ok()) {
        table.entry("started", format_args!("{} ago", age_text(age.as_secs())));
    }
    table.entry("architecture", info.arch.info().name);
    if info.system != OperatingSystem::Linux {
        table.entry("system", info.system.as_str());
    }
    if let Some(children) = report.children.as_ref().filter(|children| !children.is_empty()) {
        let children: Vec<String> = children.iter().map(ToString::to_string).collect();
        table.entry("children", children.join(" "));
    }
    table.write(page, 40);
}

fn threads_text(page: &mut Page, threads: &[Thread]) {
    let mut table = Table::indented(2);
    for thread in threads {
        let cpu = thread.cpu_time.map_or_else(String::new, |time| format!("{:.2} s", time.as_secs_f64()));
        table.cell(PLAIN, thread.id);
        table.cell(FUNCTION, Printable(thread.name.as_deref().unwrap_or_default()));
        table.cell(PLAIN, thread.state);
        table.cell(PLAIN, cpu);
        table.cell(PLACE, Printable(thread.wait_channel.as_deref().unwrap_or_default()));
        let reason = thread.not_stopped.as_ref().map(ToString::to_string);
        table.cell(WARNING, Printable(reason.as_deref().unwrap_or_default()));
        table.end_row();
    }
    table.write(page, 40);
}

fn module_text(page: &mut Page, report: &ModuleReport) {
    let module = &report.module;
    page.push("  ");
    page.styled(FUNCTION, Printable(&module.path_lossy()));
    page.push(if module.deleted { "  (deleted)\n" } else { "\n" });
    let mut table = Table::indented(4);
    table.entry("range", format_args!("{} - {}", module.range.start, module.range.end));
    table.entry("load bias", format_args!("{:#x}", module.bias));
    match &module.build_id {
        Some(build_id) => table.entry("build-id", build_id),
        None => table.entry("build-id", "none"),
    }
    if let Some(version) = &report.version {
        table.entry("version", version);
    }
    match &report.debug_path {
        Some(path) if own_file(report) == Some(path) => table.entry("debug file", "the file itself"),
        Some(path) => table.entry("debug file", path.display()),
        None => table.entry("debug file", "none found"),
    }
    for step in &report.searched {
        let (what, outcome) = (sought(step.what), outcome(&step.outcome));
        table.entry("looked at", format_args!("{} ({what}: {outcome})", step.path.display()));
    }
    for problem in &report.problems {
        table.entry("problem", Printable(problem));
    }
    table.write(page, 40);
}

/// The file that was taken for the module's own.
fn own_file(report: &ModuleReport) -> Option<&PathBuf> {
    let own = |step: &&SearchStep| step.what == Sought::Binary && step.outcome.is_found();
    report.searched.iter().find(own).map(|step| &step.path)
}

fn mappings_text(page: &mut Page, mappings: &Mappings) {
    for mapping in mappings {
        page.push(format_args!(
            "  {:016x}-{:016x} {} {:>10} {:>8x}  {}{}\n",
            mapping.range.start.0,
            mapping.range.end.0,
            mapping.permissions,
            size_text(mapping.bytes()),
            mapping.offset,
            Printable(&String::from_utf8_lossy(&mapping.name)),
            if mapping.deleted { " (deleted)" } else { "" },
        ));
    }
}

/// An argument as a shell would take it; bytes that are not text as `\xNN`.
fn quoted(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-=+:,@%".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|letter| letter.is_control() || letter == '\'') => format!("'{text}'"),
        _ => {
            let escape = |byte: &u8| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                b' '..=b'~' => char::from(*byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            };
            format!("$'{}'", bytes.iter().map(escape).collect::<String>())
        }
    }
}

fn age_text(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

pub(super) fn size_text(bytes: u64) -> String {
    match bytes >> 10 {
        0 => format!("{bytes} B"),
        kib @ 1..10_000 => format!("{kib} KiB"),
        kib @ 10_000..10_000_000 => format!("{} MiB", kib >> 10),
        kib => format!("{} GiB", kib >> 20),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<CoreJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crash: Option<CrashJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minidump: Option<MinidumpJson<'a>>,
    #[serde(flatten)]
    process: Option<ProcessPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<Vec<ThreadPart<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<Vec<ModulePart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mappings: Option<Vec<MappingPart>>,
    missing: &'a [String],
}

#[derive(Serialize)]
struct ProcessPart {
    parent: Option<u32>,
    name: String,
    executable: Option<Bytes>,
    command_line: Vec<Bytes>,
    working_directory: Option<Bytes>,
    started_unix: Option<f64>,
    arch: &'static str,
    system: &'static str,
    children: Option<Vec<u32>>,
}

#[derive(Serialize)]
struct ThreadPart<'a> {
    tid: u32,
    name: Option<&'a str>,
    state: &'static str,
    idle: bool,
    cpu_ms: Option<f64>,
    wait_channel: Option<&'a str>,
    syscall: Option<&'a str>,
}

#[derive(Serialize)]
struct ModulePart {
    path: Bytes,
    start: Hex,
    end: Hex,
    bias: Hex,
    kind: &'static str,
    deleted: bool,
    executable: bool,
    build_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    debug_file: Option<String>,
    searched: Vec<SearchPart>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct MappingPart {
    start: Hex,
    end: Hex,
    permissions: String,
    offset: u64,
    name: Bytes,
    deleted: bool,
}

pub(crate) fn info_json(report: &InfoReport) -> std::io::Result<()> {
    json::print(&Report {
        version: VERSION,
        pid: report.info.id.0,
        core: report.core.as_ref().map(CoreReport::json),
        crash: report.crash.as_ref().map(CrashJson::new),
        minidump: report.minidump.as_ref().map(MinidumpReport::json),
        process: report.show_process.then(|| process_part(report)),
        threads: report.threads.as_ref().map(|threads| threads.iter().map(thread_part).collect()),
        modules: report.modules.as_ref().map(|modules| modules.iter().map(module_part).collect()),
        mappings: report.mappings.as_ref().map(|mappings| mappings.iter().map(mapping_part).collect()),
        missing: &report.missing,
    })
}

fn process_part(report: &InfoReport) -> ProcessPart {
    let info = &report.info;
    let since_epoch = |started: SystemTime| started.duration_since(SystemTime::UNIX_EPOCH).ok();
    ProcessPart {
        parent: info.parent.map(|parent| parent.0),
        name: info.name.clone(),
        executable: info.executable.as_deref().map(Bytes::new),
        command_line: info.command_line.iter().map(|argument| Bytes::new(argument)).collect(),
        working_directory: info.working_directory.as_deref().map(Bytes::new),
        started_unix: info.started.and_then(since_epoch).map(|since| since.as_secs_f64()),
        arch: info.arch.info().name,
        system: info.system.as_str(),
        children: report.children.as_ref().map(|children| children.iter().map(|child| child.0).collect()),
    }
}

fn thread_part(thread: &Thread) -> ThreadPart<'_> {
    ThreadPart {
        tid: thread.id.0,
        name: thread.name.as_deref(),
        state: thread.state.as_str(),
        idle: thread.state != ThreadState::Running,
        cpu_ms: thread.cpu_time.map(super::milliseconds),
        wait_channel: thread.wait_channel.as_deref(),
        syscall: thread.syscall.as_deref(),
    }
}

fn module_part(report: &ModuleReport) -> ModulePart {
    let module = &report.module;
    ModulePart {
        path: Bytes::new(&module.path),
        start: Hex(module.range.start.0),
        end: Hex(module.range.end.0),
        bias: Hex(module.bias),
        kind: if module.kind == ModuleKind::Vdso { "vdso" } else { "file" },
        deleted: module.deleted,
        executable: module.is_executable,
        build_id: module.build_id.as_ref().map(ToString::to_string),
        version: report.version.clone(),
        debug_file: report.debug_path.as_ref().map(|path| path.display().to_string()),
        searched: report.searched.iter().map(SearchPart::new).collect(),
        problems: report.problems.clone(),
    }
}

fn mapping_part(mapping: &prospect::process::Mapping) -> MappingPart {
    MappingPart {
        start: Hex(mapping.range.start.0),
        end: Hex(mapping.range.end.0),
        permissions: mapping.permissions.to_string(),
        offset: mapping.offset,
        name: Bytes::new(&mapping.name),
        deleted: mapping.deleted,
    }
}
