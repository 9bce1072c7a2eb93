//! A program of another architecture, run by an emulator. Not all of its code can be walked: what is written by hand
//! without call frame information is there too.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Missing, Scratch, fixtures_directory, tool};

use super::report::Report;

/// What the table calls it.
pub(super) const NAME: &str = "every (aarch64)";

const COMPILER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";

/// Runs it from the function `run` on; what is missing for that is said.
pub(super) fn follow(follower: &Path) -> Result<Result<Report, Missing>> {
    for name in [COMPILER, EMULATOR, "nm"] {
        if let Err(missing) = tool(name) {
            return Ok(Err(missing));
        }
    }
    let scratch = Scratch::new("emulated");
    let (program, report) = (scratch.path().join("every"), scratch.path().join("report"));
    let mut compile = Command::new(COMPILER);
    compile.args(["-O2", "-g", "-fomit-frame-pointer", "-static", "-pthread", "-w", "-I"]);
    compile.arg(fixtures_directory()).arg("-o").arg(&program);
    let compiled = compile.arg(fixtures_directory().join("every_instruction.c")).status()?;
    ensure!(compiled.success(), "{COMPILER} failed");
    let symbols = Command::new("nm").arg(&program).output()?.stdout;
    let symbols = String::from_utf8_lossy(&symbols);
    let run = symbols.lines().find(|line| line.ends_with(" t run") || line.ends_with(" T run"));
    let from = run.and_then(|line| line.split_whitespace().next()).context("it has no function `run`")?;
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "120"]).arg(follower).args(["--emulator", EMULATOR, "--from", from]);
    let output = command.arg(&report).arg(&program).arg("now").output()?;
    let report =
        Report::read(&report).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    ensure!(report.ended && report.signals > 0, "it was not run to its end");
    Ok(Ok(report))
}
