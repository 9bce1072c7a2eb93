//! What a redaction has done.

use std::fmt;

use prospect::{
    dump::redact::{Manifest, Redaction},
    process::Addr,
};
use serde::Serialize;

use super::json::VERSION;

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    rules: Vec<RedactedRule>,
    zeroed: Vec<Zeroed<'a>>,
    zeroed_more: u64,
    kept: Vec<Kept>,
}

/// What a rule has zeroed.
#[derive(Serialize)]
pub(super) struct RedactedRule {
    pub(super) rule: String,
    pub(super) ranges: u64,
    pub(super) bytes: u64,
}

impl fmt::Display for RedactedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, ranges, bytes } = self;
        write!(f, "{rule}: {bytes} bytes zeroed in {ranges} place{}", if *ranges == 1 { "" } else { "s" })
    }
}

#[derive(Serialize)]
struct Zeroed<'a> {
    start: String,
    end: String,
    rule: &'a str,
}

#[derive(Serialize)]
struct Kept {
    start: String,
    end: String,
}

/// What each rule has zeroed.
pub(super) fn by_rule(rules: &Redaction, manifest: &Manifest) -> Vec<RedactedRule> {
    let one = |(index, name): (usize, &str)| {
        let (ranges, bytes) = manifest.of_rule(index);
        RedactedRule { rule: name.into(), ranges, bytes }
    };
    rules.names().into_iter().enumerate().map(one).collect()
}

/// The manifest as JSON.
pub(crate) fn manifest_json(rules: &Redaction, manifest: &Manifest) -> String {
    let names = rules.names();
    let text = |addr: Addr| addr.to_string();
    let report = Report {
        version: VERSION,
        rules: by_rule(rules, manifest),
        zeroed: manifest
            .zeroed
            .iter()
            .map(|one| Zeroed {
                start: text(one.range.start),
                end: text(one.range.end),
                rule: names.get(one.rule).copied().unwrap_or_default(),
            })
            .collect(),
        zeroed_more: manifest.zeroed_more,
        kept: manifest
            .kept
            .iter()
            .map(|range| Kept { start: text(range.start), end: text(range.end) })
            .collect(),
    };
    serde_json::to_string(&report).unwrap_or_default()
}
