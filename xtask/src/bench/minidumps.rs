//! Minidumps: written by this tool, and by `minidump-writer` where a driver of it is named.

use std::{env, fs, path::Path};

use anyhow::{Context, Result};
use prospect_testing::{Scratch, fixture};

use super::measure::{Gap, Meter, Sample, median};

/// The rows' name, and their targets: fixture, arguments.
pub(super) const WRITE: &str = "d";
const TARGETS: [(&str, &str, &[&str]); 2] =
    [("d.T1", "bench-deep", &["200"]), ("d.T2", "bench-threads", &["200", "30"])];

/// A program that is given a process's number and the name of a file, and writes a minidump with `minidump-writer`.
const DRIVER: &str = "PROSPECT_BENCH_MINIDUMP_WRITER";

/// Measures how long minidumps take, how long the process stands still, and how large they are.
pub(super) fn measure(meter: &Meter, prospect: &Path, reps: usize) -> Result<()> {
    let scratch = Scratch::new("bench-minidump");
    let file = scratch.path().join("a.dmp");
    let name = file.to_string_lossy().into_owned();
    for (row, program, args) in TARGETS {
        println!("\n{row}  a minidump of {program}");
        println!(
            "  {:<22} {:>9} {:>9} {:>8} {:>9} {:>9}",
            "", "wall ms", "cpu ms", "rss MB", "stop ms", "size KB"
        );
        let program = fixture(program).map_err(|missing| anyhow::anyhow!("{missing}"))?;
        let (gap, target) = Gap::start(&program, args, true)?;
        let ours = ["dump", "-q", "--force", "-o", &name, &target.arg()].map(str::to_owned);
        let ours = [prospect.to_string_lossy().into_owned()].into_iter().chain(ours).collect();
        let mut tools: Vec<(&str, Vec<String>)> = vec![("prospect", ours)];
        if let Ok(driver) = env::var(DRIVER) {
            tools.push(("minidump-writer", vec![driver, target.arg(), name.clone()]));
        }
        for (tool, argv) in tools {
            let (mut samples, mut stops, mut sizes) = (Vec::<Sample>::new(), Vec::new(), Vec::new());
            for _ in 0..reps {
                gap.reset()?;
                samples.push(meter.run(&argv)?);
                stops.push(gap.longest_ms()?);
                let length = fs::metadata(&file).with_context(|| format!("{tool} wrote none"))?.len();
                sizes.push(length as f64 / 1024.0);
                fs::remove_file(&file)?;
            }
            println!(
                "  {tool:<22} {:>9.1} {:>9.1} {:>8.1} {:>9.2} {:>9.0}",
                median(samples.iter().map(|sample| sample.wall_ms)),
                median(samples.iter().map(|sample| sample.cpu_ms)),
                median(samples.iter().map(|sample| sample.rss_mb)),
                median(stops),
                median(sizes),
            );
        }
    }
    Ok(())
}
