//! Cores of a large process: written, and the stacks of one.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use prospect_testing::{Scratch, fixture, tool};

use super::{
    Figures,
    measure::{Gap, Meter, Sample, median},
};

/// The rows' names.
pub(super) const DUMP: &str = "c.T4";
pub(super) const OPEN: &str = "i.T4";

/// MiB that nothing compresses, half zeros, and never touched: half of the large one, for small disks.
const SIZES: [&str; 3] = ["1024", "1024", "8192"];

/// Each tool writes gigabytes.
const MOST_REPS: usize = 5;

/// What one dump cost.
struct Dump {
    sample: Sample,
    stop_ms: f64,
    disk_mb: f64,
    file_mb: f64,
}

/// Measures dumps of a large process: how long they take, how long it stands still, and how much they take on the disk.
pub(super) fn measure_dumps(meter: &Meter, prospect: &Path, reps: usize) -> Result<()> {
    println!(
        "\n{DUMP}  a core of {} MiB of noise, {} MiB of zeros and text, {} MiB never touched",
        SIZES[0], SIZES[1], SIZES[2]
    );
    let bigmem = get("bench-bigmem")?;
    let (gap, target) = Gap::start(&bigmem, &SIZES, true)?;
    let scratch = Scratch::new("bench-core");
    let core = scratch.path().join("core");
    let (pid, core_name) = (target.arg(), core.to_string_lossy().into_owned());
    let prospect = prospect.to_string_lossy().into_owned();
    let ours = |words: &[&str]| {
        let mut argv = vec![prospect.clone(), "dump".into(), "-q".into(), "-o".into(), core_name.clone()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv.push(pid.clone());
        argv
    };
    let mut tools = vec![
        ("prospect", ours(&[])),
        ("prospect --mode stop", ours(&["--mode", "stop"])),
        ("prospect zstd", ours(&["--compress", "zstd"])),
    ];
    if tool("gdb").is_ok() {
        let (attach, write) = (["-nx", "-batch", "-p", &pid, "-ex"], format!("gcore {core_name}"));
        let argv = ["gdb"].iter().chain(&attach).map(|word| (*word).to_owned()).chain([write]);
        tools.push(("gdb gcore", argv.collect()));
    }
    let mut dumps: Vec<Vec<Dump>> = tools.iter().map(|_| Vec::new()).collect();
    let mut copies = Vec::new();
    for _ in 0..reps.min(MOST_REPS) {
        for ((name, argv), dumps) in tools.iter().zip(&mut dumps) {
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
                copies.push(sparse_copy(&core)?);
            }
            let _ = fs::remove_file(&core);
        }
    }
    let of = |dumps: &[Dump], what: fn(&Dump) -> f64| median(dumps.iter().map(what));
    println!(
        "  {:<22} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9}",
        "", "wall ms", "cpu ms", "rss MB", "stop ms", "disk MB", "file MB"
    );
    for ((name, _), dumps) in tools.iter().zip(&dumps).filter(|(_, dumps)| !dumps.is_empty()) {
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
    println!("  {:<22} {:>9.0}", "limit: copy of it", median(copies));
    println!("  (limit: the bytes that are not holes of our core, from memory to a new file, by one thread)");
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
    let mut samples: Vec<Vec<Sample>> = tools.iter().map(|_| Vec::new()).collect();
    for round in 0..=reps {
        for ((name, argv), samples) in tools.iter().zip(&mut samples) {
            match meter.run(argv) {
                // The first round warms up.
                Ok(sample) if round > 0 => samples.push(sample),
                Ok(_) => {}
                Err(error) => println!("  {name}: {error:#}"),
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
    Ok(())
}

fn get(name: &str) -> Result<prospect_testing::Fixture> {
    fixture(name).map_err(|missing| anyhow::anyhow!("{missing}"))
}
