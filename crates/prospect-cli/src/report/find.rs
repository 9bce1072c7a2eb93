//! The output of `prospect find`.

use prospect::symbols::{Found, FoundKind, ResolvedAddress};
use serde::Serialize;

use super::{
    json::{self, Hex, VERSION},
    style::{FUNCTION, PLACE, PLAIN, Page, Printable, Table, WARNING},
};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct FindReport {
    /// Where was looked, as the user wrote it.
    pub(crate) target: String,
    pub(crate) rows: Vec<FoundRow>,
    /// Whether there is more than may be shown.
    pub(crate) has_more: bool,
    /// What a reader should know before believing the names.
    pub(crate) warnings: Vec<String>,
}

impl FindReport {
    /// Adds what was found, as long as there are no more than so many.
    pub(crate) fn add(&mut self, rows: Vec<FoundRow>, limit: usize) {
        self.rows.extend(rows);
        self.has_more |= self.rows.len() > limit;
        self.rows.truncate(limit);
    }
}

/// One thing that was found.
#[derive(Debug)]
pub(crate) struct FoundRow {
    /// In the process; of a file, as linked.
    pub(crate) address: Option<u64>,
    offset: Option<u64>,
    size: Option<u64>,
    kind: &'static str,
    name: String,
    linkage_name: Option<String>,
    version: Option<(String, bool)>,
    module: String,
    file: Option<String>,
    line: Option<u32>,
    /// What it was inlined into.
    into: Option<String>,
    /// A thread-local variable's place, or a number.
    value: Option<u64>,
    /// The number of a constant of an enumeration.
    constant: Option<i128>,
    /// Of a line, whether it is the one that was asked for.
    is_exact: bool,
    /// What an indirect function was found to mean.
    pub(crate) resolved: Option<u64>,
}

impl FoundRow {
    /// A row for what was found, and what is known of its address.
    pub(crate) fn new(module: String, found: &Found, resolved: Option<&ResolvedAddress>) -> Self {
        let start = found.range.as_ref().map(|range| range.start.0);
        let mut size = found.range.as_ref().map(|range| range.end.0.saturating_sub(range.start.0));
        // An inlined call's own lines are the innermost ones there; a function's are those of the outermost frame.
        let frames = resolved.map_or(&[][..], |resolved| &resolved.frames);
        let frame =
            if let FoundKind::InlinedCall { .. } = found.kind { frames.first() } else { frames.last() };
        let (mut file, mut line) =
            (frame.and_then(|frame| frame.file.clone()), frame.and_then(|frame| frame.line));
        if let Some((path, number)) = &found.declared {
            (file, line) = (Some(path.to_string()), Some(*number));
        }
        let (mut into, mut value, mut constant) = (None, None, None);
        match &found.kind {
            FoundKind::Line { file: path, line: number, .. } => {
                (file, line) = (Some(path.clone()), Some(*number))
            }
            FoundKind::InlinedCall { into: caller } => into.clone_from(caller),
            FoundKind::ThreadLocal(number) | FoundKind::Number(number) => value = Some(*number),
            FoundKind::Type { size: bytes, .. } => size = *bytes,
            FoundKind::Enumerator { value } => constant = *value,
            _ => {}
        }
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Self {
            address: start,
            offset: start,
            size: size.filter(|size| *size > 0),
            kind: found.kind.as_str(),
            name: found.name.clone(),
            linkage_name: found.linkage_name.as_ref().map(text),
            version: found.version.as_ref().map(|version| (version.name.clone(), version.is_default)),
            module,
            file,
            line,
            into,
            value,
            constant,
            is_exact: found.is_exact(),
            resolved: None,
        }
    }

    fn full_name(&self) -> String {
        let mut name = Printable(&self.name).to_string();
        if let Some((version, is_default)) = &self.version {
            name += if *is_default { "@@" } else { "@" };
            name += &Printable(version).to_string();
        }
        if let Some(into) = &self.into {
            name += &format!(" in {}", Printable(into));
        }
        if let Some(constant) = self.constant {
            name += &format!(" = {constant}");
        }
        if let Some(target) = self.resolved {
            name += &format!(" -> {target:#x}");
        }
        name
    }
}

pub(crate) fn find_text(report: &FindReport) -> std::io::Result<()> {
    let mut page = Page::new();
    let mut table = Table::default();
    for row in &report.rows {
        match (row.address, row.value) {
            (Some(address), _) => table.cell(PLACE, format_args!("{address:#x}")),
            (None, Some(value)) => table.cell(PLACE, format_args!("+{value:#x}")),
            _ => table.cell(PLACE, ""),
        }
        table.cell(PLAIN, row.size.map_or_else(String::new, |size| size.to_string()));
        table.cell(PLAIN, row.kind);
        table.cell(FUNCTION, row.full_name());
        table.cell(PLAIN, Printable(row.module.rsplit('/').next().unwrap_or_default()));
        match (&row.file, row.line) {
            (Some(file), Some(line)) => table.cell(PLACE, format_args!("{}:{line}", Printable(file))),
            (Some(file), None) => table.cell(PLACE, Printable(file)),
            _ => table.cell(PLACE, ""),
        }
        table.end_row();
    }
    table.write(&mut page, 60);
    if report.rows.iter().any(|row| !row.is_exact) {
        page.styled(WARNING, "the line has no code: these are of the next one that has");
        page.end_line();
    }
    if report.has_more {
        page.styled(WARNING, format_args!("there is more than these {}: see --limit", report.rows.len()));
        page.end_line();
    }
    for warning in &report.warnings {
        page.styled(WARNING, format_args!("warning: {}", Printable(warning)));
        page.end_line();
    }
    page.print()
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    target: &'a str,
    complete: bool,
    found: Vec<FoundPart<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct FoundPart<'a> {
    address: Option<Hex>,
    offset: Option<Hex>,
    size: Option<u64>,
    kind: &'a str,
    name: &'a str,
    linkage_name: Option<&'a str>,
    symbol_version: Option<&'a str>,
    default_version: Option<bool>,
    module: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    exact: bool,
    inlined_into: Option<&'a str>,
    value: Option<Hex>,
    constant: Option<String>,
    resolved: Option<Hex>,
}

pub(crate) fn find_json(report: &FindReport) -> std::io::Result<()> {
    json::print(&Report {
        version: VERSION,
        target: &report.target,
        complete: !report.has_more,
        found: report.rows.iter().map(found_part).collect(),
        warnings: &report.warnings,
    })
}

fn found_part(row: &FoundRow) -> FoundPart<'_> {
    FoundPart {
        address: row.address.map(Hex),
        offset: row.offset.map(Hex),
        size: row.size,
        kind: row.kind,
        name: &row.name,
        linkage_name: row.linkage_name.as_deref(),
        symbol_version: row.version.as_ref().map(|version| version.0.as_str()),
        default_version: row.version.as_ref().map(|version| version.1),
        module: &row.module,
        file: row.file.as_deref(),
        line: row.line,
        exact: row.is_exact,
        inlined_into: row.into.as_deref(),
        value: row.value.map(Hex),
        constant: row.constant.map(|constant| constant.to_string()),
        resolved: row.resolved.map(Hex),
    }
}
