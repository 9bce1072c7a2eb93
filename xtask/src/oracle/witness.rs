//! Asking gdb and eu-stack, and reading our own report, in one shape.

use std::{collections::BTreeMap, fs, ops::Range, process::Command};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Report, Scratch, Tool};
use serde_json::Value;

/// One frame that is not an inlined call.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) pc: u64,
    pub(super) function: Option<String>,
}

/// The physical frames of each thread, innermost first.
pub(super) type Stacks = BTreeMap<u32, Vec<Frame>>;

const GDB_SCRIPT: &str = include_str!("gdb.py");

/// What gdb says.
pub(super) fn gdb(pid: u32) -> Result<Stacks> {
    let scratch = Scratch::new("oracle");
    let (script, out) = (scratch.path().join("ask.py"), scratch.path().join("said.json"));
    fs::write(&script, GDB_SCRIPT)?;
    let mut command = limited("gdb");
    command.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off"]);
    command.args(["-ex", "set backtrace past-main on", "-ex", "set backtrace past-entry on"]);
    command.args(["-p", &pid.to_string()]).arg("-ex").arg(format!("source {}", script.display()));
    let output = command.env("ORACLE_OUT", &out).env("LC_ALL", "C").output()?;
    let text =
        fs::read(&out).with_context(|| format!("gdb: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    let value: Value = serde_json::from_slice(&text).context("gdb's JSON")?;
    let mut stacks = Stacks::new();
    for thread in value.as_array().into_iter().flatten() {
        let mut frames = Vec::new();
        // gdb gives an inlined call the name of its own and the physical frame that of the function around it.
        for frame in thread["frames"].as_array().into_iter().flatten().filter(|frame| frame["inline"] != true)
        {
            let function = frame["function"].as_str().map(str::to_owned);
            frames.push(Frame { pc: frame["pc"].as_u64().unwrap_or(0), function });
        }
        stacks.insert(number(&thread["tid"]), frames);
    }
    Ok(stacks)
}

/// What eu-stack says.
pub(super) fn eu_stack(pid: u32) -> Result<Stacks> {
    let output =
        limited("eu-stack").args(["-n", "400", "-p", &pid.to_string()]).env("LC_ALL", "C").output()?;
    let mut stacks = Stacks::new();
    let mut current = None;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(tid) = line.strip_prefix("TID ").and_then(|rest| rest.trim_end_matches(':').parse().ok())
        {
            current = Some(tid);
            stacks.insert(tid, Vec::new());
        } else if let (Some(tid), Some(frame)) = (current, eu_frame(line)) {
            stacks.entry(tid).or_default().push(frame);
        }
    }
    ensure!(!stacks.is_empty(), "eu-stack: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(stacks)
}

/// A line like `#1  0x00005607a329433d - 1 block`.
fn eu_frame(line: &str) -> Option<Frame> {
    let mut words = line.strip_prefix('#')?.splitn(2, char::is_whitespace);
    words.next()?;
    let rest = words.next()?.trim_start();
    let (pc, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let pc = u64::from_str_radix(pc.strip_prefix("0x")?, 16).ok()?;
    let name = name.trim().strip_prefix("- 1").unwrap_or(name).trim();
    Some(Frame { pc, function: (!name.is_empty()).then(|| name.to_owned()) })
}

/// What our own command says of a process or a dump.
pub(super) fn prospect(tool: &Tool, target: &str) -> Result<Stacks> {
    prospect_with(tool, target, &[])
}

/// The same with more arguments.
pub(super) fn prospect_with(tool: &Tool, target: &str, more: &[&str]) -> Result<Stacks> {
    let outcome = tool.run(&[&["stack", "--json", "--limit", "400", target], more].concat());
    ensure!(matches!(outcome.code(), Some(0 | 5)), "prospect: {}", outcome.stderr.trim());
    let report: Report = outcome.report();
    let mut stacks = Stacks::new();
    for thread in report.threads() {
        let physical = thread.physical();
        let frames = physical
            .iter()
            .map(|frame| Frame { pc: frame.pc(), function: frame.function().map(str::to_owned) });
        stacks.insert(thread.tid().unwrap_or(0), frames.collect());
    }
    Ok(stacks)
}

/// A command that is ended when it takes too long.
pub(super) fn limited(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg("120").arg(program).env_remove("DEBUGINFOD_URLS").stdin(std::process::Stdio::null());
    command
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// Where a process has code.
pub(super) fn code(pid: u32) -> Result<Vec<Range<u64>>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let executable = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hex = |word| u64::from_str_radix(word, 16).ok();
        rest.get(..4)?.contains('x').then_some(hex(start)?..hex(end)?)
    });
    Ok(executable.collect())
}
