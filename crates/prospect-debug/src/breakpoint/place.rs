//! From what is written to addresses.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prospect_process::{Addr, LinkAddr, Module, Process, control::TrapPlace};
use prospect_symbols::{Binaries, Found, FoundKind, Query, SymbolKind};

use super::BreakpointSpec;

/// One breakpoint can be at so many places.
const MOST_PLACES: usize = 100_000;

/// One place that a breakpoint is at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The address that a thread stops before.
    pub at: Addr,
    /// The path of the module that it is in; `None` where it is in none.
    pub module: Option<Arc<str>>,
    /// The function there, as it was found.
    pub function: Option<String>,
    /// The line of the source, where it was a line that was asked for.
    pub line: Option<u32>,
    /// Whether the function there is inlined into another one.
    pub is_inlined: bool,
}

/// Where what is written leads to now.
#[derive(Clone, Default, Debug)]
pub struct Resolution {
    /// The places, by module in the order of the dynamic linker, and of each module by address.
    pub places: Vec<Place>,
    /// What was found and cannot be stopped at, and why.
    pub problems: Vec<String>,
}

impl BreakpointSpec {
    /// Where it leads to in a process. `entry`: at the first instruction of functions, else where their arguments can
    /// be read, behind the prologue. `evaluate` says what an expression comes to; the error is a sentence.
    pub fn resolve(
        &self,
        process: &dyn Process,
        binaries: &Binaries,
        entry: bool,
        evaluate: &dyn Fn(&str) -> Result<Addr, String>,
    ) -> Resolution {
        let mut resolution = Resolution::default();
        match self {
            Self::Address(at) => resolution.places.push(Place::at_address(*at, process)),
            Self::Expression(text) => match evaluate(text) {
                Ok(at) => resolution.places.push(Place::at_address(at, process)),
                Err(why) => resolution.problems.push(why),
            },
            Self::Query(_, query) => find(query, process, binaries, entry, &mut resolution),
        }
        let is_code = |at: Addr| process.mappings().at(at).is_some_and(|mapping| mapping.permissions.execute);
        let problems = &mut resolution.problems;
        resolution.places.retain(|place| {
            let fits = is_code(place.at);
            if !fits {
                problems.push(format!("there is no code at {}", place.at));
            }
            fits
        });
        resolution
    }
}

impl Place {
    fn at_address(at: Addr, process: &dyn Process) -> Self {
        let module = process.modules().at(at).map(|module| module.path_lossy().into());
        Self { at, module, function: None, line: None, is_inlined: false }
    }

    /// Where a trap is; `None` for one that is at no address.
    pub(super) fn of_trap(trap: &TrapPlace) -> Option<Self> {
        let (TrapPlace::Code { at, .. } | TrapPlace::Data { at, .. }) = trap else { return None };
        Some(Self { at: *at, module: None, function: None, line: None, is_inlined: false })
    }
}

fn find(query: &Query, process: &dyn Process, binaries: &Binaries, entry: bool, to: &mut Resolution) {
    let modules = process.modules().in_load_order(process.info().arch, process.memory());
    let mut query = query.clone();
    if let Query::Line(line) = &mut query {
        line.after_prologue = !entry;
    }
    let mut found: Vec<(&Module, Option<LinkAddr>, Found)> = Vec::new();
    for module in modules {
        let binary = binaries.get(module, process.info(), process.memory());
        if !query.wants_module(&module.path_lossy(), binary.soname().as_deref()) {
            continue;
        }
        let left = MOST_PLACES - found.len().min(MOST_PLACES);
        let of_module = binary.find(&query, left);
        let is_function =
            |one: &&Found| matches!(one.kind, FoundKind::Symbol(SymbolKind::Function) | FoundKind::Clone);
        let functions = of_module.iter().filter(is_function);
        let starts: Vec<LinkAddr> = functions.filter_map(|one| Some(one.range.as_ref()?.start)).collect();
        let behind = if entry { HashMap::new() } else { binary.after_prologues(&starts) };
        found.extend(of_module.into_iter().map(|one| {
            let behind = one.range.as_ref().and_then(|range| behind.get(&range.start).copied());
            (module, behind, one)
        }));
    }
    // Where one module has code of the line, the next line of another is not meant.
    if found.iter().any(|(_, _, one)| one.is_exact()) {
        found.retain(|(_, _, one)| one.is_exact());
    }
    let mut known: HashSet<Addr> = to.places.iter().map(|place| place.at).collect();
    for (module, behind, one) in found {
        let Some(range) = &one.range else { continue };
        let (at, line, is_inlined) = match &one.kind {
            FoundKind::Symbol(SymbolKind::Function) | FoundKind::Clone => {
                (behind.unwrap_or(range.start), None, false)
            }
            FoundKind::InlinedCall { .. } => (range.start, None, true),
            FoundKind::Line { line, is_inlined, .. } => (range.start, Some(*line), *is_inlined),
            FoundKind::Symbol(SymbolKind::IndirectFunction) => {
                let what =
                    "is chosen by the dynamic linker when it is needed first, and cannot be set by this name";
                to.problems.push(format!("{} of {} {what}", one.name, module.file_name()));
                continue;
            }
            FoundKind::Symbol(_) => {
                to.problems.push(format!("{} of {} is no function", one.name, module.file_name()));
                continue;
            }
            _ => continue,
        };
        let place = Place {
            at: at.to_addr(module.bias),
            module: Some(module.path_lossy().into()),
            function: Some(one.name).filter(|name| !name.is_empty()),
            line,
            is_inlined,
        };
        if known.insert(place.at) {
            to.places.push(place);
        }
    }
}
