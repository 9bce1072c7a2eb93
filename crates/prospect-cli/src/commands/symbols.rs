//! `prospect symbols`: what is known of the symbols of a file or of a process's modules, and where it was looked for.

mod index;

use std::{path::Path, sync::Arc};

use prospect::{
    OpenOptions, Source,
    live::LiveProcess,
    process::{BuildId, Memory, Module, Modules, ProcessId, ProcessInfo},
    symbols::{Binaries, BinaryError, ModuleBinary, SearchOptions, SearchOutcome, SearchStep, Sought},
};

use crate::{
    downloads,
    exit::{Failure, Outcome, Result, worse},
    report::{self, ModuleSymbols, Subject, SymbolsReport},
    symbol_args::{Fetch, SymbolArgs},
    target::TargetArgs,
};

/// Show what symbols and debug information the modules of a process have, and where they were looked for; or, for a
/// TARGET that is no number, those of this file.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// Fetch what is missing from debuginfod servers now; without it, only what was fetched before is found.
    #[arg(long, conflicts_with = "no_debuginfod")]
    fetch: bool,

    /// Build the whole index of their debug information, so that later runs find names at once (docs/cache.md).
    #[arg(long, conflicts_with = "no_cache")]
    index: bool,

    /// Print JSON: one object per process or file, each on a line (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    if args.fetch && !args.symbols.has_server() {
        return Err(Failure::usage(
            "--fetch needs a server: give --debuginfod[=URLS], or set DEBUGINFOD_URLS",
        ));
    }
    let fetch = if args.fetch { Fetch::Unhurried } else { Fetch::Never };
    let search = args.symbols.search(fetch)?;
    let (targets, files) = args.target.find_with_files()?;
    let mut result = Ok(Outcome::Complete);
    for file in &files {
        let of_file = if args.index { index::of_file } else { of_file };
        result = worse(result, of_file(args, &search, file));
    }
    for source in &targets.sources {
        let one = match source {
            Source::Process(process) => of_live(args, &search, *process),
            core => of_core(args, &search, core),
        };
        result = worse(result, one);
    }
    targets.end();
    result
}

fn of_file(args: &Args, search: &SearchOptions, path: &Path) -> Result {
    let module = open_file(&Binaries::new(search.clone()), path)?;
    let build_id = module.binary.as_ref().and_then(|binary| binary.build_id());
    let module = describe(path.as_os_str().as_encoded_bytes(), false, build_id, &module);
    print(
        args,
        SymbolsReport { subject: Subject::File(path.to_owned()), modules: vec![module], missing: Vec::new() },
    )
}

fn open_file(binaries: &Binaries, path: &Path) -> Result<Arc<ModuleBinary>> {
    binaries.open(path).map_err(|error| match &error {
        BinaryError::Open(reason) if reason.kind() == std::io::ErrorKind::NotFound => {
            Failure::not_found(format_args!("there is no file {}", path.display()))
        }
        _ => Failure::failed(format_args!("{}: {error}", path.display())),
    })
}

fn of_live(args: &Args, search: &SearchOptions, id: ProcessId) -> Result {
    let live = LiveProcess::open(id)?;
    let (memory, info) = (live.memory(), live.info());
    let mappings = live.mappings()?;
    let mut missing = Vec::new();
    // Of a process whose memory may not be read, no module is found: that is not the same as none.
    let probe = mappings.iter().find(|mapping| mapping.permissions.read);
    if let Some(Err(error)) = probe.map(|mapping| memory.read_up_to(mapping.range.start, &mut [0])) {
        missing.push(format!("modules: {error}"));
    }
    let modules = Modules::find(&mappings, memory, info.executable.as_deref());
    of_process(args, search, Subjects { info, memory, modules: &modules, missing })
}

fn of_core(args: &Args, search: &SearchOptions, source: &Source) -> Result {
    let options = downloads::show_unpacking(OpenOptions::new()).search(search.clone());
    let session = options.open(source.clone())?;
    let (process, missing) = (session.process(), Vec::new());
    let (info, memory, modules) = (process.info(), process.memory(), process.modules());
    of_process(args, search, Subjects { info, memory, modules, missing })
}

/// The modules of a process.
struct Subjects<'a> {
    info: &'a ProcessInfo,
    memory: &'a dyn Memory,
    modules: &'a Modules,
    /// What could not be had.
    missing: Vec<String>,
}

fn of_process(args: &Args, search: &SearchOptions, subjects: Subjects<'_>) -> Result {
    if args.index {
        return index::of_process(args, search, &subjects);
    }
    let Subjects { info, memory, modules, missing } = subjects;
    let describe = |module: &Module| {
        // Each with files of its own: what was unpacked to be counted is not kept for the next one.
        let files = Binaries::new(search.clone()).get(module, info, memory);
        let own = files.binary.as_ref().and_then(|binary| binary.build_id());
        let build_id = module.build_id.as_ref().or(own);
        let mut described = describe(&module.path, module.deleted, build_id, &files);
        described.problems.extend(unread_pdb(module, &described));
        described
    };
    let modules = modules.iter().map(describe).collect();
    print(args, SymbolsReport { subject: Subject::Process(Box::new(info.clone())), modules, missing })
}

/// That a module's debug information is in a format that is not read, where there is nothing in its place.
fn unread_pdb(module: &Module, described: &ModuleSymbols) -> Option<String> {
    let pdb = module.debug_file.as_deref().filter(|path| path.to_ascii_lowercase().ends_with(b".pdb"))?;
    let has_symbols = |step: &SearchStep| {
        step.outcome.is_found() && matches!(step.what, Sought::SymbolFile | Sought::Server)
    };
    (!described.searched.iter().any(has_symbols)).then(|| {
        let pdb = String::from_utf8_lossy(pdb);
        format!("its debug information is in {pdb}: PDB, not read; dump_syms makes a symbol file of it")
    })
}

fn describe(
    path: &[u8],
    deleted: bool,
    build_id: Option<&BuildId>,
    module: &Arc<ModuleBinary>,
) -> ModuleSymbols {
    // This looks for the files that the trail then tells of.
    let contents = module.contents();
    ModuleSymbols {
        path: path.to_owned(),
        deleted,
        build_id: build_id.map(ToString::to_string),
        contents,
        searched: module.trail(),
        problems: module.problems(),
    }
}

fn print(args: &Args, mut report: SymbolsReport) -> Result {
    for module in &report.modules {
        let path = String::from_utf8_lossy(&module.path);
        // Without any file there may be symbols.
        if module.contents.files.is_empty() && !module.searched.iter().any(|step| step.outcome.is_found()) {
            report.missing.push(format!("{path}: nothing usable on disk or in memory"));
        }
        // What no server has is not missing, but what could not be fetched is, and what cannot be used.
        let failed = |outcome: &SearchOutcome| {
            !outcome.is_found() && !matches!(outcome, SearchOutcome::Missing | SearchOutcome::NotAsked(_))
        };
        let tried = |what: Sought| args.fetch && what == Sought::Server;
        let has_failed = module.searched.iter().any(|step| tried(step.what) && failed(&step.outcome));
        if has_failed && !module.searched.iter().any(|step| tried(step.what) && step.outcome.is_found()) {
            report.missing.push(format!("{path}: could not be fetched"));
        }
    }
    if args.json { report::symbols_json(&report) } else { report::symbols_text(&report) }?;
    Ok(if report.missing.is_empty() { Outcome::Complete } else { Outcome::Partial })
}
