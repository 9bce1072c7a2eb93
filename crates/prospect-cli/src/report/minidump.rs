//! What `prospect info` shows of a minidump, and of a crash.

use prospect::{
    Crash,
    dump::minidump::{Facts, Handle, Minidump, MinidumpStream, SystemDetails},
};
use serde::Serialize;

use super::{
    info::{section, size_text},
    json::Hex,
    style::{HEADING, PLACE, PLAIN, Page, Printable, Table},
};

/// A minidump, besides what a process has.
#[derive(Debug)]
pub(crate) struct MinidumpReport {
    system: SystemDetails,
    streams: Vec<MinidumpStream>,
    facts: Facts,
    file_bytes: u64,
    /// Whether system, streams and facts are shown.
    show: bool,
    limits: Option<Vec<Limit>>,
    handles: Option<Vec<Handle>>,
    /// Names alone: values may be secrets.
    environment: Option<Vec<String>>,
}

/// A line of `/proc/PID/limits`.
#[derive(Debug, Serialize)]
struct Limit {
    name: String,
    soft: String,
    hard: String,
    unit: Option<String>,
}

impl Limit {
    /// Its columns are at least two spaces apart.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split("  ").map(str::trim).filter(|word| !word.is_empty());
        let mut next = || words.next().map(ToOwned::to_owned);
        Some(Self { name: next()?, soft: next()?, hard: next()?, unit: next() })
    }
}

impl MinidumpReport {
    pub(crate) fn of(dump: &Minidump, show: bool) -> Self {
        Self {
            show,
            limits: None,
            handles: None,
            environment: None,
            system: dump.system().clone(),
            streams: dump.streams().to_vec(),
            facts: dump.facts().clone(),
            file_bytes: dump.file_bytes(),
        }
    }

    pub(crate) fn with_limits(mut self, dump: &Minidump) -> Self {
        let text = String::from_utf8_lossy(&dump.facts().limits);
        let limits: Vec<Limit> = text.lines().skip(1).filter_map(Limit::parse).collect();
        self.limits = (!limits.is_empty()).then_some(limits);
        self
    }

    pub(crate) fn with_handles(mut self, dump: &Minidump) -> Self {
        let handles = &dump.facts().handles;
        self.handles = (!handles.is_empty()).then(|| handles.clone());
        self
    }

    pub(crate) fn with_environment(mut self, dump: &Minidump) -> Self {
        let variables = &dump.facts().environment;
        let name = |variable: &Vec<u8>| {
            let name = variable.split(|byte| *byte == b'=').next().unwrap_or_default();
            String::from_utf8_lossy(name).into_owned()
        };
        self.environment = (!variables.is_empty()).then(|| variables.iter().map(name).collect());
        self
    }

    /// What comes behind all that a process has.
    pub(super) fn write_lists(&self, page: &mut Page) {
        if let Some(limits) = &self.limits {
            section(page, limits.len(), "limit");
            let mut table = Table::indented(2);
            for Limit { name, soft, hard, unit } in limits {
                let unit = unit.as_deref().unwrap_or_default();
                for text in [name, soft, hard, unit] {
                    table.cell(PLAIN, Printable(text));
                }
                table.end_row();
            }
            table.write(page, 40);
        }
        if let Some(handles) = &self.handles {
            section(page, handles.len(), "handle");
            let mut table = Table::indented(2);
            for handle in handles {
                table.cell(PLAIN, handle.number);
                table.cell(PLACE, Printable(&handle.kind));
                table.cell(PLAIN, Printable(&handle.name));
                table.end_row();
            }
            table.write(page, 40);
        }
        if let Some(environment) = &self.environment {
            section(page, environment.len(), "environment variable");
            for name in environment {
                page.push(format_args!("  {}\n", Printable(name)));
            }
        }
    }

    pub(super) fn write(&self, page: &mut Page) {
        if !self.show {
            return;
        }
        let mut table = Table::indented(2);
        let mut entry = |name: &str, text: &str| {
            if !text.is_empty() {
                table.entry(name, Printable(text));
            }
        };
        if self.system.version != (0, 0, 0) || !self.system.version_text.is_empty() {
            entry("system", &self.version());
        }
        entry("processor", self.system.processor.as_deref().unwrap_or_default());
        for comment in &self.facts.comments {
            entry("comment", comment);
        }
        if let Some(assertion) = &self.facts.assertion {
            let place = format!("{}:{}", assertion.file, assertion.line);
            entry("assertion", &format!("{} in {} at {place}", assertion.expression, assertion.function));
        }
        for message in &self.facts.crash_messages {
            entry("message", message);
        }
        for (name, id) in [("report", self.facts.report_id), ("client", self.facts.client_id)] {
            entry(name, &id.map_or_else(String::new, |id| id.to_string()));
        }
        for (_, name, value) in &self.facts.annotations {
            entry("annotation", &if name.is_empty() { value.clone() } else { format!("{name}: {value}") });
        }
        table.write(page, 40);
        page.end_line();
        let count = self.streams.len();
        let size = size_text(self.file_bytes);
        page.styled(HEADING, format_args!("{count} stream{} in {size}", if count == 1 { "" } else { "s" }));
        page.end_line();
        let mut table = Table::indented(2);
        for stream in &self.streams {
            match stream.name() {
                Some(name) => table.cell(PLAIN, name),
                None => table.cell(PLACE, format_args!("{:#x}", stream.kind)),
            }
            table.cell(PLAIN, format_args!("{:>9}", size_text(stream.bytes)));
            table.end_row();
        }
        table.write(page, 40);
    }

    fn version(&self) -> String {
        let (major, minor, build) = self.system.version;
        let text = &self.system.version_text;
        format!("{major}.{minor}.{build}{}{text}", if text.is_empty() { "" } else { " " })
    }

    pub(super) fn json(&self) -> MinidumpJson<'_> {
        let stream = |one: &MinidumpStream| StreamJson {
            kind: one.kind,
            name: one.name(),
            bytes: one.bytes,
            offset: one.offset,
        };
        let annotation = |(module, name, value): &'_ (Option<u32>, String, String)| AnnotationJson {
            module: *module,
            name: name.clone(),
            value: value.clone(),
        };
        MinidumpJson {
            file_bytes: self.file_bytes,
            system_version: self.version(),
            processor: self.system.processor.as_deref(),
            processors: self.system.processors,
            streams: self.streams.iter().map(stream).collect(),
            comments: &self.facts.comments,
            report_id: self.facts.report_id.map(|id| id.to_string()),
            client_id: self.facts.client_id.map(|id| id.to_string()),
            annotations: self.facts.annotations.iter().map(annotation).collect(),
            messages: &self.facts.crash_messages,
            limits: self.limits.as_deref(),
            handles: self.handles.as_ref().map(|handles| handles.iter().map(HandleJson::new).collect()),
            environment: self.environment.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct MinidumpJson<'a> {
    file_bytes: u64,
    system_version: String,
    processor: Option<&'a str>,
    processors: u8,
    streams: Vec<StreamJson>,
    comments: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    report_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    annotations: Vec<AnnotationJson>,
    messages: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<&'a [Limit]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handles: Option<Vec<HandleJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a [String]>,
}

#[derive(Serialize)]
struct HandleJson<'a> {
    number: u64,
    kind: &'a str,
    name: &'a str,
    access: Hex,
}

impl<'a> HandleJson<'a> {
    fn new(handle: &'a Handle) -> Self {
        let Handle { number, kind, name, access } = handle;
        Self { number: *number, kind, name, access: Hex((*access).into()) }
    }
}

#[derive(Serialize)]
struct StreamJson {
    #[serde(rename = "type")]
    kind: u32,
    name: Option<&'static str>,
    bytes: u64,
    offset: u64,
}

#[derive(Serialize)]
struct AnnotationJson {
    module: Option<u32>,
    name: String,
    value: String,
}

/// Why a process crashed.
#[derive(Serialize)]
pub(super) struct CrashJson {
    tid: u32,
    system: &'static str,
    code: Hex,
    flags: Hex,
    name: Option<&'static str>,
    reason: Option<&'static str>,
    address: Option<Hex>,
    instruction: Option<String>,
    explanation: Option<String>,
    text: String,
}

impl CrashJson {
    pub(super) fn new(crash: &Crash) -> Self {
        let exception = &crash.exception;
        Self {
            tid: exception.thread.0,
            system: exception.system.as_str(),
            code: Hex(exception.code.into()),
            flags: Hex(exception.flags.into()),
            name: exception.name(),
            reason: exception.reason(),
            address: crash.address.map(|at| Hex(at.0)),
            instruction: crash.instruction.as_ref().map(|one| one.text.clone()),
            explanation: crash.explanation.clone(),
            text: crash.text(),
        }
    }
}
