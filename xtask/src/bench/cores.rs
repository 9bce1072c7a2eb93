//! Cores of a large process: written, and the stacks of one.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use prospect_testing::{Scratch, tool};

use super::{
    get,
    measure::{Gap, Meter, Sample, median},
};

/// The name of the row about reading.
pub(super) const OPEN: &str = "i.T4";

/// MiB that nothing compresses, half zeros and half text, and never touched: half of the large one, for small disks.
pub(super) const SIZES: [&str; 3] = ["1024", "1024", "8192"];

/// Each tool writes gigabytes.
const MOST_REPS: usize = 5;
/// And these take half a minute for each.
const MOST_SLOW_REPS: usize = 1;

/// A row about writing.
pub(super) struct DumpRow {
    pub(super) name: &'static str,
    about: &'static str,
    /// As [`SIZES`].
    sizes: [&'static str; 3],
    /// Whether other ways, other tools and the limits of the machine are measured too, and not only the stop.
    is_whole: bool,
}

pub(super) const DUMPS: &[DumpRow] = &[
    DumpRow {
        name: "c.T4",
        about: "a core of 1 GiB of noise, 1 GiB of zeros and text, 8 GiB never touched",
        sizes: SIZES,
        is_whole: true,
    },
    DumpRow { name: "c.1G", about: "a core of 1 GiB of noise", sizes: ["1024", "0", "0"], is_whole: false },
    DumpRow {
        name: "c.18M",
        about: "a core of 18 MiB, and 8 GiB never touched",
        sizes: ["16", "2", "8192"],
        is_whole: false,
    },
];

/// What one dump cost.
struct Dump {
    sample: Sample,
    stop_ms: f64,
    disk_mb: f64,
    file_mb: f64,
}

/// One tool, and what its dumps cost.
struct Dumper {
    name: &'static str,
    argv: Vec<String>,
    most: usize,
    dumps: Vec<Dump>,
}

/// Measures dumps of a large process: how long they take, how long it stands still, and how much they take on the disk.
pub(super) fn measure_dumps(row: &DumpRow, meter: &Meter, prospect: &Path, reps: usize) -> Result<()> {
    println!("\n{}  {}", row.name, row.about);
    let (gap, target) = Gap::start(&get("bench-bigmem")?, &row.sizes, true)?;
    let scratch = Scratch::new("bench-core");
    let core = scratch.path().join("core");
    let mut dumpers = dumpers(row, prospect, &core, &target.arg());
    let (mut copies, mut forks) = (Vec::new(), Vec::new());
    for round in 0..reps.min(MOST_REPS) {
        for Dumper { name, argv, dumps, .. } in dumpers.iter_mut().filter(|dumper| round < dumper.most) {
            settle();
            gap.reset()?;
            match meter.run(argv) {
                Ok(sample) => {
                    let stop_ms = gap.longest_ms()?;
                    let there = fs::metadata(&core).with_context(|| format!("{name} wrote no core"))?;
                    let [file_mb, disk_mb] =
                        [there.len(), there.blocks() * 512].map(|bytes| bytes as f64 / 1e6);
                    dumps.push(Dump { sample, stop_ms, disk_mb, file_mb });
                }
                Err(error) => println!("  {name}: {error:#}"),
            }
            if *name == "prospect" && core.exists() {
                forks.push(gap.fork_ms(&target)?);
                if row.is_whole {
                    copies.push(sparse_copy(&core)?);
                }
            }
            let _ = fs::remove_file(&core);
        }
    }
    print(&dumpers);
    println!("  {:<22} {:>29} {:>8.1}", "limit: fork of itself", "", median(forks));
    if row.is_whole {
        println!("  {:<22} {:>9.0}", "limit: copy of it", median(copies));
        println!(
            "  (limit: the bytes that are not holes of our core, from memory to a new file, by one thread)"
        );
        measure_compression(meter, &dumpers, &core)?;
    }
    Ok(())
}

/// Who dumps `pid` into `core`.
fn dumpers(row: &DumpRow, prospect: &Path, core: &Path, pid: &str) -> Vec<Dumper> {
    let core = core.to_string_lossy().into_owned();
    let dumper = |name, most, words: &[&str]| {
        let argv = words.iter().map(|word| (*word).to_owned()).collect();
        Dumper { name, argv, most, dumps: Vec::new() }
    };
    let prospect = prospect.to_string_lossy().into_owned();
    let ours = [&prospect, "dump", "-q", "-o", &core, pid];
    let mut dumpers = vec![dumper("prospect", MOST_REPS, &ours)];
    if row.is_whole {
        let stop = [&ours[..], &["--mode", "stop"]].concat();
        dumpers.push(dumper("prospect --mode stop", MOST_REPS, &stop));
        let zstd = [&ours[..], &["--compress", "zstd"]].concat();
        dumpers.push(dumper(ZSTD, MOST_REPS, &zstd));
        if tool("gdb").is_ok() {
            let write = format!("gcore {core}");
            let words = ["gdb", "-nx", "-batch", "-p", pid, "-ex", &write];
            dumpers.push(dumper("gdb gcore", MOST_SLOW_REPS, &words));
        }
    }
    dumpers
}

fn print(dumpers: &[Dumper]) {
    let of = |dumps: &[Dump], what: fn(&Dump) -> f64| median(dumps.iter().map(what));
    println!(
        "  {:<22} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9}",
        "", "wall ms", "cpu ms", "rss MB", "stop ms", "disk MB", "file MB"
    );
    for Dumper { name, dumps, .. } in dumpers.iter().filter(|dumper| !dumper.dumps.is_empty()) {
        println!(
            "  {name:<22} {:>9.0} {:>9.0} {:>8.1} {:>9.1} {:>9.0} {:>9.0}",
            of(dumps, |dump| dump.sample.wall_ms),
            of(dumps, |dump| dump.sample.cpu_ms),
            of(dumps, |dump| dump.sample.rss_mb),
            of(dumps, |dump| dump.stop_ms),
            of(dumps, |dump| dump.disk_mb),
            of(dumps, |dump| dump.file_mb),
        );
    }
}

/// The one that compresses.
const ZSTD: &str = "prospect zstd";

/// How long the `zstd` program takes for the same bytes from the cache of files.
fn measure_compression(meter: &Meter, dumpers: &[Dumper], core: &Path) -> Result<()> {
    let ours = dumpers.iter().find(|dumper| dumper.name == ZSTD && !dumper.dumps.is_empty());
    let (Some(ours), Ok(_)) = (ours, tool("zstd")) else {
        println!("  zstd itself is not measured: it is not installed, or there is no dump to compare");
        return Ok(());
    };
    let [plain, packed] =
        ["plain", "packed"].map(|end| core.with_extension(end).to_string_lossy().into_owned());
    meter.run(&ours.argv)?;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    meter.run(&words(&["zstd", "-q", "-d", "-f", &core.to_string_lossy(), "-o", &plain]))?;
    fs::remove_file(core)?;
    let mut samples = Vec::new();
    for _ in 0..ours.dumps.len() {
        settle();
        // So that it is in the cache.
        std::io::copy(&mut fs::File::open(&plain)?, &mut std::io::sink())?;
        samples.push(meter.run(&words(&["zstd", "-q", "-1", "-T0", "-f", &plain, "-o", &packed]))?);
        fs::remove_file(&packed)?;
    }
    fs::remove_file(&plain)?;
    let theirs = median(samples.iter().map(|sample| sample.wall_ms));
    let wall = median(ours.dumps.iter().map(|dump| dump.sample.wall_ms));
    println!("  {:<22} {theirs:>9.0}   {:.2} times ours", "limit: zstd -1 -T0", theirs / wall);
    Ok(())
}

/// How long the parts of a core that are no holes take into another file, in milliseconds: what the file system takes at best.
fn sparse_copy(core: &Path) -> Result<f64> {
    use std::io::{Read as _, Write as _};

    let copy = core.with_extension("copy");
    let mut left = fs::metadata(core)?.blocks() * 512;
    // The same bytes again and again, so that nothing but the writing is measured.
    let mut bytes = vec![0; 8 << 20];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    settle();
    let begin = Instant::now();
    let mut file = fs::File::create(&copy)?;
    while left > 0 {
        let part = left.min(bytes.len() as u64);
        file.write_all(&bytes[..usize::try_from(part)?])?;
        left -= part;
    }
    let took = begin.elapsed().as_secs_f64() * 1e3;
    fs::remove_file(copy)?;
    Ok(took)
}

/// Lets what was written before reach the disk, so that it slows nobody down.
fn settle() {
    let _ = std::process::Command::new("sync").status();
}

/// Measures the stacks of a large core.
pub(super) fn measure_opening(meter: &Meter, prospect: &Path, reps: usize) -> Result<()> {
    println!("\n{OPEN}  the stacks of such a core");
    let bigmem = get("bench-bigmem")?;
    let target = bigmem.start(&SIZES);
    let scratch = Scratch::new("bench-open");
    let core: PathBuf = scratch.path().join("core");
    let (prospect, core) = (prospect.to_string_lossy().into_owned(), core.to_string_lossy().into_owned());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    meter.run(&words(&[&prospect, "dump", "-q", "-o", &core, &target.arg()]))?;
    drop(target);
    let program = bigmem.path();
    let program = program.to_string_lossy();
    let mut tools = vec![("prospect", words(&[&prospect, "stack", &core]))];
    if tool("eu-stack").is_ok() {
        tools.push((
            "eu-stack -s -i",
            words(&["eu-stack", "-n", "0", "-s", "-i", "--core", &core, "-e", &program]),
        ));
    }
    if tool("gdb").is_ok() {
        let bt = ["gdb", "-nx", "-batch", &program, &core, "-ex", "thread apply all bt"];
        tools.push(("gdb", words(&bt)));
    }
    if tool("lldb").is_ok() {
        let bt = ["lldb", "--no-lldbinit", "--batch", "-c", &core, &program, "-o", "bt all"];
        tools.push(("lldb", words(&bt)));
    }
    super::print(&super::take_turns(&tools, meter, reps));
    Ok(())
}
