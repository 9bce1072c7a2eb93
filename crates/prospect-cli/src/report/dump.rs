//! The output of `prospect dump`.

use std::{io::Write as _, path::PathBuf, time::Duration};

use prospect::{dump::elf_core::Written, process::ProcessInfo};
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, VERSION},
    milliseconds,
};
use crate::exit;

/// What became of a dump.
#[derive(Debug)]
pub(crate) struct DumpReport {
    pub(crate) target: ProcessInfo,
    /// `None` when it went to stdout.
    pub(crate) file: Option<PathBuf>,
    /// How the process was kept still.
    pub(crate) method: &'static str,
    pub(crate) pause: Option<Duration>,
    pub(crate) took: Duration,
    pub(crate) written: Written,
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
}

#[derive(Serialize)]
struct Report {
    version: u32,
    target: Target,
    file: Option<Bytes>,
    method: &'static str,
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
    complete: bool,
    warnings: Vec<String>,
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
    let DumpReport { target, written, .. } = report;
    json::print(&Report {
        version: VERSION,
        target: Target {
            pid: target.id.0,
            name: target.name.clone(),
            executable: target.executable.as_deref().map(Bytes::new),
            arch: target.arch.info().name,
        },
        file: report.file.as_ref().map(|path| Bytes::new(path.as_os_str().as_encoded_bytes())),
        method: report.method,
        pause_ms: report.pause.map(milliseconds),
        took_ms: milliseconds(report.took),
        threads: written.threads,
        mappings: written.segments,
        core_bytes: written.bytes,
        memory_bytes: written.memory_bytes,
        file_bytes: report.sizes.map(|(bytes, _)| bytes),
        disk_bytes: report.sizes.map(|(_, disk)| disk),
        compression: report.compression,
        unread: written
            .unread
            .ranges
            .iter()
            .map(|range| Range { start: range.start.to_string(), end: range.end.to_string() })
            .collect(),
        unread_bytes: written.unread.bytes(),
        complete: report.is_complete(),
        warnings: report.warnings.clone(),
    })
}

pub(crate) fn dump_text(report: &DumpReport) -> std::io::Result<()> {
    for warning in &report.warnings {
        exit::tell(warning);
    }
    let id = report.target.id;
    let threads = match report.written.threads {
        1 => "1 thread".to_owned(),
        count => format!("{count} threads"),
    };
    let mut line = match &report.file {
        Some(path) => format!("{}: process {id}, {threads}", path.display()),
        None => format!("process {id}: {threads}"),
    };
    line.push_str(&format!(", {} of memory", size_text(report.written.memory_bytes)));
    if let Some((_, disk)) = report.sizes {
        line.push_str(&format!(", {} on disk", size_text(disk)));
    }
    if let Some(pause) = report.pause {
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
