//! The output of `prospect core shrink`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use prospect::{
    dump::{elf_core::Written, redact::Redaction},
    process::ProcessInfo,
};
use serde::Serialize;

use super::{
    dump::amounts,
    info::size_text,
    json::{self, Bytes, VERSION},
    manifest::{self, RedactedRule},
    milliseconds,
};
use crate::exit;

/// What became of a core.
#[derive(Debug)]
pub(crate) struct ShrinkReport {
    pub(crate) process: ProcessInfo,
    pub(crate) core: PathBuf,
    /// How long the core is, unpacked.
    pub(crate) core_bytes: u64,
    /// `None` when the smaller one went to stdout.
    pub(crate) file: Option<PathBuf>,
    pub(crate) took: Duration,
    pub(crate) written: Written,
    /// By which rules bytes were zeroed.
    pub(crate) redaction: Option<Redaction>,
    /// How many bytes the file has, and how many it takes on the disk.
    pub(crate) sizes: Option<(u64, u64)>,
    pub(crate) compression: Option<&'static str>,
    /// What is missing.
    pub(crate) warnings: Vec<String>,
}

impl ShrinkReport {
    /// Whether all that was to be kept is there.
    pub(crate) fn is_complete(&self) -> bool {
        self.warnings.is_empty()
    }

    fn redacted(&self) -> Option<Vec<RedactedRule>> {
        Some(manifest::by_rule(self.redaction.as_ref()?, self.written.manifest.as_ref()?))
    }

    fn left_out(&self) -> u64 {
        self.written.cut.map_or(0, |cut| cut.left_out)
    }
}

#[derive(Serialize)]
struct Report {
    version: u32,
    pid: u32,
    name: String,
    arch: &'static str,
    core: Bytes,
    core_bytes: u64,
    file: Option<Bytes>,
    took_ms: f64,
    threads: usize,
    mappings: usize,
    depth: Option<u32>,
    limit: Option<u64>,
    memory_bytes: u64,
    left_out_bytes: u64,
    file_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    compression: Option<&'static str>,
    redacted: Option<Vec<RedactedRule>>,
    complete: bool,
    warnings: Vec<String>,
}

pub(crate) fn shrink_json(report: &ShrinkReport) -> io::Result<()> {
    let path = |path: &PathBuf| Bytes::new(path.as_os_str().as_encoded_bytes());
    let ShrinkReport { process, written, .. } = report;
    json::print(&Report {
        version: VERSION,
        pid: process.id.0,
        name: process.name.clone(),
        arch: process.arch.info().name,
        core: path(&report.core),
        core_bytes: report.core_bytes,
        file: report.file.as_ref().map(path),
        took_ms: milliseconds(report.took),
        threads: written.threads,
        mappings: written.segments,
        depth: written.cut.and_then(|cut| cut.depth),
        limit: written.cut.and_then(|cut| cut.limit),
        memory_bytes: written.memory_bytes,
        left_out_bytes: report.left_out(),
        file_bytes: report.sizes.map(|(bytes, _)| bytes),
        disk_bytes: report.sizes.map(|(_, disk)| disk),
        compression: report.compression,
        redacted: report.redacted(),
        complete: report.is_complete(),
        warnings: report.warnings.clone(),
    })
}

pub(crate) fn shrink_text(report: &ShrinkReport) -> io::Result<()> {
    for warning in &report.warnings {
        exit::tell(warning);
    }
    for rule in report.redacted().unwrap_or_default() {
        exit::tell(rule);
    }
    let mut line = format!(
        "process {}, {}",
        report.process.id,
        amounts(report.written.threads, report.written.memory_bytes, report.sizes)
    );
    line.push_str(&format!("; {} left out", size_text(report.left_out())));
    // Where the core itself goes to stdout, words about it do not.
    let Some(file) = &report.file else {
        exit::tell(line);
        return Ok(());
    };
    let mut output = io::stdout().lock();
    writeln!(output, "{}: {line}", file.display())?;
    output.flush()
}
