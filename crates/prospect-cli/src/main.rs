//! The `prospect` command.

mod commands;
mod downloads;
mod exit;
mod report;
mod symbol_args;
mod target;
mod value_args;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// See inside any process: its threads, their stacks, its modules and memory.
#[derive(Parser)]
#[command(name = "prospect", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Only the arguments of the one that is asked for are made ready.
#[derive(Subcommand)]
#[command(defer = true)]
enum Command {
    Stack(commands::stack::Args),
    Info(commands::info::Args),
    Find(commands::find::Args),
    Print(commands::print::Args),
    Break(commands::breaks::Args),
    Heal(commands::heal::Args),
    Symbols(commands::symbols::Args),
    Dump(commands::dump::Args),
    Convert(commands::convert::Args),
    Core(commands::core::Args),
    CrashHandler(commands::crash_handler::Args),
    CrashWatch(commands::crash_watch::Args),
    Doctor(commands::doctor::Args),
    Addr2line(Box<commands::addr2line::Args>),
    #[command(name = commands::demo::COMMAND, hide = true)]
    Demo,
}

/// What is understood. Where no subcommand comes first, help may be wanted, which says what each of them does.
fn command(arguments: &[OsString]) -> clap::Command {
    let mut command = commands::addr2line::adapt(Cli::command(), arguments);
    let first = arguments.get(1);
    if first.is_none_or(|first| command.find_subcommand(first).is_none()) {
        command.build();
    }
    command
}

fn main() -> ExitCode {
    ExitCode::from(exit::number(run()))
}

fn run() -> exit::Result {
    let arguments = commands::addr2line::expand(std::env::args_os())?;
    let command = command(&arguments);
    let arguments = commands::print::mark_expressions(&command, arguments.into_iter());
    let cli =
        Cli::from_arg_matches(&command.get_matches_from(arguments)).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Stack(args) => commands::stack::run(args),
        Command::Info(args) => commands::info::run(&args),
        Command::Find(args) => commands::find::run(&args),
        Command::Print(args) => commands::print::run(&args),
        Command::Break(args) => commands::breaks::run(&args),
        Command::Heal(args) => commands::heal::run(&args),
        Command::Symbols(args) => commands::symbols::run(&args),
        Command::Dump(args) => commands::dump::run(&args),
        Command::Convert(args) => commands::convert::run(&args),
        Command::Core(args) => commands::core::run(&args),
        Command::CrashHandler(args) => commands::crash_handler::run(args),
        Command::CrashWatch(args) => commands::crash_watch::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Addr2line(args) => commands::addr2line::run(*args),
        Command::Demo => commands::demo::serve(),
    }
}
