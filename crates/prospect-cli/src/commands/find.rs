//! `prospect find`: from names and source lines to addresses.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use prospect::{
    Match, Mode, OpenOptions, Session,
    process::{LinkAddr, Module},
    symbols::{
        Binaries, Found, FoundKind, ModuleBinary, Pattern, Query, ResolvedAddress, Symbol, SymbolKind,
        SymbolOrder, TypeKeyword,
    },
};

use crate::{
    downloads,
    exit::{Failure, Outcome, Result},
    report::{self, FindReport, FoundRow},
    symbol_args::{Fetch, SymbolArgs},
    target::{self, seconds},
    watch::{Watch, not_finished},
};

/// Find functions, variables, types and source lines by name: where they are, with all copies and inlined calls.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to look: the number of a process, a core, or a file.
    #[arg(value_name = "TARGET|FILE")]
    target: String,

    /// What to look for: `name`, `ns::Type::name`, `name(int)`, `na*e`, `/regex/`, `file:line`, `struct name`
    /// (`class`, `union`, `enum`); in one module: `module!name`. A name means all things of that name, whatever they are in.
    #[arg(value_name = "PATTERN", required_unless_present = "exports")]
    patterns: Vec<String>,

    /// List what these modules export (a path, file name or glob), in the order of the addresses.
    #[arg(long, value_name = "MODULE", conflicts_with = "patterns")]
    exports: Option<String>,

    /// A name means only what is in nothing but what is written: `f` is not `ns::f`.
    #[arg(long)]
    qualified: bool,

    /// Find types alone, and the constants of enumerations.
    #[arg(long = "type", conflicts_with = "exports")]
    types: bool,

    /// Show at most so many.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// How long all of it may take.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,

    /// Print JSON: one object (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let queries = args.queries()?;
    let timeout = args.timeout;
    let late = move |_| Err(Failure::failed(not_finished(timeout)));
    let watch = Watch::<()>::start(Instant::now() + args.timeout, late).map_err(Failure::failed)?;
    let place = Place::open(args)?;
    let mut report = FindReport { target: args.target.clone(), ..FindReport::default() };
    let mut missing = Vec::new();
    if let Some(modules) = &args.exports {
        let pattern = Pattern::glob("*").and_then(|all| all.in_module(modules)).map_err(Failure::usage)?;
        let rows = place.exports(&pattern);
        if rows.is_empty() {
            missing.push(format!("no module {modules} exports anything"));
        }
        report.add(rows, args.limit);
    }
    for (text, query) in &queries {
        // One more than is shown says that there are more.
        let rows = place.find(query, args.limit.saturating_add(1));
        if rows.is_empty() {
            missing.push(format!("nothing is found for {text}"));
        }
        report.add(rows, args.limit);
    }
    if let Place::Process(session) = &place {
        report.warnings = session.warnings();
    }
    watch.finish();
    if !report.rows.is_empty() {
        if args.json { report::find_json(&report) } else { report::find_text(&report) }?;
    }
    // The output is out: what was read is kept for the next run.
    place.store();
    if !missing.is_empty() {
        return Err(Failure::not_found(missing.join("; ")));
    }
    Ok(if report.has_more { Outcome::Partial } else { Outcome::Complete })
}

impl Args {
    fn queries(&self) -> Result<Vec<(&str, Query)>> {
        let read = |text: &String| -> Result<Query> {
            let qualified = |pattern: Pattern| pattern.qualified(self.qualified);
            Ok(match Query::parse(text).map_err(Failure::usage)? {
                Query::Name(pattern) if self.types => Query::Type(qualified(pattern), TypeKeyword::Any),
                Query::Name(pattern) => Query::Name(qualified(pattern)),
                Query::Type(pattern, keyword) => Query::Type(qualified(pattern), keyword),
                other => other,
            })
        };
        self.patterns.iter().map(|text| Ok((text.as_str(), read(text)?))).collect()
    }
}

/// Where it is looked for.
enum Place {
    Process(Box<Session>),
    File { path: PathBuf, file: Arc<ModuleBinary>, binaries: Box<Binaries> },
}

impl Place {
    fn open(args: &Args) -> Result<Self> {
        let search = args.symbols.search(Fetch::Within(args.timeout / 2))?;
        // A file that has a number for a name can be given with its directory.
        if let Ok(pid) = args.target.parse::<u32>() {
            let options = OpenOptions::new().mode(Mode::NoStop).search(search);
            return Ok(Self::Process(Box::new(options.open(pid)?)));
        }
        let path = PathBuf::from(&args.target);
        if let Some(core) = target::core(&path) {
            let options = downloads::show_unpacking(OpenOptions::new()).search(search);
            return Ok(Self::Process(Box::new(options.open(core)?)));
        }
        let binaries = Box::new(Binaries::new(search));
        match binaries.open(&path) {
            Ok(file) => Ok(Self::File { path, file, binaries }),
            Err(error) if !path.exists() => {
                Err(Failure::not_found(format_args!("{}: {error}", path.display())))
            }
            Err(error) => Err(Failure::failed(format_args!("{}: {error}", path.display()))),
        }
    }

    /// Keeps for the next run what was read.
    fn store(&self) {
        match self {
            Self::Process(session) => session.binaries().store(),
            Self::File { binaries, .. } => binaries.store(),
        }
    }

    /// What is meant, with its place in the source.
    fn find(&self, query: &Query, limit: usize) -> Vec<FoundRow> {
        match self {
            Self::Process(session) => {
                let matches = session.find(query, limit);
                let addresses = matches
                    .iter()
                    .filter(|one| has_place(&one.found))
                    .filter_map(|one| Some(one.range.as_ref()?.start));
                let names = session.names_of(addresses.collect());
                let row = |one: Match| {
                    let resolved = one.range.as_ref().and_then(|range| names.get(&range.start));
                    let mut row = FoundRow::new(one.module.clone(), &one.found, resolved.map(AsRef::as_ref));
                    row.address = one.range.as_ref().map(|range| range.start.0);
                    row.resolved = resolved_indirect(session, &one);
                    row
                };
                matches.into_iter().map(row).collect()
            }
            Self::File { path, file: binary, .. } => {
                if !query.wants_module(&path.to_string_lossy(), binary.soname().as_deref()) {
                    return Vec::new();
                }
                let found = binary.find(query, limit);
                let addresses: Vec<LinkAddr> = found
                    .iter()
                    .filter(|one| has_place(one))
                    .filter_map(|one| Some(one.range.as_ref()?.start))
                    .collect();
                let resolved = binary.resolve(&addresses);
                let names: std::collections::HashMap<LinkAddr, ResolvedAddress> =
                    addresses.into_iter().zip(resolved).collect();
                let row = |one: &Found| {
                    let resolved = one.range.as_ref().and_then(|range| names.get(&range.start));
                    FoundRow::new(path.display().to_string(), one, resolved)
                };
                found.iter().map(row).collect()
            }
        }
    }

    fn exports(&self, pattern: &Pattern) -> Vec<FoundRow> {
        let mut rows = Vec::new();
        let mut add = |path: String, binary: &ModuleBinary, bias: u64| {
            if pattern.wants_module(&path, binary.soname().as_deref()) {
                for symbol in binary.exports(SymbolOrder::Address) {
                    let mut row = FoundRow::new(path.clone(), &Found::from(symbol), None);
                    row.address = row.address.map(|address| LinkAddr(address).to_addr(bias).0);
                    rows.push(row);
                }
            }
        };
        match self {
            Self::Process(session) => session
                .modules_in_load_order()
                .for_each(|(module, binary)| add(module.path_lossy().into(), &binary, module.bias)),
            Self::File { path, file: binary, .. } => add(path.display().to_string(), binary, 0),
        }
        rows
    }
}

/// Whether a line table may know where it is.
fn has_place(found: &Found) -> bool {
    let is_data = matches!(found.kind, FoundKind::Symbol(SymbolKind::Data | SymbolKind::Common));
    !is_data && !matches!(found.kind, FoundKind::Line { .. })
}

/// What an indirect function was found to mean.
fn resolved_indirect(session: &Session, one: &Match) -> Option<u64> {
    if one.found.kind != FoundKind::Symbol(SymbolKind::IndirectFunction) {
        return None;
    }
    let module: &Module = session.process().modules().at(one.range.as_ref()?.start)?;
    let name = one.found.linkage_name.as_deref()?;
    let version = one.found.version.as_ref().map(|version| version.name.as_str());
    let binary = session.binaries().get(module, session.process().info(), session.process().memory());
    let symbol: Symbol = binary.export(name, version)?;
    Some(session.indirect_target(module, &symbol)?.0)
}
