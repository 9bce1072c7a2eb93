//! `cargo xtask fuzz`: every fuzz target for a while, each in a process with limited memory.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::workspace;

/// How long to fuzz.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only targets with this in their name
    #[arg(long)]
    only: Option<String>,
    /// Where the sequence of mutations begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Most address space of a fuzzing process, KiB.
const MOST_MEMORY_KIB: &str = "2097152";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // A debug build: arithmetic that overflows panics there.
    let built = workspace::cargo().args(["build", "--package", "prospect-fuzz"]).status()?;
    ensure!(built.success(), "the fuzz targets do not build");
    let metadata = workspace::metadata()?;
    let directory = metadata["target_directory"].as_str().unwrap_or("target");
    let driver = format!("{directory}/debug/prospect-fuzz");
    let list = Command::new(&driver).arg("--list").output()?;
    let names: Vec<String> = String::from_utf8_lossy(&list.stdout)
        .lines()
        .filter(|name| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str())))
        .map(str::to_owned)
        .collect();
    ensure!(!names.is_empty(), "no fuzz target of that name");
    let each = (arguments.seconds / names.len() as u64).max(1);
    let mut failed = 0;
    for name in &names {
        let script = format!("ulimit -v {MOST_MEMORY_KIB}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", &driver, name, &each.to_string(), &arguments.seed.to_string()]);
        let status = command.status()?;
        if !status.success() {
            println!("{name}: {status}");
            failed += 1;
        }
    }
    println!("{} passed, {failed} failed", names.len() - failed);
    ensure!(failed == 0, "fuzz targets failed");
    Ok(())
}
