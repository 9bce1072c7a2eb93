//! `prospect crash-handler`: the program to which the kernel gives the cores of processes that crash (`man 5 core`).

mod capture;
mod install;
mod keep;
mod pattern;
mod record;
mod run;
mod settings;
mod status;
mod store;
mod stream;

pub(crate) use pattern::Installed;
pub(crate) use record::{CrashRecord, State, utc};
pub(crate) use store::{Counters, Stored};

use crate::exit::Result;

/// Where crashes are stored.
const DIRECTORY: &str = "/var/lib/prospect/crashes";

/// Keep the stacks and a small core of each process that crashes: a program for /proc/sys/kernel/core_pattern (docs/crash-handler.md).
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Install(install::InstallArgs),
    Uninstall(install::UninstallArgs),
    Status(status::Args),
    Run(run::Args),
}

pub(crate) fn run(args: Args) -> Result {
    match args.command {
        Command::Install(args) => install::install(&args),
        Command::Uninstall(args) => install::uninstall(&args),
        Command::Status(args) => status::run(&args),
        Command::Run(args) => run::run(args),
    }
}
