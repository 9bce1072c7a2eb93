//! The output of `prospect convert`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use prospect::{
    dump::convert::{DumpFormat, Loss},
    process::ProcessInfo,
};
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, VERSION},
};
use crate::exit;

/// What became of a dump.
#[derive(Debug)]
pub(crate) struct ConvertReport {
    pub(crate) process: ProcessInfo,
    pub(crate) input: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) from: DumpFormat,
    pub(crate) to: DumpFormat,
    pub(crate) threads: usize,
    /// How many bytes the file has, and how many it takes on the disk.
    pub(crate) sizes: Option<(u64, u64)>,
    /// What the new one has no place for.
    pub(crate) lost: Vec<Loss>,
    /// What the first one does not have.
    pub(crate) warnings: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    pid: u32,
    name: String,
    arch: &'static str,
    input: Bytes,
    from: &'static str,
    to: &'static str,
    file: Bytes,
    threads: usize,
    file_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    lost: Vec<LossJson>,
    complete: bool,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct LossJson {
    kind: &'static str,
    name: String,
    count: u64,
    text: String,
}

pub(crate) fn convert_json(report: &ConvertReport) -> io::Result<()> {
    let path = |path: &PathBuf| Bytes::new(path.as_os_str().as_encoded_bytes());
    let loss = |one: &Loss| LossJson {
        kind: one.kind,
        name: one.name.clone(),
        count: one.count,
        text: one.to_string(),
    };
    json::print(&Report {
        version: VERSION,
        pid: report.process.id.0,
        name: report.process.name.clone(),
        arch: report.process.arch.info().name,
        input: path(&report.input),
        from: report.from.as_str(),
        to: report.to.as_str(),
        file: path(&report.file),
        threads: report.threads,
        file_bytes: report.sizes.map(|(bytes, _)| bytes),
        disk_bytes: report.sizes.map(|(_, disk)| disk),
        lost: report.lost.iter().map(loss).collect(),
        complete: report.warnings.is_empty(),
        warnings: report.warnings.clone(),
    })
}

pub(crate) fn convert_text(report: &ConvertReport) -> io::Result<()> {
    report.warnings.iter().for_each(exit::tell);
    let mut output = io::stdout().lock();
    let (bytes, _) = report.sizes.unwrap_or_default();
    let plural = if report.threads == 1 { "" } else { "s" };
    writeln!(
        output,
        "{}: {} of process {}, {} thread{plural}, {}",
        report.file.display(),
        report.to.as_str(),
        report.process.id,
        report.threads,
        size_text(bytes)
    )?;
    for loss in &report.lost {
        writeln!(output, "  lost: {loss}")?;
    }
    output.flush()
}
