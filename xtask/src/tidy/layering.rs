//! The drawing of ARCHITECTURE.md as a table, compared with what cargo says.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Fault;
use crate::workspace;

/// A crate, and the crates of ours that it may depend on. Lower layers first.
const LAYERS: &[(&str, &[&str])] = &[
    ("prospect-crash", &[]),
    ("prospect-demangle", &[]),
    ("prospect-process", &[]),
    ("prospect-symbols", &["prospect-demangle", "prospect-process"]),
    ("prospect-stack", &["prospect-process", "prospect-symbols"]),
    ("prospect-value", &["prospect-process", "prospect-symbols"]),
    ("prospect-debug", &["prospect-process", "prospect-stack", "prospect-symbols", "prospect-value"]),
    ("prospect-live", &["prospect-process"]),
    ("prospect-dump", &["prospect-process"]),
    ("prospect-debuginfod", &["prospect-process", "prospect-symbols"]),
    (
        "prospect",
        &[
            "prospect-debug",
            "prospect-crash",
            "prospect-debuginfod",
            "prospect-dump",
            "prospect-live",
            "prospect-process",
            "prospect-stack",
            "prospect-symbols",
            "prospect-value",
        ],
    ),
    ("prospect-cli", &["prospect"]),
    ("prospect-testing", &[]),
    (
        "prospect-fuzz",
        &[
            "prospect",
            "prospect-demangle",
            "prospect-dump",
            "prospect-live",
            "prospect-process",
            "prospect-stack",
            "prospect-symbols",
            "prospect-testing",
            "prospect-value",
        ],
    ),
    ("xtask", &["prospect-testing"]),
];

/// What tests may use besides, whatever the layer.
const FOR_TESTS: &[&str] = &["prospect-testing"];

/// Crates that are not for publishing.
const UNPUBLISHED: &[&str] = &["prospect-testing", "prospect-fuzz", "xtask"];

pub(super) fn check() -> Result<Vec<Fault>> {
    let metadata = workspace::metadata()?;
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(lower) = allowed.get(name) else {
            faults.push(format!("{name}: not in the table of layers (xtask/src/tidy/layering.rs)"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let is_ours = allowed.contains_key(on);
            let for_tests = dependency["kind"] == "dev" && (FOR_TESTS.contains(&on) || on == name);
            if is_ours && !for_tests && !lower.contains(&on) {
                faults.push(format!("{name} depends on {on}, which the layering forbids"));
            }
        }
        let is_unpublished = package["publish"].as_array().is_some_and(Vec::is_empty);
        if is_unpublished != UNPUBLISHED.contains(&name) {
            faults.push(format!("{name}: `publish` is not as the table says"));
        }
    }
    Ok(faults)
}
