//! `cargo xtask oracle --every-instruction`: programs run instruction by instruction; at each one, what each way to
//! walk says is held against what the thread has really called, known from its calls and returns. On a sample, gdb
//! says too what it sees at that very moment.

mod emulated;
mod reasons;
mod report;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Scratch, fixture};

use crate::workspace;
use reasons::reason;
use report::{Opinion, Report, Wrong};

const GDB_SCRIPT: &str = include_str!("gdb.py");

/// One program to run.
struct Program {
    fixture: &'static str,
    args: &'static [&'static str],
    /// gdb is asked at each of so many instructions: it takes milliseconds for an answer.
    sample: u64,
    /// Whether all of its code has call frame information, but for what is written by hand to have none: then the
    /// standard walk has to be right at every instruction.
    has_tables: bool,
}

const fn program(fixture: &'static str) -> Program {
    Program { fixture, args: &[], sample: 41, has_tables: true }
}

impl Program {
    /// Signals interrupt it wherever it is.
    const fn interrupted(self) -> Self {
        Self { args: &["alarms"], sample: 97, ..self }
    }
}

const PROGRAMS: &[Program] = &[
    program("every"),
    program("every").interrupted(),
    program("every-o0"),
    program("every-o0").interrupted(),
    program("every-o3"),
    program("every-size"),
    program("every-fp"),
    program("every-cet"),
    program("every-avx"),
    program("every-static"),
    program("every-static").interrupted(),
    program("every-clang"),
    program("every-clang-o0"),
    program("every-clang-o3"),
    // Its C library has no call frame information.
    Program { has_tables: false, ..program("every-musl") },
    program("every-32"),
    program("every-32").interrupted(),
    program("every-32-o0"),
    program("every-32-fp"),
    program("every-32-static"),
    Program { sample: 997, ..program("throws") },
    Program { sample: 997, ..program("throws-o0") },
    Program { sample: 997, ..program("throws-32") },
];

/// The ways to walk, as the reports call them.
const STANDARD: &str = "standard";
const WAYS: [&str; 4] = [STANDARD, "cfi", "analysis", "gdb"];

/// Runs the programs with `only` in their name, shows so many disagreements of each way to walk, and fails where the
/// standard walk is wrong without a reason.
pub(crate) fn run(only: Option<&str>, show: usize) -> Result<()> {
    let follower = workspace::build_example("prospect", "every_instruction")?;
    let with_gdb =
        prospect_testing::tool("gdb").inspect_err(|missing| println!("{missing}: it is not asked")).is_ok();
    println!(
        "share of instructions with the right caller / with all frames right; registers: the share of the caller's"
    );
    println!(
        "preserved registers that are right; gdb n: so often gdb was asked; false a.: wrong callers by analysis"
    );
    let mut heads = vec![format!("{:<19} {:>7} {:>7}", "program", "steps", "signals")];
    heads.extend(WAYS.iter().map(|way| format!("{way:>17}")));
    println!("{} {:>10} {:>6} {:>10}", heads.join(" "), "registers", "gdb n", "false a.");
    let mut unexplained = 0;
    let mut whole = Report::default();
    for program in PROGRAMS {
        let name = [&[program.fixture], program.args].concat().join(" ");
        if !only.is_none_or(|only| name.contains(only)) {
            continue;
        }
        let path = match fixture(program.fixture) {
            Ok(fixture) => fixture.path(),
            Err(missing) => {
                println!("{name:<19} skipped: {missing}");
                continue;
            }
        };
        let report = follow(&follower, &path, program, with_gdb).with_context(|| name.clone())?;
        print_row(&name, &report);
        ensure!(report.lost.is_empty(), "{name}: it is not known what was called {}", report.lost);
        ensure!(report.ended, "{name}: it was not run to its end");
        for opinion in &report.opinions {
            let without_reason = print_wrong(opinion, show);
            if opinion.name == STANDARD && program.has_tables {
                unexplained += without_reason;
            }
        }
        whole.add(&report);
    }
    if only.is_none_or(|only| emulated::NAME.contains(only)) {
        match emulated::follow(&follower)? {
            Ok(report) => {
                print_row(emulated::NAME, &report);
                report.opinions.iter().for_each(|opinion| _ = print_wrong(opinion, show));
                whole.add(&report);
            }
            Err(missing) => println!("{:<19} skipped: {missing}", emulated::NAME),
        }
    }
    print_row("all", &whole);
    ensure!(whole.steps > 0, "nothing was run");
    println!("{} instructions in {:.1} s", whole.steps, whole.milliseconds as f64 / 1000.0);
    ensure!(unexplained == 0, "{unexplained} instructions are walked wrongly without a reason");
    Ok(())
}

fn follow(follower: &Path, path: &Path, program: &Program, with_gdb: bool) -> Result<Report> {
    let scratch = Scratch::new("every-instruction");
    let (report, script) = (scratch.path().join("report"), scratch.path().join("ask.py"));
    fs::write(&script, GDB_SCRIPT)?;
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "600"]);
    if with_gdb {
        let words: Vec<_> = [follower, &report, path].iter().map(|path| path.display().to_string()).collect();
        let [follower, report, path] = words.as_slice() else { unreachable!("three of three") };
        let (sample, args) = (program.sample, program.args.join(" "));
        command.args(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off"]);
        command.args(["-iex", "set auto-load off", "-iex", "set sysroot /", "-iex", "set remotetimeout 60"]);
        command.args(["-ex", "set backtrace past-main on", "-ex", "set backtrace past-entry on"]);
        command.arg("-ex");
        command.arg(format!("target remote | '{follower}' --sample {sample} '{report}' '{path}' {args}"));
        command.arg("-ex").arg(format!("source {}", script.display())).arg(path);
    } else {
        command.arg(follower).arg(&report).arg(path).args(program.args);
    }
    command.env_remove("DEBUGINFOD_URLS").env("LC_ALL", "C").stdin(std::process::Stdio::null());
    let output = command.output()?;
    Report::read(&report).with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn print_row(name: &str, report: &Report) {
    let mut row = format!("{name:<19} {:>7} {:>7}", report.steps, report.signals);
    for way in WAYS {
        let cell = report.opinion(way).map_or("-".to_owned(), |opinion| {
            format!("{} / {}", share(opinion.callers, opinion.asked), share(opinion.chains, opinion.asked))
        });
        row += &format!(" {cell:>17}");
    }
    let registers = report.opinion(STANDARD).map_or((0, 0), |opinion| opinion.registers);
    let by_gdb = report.opinion("gdb").map_or(0, |opinion| opinion.asked);
    let misled = report.opinion("analysis").map_or(0, |opinion| opinion.false_callers);
    println!("{row} {:>10} {by_gdb:>6} {misled:>10}", share(registers.1, registers.0));
}

/// Prints where a way to walk was wrong, and says at how many instructions frames were without a reason.
fn print_wrong(opinion: &Opinion, show: usize) -> usize {
    let why = |wrong: &Wrong| reason(&wrong.place, &wrong.what);
    let mut reasons = BTreeMap::new();
    opinion.wrong.iter().filter_map(why).for_each(|why| *reasons.entry(why).or_insert(0) += 1);
    for (why, instructions) in reasons {
        println!("    {}: {instructions} instructions with a reason: {why}", opinion.name);
    }
    let rest: Vec<&Wrong> = opinion.wrong.iter().filter(|wrong| why(wrong).is_none()).collect();
    for wrong in rest.iter().take(show) {
        let fault = wrong.fault.to_lowercase();
        let instruction = wrong.instruction().unwrap_or_default();
        println!("    {} {fault} at {} `{instruction}`", opinion.name, wrong.place);
        println!("        {} times, first at step {}: {}", wrong.times, wrong.step, wrong.what);
    }
    if rest.len() > show {
        println!("    {}: … and {} more instructions", opinion.name, rest.len() - show);
    }
    rest.iter().filter(|wrong| wrong.fault != "Register").count()
}

/// Rounded down: only what is always right is 100 %.
fn share(part: u64, of: u64) -> String {
    if of == 0 {
        return "-".to_owned();
    }
    let hundredths = 10_000 * part / of;
    if hundredths == 10_000 {
        "100%".to_owned()
    } else {
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    }
}

impl Report {
    /// Adds the counts of another program.
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.signals += other.signals;
        self.milliseconds += other.milliseconds;
        for theirs in &other.opinions {
            let index = self.opinions.iter().position(|ours| ours.name == theirs.name).unwrap_or_else(|| {
                self.opinions.push(Opinion { name: theirs.name.clone(), ..Opinion::default() });
                self.opinions.len() - 1
            });
            let ours = &mut self.opinions[index];
            ours.asked += theirs.asked;
            ours.callers += theirs.callers;
            ours.false_callers += theirs.false_callers;
            ours.chains += theirs.chains;
            ours.registers.0 += theirs.registers.0;
            ours.registers.1 += theirs.registers.1;
        }
    }
}
