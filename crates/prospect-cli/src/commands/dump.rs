//! `prospect dump`: a core or a minidump of a process that runs on.

pub(crate) mod bar;
pub(crate) mod compress;
pub(crate) mod destination;
pub(crate) mod format;
pub(crate) mod interrupted;
mod minidump;
mod new_file;
pub(crate) mod redact;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use prospect::{
    DumpError, DumpMode, DumpPlan, Dumped,
    dump::{
        elf_core::{CoreFilter, Progress, Selection, WriteError, WriteOptions},
        redact::Redaction,
    },
    dump_live,
    live::{self, LiveProcess},
    process::ProcessId,
};

use crate::{
    exit::{Failure, Outcome, Result, worse},
    report::{self, DumpReport, Made},
    target::{TargetArgs, interval, seconds, size},
};
use bar::Bar;
use compress::Compression;
use destination::Destination;
use format::Format;
use interrupted::Interrupted;
use minidump::MinidumpArgs;
use redact::RedactArgs;

/// Write a core of a process, for gdb, lldb, eu-stack, delve and `prospect` itself, or a minidump. The process runs on.
///
/// It stands still for a moment, in which it is copied as `fork` does it, and the copy is written while the process runs on. Where
/// that cannot be done it is stopped until all of it is written, and why is said.
///
/// What belongs into it, the process's own filter says (`/proc/PID/coredump_filter`), as it does when the kernel writes a core.
/// Memory that is zero becomes holes. When it fails, or is interrupted, nothing is left behind and an earlier file is kept.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,

    /// What to write: a core of ELF, or a minidump, which has the stacks and what crash reports need. Without it, a minidump where the
    /// name of the file ends in .dmp, and else a core.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// Where to write it; `-` for the standard output. Without it, core.PID or PID.dmp in this directory.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace a file that is there already.
    #[arg(long)]
    force: bool,

    /// Write all memory that can be read: code and constants too, and what the process asked to be left out.
    #[arg(long, conflicts_with = "filter")]
    all: bool,

    /// Write these kinds of memory, instead of those of the process's own filter: the sum of 1 private memory, 2 shared memory, 4
    /// private mappings of files, 8 shared ones, 0x10 the headers of ELF files, 0x20 private huge pages, 0x40 shared ones.
    #[arg(long, value_name = "MASK", value_parser = filter)]
    filter: Option<CoreFilter>,

    /// Compress it, with all processors: `zstd`, or `zstd:LEVEL` with a level from 1 to 19.
    #[arg(long, value_name = "FORMAT")]
    compress: Option<Compression>,

    /// How the process is kept still: copied in a moment (snapshot), or stopped until all of it is written (stop). Without it, the
    /// first where it can be done, and else the other. A minidump of stacks alone is neither: it takes --full or --depth.
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,

    /// How long the process may stand still at most: a number with a unit, as in 20ms. Nothing is stopped where it would be longer, and
    /// there is no dump where it turns out to be.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    max_pause: Option<Duration>,

    /// At most so much memory, as in 200M; holes do not count. Stacks come first, then what registers and stacks point to, and so on, then
    /// the rest; what debuggers need to find modules and threads is there in any case.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit: Option<u64>,

    #[command(flatten)]
    redact: RedactArgs,

    #[command(flatten)]
    minidump: MinidumpArgs,

    /// How long threads are waited for that do not stop.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,

    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,

    /// Print JSON: one object per process, each on a line (docs/json.md).
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Mode {
    Snapshot,
    Stop,
}

impl From<Mode> for DumpMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Snapshot => Self::Snapshot,
            Mode::Stop => Self::Stop,
        }
    }
}

impl Args {
    fn format(&self) -> Format {
        self.format.unwrap_or_else(|| Format::by_name(self.output.as_deref()))
    }

    fn selection(&self) -> Selection {
        match self.filter {
            _ if self.all => Selection::All,
            Some(filter) => Selection::Filter(filter),
            None => Selection::Kernel,
        }
    }

    fn plan(&self) -> DumpPlan {
        DumpPlan::new()
            .with_mode(self.mode.map(DumpMode::from))
            .with_max_pause(self.max_pause)
            .with_timeout(self.timeout)
    }
}

pub(crate) fn run(args: &Args) -> Result {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && args.json {
        return Err(Failure::usage("--json and the dump itself cannot both go to the standard output"));
    }
    let targets = args.target.find()?;
    let processes = targets.processes("prospect dump")?;
    if args.output.is_some() && processes.len() > 1 {
        return Err(Failure::usage("-o is for one process; without it, each has its own core.PID"));
    }
    if args.redact.has_manifest() && processes.len() > 1 {
        return Err(Failure::usage("--manifest is for one process"));
    }
    if args.format() == Format::Core && args.minidump.is_given() {
        return Err(Failure::usage(
            "--full, --depth, --sanitize, --principal, --memory, --stack-bytes, --annotation, --with-environment and \
             --with-command-line are for minidumps: --format minidump",
        ));
    }
    if args.format() == Format::Minidump && args.mode.is_some() && !args.minidump.wants_memory(args) {
        return Err(Failure::usage(
            "--mode is for dumps of memory: a minidump without --full or --depth is copied in a moment",
        ));
    }
    live::report_file_size_limit();
    let interrupted = Interrupted::watch()?;
    let mut result = Ok(Outcome::Complete);
    for process in &processes {
        result = worse(result, dump(args, *process, &interrupted));
        if interrupted.is_set() {
            break;
        }
    }
    targets.end();
    result
}

fn dump(args: &Args, id: ProcessId, interrupted: &Interrupted) -> Result {
    let begin = Instant::now();
    let live = LiveProcess::open(id)?;
    let format = args.format();
    let path = args.output.clone().unwrap_or_else(|| {
        let compressed = args.compress.map_or("", |_| Compression::SUFFIX);
        PathBuf::from(match format {
            Format::Core => format!("core.{id}{compressed}"),
            Format::Minidump => format!("{id}.dmp{compressed}"),
        })
    });
    let destination = Destination::open(&path, args.force)?;
    let redaction = args.redact.redaction(id)?;
    let manifest = args.redact.begin(args.force)?;
    let progress = interrupted.next();
    let selection = args.selection();
    let dumped: std::result::Result<Made, DumpError> = match format {
        Format::Core => {
            write(args, &live, &destination, &progress, redaction.as_ref(), selection).map(Into::into)
        }
        Format::Minidump => {
            let wanted = args.minidump.wanted(args, &live, selection)?;
            minidump::write(args, &wanted, &live, &destination, &progress, redaction.as_ref()).map(Into::into)
        }
    };
    let failed = |error: &dyn std::fmt::Display| {
        let place = destination_name(&path);
        Failure::failed(format_args!("no dump of process {id} in {place}: {error}"))
    };
    let dumped = dumped.map_err(|error| match error {
        DumpError::Live(error) => error.into(),
        DumpError::Write(WriteError::Cancelled) => failed(&"interrupted; the process runs on"),
        DumpError::Write(WriteError::Output(error)) => failed(&format_args!("{error}; the process runs on")),
        error => failed(&error),
    })?;
    let file = destination.path().map(Path::to_owned);
    let sizes =
        destination.publish().map_err(|error| failed(&format_args!("{error}; the process runs on")))?;
    let took = begin.elapsed();
    if let (Some(file), Some(rules), Some(manifest)) = (manifest, &redaction, &dumped.manifest) {
        file.write(rules, manifest)?;
    }
    let report =
        DumpReport { dumped, redaction, file, took, sizes, compression: args.compress.map(|_| "zstd") };
    if args.json { report::dump_json(&report) } else { report::dump_text(&report) }?;
    Ok(if report.is_complete() { Outcome::Complete } else { Outcome::Partial })
}

fn write(
    args: &Args,
    live: &LiveProcess,
    destination: &Destination,
    progress: &Arc<Progress>,
    redaction: Option<&Redaction>,
    selection: Selection,
) -> std::result::Result<Dumped, DumpError> {
    let options =
        WriteOptions::new().selection(selection).progress(progress).limit(args.limit).redaction(redaction);
    let _bar = Bar::show(format!("process {}", live.info().id), progress.clone(), args.quiet);
    let mut output = destination.output(args.compress).map_err(WriteError::Output)?;
    dump_live(live, &args.plan(), options, output.as_mut())
}

pub(crate) fn destination_name(path: &Path) -> String {
    if path == Path::new("-") { "the standard output".into() } else { path.display().to_string() }
}

/// Reads a filter as `/proc/PID/coredump_filter` takes it: decimal, or hexadecimal with `0x`.
fn filter(text: &str) -> std::result::Result<CoreFilter, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map(CoreFilter).map_err(|_| format!("{text:?} is no sum of bits (0x33)"))
}
