//! The project's own chores: `cargo xtask test`, `tidy`, `oracle`, `bench`, `soak`, `fuzz`, `fixtures`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod bench;
mod every_instruction;
mod fixtures;
mod fuzz;
mod oracle;
mod redis;
mod setup;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the tests need (Debian, Ubuntu), run every test, list the skipped ones
    Test(test::Arguments),
    /// Hold the sources against the rules of ARCHITECTURE.md
    Tidy,
    /// Compare stacks of real programs with gdb's and eu-stack's
    Oracle(oracle::Arguments),
    /// Measure beside the peers and beside bare programs
    Bench(bench::Arguments),
    /// Look at targets over and over, kill the tool in the middle, see that the targets live
    Soak(soak::Arguments),
    /// Feed damaged input to every parser
    Fuzz(fuzz::Arguments),
    /// Make the stopped programs of other architectures that tests walk
    Fixtures(fixtures::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Tidy => tidy::run(),
        Chore::Oracle(arguments) => oracle::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Soak(arguments) => soak::run(&arguments),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        Chore::Fixtures(arguments) => fixtures::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
