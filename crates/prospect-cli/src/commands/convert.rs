//! `prospect convert`: a core of a minidump, a minidump of a core.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prospect::{
    OpenOptions, Session, Source,
    dump::{
        convert::{self, DumpFormat},
        elf_core::WriteError,
    },
};

use crate::{
    commands::dump::{bar::Bar, destination::Destination, format::Format, interrupted::Interrupted},
    downloads,
    exit::{Failure, Outcome, Result},
    report::{self, ConvertReport},
    target::named_core,
};

/// Make a minidump of a core, or a core of a minidump.
///
/// All memory that the dump has itself is kept, and all threads, with all that the other format has a place for. What it has no place
/// for is listed. The dump itself is kept.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The dump; it may be compressed.
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// Where to write the other one.
    #[arg(value_name = "OUT")]
    output: PathBuf,

    /// What to write. Without it, a minidump where the name of OUT ends in .dmp, and else a core.
    #[arg(long, value_name = "FORMAT")]
    to: Option<Format>,

    /// Replace a file that is there already.
    #[arg(long)]
    force: bool,

    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,

    /// Print JSON: one object (docs/json.md).
    #[arg(long)]
    json: bool,
}

impl Args {
    fn to(&self) -> DumpFormat {
        match self.to.unwrap_or_else(|| Format::by_name(Some(&self.output))) {
            Format::Minidump => DumpFormat::Minidump,
            Format::Core => DumpFormat::Core,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result {
    if args.output == Path::new("-") {
        return Err(Failure::usage("a dump is converted into a file: what is lost is seen by reading it"));
    }
    let same = [&args.input, &args.output].map(fs::canonicalize);
    if matches!(&same, [Ok(one), Ok(other)] if one == other) {
        return Err(Failure::usage("a dump cannot take the place of the one that it is made of"));
    }
    let to = args.to();
    // The headers of files that were mapped are looked for where modules are known by them.
    let session = open(named_core(&args.input)?, to == DumpFormat::Core)?;
    let process = session.process();
    let from = if session.minidump().is_some() { DumpFormat::Minidump } else { DumpFormat::Core };
    if from == to {
        let words = format!("{} is a {} already", args.input.display(), from.as_str());
        return Err(Failure::usage(words).with_help("--to core or --to minidump says what to make".into()));
    }
    let destination = Destination::open(&args.output, args.force)?;
    if !matches!(destination, Destination::New { .. }) {
        return Err(Failure::usage(format_args!("{} is no ordinary file", args.output.display())));
    }
    let interrupted = Interrupted::watch()?;
    let progress = interrupted.next();
    let failed = |error: &dyn std::fmt::Display| {
        let words = format!("no {} in {}: {error}", to.as_str(), args.output.display());
        Failure::failed(words)
    };
    let written = {
        let _bar = Bar::show(format!("process {}", process.info().id), progress.clone(), args.quiet);
        let output = destination.output(None).map_err(WriteError::Output);
        output.and_then(|mut output| convert::convert(process, to, &progress, output.as_mut()))
    };
    written.map_err(|error| match error {
        WriteError::Cancelled => failed(&"interrupted"),
        error => failed(&error),
    })?;
    let sizes = destination.publish().map_err(|error| failed(&error))?;
    let made = open(named_core(&args.output)?, false)?;
    let mut lost = convert::losses(process, made.process());
    if let Some(dump) = session.minidump() {
        lost.extend(convert::lost_streams(dump));
    }
    if let Some(core) = session.core() {
        lost.extend(convert::lost_notes(core));
    }
    let report = ConvertReport {
        process: process.info().clone(),
        input: args.input.clone(),
        file: args.output.clone(),
        from,
        to,
        threads: made.process().threads().len(),
        sizes,
        lost,
        warnings: session.losses(),
    };
    if args.json { report::convert_json(&report) } else { report::convert_text(&report) }?;
    Ok(if report.warnings.is_empty() { Outcome::Complete } else { Outcome::Partial })
}

/// A dump, with or without what it left out.
fn open(source: Source, left_out: bool) -> Result<Session> {
    Ok(downloads::show_unpacking(OpenOptions::new()).left_out(left_out).open(source)?)
}
