//! `cargo xtask soak`: looking at restless targets for minutes, killing the tool now and then; snapshots of which the tool is
//! killed at each step; breakpoint hits counted, and programs killed that control another one; snapshots of a server under load.

mod redis;

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use prospect_testing::{Heartbeat, Tool, fixture};

use crate::workspace;

/// How long to go on.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Minutes for all targets together
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// How often the tool is killed at each step of a snapshot
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// How often a program that controls another one is killed, in each of four ways
    #[arg(long, default_value_t = 128)]
    kills: u32,
    /// Breakpoint hits of eight threads that are counted
    #[arg(long, default_value_t = 1_000_000)]
    hits: u64,
    /// Snapshots of a server under load
    #[arg(long, default_value_t = 100)]
    snapshots: u32,
}

/// The restless targets: fixture, and its arguments.
const TARGETS: &[(&str, &[&str])] =
    &[("churn", &["4"]), ("threads", &["0", "8"]), ("threads", &["200", "8"]), ("threads", &["1000", "4"])];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let prospect = Tool::at(workspace::build_prospect()?);
    let each = Duration::from_secs_f64(arguments.minutes * 60.0 / TARGETS.len() as f64);
    for (name, args) in TARGETS {
        let fixture = fixture(name).map_err(|missing| anyhow::anyhow!("{missing}"))?;
        let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(args));
        let pid = running.arg();
        let begin = Instant::now();
        let (mut looked, mut killed, mut moment) = (0_u32, 0_u32, 0_u32);
        while begin.elapsed() < each {
            let outcome = prospect.run(&["stack", "--json", &pid]);
            anyhow::ensure!(matches!(outcome.code(), Some(0 | 5)), "{name} {args:?}: {outcome:?}");
            looked += 1;
            // Golden-ratio steps spread the moments evenly however many there will be.
            moment = moment.wrapping_add(0x9e37_79b9);
            let delay = outcome.took.mul_f64(f64::from(moment) / f64::from(u32::MAX) * 1.1);
            let mut command = prospect.command(&["stack", &pid]);
            let mut child = command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot start the tool")?;
            thread::sleep(delay);
            let _ = child.kill();
            child.wait()?;
            killed += 1;
            running.assert_unharmed();
            if killed % 10 == 0 {
                heartbeat.assert_beats();
            }
        }
        heartbeat.assert_beats();
        running.assert_unharmed();
        println!("{name} {args:?}: looked at {looked} times, tool killed {killed} times, unharmed");
    }
    kill_snapshots(arguments.rounds)?;
    control(arguments)?;
    redis::soak(&prospect, arguments.snapshots)?;
    println!("{} passed, 0 failed", TARGETS.len() + 3);
    Ok(())
}

/// The tests of control, with many hits and many programs killed.
fn control(arguments: &Arguments) -> Result<()> {
    let test = |name: &str, filter: &str, variable: &str, value: u64| -> Result<()> {
        let status = workspace::cargo()
            .args(["test", "--quiet", "--package", "prospect-live", "--test", name, "--", filter])
            .env(variable, value.to_string())
            .status()?;
        anyhow::ensure!(status.success(), "{name}: {status}");
        Ok(())
    };
    test("control", "every_hit_of_every_thread_is_counted", "CONTROL_HITS", arguments.hits)?;
    // Eight in a round.
    let rounds = arguments.kills.div_ceil(8);
    test("control_survival", "while_", "CONTROL_ROUNDS", rounds.into())?;
    println!(
        "control: {} hits counted, tool killed {} times in each of four ways, unharmed",
        arguments.hits,
        rounds * 8
    );
    Ok(())
}

/// The tests of killed snapshots, so many times each step.
fn kill_snapshots(rounds: u32) -> Result<()> {
    let status = workspace::cargo()
        .args([
            "test",
            "--quiet",
            "--package",
            "prospect-live",
            "--test",
            "snapshot",
            "--",
            "killed",
            "also_",
        ])
        .env("SNAPSHOT_ROUNDS", rounds.to_string())
        .status()?;
    anyhow::ensure!(status.success(), "snapshots of killed tools: {status}");
    println!("snapshots: tool killed {rounds} times at each step, unharmed");
    Ok(())
}
