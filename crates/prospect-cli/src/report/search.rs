//! Words for what was looked for, where, and what came of it.

use prospect::symbols::{SearchOutcome, SearchStep, Sought};
use serde::Serialize;

pub(super) fn sought(what: Sought) -> &'static str {
    match what {
        Sought::Binary => "binary",
        Sought::Memory => "memory",
        Sought::BuildId => "build-id",
        Sought::DebugLink => "debug link",
        Sought::MiniDebugInfo => "mini debug info",
        Sought::Supplementary => "supplementary file",
        Sought::SplitPackage => "split package",
        Sought::SplitFile => "split file",
        Sought::SymbolFile => "symbol file",
        Sought::Server => "server",
        _ => "other",
    }
}

pub(super) fn outcome(outcome: &SearchOutcome) -> String {
    match outcome {
        SearchOutcome::Found => "found".into(),
        SearchOutcome::FoundUnverified => "found, unverified".into(),
        SearchOutcome::Missing => "not there".into(),
        SearchOutcome::WrongBuild { .. } => "another build".into(),
        SearchOutcome::WrongLayout => "another layout".into(),
        SearchOutcome::WrongCrc => "wrong checksum".into(),
        SearchOutcome::Malformed(why) => format!("malformed: {why}"),
        SearchOutcome::Unreadable(why) => format!("unreadable: {why}"),
        SearchOutcome::NotAsked(why) => format!("not asked: {why}"),
        _ => "not usable".into(),
    }
}

/// A step of a search, in JSON.
#[derive(Serialize)]
pub(super) struct SearchPart {
    what: &'static str,
    path: String,
    found: bool,
    outcome: String,
}

impl SearchPart {
    pub(super) fn new(step: &SearchStep) -> Self {
        Self {
            what: sought(step.what),
            path: step.path.display().to_string(),
            found: step.outcome.is_found(),
            outcome: outcome(&step.outcome),
        }
    }
}
