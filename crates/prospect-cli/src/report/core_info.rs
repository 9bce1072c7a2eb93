//! The output of `prospect core info`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use prospect::{
    dump::{
        Compression,
        elf_core::{CoreNote, CoreSegment, DumpNote, ElfCore, NoteContent},
    },
    process::{Addr, Mapping, Memory, Process as _, RegisterSet, auxv},
};
use serde::Serialize;

use super::{
    CoreReport,
    core::CoreJson,
    core_picture,
    info::size_text,
    json::{self, Bytes, Hex, VERSION},
    milliseconds,
    style::{FUNCTION, HEADING, PLACE, PLAIN, Page, Printable, Table, WARNING},
};

/// What is in a core.
#[derive(Debug)]
pub(crate) struct CoreInfoReport<'a> {
    pub(crate) path: PathBuf,
    pub(crate) compression: Option<Compression>,
    pub(crate) core: &'a ElfCore,
    pub(crate) about: Option<CoreReport>,
    pub(crate) segments: Vec<SegmentReport<'a>>,
    /// Mappings of files that no segment is for.
    pub(crate) without_segment: Vec<&'a Mapping>,
    /// What should be there, and is not.
    pub(crate) missing: Vec<String>,
}

/// A segment, and what lies there.
#[derive(Debug)]
pub(crate) struct SegmentReport<'a> {
    pub(crate) segment: CoreSegment,
    /// The mapping that begins there.
    pub(crate) mapping: Option<&'a Mapping>,
    /// How many bytes take no room on the disk; `None` where that is not known.
    pub(crate) holes: Option<u64>,
    /// How many of the bytes that were left out are read from the mapped file.
    pub(crate) from_files: u64,
}

impl SegmentReport<'_> {
    pub(super) fn bytes(&self) -> u64 {
        self.segment.range.end.0 - self.segment.range.start.0
    }

    /// How much of it there is.
    fn state(&self) -> &'static str {
        match &self.segment {
            segment if segment.truncated() > 0 => "truncated",
            segment if segment.dumped == 0 => "left out",
            segment if segment.left_out() > 0 => "part",
            _ => "whole",
        }
    }

    /// What lies there: a path, or a name in brackets.
    pub(super) fn name(&self) -> String {
        self.mapping.map(mapping_name).unwrap_or_default()
    }
}

fn mapping_name(mapping: &Mapping) -> String {
    let deleted = if mapping.deleted { " (deleted)" } else { "" };
    format!("{}{deleted}", String::from_utf8_lossy(&mapping.name))
}

/// No more notes are listed: more than those of 40,000 threads.
const MOST_NOTES: usize = 1 << 18;

/// Sums over all segments, in bytes.
#[derive(Serialize)]
struct Totals {
    memory: u64,
    in_core: u64,
    holes: Option<u64>,
    left_out: u64,
    from_files: u64,
    truncated: u64,
}

impl Totals {
    fn of(segments: &[SegmentReport<'_>]) -> Self {
        let sum = |of: fn(&SegmentReport<'_>) -> u64| {
            segments.iter().fold(0, |sum: u64, one| sum.saturating_add(of(one)))
        };
        let knows_holes = segments.iter().all(|one| one.holes.is_some());
        Self {
            memory: sum(|one| one.bytes()),
            in_core: sum(|one| one.segment.present),
            holes: knows_holes.then(|| sum(|one| one.holes.unwrap_or(0))),
            left_out: sum(|one| one.segment.left_out()),
            from_files: sum(|one| one.from_files),
            truncated: sum(|one| one.segment.truncated()),
        }
    }
}

pub(crate) fn core_info_text(report: &CoreInfoReport<'_>) -> std::io::Result<()> {
    let mut page = Page::new();
    let info = report.core.info();
    page.styled(HEADING, Printable(&format!("core {}", report.path.display())));
    page.end_line();
    page.push(Printable(&format!("  process {} {}, {}", info.id, info.name, info.arch.info().name)));
    page.push(format_args!(", {}", size_text(report.core.file_bytes())));
    if let Some(compression) = report.compression {
        page.push(format_args!(" unpacked from {}", compression_name(compression)));
    }
    page.end_line();
    if let Some(about) = report.about.as_ref().filter(|about| about.signal.is_some()) {
        page.push("  ");
        about.signal_line(&mut page);
    }
    notes_text(&mut page, report.core);
    core_picture::draw(&mut page, &report.segments);
    segments_text(&mut page, report);
    totals_text(&mut page, &Totals::of(&report.segments));
    for missing in &report.missing {
        page.styled(WARNING, format_args!("missing: {}", Printable(missing)));
        page.end_line();
    }
    page.print()
}

fn notes_text(page: &mut Page, core: &ElfCore) {
    // A thread has its notes in one line: a process can have thousands.
    let is_of_thread = |note: &CoreNote<'_>| {
        matches!(note.content, NoteContent::Thread { .. } | NoteContent::Registers(_))
            || (note.thread.is_some() && matches!(note.content, NoteContent::Unknown))
    };
    let (of_threads, others): (Vec<_>, Vec<_>) = core.notes().take(MOST_NOTES).partition(is_of_thread);
    page.end_line();
    heading(page, others.len(), "note", " of the process");
    let mut table = Table::indented(2);
    for note in &others {
        let owner = String::from_utf8_lossy(note.owner);
        let style = if note.content == NoteContent::Bad { WARNING } else { PLAIN };
        table.cell(FUNCTION, Printable(&name(note)));
        table.cell(PLACE, Printable(&owner));
        table.cell(PLAIN, size_text(note.bytes.len() as u64));
        table.cell(style, Printable(&says(note)));
        table.end_row();
        for (name, value) in details(note, core.memory()) {
            table.cell(PLACE, format_args!("{name:<20} "));
            table.cell(PLAIN, Printable(&value));
            table.end_note();
        }
    }
    table.write(page, 60);

    page.end_line();
    heading(page, core.threads().len(), "thread", "");
    let mut table = Table::indented(2);
    let mut of_threads = of_threads.into_iter().peekable();
    while let Some(note) = of_threads.next() {
        if let NoteContent::Thread { id, signal, pc } = note.content {
            table.cell(PLAIN, id);
            table.cell(PLAIN, pc.map(|pc| format!("pc {pc}")).unwrap_or_default());
            table.cell(if signal > 0 { WARNING } else { PLAIN }, format_args!("signal {signal}"));
        } else {
            // Of no thread that is known.
            table.cell(WARNING, "?");
            table.cell(PLAIN, "");
            table.cell(PLAIN, Printable(&name(&note)));
        }
        let mut sets = String::new();
        while let Some(set) = of_threads.next_if(|next| !matches!(next.content, NoteContent::Thread { .. })) {
            let comma = if sets.is_empty() { "" } else { ", " };
            let _ = write!(sets, "{comma}{} {}", name(&set), set.bytes.len());
        }
        table.cell(PLACE, Printable(&sets));
        table.end_row();
    }
    table.write(page, 60);
}

fn heading(page: &mut Page, count: usize, what: &str, of: &str) {
    page.styled(HEADING, format_args!("{count} {what}{}{of}", if count == 1 { "" } else { "s" }));
    page.end_line();
}

fn segments_text(page: &mut Page, report: &CoreInfoReport<'_>) {
    page.end_line();
    heading(page, report.segments.len(), "segment", "");
    let mut table = Table::indented(2);
    for one in &report.segments {
        let segment = &one.segment;
        let state = one.state();
        table.cell(PLAIN, format_args!("{:016x}-{:016x}", segment.range.start.0, segment.range.end.0));
        table.cell(PLAIN, segment.permissions);
        table.cell(PLAIN, format_args!("{:>9}", size_text(one.bytes())));
        let style = match state {
            "truncated" => WARNING,
            "left out" => PLACE,
            _ => PLAIN,
        };
        let mut words = state.to_owned();
        if segment.left_out() > 0 && segment.dumped > 0 {
            let _ = write!(words, " ({})", size_text(segment.dumped));
        }
        if segment.truncated() > 0 {
            let _ = write!(words, " ({} missing)", size_text(segment.truncated()));
        }
        if one.from_files > 0 {
            words.push_str(", from the file");
        }
        table.cell(style, words);
        let holes = one.holes.filter(|holes| *holes > 0);
        table.cell(PLACE, holes.map(|holes| format!("{} holes", size_text(holes))).unwrap_or_default());
        table.cell(PLAIN, Printable(&one.name()));
        table.end_row();
    }
    for mapping in &report.without_segment {
        table.cell(PLAIN, format_args!("{:016x}-{:016x}", mapping.range.start.0, mapping.range.end.0));
        table.cell(PLAIN, "?");
        table.cell(PLAIN, format_args!("{:>9}", size_text(mapping.bytes())));
        table.cell(PLACE, "no segment");
        table.cell(PLAIN, "");
        table.cell(PLAIN, Printable(&mapping_name(mapping)));
        table.end_row();
    }
    table.write(page, 40);
}

fn totals_text(page: &mut Page, totals: &Totals) {
    page.end_line();
    page.push(format_args!("{} of memory", size_text(totals.memory)));
    page.push(format_args!(": {} in the core", size_text(totals.in_core)));
    if let Some(holes) = totals.holes.filter(|holes| *holes > 0) {
        page.push(format_args!(" ({} of it holes)", size_text(holes)));
    }
    page.push(format_args!(", {} left out", size_text(totals.left_out)));
    if totals.from_files > 0 {
        page.push(format_args!(" ({} of it read from files)", size_text(totals.from_files)));
    }
    if totals.truncated > 0 {
        page.push(", ");
        page.styled(WARNING, format_args!("{} missing", size_text(totals.truncated)));
    }
    page.end_line();
}

fn name(note: &CoreNote<'_>) -> String {
    note.name().map_or_else(|| format!("type {:#x}", note.kind), str::to_owned)
}

/// What a note says, in a few words.
fn says(note: &CoreNote<'_>) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    match &note.content {
        NoteContent::Thread { id, signal, .. } => format!("thread {id}, signal {signal}"),
        NoteContent::Process { id, arguments, .. } => {
            format!("process {id}: {}", String::from_utf8_lossy(arguments).trim_end())
        }
        NoteContent::AuxiliaryVector(vector) => {
            let count = vector.entries().len();
            format!("{count} entr{}", if count == 1 { "y" } else { "ies" })
        }
        NoteContent::Files { ranges, files } => {
            format!("{ranges} mapping{} of {files} file{}", plural(*ranges), plural(*files))
        }
        NoteContent::Signal(signal) if signal.number == 0 => "no signal".into(),
        NoteContent::Signal(signal) => signal.to_string(),
        NoteContent::Registers(set) if *set == RegisterSet::FLOAT => "floating point registers".into(),
        NoteContent::Registers(_) => "registers".into(),
        NoteContent::Dump(dump) => format!("written by {}", dump.tool),
        NoteContent::Delve { process, .. } => {
            process.map_or_else(|| "a process".into(), |process| format!("process {process}"))
        }
        NoteContent::Bad => "makes no sense".into(),
        _ => String::new(),
    }
}

/// What a note says, one by one.
fn details(note: &CoreNote<'_>, memory: &dyn Memory) -> Vec<(String, String)> {
    match &note.content {
        NoteContent::AuxiliaryVector(vector) => {
            vector.entries().iter().map(|(kind, value)| auxiliary(*kind, *value, memory)).collect()
        }
        NoteContent::Dump(dump) => {
            let DumpNote { method, pause, unread, unread_more, .. } = dump;
            let mut rows = Vec::new();
            let mut add = |name: &str, value: String| rows.push((name.to_owned(), value));
            if !method.is_empty() {
                add("method", method.clone());
            }
            if let Some(pause) = pause {
                add("stopped for", format!("{:.1} ms", milliseconds(*pause)));
            }
            if !dump.fallback.is_empty() {
                add("no snapshot", dump.fallback.clone());
            }
            if let Some(depth) = dump.depth {
                add("steps from the stacks", depth.to_string());
            }
            if let Some(limit) = dump.limit {
                add("limit", size_text(limit));
            }
            if dump.beyond_limit > 0 {
                add("beyond that", size_text(dump.beyond_limit));
            }
            if !dump.redacted.is_empty() {
                add("redacted", dump.redacted.clone());
            }
            let bytes = unread.iter().fold(*unread_more, |sum, range| {
                sum.saturating_add(range.end.0.saturating_sub(range.start.0))
            });
            if bytes > 0 {
                add("could not be read", size_text(bytes));
            }
            rows
        }
        NoteContent::Delve { entry: Some(entry), .. } => vec![("entry".into(), entry.to_string())],
        _ => Vec::new(),
    }
}

/// An entry of the auxiliary vector: sizes and counts as numbers, texts as what they are, else as hexadecimal digits.
fn auxiliary(kind: u64, value: u64, memory: &dyn Memory) -> (String, String) {
    const TEXTS: [u64; 3] = [15, 24, auxv::EXECUTABLE_PATH];
    const NUMBERS: [u64; 20] = [2, 4, 5, 6, 11, 12, 13, 14, 17, 19, 20, 21, 23, 27, 28, 40, 42, 44, 46, 51];
    let name = auxv::name(kind).map_or_else(|| format!("type {kind}"), str::to_owned);
    let text = || {
        let bytes = memory.read_c_string(Addr(value), 4096).ok()?;
        Some(format!("{value:#x} {:?}", String::from_utf8_lossy(&bytes)))
    };
    let value = match kind {
        kind if TEXTS.contains(&kind) => text().unwrap_or_else(|| format!("{value:#x}")),
        kind if NUMBERS.contains(&kind) => value.to_string(),
        _ => format!("{value:#x}"),
    };
    (name, value)
}

fn compression_name(compression: Compression) -> &'static str {
    match compression {
        Compression::Zstd => "zstd",
        Compression::Lz4 => "lz4",
        Compression::Xz => "xz",
        Compression::Gzip => "gzip",
        _ => "another format",
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    pid: u32,
    name: &'a str,
    executable: Option<Bytes>,
    arch: &'static str,
    core: Option<CoreJson>,
    file_bytes: u64,
    compression: Option<&'static str>,
    threads: usize,
    notes: Vec<NoteJson>,
    segments: Vec<SegmentJson>,
    files_without_segment: Vec<MappingJson>,
    totals: Totals,
    complete: bool,
    missing: &'a [String],
}

#[derive(Serialize)]
struct NoteJson {
    owner: Bytes,
    #[serde(rename = "type")]
    kind: u32,
    name: Option<&'static str>,
    bytes: usize,
    tid: Option<u32>,
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entries: Vec<EntryJson>,
}

#[derive(Serialize)]
struct EntryJson {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct SegmentJson {
    start: Hex,
    end: Hex,
    permissions: String,
    offset: u64,
    state: &'static str,
    in_core: u64,
    holes: Option<u64>,
    left_out: u64,
    from_files: u64,
    truncated: u64,
    name: Option<Bytes>,
}

#[derive(Serialize)]
struct MappingJson {
    start: Hex,
    end: Hex,
    name: Bytes,
}

pub(crate) fn core_info_json(report: &CoreInfoReport<'_>) -> std::io::Result<()> {
    let info = report.core.info();
    let note = |note: CoreNote<'_>| NoteJson {
        owner: Bytes::new(note.owner),
        kind: note.kind,
        name: note.name(),
        bytes: note.bytes.len(),
        tid: note.thread.map(|thread| thread.0),
        text: says(&note),
        entries: details(&note, report.core.memory())
            .into_iter()
            .map(|(name, value)| EntryJson { name, value })
            .collect(),
    };
    let segment = |one: &SegmentReport<'_>| SegmentJson {
        start: Hex(one.segment.range.start.0),
        end: Hex(one.segment.range.end.0),
        permissions: one.segment.permissions.to_string(),
        offset: one.segment.offset,
        state: one.state(),
        in_core: one.segment.present,
        holes: one.holes,
        left_out: one.segment.left_out(),
        from_files: one.from_files,
        truncated: one.segment.truncated(),
        name: one.mapping.filter(|mapping| !mapping.name.is_empty()).map(|one| Bytes::new(&one.name)),
    };
    let mapping = |mapping: &&Mapping| MappingJson {
        start: Hex(mapping.range.start.0),
        end: Hex(mapping.range.end.0),
        name: Bytes::new(&mapping.name),
    };
    json::print(&Report {
        version: VERSION,
        pid: info.id.0,
        name: &info.name,
        executable: info.executable.as_deref().map(Bytes::new),
        arch: info.arch.info().name,
        core: report.about.as_ref().map(CoreReport::json),
        file_bytes: report.core.file_bytes(),
        compression: report.compression.map(compression_name),
        threads: report.core.threads().len(),
        notes: report.core.notes().take(MOST_NOTES).map(note).collect(),
        segments: report.segments.iter().map(segment).collect(),
        files_without_segment: report.without_segment.iter().map(mapping).collect(),
        totals: Totals::of(&report.segments),
        complete: report.missing.is_empty(),
        missing: &report.missing,
    })
}

/// The last parts of the names of these segments, each once; the largest first.
pub(super) fn short_names(segments: &[SegmentReport<'_>]) -> Vec<String> {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for one in segments {
        let name = one.name();
        if let Some(last) = Path::new(&name).file_name() {
            let size = sizes.entry(last.to_string_lossy().into_owned()).or_default();
            *size = size.saturating_add(one.bytes());
        }
    }
    let mut names: Vec<(String, u64)> = sizes.into_iter().collect();
    names.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    names.into_iter().map(|(name, _)| name).collect()
}
