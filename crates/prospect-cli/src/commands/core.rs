//! `prospect core`: what is done with the files of cores themselves.

mod diff;
mod info;
mod shrink;

use crate::exit::Result;

/// Show what is in a core or what differs between two, or make one smaller.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Info(info::Args),
    Diff(diff::Args),
    Shrink(shrink::Args),
}

pub(crate) fn run(args: &Args) -> Result {
    match &args.command {
        Command::Info(args) => info::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Shrink(args) => shrink::run(args),
    }
}
