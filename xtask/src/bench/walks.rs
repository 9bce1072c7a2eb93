//! Walks of one stack, over and over: nanoseconds for each frame.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use prospect_testing::fixture;

use super::{measure::median, peers};
use crate::workspace;

/// The row's name.
pub(super) const NAME: &str = "b.T1";

/// Measures this tool, its peers and a bare C program on the same stack, one after the other and again.
pub(super) fn measure(reps: usize) -> Result<()> {
    println!("\n{NAME}  walks of 200 frames without frame pointers, frozen");
    let example = workspace::build_walk_example()?;
    let framehop = peers::built("framehop");
    let get = |name: &str| fixture(name).map_err(|missing| anyhow::anyhow!("{missing}"));
    let (limit, target) = (get("bench-walk-limit")?, get("bench-deep")?.start(&["200"]));
    target.settle();
    let mut tools = vec![("limit", limit.path(), Vec::new()), ("prospect", example, vec![target.arg()])];
    tools.extend(framehop.map(|program| ("framehop", program, vec![target.arg()])));
    let mut figures: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..reps {
        for (tool, program, arguments) in &tools {
            for (what, ns) in run(program, arguments)? {
                let name = format!("{tool} {what}");
                match figures.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, found)) => found.push(ns),
                    None => figures.push((name, vec![ns])),
                }
            }
        }
    }
    println!("  {:<42} {:>9} {:>9}", "", "ns/frame", "least");
    for (name, found) in figures {
        let least = found.iter().copied().fold(f64::INFINITY, f64::min);
        println!("  {name:<42} {:>9.2} {least:>9.2}", median(found));
    }
    println!("  (the median of runs, each of which says what a tenth of its parts were faster than)");
    Ok(())
}

/// What a program says of the kinds of walks that it made: `KIND frames N ns_per_frame X …`.
fn run(program: &Path, arguments: &[String]) -> Result<Vec<(String, f64)>> {
    let output = Command::new("timeout").arg("120").arg(program).args(arguments).output()?;
    ensure!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "ns_per_frame")?;
        Some((words.first()?.to_string(), words.get(at + 1)?.parse().ok()?))
    });
    let figures: Vec<_> = figures.collect();
    (!figures.is_empty()).then_some(figures).with_context(|| format!("{} said nothing", program.display()))
}
