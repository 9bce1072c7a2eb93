//! Minidumps: written by the command, by the library alone, and by `minidump-writer` where a driver of it is named; the stacks of one
//! printed.

use std::{env, fs, path::Path};

use anyhow::{Context, Result};
use prospect_testing::{Scratch, tool};

use super::{
    cores, get,
    measure::{Gap, Meter, Sample, median},
};
use crate::workspace;

/// A row about writing.
pub(super) struct Row {
    pub(super) name: &'static str,
    about: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    /// Whether all memory is to be in it, which the peer cannot do.
    is_full: bool,
}

pub(super) const WRITES: &[Row] = &[
    Row {
        name: "d.T1",
        about: "a minidump: 200 frames",
        program: "bench-deep",
        args: &["200"],
        is_full: false,
    },
    Row {
        name: "d.T2",
        about: "a minidump: 200 threads of 30 frames",
        program: "bench-threads",
        args: &["200", "30"],
        is_full: false,
    },
    Row {
        name: "d.heap",
        about: "a minidump: 50 threads, and a heap of 256 MiB that is one mapping with a stack",
        program: "bench-threads",
        args: &["50", "30", "256"],
        is_full: false,
    },
    Row {
        name: "d.T4",
        about: "a minidump: 2 GiB of memory, 8 GiB never touched",
        program: "bench-bigmem",
        args: &cores::SIZES,
        is_full: false,
    },
    Row {
        name: "d.T4.full",
        about: "a minidump with all of that memory",
        program: "bench-bigmem",
        args: &cores::SIZES,
        is_full: true,
    },
];

/// The row about reading.
pub(super) const PRINT: &str = "d.T2.print";

/// A program that is given a process's number and the name of a file, and writes a minidump with `minidump-writer`.
const DRIVER: &str = "PROSPECT_BENCH_MINIDUMP_WRITER";

/// One with all memory takes seconds.
const MOST_FULL_REPS: usize = 3;

/// One tool, and what its minidumps cost.
struct Writer {
    name: &'static str,
    argv: Vec<String>,
    samples: Vec<Sample>,
    stops: Vec<f64>,
    sizes: Vec<f64>,
}

/// Measures how long minidumps take, how long the process stands still, and how large they are.
pub(super) fn measure(row: &Row, meter: &Meter, prospect: &Path, reps: usize) -> Result<()> {
    println!("\n{}  {}", row.name, row.about);
    let scratch = Scratch::new("bench-minidump");
    let file = scratch.path().join("a.dmp");
    let (gap, target) = Gap::start(&get(row.program)?, row.args, true)?;
    let mut writers = writers(row, prospect, &file, &target.arg())?;
    let reps = if row.is_full { reps.min(MOST_FULL_REPS) } else { reps };
    for round in 0..=reps {
        for Writer { name, argv, samples, stops, sizes } in &mut writers {
            gap.reset()?;
            let sample = match meter.run(argv) {
                Ok(sample) => sample,
                Err(error) => {
                    println!("  {name}: {error:#}");
                    continue;
                }
            };
            let stop = gap.longest_ms()?;
            let length = fs::metadata(&file).with_context(|| format!("{name} wrote none"))?.len();
            fs::remove_file(&file)?;
            // The first round warms up.
            if round > 0 {
                samples.push(sample);
                stops.push(stop);
                sizes.push(length as f64 / 1024.0);
            }
        }
    }
    println!(
        "  {:<22} {:>9} {:>9} {:>8} {:>9} {:>9}",
        "", "wall ms", "cpu ms", "rss MB", "stop ms", "size KB"
    );
    for Writer { name, samples, stops, sizes, .. } in writers {
        let Sample { wall_ms, cpu_ms, rss_mb } = Sample::median_of(&samples);
        println!(
            "  {name:<22} {wall_ms:>9.2} {cpu_ms:>9.2} {rss_mb:>8.1} {:>9.3} {:>9.0}",
            median(stops),
            median(sizes),
        );
    }
    Ok(())
}

/// Who writes a minidump of `pid` into `file`.
fn writers(row: &Row, prospect: &Path, file: &Path, pid: &str) -> Result<Vec<Writer>> {
    let file = file.to_string_lossy().into_owned();
    let writer = |name, words: &[&str]| {
        let argv = words.iter().map(|word| (*word).to_owned()).collect();
        Writer { name, argv, samples: Vec::new(), stops: Vec::new(), sizes: Vec::new() }
    };
    let prospect = prospect.to_string_lossy().into_owned();
    let ours = [&prospect, "dump", "-q", "-o", &file, pid];
    if row.is_full {
        return Ok(vec![writer("prospect --full", &[&ours[..], &["--full"]].concat())]);
    }
    let library = workspace::build_example("prospect", "minidump")?;
    let mut writers = vec![
        writer("prospect", &ours),
        writer("prospect, the library", &[&library.to_string_lossy(), pid, &file]),
    ];
    if let Ok(driver) = env::var(DRIVER) {
        writers.push(writer("minidump-writer", &[&driver, pid, &file]));
    }
    Ok(writers)
}

/// Measures how long it takes to print the stacks of a minidump.
pub(super) fn measure_printing(meter: &Meter, prospect: &Path, reps: usize) -> Result<()> {
    println!("\n{PRINT}  the stacks of a minidump of 200 threads of 30 frames");
    let program = get("bench-threads")?;
    let target = program.start(&["200", "30"]);
    let scratch = Scratch::new("bench-minidump");
    let file = scratch.path().join("a.dmp").to_string_lossy().into_owned();
    let prospect = prospect.to_string_lossy().into_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    meter.run(&words(&[&prospect, "dump", "-q", "-o", &file, &target.arg()]))?;
    let mut tools = vec![("prospect", words(&[&prospect, "stack", &file]))];
    if tool("minidump-stackwalk").is_ok() {
        let argv = words(&["minidump-stackwalk", "--human", "--use-local-debuginfo", &file]);
        tools.push(("minidump-stackwalk", argv));
    }
    if tool("lldb").is_ok() {
        let argv = words(&["lldb", "--no-lldbinit", "--batch", "-c", &file, "-o", "bt all"]);
        tools.push(("lldb", argv));
    }
    super::print(&super::take_turns(&tools, meter, reps));
    Ok(())
}
