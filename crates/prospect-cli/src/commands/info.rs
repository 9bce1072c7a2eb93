//! `prospect info`: what is known of a process, without stopping it.

use prospect::{
    OpenOptions, Source,
    live::{LiveError, LiveProcess},
    process::{Mappings, Memory, Modules, ProcessId, ProcessInfo, Thread},
    symbols::{Binaries, SearchOptions},
};

use crate::{
    downloads,
    exit::{Outcome, Result, worse},
    report::{self, CoreReport, InfoReport, MinidumpReport, ModuleReport},
    symbol_args::{Fetch, SymbolArgs},
    target::TargetArgs,
};

/// Show what a process is: its command line, threads, modules and memory map.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,

    /// Show only this part; may be given several times.
    #[arg(long, value_enum)]
    part: Vec<Part>,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// Print JSON: one object per process, each on a line (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// A part of what is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Part {
    /// Numbers, paths, command line.
    Process,
    /// Threads, with state, processor time and what they wait for.
    Threads,
    /// The executable and libraries, their build-ids and debug files.
    Modules,
    /// The memory map.
    Memory,
    /// Limits on what the process may use; of minidumps.
    Limits,
    /// Its file descriptors, or handles; of minidumps.
    Handles,
    /// The names of the variables of its environment; of minidumps.
    Environment,
}

pub(crate) fn run(args: &Args) -> Result {
    let targets = args.target.find()?;
    let search = args.symbols.search(Fetch::Never)?;
    let mut result = Ok(Outcome::Complete);
    for source in &targets.sources {
        let one = match source {
            Source::Process(process) => look(args, &search, *process),
            core => look_into(args, &search, core),
        };
        result = worse(result, one);
    }
    targets.end();
    result
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.part.is_empty() || self.part.contains(&part)
    }

    fn print(&self, report: &InfoReport) -> Result {
        if self.json { report::info_json(report) } else { report::info_text(report) }?;
        Ok(if report.missing.is_empty() { Outcome::Complete } else { Outcome::Partial })
    }
}

/// What is known of a process in a core.
fn look_into(args: &Args, search: &SearchOptions, source: &Source) -> Result {
    let options = downloads::show_unpacking(OpenOptions::new()).search(search.clone());
    let session = options.open(source.clone())?;
    let process = session.process();
    let (info, memory) = (process.info(), process.memory());
    let mut modules =
        args.wants(Part::Modules).then(|| reports(process.modules(), info, memory, session.binaries()));
    if let Some(dump) = session.minidump() {
        for one in modules.iter_mut().flatten() {
            one.version = dump.module_version(&one.module).map(|version| version.to_string());
        }
    }
    args.print(&InfoReport {
        info: info.clone(),
        core: CoreReport::of(source, &session),
        show_process: args.wants(Part::Process),
        children: None,
        threads: args.wants(Part::Threads).then(|| process.threads().to_vec()),
        modules,
        mappings: args.wants(Part::Memory).then(|| process.mappings().clone()),
        crash: session.crash(),
        minidump: session.minidump().map(|dump| {
            let report = MinidumpReport::of(dump, args.wants(Part::Process));
            let report = if args.wants(Part::Limits) { report.with_limits(dump) } else { report };
            let report = if args.wants(Part::Handles) { report.with_handles(dump) } else { report };
            if args.wants(Part::Environment) { report.with_environment(dump) } else { report }
        }),
        missing: session.losses(),
    })
}

fn look(args: &Args, search: &SearchOptions, id: ProcessId) -> Result {
    let live = LiveProcess::open(id)?;
    let wanted = |part| args.wants(part);
    let mut missing = Vec::new();
    let children = wanted(Part::Process).then(|| live.descendants(usize::MAX));
    let threads = wanted(Part::Threads).then(|| live.threads());
    let needs_map = wanted(Part::Modules) || wanted(Part::Memory);
    let mappings: Option<Mappings> = keep(needs_map.then(|| live.mappings()), "memory map", &mut missing);
    let modules = match &mappings {
        Some(mappings) if wanted(Part::Modules) => modules(&live, mappings, search, &mut missing),
        _ => Vec::new(),
    };
    let report = InfoReport {
        info: live.info().clone(),
        core: None,
        crash: None,
        minidump: None,
        show_process: wanted(Part::Process),
        children: keep(children, "children", &mut missing).map(|children| {
            children.into_iter().filter(|child| child.parent == id).map(|child| child.id).collect()
        }),
        threads: keep::<Vec<Thread>>(threads, "threads", &mut missing),
        modules: (needs_map && wanted(Part::Modules) && mappings.is_some()).then_some(modules),
        mappings: mappings.filter(|_| wanted(Part::Memory)),
        missing,
    };
    args.print(&report)
}

/// What could be had; what could not is noted, and the rest is shown all the same.
fn keep<T>(
    part: Option<std::result::Result<T, LiveError>>,
    name: &str,
    missing: &mut Vec<String>,
) -> Option<T> {
    part?.map_err(|error| missing.push(format!("{name}: {error}"))).ok()
}

fn modules(
    live: &LiveProcess,
    mappings: &Mappings,
    search: &SearchOptions,
    missing: &mut Vec<String>,
) -> Vec<ModuleReport> {
    let (memory, info) = (live.memory(), live.info());
    // Of a process whose memory may not be read, no module is found: that is not the same as none.
    let probe = mappings.iter().find(|mapping| mapping.permissions.read);
    if let Some(Err(error)) = probe.map(|mapping| memory.read_up_to(mapping.range.start, &mut [0])) {
        missing.push(format!("modules: {error}"));
        return Vec::new();
    }
    let modules = Modules::find(mappings, memory, info.executable.as_deref());
    reports(&modules, info, memory, &Binaries::new(search.clone()))
}

fn reports(
    modules: &Modules,
    info: &ProcessInfo,
    memory: &dyn Memory,
    binaries: &Binaries,
) -> Vec<ModuleReport> {
    let report = |module: &prospect::process::Module| {
        let files = binaries.get(module, info, memory);
        ModuleReport {
            module: module.clone(),
            version: None,
            debug_path: files.debug_path().map(ToOwned::to_owned),
            searched: files.trail(),
            problems: files.problems(),
        }
    };
    modules.iter().map(report).collect()
}
