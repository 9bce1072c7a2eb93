//! Walks of one stack, and samples of one thread, over and over.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Fixture, Running, fixture};

use super::{measure::median, peers};
use crate::workspace;

/// The rows' names.
pub(super) const WALK: &str = "b.T1";
pub(super) const CYCLE: &str = "b.cycle";

/// Measures walks by this tool, its peers and a bare C program of the same stack, one after the other and again.
pub(super) fn measure_walks(reps: usize) -> Result<()> {
    println!("\n{WALK}  walks of 200 frames without frame pointers, frozen");
    let example = workspace::build_walk_example()?;
    let framehop = peers::built("framehop");
    let target = get("bench-deep")?.start(&["200"]);
    target.settle();
    let limit = get("bench-walk-limit")?;
    let mut tools = vec![("limit", limit.path(), Vec::new()), ("prospect", example, vec![target.arg()])];
    tools.extend(framehop.map(|program| ("framehop", program, vec![target.arg()])));
    compare(&tools, "ns_per_frame", reps)
}

/// Measures whole samples of a thread that runs: stopped, copied, let go, and walked. What they cost is the waking of one
/// by the other, so that it is told where each runs: on a processor of its own, or on the same one.
pub(super) fn measure_cycles(reps: usize) -> Result<()> {
    let example = workspace::build_sample_example()?;
    let limit = get("bench-cycle-limit")?;
    for (where_, processor) in [("on another processor", "1"), ("on the same processor", "0")] {
        println!(
            "\n{CYCLE}  samples of a running thread with 200 frames, {where_}: stop, copy, let go, walk"
        );
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(get("bench-deep")?.path()).args(["200", "run"]);
        let target = Running::start(&mut command);
        let pinned = |program: &Path| {
            let program = program.to_string_lossy().into_owned();
            vec!["-c".to_owned(), processor.to_owned(), program, target.arg()]
        };
        let tools = [
            ("limit", PathBuf::from("taskset"), pinned(&limit.path())),
            ("prospect", PathBuf::from("taskset"), pinned(&example)),
        ];
        compare(&tools, "us_per_sample", reps)?;
    }
    Ok(())
}

fn get(name: &str) -> Result<Fixture> {
    fixture(name).map_err(|missing| anyhow::anyhow!("{missing}"))
}

/// Runs tools in turn and prints what they say of themselves in this unit.
fn compare(tools: &[(&str, PathBuf, Vec<String>)], unit: &str, reps: usize) -> Result<()> {
    let mut figures: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..reps {
        for (tool, program, arguments) in tools {
            for (what, figure) in run(program, arguments, unit)? {
                let name = format!("{tool} {what}");
                match figures.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, found)) => found.push(figure),
                    None => figures.push((name, vec![figure])),
                }
            }
        }
    }
    println!("  {:<42} {unit:>14} {:>9}", "", "least");
    for (name, found) in figures {
        let least = found.iter().copied().fold(f64::INFINITY, f64::min);
        println!("  {name:<42} {:>14.2} {least:>9.2}", median(found));
    }
    println!("  (the median of runs, each of which says what a tenth of its parts were faster than)");
    Ok(())
}

/// What a program says of the kinds of walks that it made: `KIND … UNIT X …`.
fn run(program: &Path, arguments: &[String], unit: &str) -> Result<Vec<(String, f64)>> {
    let output = Command::new("timeout").arg("120").arg(program).args(arguments).output()?;
    ensure!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == unit)?;
        Some((words.first()?.to_string(), words.get(at + 1)?.parse().ok()?))
    });
    let figures: Vec<_> = figures.collect();
    (!figures.is_empty()).then_some(figures).with_context(|| format!("{} said nothing", program.display()))
}
