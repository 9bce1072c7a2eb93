//! The output of `prospect dump`.

use std::{io::Write as _, path::PathBuf, time::Duration};

use prospect::{
    Dumped,
    dump::{
        elf_core::{self, UnreadMemory},
        minidump::{self, SoftError},
        redact::{Manifest, Redaction},
    },
    process::{Addr, ProcessInfo},
};
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, VERSION},
    manifest::{self, RedactedRule},
    milliseconds,
};
use crate::exit;

/// What there is to say of a dump, whatever its format.
#[derive(Debug)]
pub(crate) struct Made {
    format: &'static str,
    process: ProcessInfo,
    mode: &'static str,
    no_snapshot: Option<String>,
    pause: Option<Duration>,
    threads: usize,
    ranges: usize,
    bytes: u64,
    memory_bytes: u64,
    unread: UnreadMemory,
    live: Vec<std::ops::Range<Addr>>,
    left_out: Vec<std::ops::Range<Addr>>,
    cut: Option<elf_core::Cut>,
    pub(crate) manifest: Option<Manifest>,
    /// What is missing.
    warnings: Vec<String>,
}

impl Made {
    fn of<W>(dumped: Dumped<W>, format: &'static str, written: impl FnOnce(W, &mut Self)) -> Self {
        let mut made = Self {
            format,
            mode: dumped.mode.as_str(),
            no_snapshot: dumped.no_snapshot.as_ref().map(ToString::to_string),
            pause: dumped.pause,
            process: dumped.process,
            live: dumped.live,
            left_out: dumped.left_out,
            threads: 0,
            ranges: 0,
            bytes: 0,
            memory_bytes: 0,
            unread: UnreadMemory::default(),
            cut: None,
            manifest: None,
            warnings: Vec::new(),
        };
        let not_stopped = |thread: &prospect::process::Thread| {
            Some(format!("thread {}: {}", thread.id, thread.not_stopped.as_ref()?))
        };
        made.warnings.extend(dumped.threads.iter().filter_map(not_stopped));
        written(dumped.written, &mut made);
        let unread = made.unread.bytes();
        if unread > 0 {
            made.warnings
                .push(format!("{unread} bytes of memory could not be read and are zero in the dump"));
        }
        let left_out: u64 = made.left_out.iter().map(|range| range.end.0.saturating_sub(range.start.0)).sum();
        if left_out > 0 {
            made.warnings.push(format!(
                "{left_out} bytes of memory that a snapshot does not get (MADV_DONTFORK, MADV_WIPEONFORK) are not in the \
                 dump; --mode stop has them"
            ));
        }
        made
    }
}

impl From<Dumped> for Made {
    fn from(dumped: Dumped) -> Self {
        Self::of(dumped, "core", |written, made| {
            (made.threads, made.ranges, made.bytes) = (written.threads, written.segments, written.bytes);
            (made.memory_bytes, made.unread, made.cut) = (written.memory_bytes, written.unread, written.cut);
            made.manifest = written.manifest;
        })
    }
}

impl From<Dumped<minidump::Written>> for Made {
    fn from(dumped: Dumped<minidump::Written>) -> Self {
        Self::of(dumped, "minidump", |written, made| {
            (made.threads, made.ranges, made.bytes) = (written.threads, written.ranges, written.bytes);
            (made.memory_bytes, made.unread) = (written.memory_bytes, written.unread);
            made.manifest = written.manifest;
            // Those of threads are said already.
            let others = written.soft_errors.iter();
            let others = others.filter(|error| !matches!(error, SoftError::ThreadNotStopped { .. }));
            made.warnings.extend(others.map(ToString::to_string));
        })
    }
}

/// What became of a dump.
#[derive(Debug)]
pub(crate) struct DumpReport {
    pub(crate) dumped: Made,
    /// By which rules bytes were zeroed.
    pub(crate) redaction: Option<Redaction>,
    /// `None` when it went to stdout.
    pub(crate) file: Option<PathBuf>,
    pub(crate) took: Duration,
    /// How many bytes the file has, and how many it takes on the disk.
    pub(crate) sizes: Option<(u64, u64)>,
    pub(crate) compression: Option<&'static str>,
}

impl DumpReport {
    /// Whether all is in it.
    pub(crate) fn is_complete(&self) -> bool {
        self.dumped.warnings.is_empty()
    }

    fn redacted(&self) -> Option<Vec<RedactedRule>> {
        Some(manifest::by_rule(self.redaction.as_ref()?, self.dumped.manifest.as_ref()?))
    }
}

#[derive(Serialize)]
struct Report {
    version: u32,
    target: Target,
    file: Option<Bytes>,
    format: &'static str,
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
    let made = &report.dumped;
    let target = &made.process;
    json::print(&Report {
        version: VERSION,
        target: Target {
            pid: target.id.0,
            name: target.name.clone(),
            executable: target.executable.as_deref().map(Bytes::new),
            arch: target.arch.info().name,
        },
        file: report.file.as_ref().map(|path| Bytes::new(path.as_os_str().as_encoded_bytes())),
        format: made.format,
        method: made.mode,
        no_snapshot: made.no_snapshot.clone(),
        pause_ms: made.pause.map(milliseconds),
        took_ms: milliseconds(report.took),
        threads: made.threads,
        mappings: made.ranges,
        core_bytes: made.bytes,
        memory_bytes: made.memory_bytes,
        file_bytes: report.sizes.map(|(bytes, _)| bytes),
        disk_bytes: report.sizes.map(|(_, disk)| disk),
        compression: report.compression,
        unread: ranges(&made.unread.ranges),
        unread_bytes: made.unread.bytes(),
        live: ranges(&made.live),
        left_out: ranges(&made.left_out),
        cut: made.cut.and_then(|cut| Some(Cut { limit: cut.limit?, left_out_bytes: cut.left_out })),
        redacted: report.redacted(),
        complete: report.is_complete(),
        warnings: made.warnings.clone(),
    })
}

fn ranges(ranges: &[std::ops::Range<Addr>]) -> Vec<Range> {
    let text =
        |range: &std::ops::Range<Addr>| Range { start: range.start.to_string(), end: range.end.to_string() };
    ranges.iter().map(text).collect()
}

/// How much was written: threads, memory, and on disk (of the file's size and that).
pub(super) fn amounts(threads: usize, memory_bytes: u64, sizes: Option<(u64, u64)>) -> String {
    let memory = size_text(memory_bytes);
    let mut text = format!("{threads} thread{}, {memory} of memory", if threads == 1 { "" } else { "s" });
    if let Some((_, disk)) = sizes {
        text.push_str(&format!(", {} on disk", size_text(disk)));
    }
    text
}

pub(crate) fn dump_text(report: &DumpReport) -> std::io::Result<()> {
    for warning in &report.dumped.warnings {
        exit::tell(warning);
    }
    let Made { process, cut, no_snapshot, .. } = &report.dumped;
    let id = process.id;
    if let Some(why) = no_snapshot {
        exit::tell(format_args!("process {id} was stopped for its dump, since there was no snapshot: {why}"));
    }
    if let Some(cut) = cut
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
    line.push_str(&amounts(report.dumped.threads, report.dumped.memory_bytes, report.sizes));
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
