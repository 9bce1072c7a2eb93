//! Addresses of a file, named: with nothing but the file, with an index, by the peers; and how long an index takes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Result, ensure};
use prospect_testing::{Scratch, tool};

use super::{
    Figures,
    measure::{Meter, Sample, median},
    peers, targets,
};
use crate::workspace;

/// The rows' names, and whether the target takes minutes to build.
pub(super) const ROWS: &[(&str, &str, bool)] =
    &[("h.T3r", "a Rust debug build", false), ("h.T3", "C++ with more than 100 MB of DWARF", true)];

/// How many addresses are asked for at once.
const COUNTS: [usize; 2] = [1, 1000];

/// Measures one of the [`ROWS`].
pub(super) fn measure(name: &str, about: &str, meter: &Meter, reps: usize) -> Result<()> {
    let file = if name == "h.T3" {
        targets::big_cxx()?
    } else {
        let rust = prospect_testing::fixture("bench-rust").map_err(|missing| anyhow::anyhow!("{missing}"))?;
        rust.path()
    };
    let example = workspace::build_example("prospect-symbols", "symbolize")?;
    let cache = Scratch::new("bench-index");
    let cache = cache.path().join("prospect").to_string_lossy().into_owned();
    measure_index(name, &file, &example, &cache)?;
    for count in COUNTS {
        let addresses = addresses(&file, count)?;
        println!("\n{name}  {about}: {} addresses, functions with inlined calls and lines", addresses.len());
        let tools = tools(&example, &cache);
        let mut samples: Vec<Vec<Sample>> = tools.iter().map(|_| Vec::new()).collect();
        for round in 0..=reps {
            for ((tool, argv), samples) in tools.iter().zip(&mut samples) {
                let file = [file.to_string_lossy().into_owned()];
                let argv: Vec<String> = argv.iter().chain(&file).chain(&addresses).cloned().collect();
                match meter.run(&argv) {
                    // The first round warms up.
                    Ok(sample) if round > 0 => samples.push(sample),
                    Ok(_) => {}
                    Err(error) => println!("  {tool}: {error:#}"),
                }
            }
        }
        let figures = tools.iter().zip(samples).map(|((name, _), samples)| Figures {
            name,
            sample: Sample {
                wall_ms: median(samples.iter().map(|sample| sample.wall_ms)),
                cpu_ms: median(samples.iter().map(|sample| sample.cpu_ms)),
                rss_mb: median(samples.iter().map(|sample| sample.rss_mb)),
            },
            stop_ms: None,
        });
        super::print(&figures.collect::<Vec<_>>());
    }
    Ok(())
}

/// The tools that are there, with their options.
fn tools(example: &Path, cache: &str) -> Vec<(&'static str, Vec<String>)> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let example = example.to_string_lossy();
    let mut tools = vec![
        ("prospect", words(&[&example])),
        ("prospect with an index", words(&[&example, "--cache", cache])),
    ];
    for name in ["addr2line", "blazesym"] {
        tools.extend(peers::built(name).map(|program| (name, words(&[&program.to_string_lossy()]))));
    }
    for (name, argv) in [
        ("llvm-symbolizer", &["llvm-symbolizer", "-i", "-f", "-C", "-e"][..]),
        ("eu-addr2line", &["eu-addr2line", "-i", "-f", "-C", "-e"]),
        ("binutils' addr2line", &["addr2line", "-i", "-f", "-C", "-e"]),
    ] {
        if tool(argv[0]).is_ok() {
            tools.push((name, words(argv)));
        }
    }
    tools
}

/// Builds the index that the next measurements use, and gdb's beside it.
fn measure_index(name: &str, file: &Path, example: &Path, cache: &str) -> Result<()> {
    println!("\n{name}  building the index of all");
    let time = |command: &mut Command| -> Result<f64> {
        let start = Instant::now();
        let status =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status()?;
        ensure!(status.success(), "{command:?}: {status}");
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let mut ours = Vec::new();
    for _ in 0..3 {
        ours.push(time(Command::new(example).args(["--cache", cache, "--index"]).arg(file))?);
    }
    let size = |path: &Path| fs::metadata(path).map_or(0.0, |found| found.len() as f64 / 1e6);
    let index: Vec<PathBuf> =
        fs::read_dir(Path::new(cache).join("index"))?.flatten().map(|one| one.path()).collect();
    let bytes: f64 = index.iter().map(|path| size(path)).sum();
    println!("  {:<22} {:>9.0} ms {bytes:>9.1} MB", "prospect", median(ours));
    if tool("gdb-add-index").is_ok() {
        let scratch = Scratch::new("bench-gdb-index");
        let mut theirs = Vec::new();
        for round in 0..2 {
            let copy = scratch.path().join(format!("copy{round}"));
            fs::copy(file, &copy)?;
            let before = size(&copy);
            theirs.push((time(Command::new("gdb-add-index").arg(&copy))?, size(&copy) - before));
        }
        let grown = theirs.first().map_or(0.0, |one| one.1);
        println!(
            "  {:<22} {:>9.0} ms {grown:>9.1} MB",
            "gdb-add-index",
            median(theirs.iter().map(|one| one.0))
        );
    }
    Ok(())
}

/// Addresses in functions, spread over the file's symbols.
fn addresses(file: &Path, count: usize) -> Result<Vec<String>> {
    let output = Command::new("nm").arg("--defined-only").arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (address, kind) = (words.next()?, words.next()?);
        matches!(kind, "t" | "T" | "w" | "W").then(|| u64::from_str_radix(address, 16).ok())?
    };
    let mut found: Vec<u64> = text.lines().filter_map(parse).collect();
    found.sort_unstable();
    found.dedup();
    ensure!(!found.is_empty(), "nm finds no functions in {}", file.display());
    let step = (found.len() / count).max(1);
    Ok(found.iter().skip(step / 2).step_by(step).take(count).map(|at| format!("{:#x}", at + 4)).collect())
}
