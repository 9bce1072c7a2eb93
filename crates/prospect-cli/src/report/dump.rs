//! The output of `prospect dump`.

use std::{io::Write as _, path::PathBuf, time::Duration};

use prospect::{
    Dumped,
    dump::{elf_core::Written, redact::Redaction},
    process::Addr,
};
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, VERSION},
    manifest::{self, RedactedRule},
    milliseconds,
};
use crate::exit;

/// What became of a dump.
#[derive(Debug)]
pub(crate) struct DumpReport {
    pub(crate) dumped: Dumped,
    /// By which rules bytes were zeroed.
    pub(crate) redaction: Option<Redaction>,
    /// `None` when it went to stdout.
    pub(crate) file: Option<PathBuf>,
    pub(crate) took: Duration,
    /// How many bytes the file has, and how many it takes on the disk.
    pub(crate) sizes: Option<(u64, u64)>,
    pub(crate) compression: Option<&'static str>,
    /// What is missing.
    pub(crate) warnings: Vec<String>,
}

impl DumpReport {
    /// Whether all is in it.
    pub(crate) fn is_complete(&self) -> bool {
        self.warnings.is_empty()
    }

    fn redacted(&self) -> Option<Vec<RedactedRule>> {
        Some(manifest::by_rule(self.redaction.as_ref()?, self.dumped.written.manifest.as_ref()?))
    }
}

#[derive(Serialize)]
struct Report {
    version: u32,
    target: Target,
    file: Option<Bytes>,
    method: &'static str,
    no_snapshot: Option<String>,
    pause_ms: Option<f64>,
    took_ms: f64,
    threads: usize,
    mappings: usize,
    core_bytes: u64,
    memory_bytes: u64,
    file_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    compression: Option<&'static str>,
    unread: Vec<Range>,
    unread_bytes: u64,
    live: Vec<Range>,
    left_out: Vec<Range>,
    cut: Option<Cut>,
    redacted: Option<Vec<RedactedRule>>,
    complete: bool,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Cut {
    limit: u64,
    left_out_bytes: u64,
}

#[derive(Serialize)]
struct Target {
    pid: u32,
    name: String,
    executable: Option<Bytes>,
    arch: &'static str,
}

#[derive(Serialize)]
struct Range {
    start: String,
    end: String,
}

pub(crate) fn dump_json(report: &DumpReport) -> std::io::Result<()> {
    let Dumped { process: target, written, .. } = &report.dumped;
    let no_snapshot = report.dumped.no_snapshot.as_ref().map(ToString::to_string);
    json::print(&Report {
        version: VERSION,
        target: Target {
            pid: target.id.0,
            name: target.name.clone(),
            executable: target.executable.as_deref().map(Bytes::new),
            arch: target.arch.info().name,
        },
        file: report.file.as_ref().map(|path| Bytes::new(path.as_os_str().as_encoded_bytes())),
        method: report.dumped.mode.as_str(),
        no_snapshot,
        pause_ms: report.dumped.pause.map(milliseconds),
        took_ms: milliseconds(report.took),
        threads: written.threads,
        mappings: written.segments,
        core_bytes: written.bytes,
        memory_bytes: written.memory_bytes,
        file_bytes: report.sizes.map(|(bytes, _)| bytes),
        disk_bytes: report.sizes.map(|(_, disk)| disk),
        compression: report.compression,
        unread: ranges(&written.unread.ranges),
        unread_bytes: written.unread.bytes(),
        live: ranges(&report.dumped.live),
        left_out: ranges(&report.dumped.left_out),
        cut: written.cut.and_then(|cut| Some(Cut { limit: cut.limit?, left_out_bytes: cut.left_out })),
        redacted: report.redacted(),
        complete: report.is_complete(),
        warnings: report.warnings.clone(),
    })
}

fn ranges(ranges: &[std::ops::Range<Addr>]) -> Vec<Range> {
    let text =
        |range: &std::ops::Range<Addr>| Range { start: range.start.to_string(), end: range.end.to_string() };
    ranges.iter().map(text).collect()
}

/// How much was written: threads, memory, and on disk (of the file's size and that).
pub(super) fn amounts(written: &Written, sizes: Option<(u64, u64)>) -> String {
    let (threads, memory) = (written.threads, size_text(written.memory_bytes));
    let mut text = format!("{threads} thread{}, {memory} of memory", if threads == 1 { "" } else { "s" });
    if let Some((_, disk)) = sizes {
        text.push_str(&format!(", {} on disk", size_text(disk)));
    }
    text
}

pub(crate) fn dump_text(report: &DumpReport) -> std::io::Result<()> {
    for warning in &report.warnings {
        exit::tell(warning);
    }
    let Dumped { process, written, no_snapshot, .. } = &report.dumped;
    let id = process.id;
    if let Some(why) = no_snapshot {
        exit::tell(format_args!("process {id} was stopped for its dump, since there was no snapshot: {why}"));
    }
    if let Some(cut) = &written.cut
        && let Some(limit) = cut.limit
    {
        let (limit, left_out) = (size_text(limit), size_text(cut.left_out));
        exit::tell(format_args!(
            "process {id}: {left_out} of memory are beyond the limit of {limit}, and not in the dump"
        ));
    }
    for rule in report.redacted().unwrap_or_default() {
        exit::tell(format_args!("process {id}: {rule}"));
    }
    let mut line = match &report.file {
        Some(path) => format!("{}: process {id}, ", path.display()),
        None => format!("process {id}: "),
    };
    line.push_str(&amounts(written, report.sizes));
    if let Some(pause) = report.dumped.pause {
        line.push_str(&format!("; stopped for {:.1} ms", pause.as_secs_f64() * 1e3));
    }
    // Where the dump itself goes to stdout, words about it do not.
    if report.file.is_none() {
        exit::tell(line);
        return Ok(());
    }
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
