//! `prospect dump`: a core of a process that runs on.

mod bar;
mod compress;
mod destination;
mod interrupted;
mod new_file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use prospect::{
    dump::elf_core::{self, CoreFilter, Progress, Selection, Stillness, WriteError, WriteOptions, Written},
    live::{self, LiveProcess, Stopped},
    process::{Process as _, ProcessId},
};

use crate::{
    exit::{Failure, Outcome, Result, worse},
    report::{self, DumpReport},
    target::{TargetArgs, seconds},
};
use bar::Bar;
use compress::Compression;
use destination::Destination;
use interrupted::Interrupted;

/// Write a core of a process, for gdb, lldb, eu-stack, delve and `prospect` itself. The process is stopped for it, and runs on.
///
/// What belongs into it, the process's own filter says (`/proc/PID/coredump_filter`), as it does when the kernel writes a core.
/// Memory that is zero becomes holes. When it fails, or is interrupted, nothing is left behind and an earlier file is kept.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,

    /// Where to write it; `-` for the standard output. Without it, core.PID in this directory.
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
    let path = args.output.clone().unwrap_or_else(|| {
        PathBuf::from(format!("core.{id}{}", args.compress.map_or("", |_| Compression::SUFFIX)))
    });
    let destination = Destination::open(&path, args.force)?;
    let progress = interrupted.next();
    let stopped = live.stop_for_core(args.timeout)?;
    let written = write(args, &destination, &stopped, &progress);
    let mut warnings: Vec<String> = stopped
        .threads()
        .iter()
        .filter_map(|thread| Some(format!("thread {}: {}", thread.id, thread.not_stopped.as_ref()?)))
        .collect();
    let target = stopped.info().clone();
    let pause = stopped.resume();
    let failed = |error: &dyn std::fmt::Display| {
        let place = destination_name(&path);
        Failure::failed(format_args!("no dump of process {id} in {place}: {error}"))
    };
    let written = written.map_err(|error| match error {
        WriteError::Output(error) if args.output.as_deref() == Some(Path::new("-")) => error.into(),
        WriteError::Cancelled => failed(&"interrupted; the process runs on"),
        WriteError::Output(error) => failed(&format_args!("{error}; the process runs on")),
        error => failed(&error),
    })?;
    let file = destination.path().map(Path::to_owned);
    let sizes =
        destination.publish().map_err(|error| failed(&format_args!("{error}; the process runs on")))?;
    if !written.unread.is_empty() {
        warnings.push(format!(
            "{} bytes of memory could not be read and are zero in the dump",
            written.unread.bytes()
        ));
    }
    let report = DumpReport {
        target,
        file,
        method: "stop",
        pause: pause.or(written.pause),
        took: begin.elapsed(),
        written,
        sizes,
        compression: args.compress.map(|_| "zstd"),
        warnings,
    };
    if args.json { report::dump_json(&report) } else { report::dump_text(&report) }?;
    Ok(if report.is_complete() { Outcome::Complete } else { Outcome::Partial })
}

fn write(
    args: &Args,
    destination: &Destination,
    stopped: &Stopped,
    progress: &Arc<Progress>,
) -> std::result::Result<Written, WriteError> {
    let selection = match args.filter {
        _ if args.all => Selection::All,
        Some(filter) => Selection::Filter(filter),
        None => Selection::Kernel,
    };
    let stillness = stopped.since().map_or(Stillness::Always, |since| Stillness::Stop { since });
    let options = WriteOptions::new().selection(selection).stillness(stillness).progress(progress);
    let _bar = Bar::show(format!("process {}", stopped.info().id), progress.clone(), args.quiet);
    let mut output = destination.output(args.compress)?;
    elf_core::write(stopped, &options, output.as_mut())
}

fn destination_name(path: &Path) -> String {
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
