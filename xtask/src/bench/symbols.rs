//! Addresses of a file, named: with nothing but the file, with an index, by the peers; and how long an index takes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
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

/// A tool that takes longer is run once.
const SLOW_MS: f64 = 2_000.0;

/// A tool is not run again when its runs took so long together.
const MOST_MS: f64 = 10_000.0;

/// How often the addresses of a warm batch are named.
const BATCHES: usize = 9;

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
    let prospect = workspace::build_prospect()?;
    let cache = Scratch::new("bench-index");
    measure_index(name, &file, &prospect, cache.path())?;
    for count in COUNTS {
        let addresses = addresses(&file, count)?;
        println!("\n{name}  {about}: {} addresses, functions with inlined calls and lines", addresses.len());
        let tools = tools(&prospect);
        let mut samples: Vec<Vec<Sample>> = tools.iter().map(|_| Vec::new()).collect();
        for round in 0..=reps {
            for (tool, samples) in tools.iter().zip(&mut samples) {
                let spent: f64 = samples.iter().map(|sample| sample.wall_ms).sum();
                let is_slow = |sample: &Sample| sample.wall_ms > SLOW_MS || spent > MOST_MS;
                if samples.last().is_some_and(is_slow) || round > 0 && samples.is_empty() {
                    continue;
                }
                let cache = tool.is_indexed.then_some(("XDG_CACHE_HOME", cache.path()));
                match meter.run_with(&(tool.argv)(&file, &addresses), cache) {
                    Ok(sample) => samples.push(sample),
                    Err(error) => println!("  {}: {error:#}", tool.name),
                }
            }
        }
        for samples in samples.iter_mut().filter(|samples| samples.len() > 1) {
            // The first round warms up.
            samples.remove(0);
        }
        let measured = tools.iter().zip(samples).filter(|(_, samples)| !samples.is_empty());
        let figures = measured.map(|(tool, samples)| Figures {
            name: tool.name,
            sample: Sample::median_of(&samples),
            stop_ms: None,
        });
        super::print(&figures.collect::<Vec<_>>());
    }
    measure_batch(name, &file, cache.path())
}

/// Names a million addresses again and again, in one process, with all that it keeps.
fn measure_batch(name: &str, file: &Path, cache: &Path) -> Result<()> {
    println!("\n{name}  a million addresses at once, warm");
    let example = workspace::build_example("prospect-symbols", "symbolize")?;
    let mut command = Command::new("timeout");
    command.arg("120").arg(example).arg("--cache").arg(cache.join("prospect"));
    command.args(["-n", &BATCHES.to_string()]).arg(file).args(addresses(file, 1000)?);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {text}", output.status);
    // `batch of … addresses, … frames: … ns each`, of which the first warms up.
    let batches = text.lines().filter_map(|line| line.strip_prefix("batch of")?.strip_suffix(" ns each"));
    let times = batches.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).skip(1);
    let time = median(times);
    ensure!(time > 0.0, "{command:?} said nothing of batches: {text}");
    println!("  {:<22} {time:>9.0} ns each {:>9.1} million/s", "prospect", 1e3 / time);
    Ok(())
}

/// What to run for a file and addresses.
type Argv = dyn Fn(&Path, &[String]) -> Vec<String>;

/// One of the tools, and its command line for a file and addresses.
struct Namer {
    name: &'static str,
    /// Whether it uses the index that was built.
    is_indexed: bool,
    argv: Box<Argv>,
}

impl Namer {
    /// One whose options end with the file, before the addresses.
    fn new(name: &'static str, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
        let argv = move |file: &Path, addresses: &[String]| {
            let file = [file.to_string_lossy().into_owned()];
            options.iter().chain(&file).chain(addresses).cloned().collect()
        };
        Self { name, is_indexed: false, argv: Box::new(argv) }
    }

    /// gdb names functions with inlined calls only where it stops: this is lines, and the functions that were called.
    fn gdb() -> Self {
        let argv = |file: &Path, addresses: &[String]| {
            let words = ["gdb", "-nx", "-batch", "-iex", "set auto-load off"].map(str::to_owned);
            let asks = addresses.iter().flat_map(|at| ["-ex".to_owned(), format!("info line *{at}")]);
            words.into_iter().chain(asks).chain([file.to_string_lossy().into_owned()]).collect()
        };
        Self { name: "gdb (no inlined calls)", is_indexed: false, argv: Box::new(argv) }
    }
}

/// The tools that are there.
fn tools(prospect: &Path) -> Vec<Namer> {
    const OPTIONS: [&str; 4] = ["-f", "-i", "-C", "-e"];
    const MANGLED: [&str; 3] = ["-f", "-i", "-e"];
    let prospect = prospect.to_string_lossy();
    let ours = |name, options: &[&str]| Namer::new(name, &[&[&*prospect, "addr2line"], options].concat());
    let indexed = |name, options| Namer { is_indexed: true, ..ours(name, options) };
    let mut tools = vec![
        ours("prospect", &[&["--no-cache"], &OPTIONS[..]].concat()),
        indexed("prospect, indexed", &OPTIONS),
        indexed("the same without -C", &MANGLED),
    ];
    for name in ["addr2line", "blazesym"] {
        tools.extend(peers::built(name).map(|program| Namer::new(name, &[&program.to_string_lossy()])));
    }
    for (name, program) in [
        ("llvm-symbolizer", "llvm-symbolizer"),
        ("eu-addr2line", "eu-addr2line"),
        ("binutils' addr2line", "addr2line"),
    ] {
        if tool(program).is_ok() {
            tools.push(Namer::new(name, &[&[program], &OPTIONS[..]].concat()));
        }
    }
    tools.extend(tool("gdb").is_ok().then(Namer::gdb));
    tools
}

/// Builds the index that the next measurements use, and gdb's beside it.
fn measure_index(name: &str, file: &Path, prospect: &Path, cache: &Path) -> Result<()> {
    println!("\n{name}  building the index of all");
    let time = |command: &mut Command| -> Result<f64> {
        let start = Instant::now();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "{command:?}: {status}");
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let mut ours = Vec::new();
    for _ in 0..3 {
        let mut command = Command::new(prospect);
        ours.push(time(command.env("XDG_CACHE_HOME", cache).args(["symbols", "--index"]).arg(file))?);
    }
    let size = |path: &Path| fs::metadata(path).map_or(0.0, |found| found.len() as f64 / 1e6);
    let index: Vec<PathBuf> =
        fs::read_dir(cache.join("prospect/index"))?.flatten().map(|one| one.path()).collect();
    let bytes: f64 = index.iter().map(|path| size(path)).sum();
    println!("  {:<22} {:>9.0} ms {bytes:>9.1} MB", "prospect", median(ours));
    if tool("gdb-add-index").is_ok() {
        let scratch = Scratch::new("bench-gdb-index");
        let mut theirs = Vec::new();
        for round in 0..2 {
            let copy = scratch.path().join(format!("copy{round}"));
            fs::copy(file, &copy)?;
            let before = size(&copy);
            let mut command = Command::new("timeout");
            match time(command.args(["120", "gdb-add-index"]).arg(&copy)) {
                Ok(time) => theirs.push((time, size(&copy) - before)),
                Err(error) => println!("  gdb-add-index: {error:#}"),
            }
            fs::remove_file(copy)?;
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
