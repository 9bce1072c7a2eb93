//! `prospect core diff`: what differs between two cores.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use prospect::{
    OpenOptions, Session, ThreadStack,
    dump::{compare::compare, elf_core::ElfCore},
    process::{Process as _, ThreadId},
};

use crate::{
    downloads,
    exit::{Failure, Outcome, Result},
    report::{self, CoreDiffReport},
    symbol_args::{Fetch, SymbolArgs},
    target::{named_core, seconds},
    watch::within,
};

/// Show what differs between two cores of a process, or of a program: threads, registers, mappings, modules, memory.
///
/// Exit codes as those of `diff`: 0 nothing differs, 1 something does, more: it failed; 5 nothing differs as far as both have it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The earlier core; it may be compressed.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// The later one.
    #[arg(value_name = "AFTER")]
    after: PathBuf,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// Give up after this many seconds; without it, it takes as long as it takes.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Print JSON: one object (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result {
    let about = format!("{} and {}", args.before.display(), args.after.display());
    let compared = within(args.timeout, about, Failure::of_comparison, || diff(args));
    compared.map_err(Failure::of_comparison)
}

fn diff(args: &Args) -> Result {
    let search = args.symbols.search(Fetch::Never)?;
    let options = downloads::show_unpacking(OpenOptions::new()).search(search);
    let open = |path: &PathBuf| Ok::<_, Failure>(options.open(named_core(path)?)?);
    let sessions = [open(&args.before)?, open(&args.after)?];
    let [Some(before), Some(after)] = sessions.each_ref().map(Session::core) else {
        return Err(Failure::usage("both must be cores"));
    };
    let arches = [before, after].map(|core| core.info().arch.info().name);
    if arches[0] != arches[1] {
        let [before, after] = arches;
        return Err(Failure::usage(format_args!("cannot compare cores of {before} and {after}")));
    }
    let differences = compare(before, after);
    let changed = |id: ThreadId| differences.threads.iter().any(|thread| thread.id == id);
    let stacks = sessions.each_ref().map(|session| {
        let stacks = session.stacks(|thread| changed(thread.id)).into_iter();
        stacks.map(|stack| (stack.thread.id, stack)).collect::<HashMap<ThreadId, ThreadStack>>()
    });
    let losses = |core: &ElfCore| {
        core.notices().iter().filter(|one| one.is_loss()).map(ToString::to_string).collect::<Vec<_>>()
    };
    let report = CoreDiffReport {
        paths: [args.before.clone(), args.after.clone()],
        cores: [before, after],
        stacks,
        missing: [before, after].map(losses),
        differences,
    };
    if args.json { report::diff_json(&report) } else { report::diff_text(&report) }?;
    Ok(report.outcome())
}

impl CoreDiffReport<'_> {
    fn outcome(&self) -> Outcome {
        let is_whole = self.missing.iter().all(Vec::is_empty) && self.differences.memory.uncompared == 0;
        match self.differences.is_empty() {
            false => Outcome::Different,
            true if is_whole => Outcome::Complete,
            true => Outcome::Partial,
        }
    }
}
