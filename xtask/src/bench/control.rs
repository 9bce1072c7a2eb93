//! Rows e.*: what breakpoints, steps and traced system calls cost, by what the target counts itself.
//!
//! A tool is started on a target that runs, and left for a while; then what the target does in a second is read. Tools take turns. The best and
//! the middle of the rounds are shown: where others use the processors, the best says more.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use prospect_testing::{Fixture, Running, Scratch, fixture, tool};

use super::measure::median;
use crate::workspace;

/// A tool has taken hold after so long, or never does.
const HOLD_WITHIN: Duration = Duration::from_secs(20);

/// So long is looked how much the target does.
const WINDOW: Duration = Duration::from_secs(1);

/// A tool that counts by itself has so long.
const TOOL_WITHIN: &str = "60";

/// Threads of the row with several.
const THREADS: usize = 8;

/// System calls of one run.
const CALLS: &str = "200000";

/// Functions of the program that has many.
const FUNCTIONS: usize = 10_000;

/// The rows: name, and what is done at each call of `target_fn`.
const ROWS: [(&str, &str, usize); 4] = [
    ("e.break", "a breakpoint that always goes on", 1),
    ("e.condition", "a false condition on an argument", 1),
    ("e.arguments", "three arguments printed at each hit", 1),
    ("e.threads", "8 threads that hit one breakpoint", THREADS),
];

const STEP: &str = "e.step";
const SYSCALL: &str = "e.syscall";
const MANY: &str = "e.many";

/// Measures all that are wanted.
pub(super) fn measure(prospect: &Path, is_wanted: &dyn Fn(&str) -> bool, reps: usize) -> Result<()> {
    let reps = reps.min(5);
    let fixture = fixture("bench-calls").map_err(|missing| anyhow::anyhow!("{missing}"))?;
    for (name, about, threads) in ROWS {
        if is_wanted(name) {
            println!("\n{name}  {about}");
            measure_hits(name, &fixture, threads, prospect, reps)?;
        }
    }
    if is_wanted(STEP) {
        println!("\n{STEP}  single steps");
        measure_steps(&fixture, reps)?;
    }
    if is_wanted(SYSCALL) {
        println!("\n{SYSCALL}  a system call caught by name, and calls beside it");
        measure_calls(&fixture, prospect, reps)?;
    }
    if is_wanted(MANY) {
        println!("\n{MANY}  attach, set {FUNCTIONS} breakpoints by pattern, let go");
        measure_many(prospect, reps)?;
    }
    Ok(())
}

/// A target that counts what it does.
struct Counting {
    target: Running,
    counts: File,
    _scratch: Scratch,
}

impl Counting {
    fn start(fixture: &Fixture, threads: usize) -> Result<Self> {
        let scratch = Scratch::new("counts");
        let path = scratch.path().join("counts");
        fs::write(&path, vec![0; 4096])?;
        let mut command = fixture.command(&[&threads.to_string()]);
        command.env("COUNTS", &path);
        let target = Running::start_restless(&mut command);
        Ok(Self { target, counts: File::open(&path)?, _scratch: scratch })
    }

    /// What each thread has counted.
    fn counts(&self, threads: usize) -> Result<Vec<f64>> {
        let mut bytes = vec![0; 64 * threads];
        self.counts.read_exact_at(&mut bytes, 0)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().step_by(8).map(|word| u64::from_ne_bytes(*word) as f64).collect())
    }

    /// How often in a second, for each thread.
    fn rates(&self, threads: usize, window: Duration) -> Result<Vec<f64>> {
        let (before, began) = (self.counts(threads)?, Instant::now());
        thread::sleep(window);
        let (after, took) = (self.counts(threads)?, began.elapsed().as_secs_f64());
        Ok(before.iter().zip(after).map(|(before, after)| (after - before) / took).collect())
    }
}

/// A tool that runs until it is not needed.
struct Tool(Child);

impl Drop for Tool {
    fn drop(&mut self) {
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let deadline = Instant::now() + Duration::from_secs(3);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// The tools of a row, as command lines with `PID`.
fn tools(row: &str, prospect: &Path) -> Vec<(&'static str, Vec<String>)> {
    let prospect = prospect.to_string_lossy();
    let own = |more: &[&str]| words(&[&[&*prospect, "break", "--at", "target_fn"], more, &["PID"]].concat());
    let gdb = |commands: &[&str]| {
        let commands = commands.iter().flat_map(|command| ["-ex", command]);
        words(&["gdb", "-nx", "-q", "-batch", "-p", "PID"].into_iter().chain(commands).collect::<Vec<_>>())
    };
    let silent =
        "python exec('class B(gdb.Breakpoint):\\n  def stop(self): return False\\nB(\"target_fn\")')";
    let lldb =
        |set: &str| words(&["lldb", "--no-lldbinit", "--batch", "-p", "PID", "-o", set, "-o", "continue"]);
    match row {
        "e.condition" => vec![
            ("prospect", own(&["--if", "id == -1", "--silent"])),
            ("gdb", gdb(&["break target_fn if id == -1", "continue"])),
            ("lldb", lldb("breakpoint set -n target_fn -c 'id == -1'")),
        ],
        "e.arguments" => vec![
            ("prospect", own(&["--log", "{id} {buf} {len}"])),
            ("prospect --silent", own(&["--log", "{id} {buf} {len}", "--silent"])),
            ("gdb dprintf", gdb(&["dprintf target_fn,\"%d %s %lu\\n\", id, buf, len", "continue"])),
        ],
        _ => vec![
            ("prospect", own(&["--silent"])),
            ("gdb, ignore count", gdb(&["break target_fn", "ignore 1 1000000000", "continue"])),
            ("gdb, Python", gdb(&[silent, "continue"])),
            ("lldb", lldb("breakpoint set -n target_fn -G true")),
        ],
    }
}

fn measure_hits(row: &str, fixture: &Fixture, threads: usize, prospect: &Path, reps: usize) -> Result<()> {
    let tools = tools(row, prospect);
    let mut figures: Vec<Vec<Vec<f64>>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..reps {
        for ((name, argv), figures) in tools.iter().zip(&mut figures) {
            if name.starts_with(['g', 'l']) && tool(&argv[0]).is_err() {
                continue;
            }
            let counting = Counting::start(fixture, threads)?;
            let free: f64 = counting.rates(threads, Duration::from_millis(100))?.iter().sum();
            let out = counting._scratch.path().join("out");
            let argv: Vec<String> =
                argv.iter().map(|word| word.replace("PID", &counting.target.arg())).collect();
            let mut command = Command::new(&argv[0]);
            command.args(&argv[1..]).stdin(Stdio::null()).stderr(Stdio::null()).stdout(File::create(out)?);
            let _tool = Tool(command.spawn().with_context(|| argv[0].clone())?);
            let deadline = Instant::now() + HOLD_WITHIN;
            loop {
                let rate: f64 = counting.rates(threads, Duration::from_millis(50))?.iter().sum();
                if rate > 0.0 && rate < free / 4.0 {
                    break;
                }
                ensure!(Instant::now() < deadline, "{name} does not take hold");
            }
            thread::sleep(Duration::from_millis(300));
            figures.push(counting.rates(threads, WINDOW)?);
        }
    }
    println!("  {:<24} {:>12} {:>12} {:>14}", "hits in a second", "best", "median", "least/most");
    for ((name, _), rounds) in tools.iter().zip(figures) {
        let sums = || rounds.iter().map(|rates| rates.iter().sum::<f64>());
        let share = |rates: &Vec<f64>| {
            let least = rates.iter().copied().fold(f64::MAX, f64::min);
            least / rates.iter().copied().fold(1.0, f64::max)
        };
        let fair = median(rounds.iter().map(share));
        println!("  {name:<24} {:>12.0} {:>12.0} {fair:>14.2}", sums().fold(0.0, f64::max), median(sums()));
    }
    Ok(())
}

fn report(name: &str, unit: &str, figures: &[f64]) {
    if figures.is_empty() {
        println!("  {name:<34} not measured");
        return;
    }
    let best = figures.iter().copied().fold(0.0, f64::max);
    println!("  {name:<34} {best:>12.0} {:>12.0}  {unit}", median(figures.iter().copied()));
}

/// The last number that a command prints; `None` when it fails.
fn number_of(argv: &[&str]) -> Option<f64> {
    let output = Command::new("timeout").arg(TOOL_WITHIN).args(argv).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().rev().find_map(|line| line.trim().parse().ok())
}

fn measure_steps(fixture: &Fixture, reps: usize) -> Result<()> {
    let example = workspace::build_example("prospect-live", "step_speed")?;
    let example = example.to_string_lossy();
    let program = fixture.path();
    let program = program.to_string_lossy();
    let script = "python exec('import time\\ngdb.execute(\"starti\", to_string=True)\\nt=time.monotonic()\\n\
                  for _ in range(5000): gdb.execute(\"stepi\", to_string=True)\\nprint(round(5000/(time.monotonic()-t)))')";
    let (mut own, mut gdb) = (Vec::new(), Vec::new());
    for _ in 0..reps {
        own.extend(number_of(&[&example, &program, "1", "1", "1"]));
        let words = ["gdb", "-nx", "-q", "-batch", "-ex", script, "--args", &program, "1", "1", "1"];
        gdb.extend(number_of(&words));
    }
    report("prospect, within a range", "steps/s", &own);
    report("gdb, stepi", "steps/s", &gdb);
    Ok(())
}

fn measure_calls(fixture: &Fixture, prospect: &Path, reps: usize) -> Result<()> {
    let program = fixture.path();
    let (program, prospect) = (program.to_string_lossy(), prospect.to_string_lossy());
    let run = [&*program, "1", CALLS];
    let own = |name| vec![&*prospect, "break", "--kill-on-exit", "--silent", "--syscall", name, "--"];
    let rows: [(&str, Vec<&str>); 7] = [
        ("untraced", vec![]),
        // What the kernel's filter costs by itself, whatever it says.
        ("limit: a filter, untraced", vec!["env", "FILTERED=1"]),
        ("prospect, this call", own("getppid")),
        ("prospect, another call", own("openat")),
        ("prospect, all calls stop", vec![&prospect, "break", "--silent", "--syscall", "getppid", "--"]),
        (
            "strace, this call",
            vec!["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=getppid"],
        ),
        (
            "strace, another call",
            vec!["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=openat"],
        ),
    ];
    let mut figures: Vec<Vec<f64>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..reps {
        for ((_, tool), figures) in rows.iter().zip(&mut figures) {
            // Calls that cost nothing are over at once.
            let free = ["openat", "trace=openat", "FILTERED=1"];
            let many = tool.is_empty() || tool.iter().any(|word| free.contains(word));
            let number = if many { "3000000" } else { CALLS };
            let argv = [&tool[..], &[run[0], run[1], number]].concat();
            figures.extend(number_of(&argv));
        }
    }
    for ((name, _), figures) in rows.iter().zip(figures) {
        report(name, "calls/s", &figures);
    }
    Ok(())
}

/// A program of very many functions, built when it is not there yet.
fn many_functions() -> Result<PathBuf> {
    let home = workspace::scratch_directory("bench-many")?;
    let (program, from) = (home.join("many"), home.join("many.c"));
    let mut source = String::from("#include <stdio.h>\n#include <unistd.h>\nvolatile int seen;\n");
    for number in 0..FUNCTIONS {
        source +=
            &format!("__attribute__((noinline)) int f{number}(int x) {{ seen = x; return x + {number}; }}\n");
    }
    source += "int main(void) { puts(\"READY\"); fflush(stdout); for (;;) usleep(1000); }\n";
    let is_built = program.exists() && fs::read_to_string(&from).is_ok_and(|there| there == source);
    if !is_built {
        let to = home.join("many.new");
        fs::write(&from, source)?;
        let status = Command::new("gcc").args(["-O1", "-g", "-o"]).arg(&to).arg(from).status()?;
        ensure!(status.success(), "the program of many functions does not build");
        fs::rename(to, &program)?;
    }
    Ok(program)
}

fn measure_many(prospect: &Path, reps: usize) -> Result<()> {
    let target = Running::start_restless(&mut Command::new(many_functions()?));
    let (prospect, pid) = (prospect.to_string_lossy(), target.arg());
    let own = [&*prospect, "break", "--at", "/^f[0-9]+$/", "--silent", "--timeout", "0.001", &pid];
    // They are put into the code when it runs.
    let gdb = [
        "gdb",
        "-nx",
        "-q",
        "-batch",
        "-p",
        &pid,
        "-ex",
        "rbreak ^f[0-9]*$",
        "-ex",
        "stepi",
        "-ex",
        "detach",
    ];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..reps {
        for (argv, figures) in [(&own[..], &mut ours), (&gdb[..], &mut theirs)] {
            let began = Instant::now();
            let mut command = Command::new("timeout");
            command.arg("300").args(argv).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if command.status()?.success() {
                figures.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("  prospect {ours:.0} ms, gdb rbreak {theirs:.0} ms: {:.3} of it", ours / theirs.max(1.0));
    Ok(())
}
