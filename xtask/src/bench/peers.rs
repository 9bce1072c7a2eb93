//! The tools that are measured beside each other, as command lines.

use std::path::{Path, PathBuf};

use anyhow::Result;
use prospect_testing::{fixture, tool};

use crate::workspace;

/// A tool: its name, and its command line with `PID` for the target.
pub(super) struct Peer {
    pub(super) name: &'static str,
    argv: Vec<String>,
}

impl Peer {
    fn new(name: &'static str, argv: &[&str]) -> Self {
        Self { name, argv: argv.iter().map(|word| (*word).to_owned()).collect() }
    }

    /// The command line for one target.
    pub(super) fn argv(&self, pid: u32) -> Vec<String> {
        self.argv.iter().map(|word| word.replace("PID", &pid.to_string())).collect()
    }
}

/// What a row asks of the tools.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// All stacks with names, lines and inlined calls.
    Stacks,
    /// The same, with the arguments and variables of each call.
    Locals,
    /// Stop all threads and let them go.
    Attach,
}

/// It has no command for the variables of all frames.
const LLDB_LOCALS: &str =
    "script for t in lldb.process: [print(v) for f in t for v in [f.name, *f.get_all_variables()]]";

/// The tools for a job that are there.
pub(super) fn peers(job: Job, prospect: &Path) -> Result<Vec<Peer>> {
    let prospect = prospect.to_string_lossy();
    let limit = fixture("bench-limit").map_err(|missing| anyhow::anyhow!("{missing}"))?.path();
    let limit = limit.to_string_lossy();
    let mut peers = Vec::new();
    match job {
        Job::Stacks => {
            peers.push(Peer::new("limit", &[&limit, "PID", "4096"]));
            peers.push(Peer::new("prospect", &[&prospect, "stack", "PID"]));
            peers.push(Peer::new("prospect --no-cache", &[&prospect, "stack", "--no-cache", "PID"]));
            peers.push(Peer::new("prospect --no-names", &[&prospect, "stack", "--no-names", "PID"]));
        }
        Job::Locals => {
            peers.push(Peer::new("prospect", &[&prospect, "stack", "--locals", "--timeout", "60", "PID"]));
            peers.push(Peer::new("prospect, no values", &[&prospect, "stack", "PID"]));
            if tool("lldb").is_ok() {
                peers.push(Peer::new("lldb", &["lldb", "--batch", "-p", "PID", "-o", LLDB_LOCALS]));
            }
        }
        Job::Attach => {
            peers.push(Peer::new("limit", &[&limit, "PID", "0"]));
            let attach = workspace::build_attach_example()?;
            peers.push(Peer::new("prospect", &[&attach.to_string_lossy(), "PID"]));
        }
    }
    if let Some(driver) = built("remoteprocess").filter(|_| job != Job::Locals) {
        let mode = if job == Job::Attach { "lock" } else { "stacks" };
        peers.push(Peer::new("remoteprocess", &[&driver.to_string_lossy(), "PID", mode]));
    }
    if job == Job::Stacks && tool("eu-stack").is_ok() {
        peers.push(Peer::new("eu-stack -s -i", &["eu-stack", "-n", "0", "-s", "-i", "-p", "PID"]));
    }
    if tool("gdb").is_ok() {
        let what = match job {
            Job::Stacks => "thread apply all bt",
            Job::Locals => "thread apply all bt full",
            Job::Attach => "detach",
        };
        peers.push(Peer::new("gdb", &["gdb", "-nx", "-batch", "-p", "PID", "-ex", what]));
    }
    Ok(peers)
}

/// A program around another crate, of `fixtures/bench/NAME`; `None` when it cannot be built here.
pub(super) fn built(name: &str) -> Option<PathBuf> {
    let target = workspace::scratch_directory("bench-peers").ok()?;
    let program = target.join(format!("release/bench-{name}"));
    let manifest = prospect_testing::fixtures_directory().join("bench").join(name).join("Cargo.toml");
    let copy = target.join(name);
    // Built from a copy, so that its lock file does not come into the tree.
    std::fs::create_dir_all(copy.join("src")).ok()?;
    for file in ["Cargo.toml", "src/main.rs"] {
        let (from, to) = (manifest.with_file_name(file), copy.join(file));
        if std::fs::read(&from).ok()? != std::fs::read(&to).unwrap_or_default() {
            std::fs::copy(from, to).ok()?;
        }
    }
    let built = workspace::cargo()
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(copy.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        println!("{name} cannot be built here: not measured");
        return None;
    }
    Some(program)
}
