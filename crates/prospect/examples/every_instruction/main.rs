//! Runs a program instruction by instruction and holds every walk against what it has really called:
//! `every_instruction [--steps N] [--sample N] REPORT PROGRAM…`.
//!
//! With `--emulator PROGRAM --from ADDRESS`, a static program of AArch64 is run by qemu, and walks begin at that
//! address. With `--sample`, gdb is asked too: then this is started by gdb (`target remote | …`). The report has one line for
//! each way to walk and one for each instruction at which it was wrong; `cargo xtask oracle --every-instruction`
//! makes a table of it.
#![allow(clippy::print_stderr, reason = "an example talks to whoever runs it")]

mod emulated;
mod follow;
mod gdb;
mod history;
mod opinion;

use std::{
    env,
    fmt::Write as _,
    fs,
    process::{Command, ExitCode},
    time::Duration,
};

use prospect::process::Addr;
use prospect_testing::{Running, Signal, send};

use emulated::Emulated;
use follow::{Followed, Limits, Witness, follow, follow_thread};
use gdb::Gdb;

fn main() -> ExitCode {
    let mut limits = Limits { steps: 2_000_000, time: Duration::from_secs(300), sample: 0 };
    let (mut emulator, mut from) = (None, 0);
    let mut words = env::args().skip(1).peekable();
    while let Some(option) = words.next_if(|word| word.starts_with("--")) {
        let value = words.next().unwrap_or_default();
        match option.as_str() {
            "--steps" => limits.steps = value.parse().unwrap_or(0),
            "--sample" => limits.sample = value.parse().unwrap_or(0),
            "--emulator" => emulator = Some(value),
            _ => from = u64::from_str_radix(&value, 16).unwrap_or(0),
        }
    }
    let (Some(report), Some(program)) = (words.next(), words.next()) else {
        eprintln!("usage: every_instruction [--steps N] [--sample N] REPORT PROGRAM…");
        return ExitCode::from(2);
    };
    if let Some(emulator) = emulator {
        let args: Vec<String> = words.collect();
        let followed = Emulated::start(&emulator, program.as_ref(), &args, Addr(from))
            .and_then(|mut thread| follow_thread(&mut thread, limits, None, || ()));
        return write(&report, followed);
    }
    let running = Running::start(Command::new(program).args(words));
    let pid = running.pid();
    let mut gdb = (limits.sample > 0).then(|| Gdb::new(pid));
    let witness = gdb.as_mut().map(|gdb| gdb as &mut dyn Witness);
    let followed = follow(pid, limits, witness, || _ = send(Signal::User1, pid));
    if let Some(gdb) = &mut gdb {
        gdb.end();
    }
    write(&report, followed)
}

fn write(report: &str, followed: Result<Followed, String>) -> ExitCode {
    match followed.map(|followed| fs::write(report, text(&followed))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&error.to_string()),
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// The report: words between tabs.
fn text(followed: &Followed) -> String {
    let Followed { steps, signals, took, ended, lost, opinions } = followed;
    let mut text = format!(
        "run\t{steps}\t{signals}\t{}\t{ended}\t{}\n",
        took.as_millis(),
        lost.as_deref().unwrap_or("")
    );
    for opinion in opinions {
        let (name, (said, right)) = (opinion.name, opinion.registers);
        let (asked, callers, chains) = (opinion.asked, opinion.callers, opinion.chains);
        let false_callers = opinion.false_callers;
        let _ =
            writeln!(text, "opinion\t{name}\t{asked}\t{callers}\t{false_callers}\t{chains}\t{said}\t{right}");
        for ((_, fault), wrong) in &opinion.wrong {
            let (file, at) = wrong.code.clone().unwrap_or_default();
            let (times, step, place, what) = (wrong.times, wrong.step, &wrong.place, &wrong.what);
            let _ =
                writeln!(text, "wrong\t{name}\t{fault:?}\t{times}\t{step}\t{place}\t{file}\t{at:x}\t{what}");
        }
    }
    text
}
