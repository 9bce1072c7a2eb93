//! `prospect core shrink`: a core of a core, with what tells the most.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use prospect::{
    OpenOptions,
    dump::elf_core::{self, CoreFilter, ElfCore, Selection, WriteError, WriteOptions},
};

use crate::{
    commands::dump::{
        bar::Bar, compress::Compression, destination::Destination, destination_name,
        interrupted::Interrupted, redact::RedactArgs,
    },
    downloads,
    exit::{Failure, Outcome, Result},
    report::{self, ShrinkReport},
    target::{named_core, size},
};

/// Make a core smaller: stacks stay, and what can be reached from them. Debuggers show the same stacks of it.
///
/// What they need to find threads and modules stays in any case, with all notes. Memory that was left out is no more in the core than
/// that which the kernel leaves out. The core itself is kept.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The core; it may be compressed.
    #[arg(value_name = "CORE")]
    core: PathBuf,

    /// Where to write the smaller one; `-` for the standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Replace a file that is there already.
    #[arg(long)]
    force: bool,

    /// Keep what can be reached in so many steps: 0 the stacks and what registers point to, 1 what words on the stacks point to too, 2
    /// what words there point to, and so on. 3 where neither this nor a limit is given.
    #[arg(long, value_name = "N")]
    depth: Option<u32>,

    /// Keep at most so many bytes of memory (`200M`, `1G`), the most telling first: what is near to the stacks, and without `--depth` then
    /// all else as long as there is room.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit: Option<u64>,

    #[command(flatten)]
    redact: RedactArgs,

    /// Compress it, with all processors: `zstd`, or `zstd:LEVEL` with a level from 1 to 19.
    #[arg(long, value_name = "FORMAT")]
    compress: Option<Compression>,

    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,

    /// Print JSON: one object (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// So many steps, where nothing is said.
const DEPTH: u32 = 3;

pub(super) fn run(args: &Args) -> Result {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && args.json {
        return Err(Failure::usage("--json and the core itself cannot both go to the standard output"));
    }
    if is_same_file(&args.core, &args.output) {
        return Err(Failure::usage("a core cannot take the place of the one that it is made of"));
    }
    let begin = Instant::now();
    // What it left out stays out.
    let options = downloads::show_unpacking(OpenOptions::new()).left_out(false);
    let session = options.open(named_core(&args.core)?)?;
    let process = session.process();
    let redaction = args.redact.rules()?.map(|rules| session.redaction(&rules).map_err(Failure::failed));
    let redaction = redaction.transpose()?;
    let manifest = args.redact.begin(args.force)?;
    let destination = Destination::open(&args.output, args.force)?;
    let interrupted = Interrupted::watch()?;
    let progress = interrupted.next();
    let earlier = session.core().and_then(ElfCore::dump_note);
    let depth = args.depth.or(args.limit.is_none().then_some(DEPTH));
    let options = WriteOptions::new()
        .selection(Selection::Filter(CoreFilter(u32::MAX)))
        .depth(depth)
        .limit(args.limit)
        .redaction(redaction.as_ref())
        .earlier(earlier.as_ref())
        .progress(&progress);
    let written = {
        let _bar = Bar::show(format!("process {}", process.info().id), progress.clone(), args.quiet);
        let output = destination.output(args.compress).map_err(WriteError::Output);
        output.and_then(|mut output| elf_core::write(process, &options, output.as_mut()))
    };
    let failed = |error: &dyn std::fmt::Display| {
        Failure::failed(format_args!("no core in {}: {error}", destination_name(&args.output)))
    };
    let written = written.map_err(|error| match error {
        WriteError::Cancelled => failed(&"interrupted"),
        error => failed(&error),
    })?;
    let file = destination.path().map(Path::to_owned);
    let sizes = destination.publish().map_err(|error| failed(&error))?;
    if let (Some(file), Some(rules), Some(manifest)) = (manifest, &redaction, &written.manifest) {
        file.write(rules, manifest)?;
    }
    let notices = session.core().map(ElfCore::notices).unwrap_or_default();
    let mut warnings: Vec<String> =
        notices.iter().filter(|one| one.is_loss()).map(ToString::to_string).collect();
    if !written.unread.is_empty() {
        warnings.push(format!("{} bytes of memory could not be read and are zero", written.unread.bytes()));
    }
    let report = ShrinkReport {
        process: process.info().clone(),
        core: args.core.clone(),
        core_bytes: session.core().map_or(0, ElfCore::file_bytes),
        file,
        took: begin.elapsed(),
        written,
        redaction,
        sizes,
        compression: args.compress.map(|_| "zstd"),
        warnings,
    };
    if args.json { report::shrink_json(&report) } else { report::shrink_text(&report) }?;
    Ok(if report.is_complete() { Outcome::Complete } else { Outcome::Partial })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
