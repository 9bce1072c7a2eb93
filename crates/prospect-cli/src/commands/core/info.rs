//! `prospect core info`: the notes and segments of a core.

use std::{fs::File, ops::Range, path::PathBuf, time::Duration};

use prospect::{
    OpenOptions, Source,
    dump::{
        Compression,
        elf_core::{CoreSegment, ElfCore},
    },
    process::{Addr, Content, Mapping, Process as _},
};
use rustix::fs::{SeekFrom, seek};

use crate::{
    downloads,
    exit::{Failure, Outcome, Result, worse},
    report::{self, CoreInfoReport, CoreReport, SegmentReport},
    symbol_args::{Fetch, SymbolArgs},
    target::{named_core, seconds},
    watch::within,
};

/// Show what is in a core: its notes, its segments, and what of the process's memory is in it, is left out, or is missing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The core; it may be compressed.
    #[arg(value_name = "CORE", required = true)]
    cores: Vec<PathBuf>,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// Give up after this many seconds; without it, it takes as long as it takes.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Print JSON: one object per core, each on a line (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result {
    let search = args.symbols.search(Fetch::Never)?;
    let options = downloads::show_unpacking(OpenOptions::new()).search(search);
    let mut result = Ok(Outcome::Complete);
    for path in &args.cores {
        let one = within(
            args.timeout,
            path.display(),
            |failure| failure,
            || named_core(path).and_then(|source| show(args, &options, &source)),
        );
        result = worse(result, one);
    }
    result
}

fn show(args: &Args, options: &OpenOptions, source: &Source) -> Result {
    let session = options.open(source.clone())?;
    let (Some(core), Source::Core(path)) = (session.core(), source) else {
        return Err(Failure::failed(format_args!("{source} is no core")));
    };
    let file = File::open(path).map_err(|error| Failure::failed(format_args!("{source}: {error}")))?;
    let compression = Compression::of_file(&file).ok().flatten();
    // The holes of a core that is stored compressed are those of a file that is gone soon.
    let file = compression.is_none().then_some(file);
    let segments: Vec<SegmentReport<'_>> =
        core.list_segments().map(|segment| look_at(core, segment, file.as_ref())).collect();
    let report = CoreInfoReport {
        path: path.clone(),
        compression,
        core,
        about: CoreReport::of(source, &session),
        without_segment: without_segment(core),
        segments,
        missing: core.notices().iter().filter(|one| one.is_loss()).map(ToString::to_string).collect(),
    };
    if args.json { report::core_info_json(&report) } else { report::core_info_text(&report) }?;
    Ok(if report.missing.is_empty() { Outcome::Complete } else { Outcome::Partial })
}

fn look_at<'a>(core: &'a ElfCore, segment: CoreSegment, file: Option<&File>) -> SegmentReport<'a> {
    let left_out = segment.range.start.wrapping_add(segment.dumped)..segment.range.end;
    let contents = if left_out.is_empty() { Vec::new() } else { core.memory().contents(left_out) };
    let from_files = contents.iter().filter(|(_, content)| *content == Content::File);
    SegmentReport {
        from_files: from_files.map(|(range, _)| range.end.0 - range.start.0).sum(),
        holes: file.map(|file| holes(file, segment.offset..segment.offset.saturating_add(segment.present))),
        mapping: core.mappings().at(segment.range.start),
        segment,
    }
}

/// The mappings of files of which no segment says anything.
fn without_segment(core: &ElfCore) -> Vec<&Mapping> {
    let starts: Vec<Range<Addr>> = core.list_segments().map(|segment| segment.range).collect();
    let has_none = |mapping: &&Mapping| {
        let next = starts.partition_point(|range| range.end <= mapping.range.start);
        starts.get(next).is_none_or(|range| mapping.range.end <= range.start)
    };
    core.mappings().iter().filter(has_none).collect()
}

/// How many bytes of a range of a file are in its holes.
fn holes(file: &File, range: Range<u64>) -> u64 {
    let (mut at, mut holes) = (range.start, 0);
    while at < range.end {
        // Behind the last data there is an error.
        let data = seek(file, SeekFrom::Data(at)).unwrap_or(range.end).clamp(at, range.end);
        holes += data - at;
        at = seek(file, SeekFrom::Hole(data)).unwrap_or(range.end).clamp(data, range.end).max(at + 1);
    }
    holes
}
