//! `cargo xtask test`: set up, run every test, list what was skipped, and count.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};

use crate::{setup, workspace};

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Do not install anything
    #[arg(long)]
    no_install: bool,
    /// Only this package
    #[arg(long, short)]
    package: Option<String>,
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
}

impl Counts {
    /// Adds a line like `test result: ok. 5 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else { return };
        let number = |word: &str| -> usize {
            let part = rest.split(['.', ';']).find(|part| part.trim_end().ends_with(word));
            part.and_then(|part| part.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        self.passed += number(" passed");
        self.failed += number(" failed");
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.no_install {
        setup::install();
    }
    let skip_list = workspace::scratch_directory("xtask")?.join(format!("skipped-{}", std::process::id()));
    let _ = fs::remove_file(&skip_list);
    let mut command = workspace::cargo();
    command.args(["test", "--no-fail-fast"]).env("PROSPECT_SKIP_LIST", &skip_list);
    match &arguments.package {
        Some(package) => command.args(["--package", package]),
        None => command.arg("--workspace"),
    };
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut counts = Counts::default();
    for line in BufReader::new(child.stdout.take().context("cargo's output")?).lines() {
        let line = line?;
        println!("{line}");
        counts.add(&line);
    }
    let status = child.wait()?;
    let skipped: BTreeSet<String> =
        fs::read_to_string(&skip_list).unwrap_or_default().lines().map(str::to_owned).collect();
    let _ = fs::remove_file(&skip_list);
    if !status.success() && counts.failed == 0 {
        counts.failed = 1; // it did not compile, or a test program crashed
    }
    for line in &skipped {
        println!("skipped: {line}");
    }
    // A skipped test returns early, which the harness counts as passed.
    let passed = counts.passed.saturating_sub(skipped.len());
    println!("{passed} passed, {} failed, {} skipped", counts.failed, skipped.len());
    ensure!(counts.failed == 0, "tests failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn results_are_added_up() {
        let mut counts = Counts::default();
        counts.add(
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        );
        counts.add("test result: FAILED. 3 passed; 12 failed; 0 ignored; 0 measured; 0 filtered out");
        counts.add("test some::test ... ok");
        assert_eq!((counts.passed, counts.failed), (8, 12));
    }
}
