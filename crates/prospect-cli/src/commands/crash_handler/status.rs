//! `prospect crash-handler status`: what is installed, and what is stored.

use std::path::PathBuf;

use super::{
    DIRECTORY,
    pattern::{Installed, PatternFile},
    store::Store,
};
use crate::{
    exit::{Failure, Outcome, Result},
    report::{self, CrashesReport},
};

/// Show whether it is installed, and the crashes that are stored.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The directory of all crashes.
    #[arg(short = 'D', long = "dir", value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,

    /// Print JSON: one object (docs/json.md).
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    setting: PatternFile,
}

pub(super) fn run(args: &Args) -> Result {
    let store = Store::at(&args.directory);
    match std::fs::read_dir(&args.directory) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(Failure::denied(format_args!("cannot read {}: {error}", args.directory.display())));
        }
        _ => {}
    }
    let pattern = args.setting.read()?;
    let report = CrashesReport {
        installed: Installed::of(&pattern),
        earlier: store.configuration().map(|configuration| configuration.earlier),
        pattern,
        counters: store.counters(),
        crashes: store.crashes(),
        directory: args.directory.clone(),
    };
    if args.json { report::crashes_json(&report) } else { report::crashes_text(&report) }?;
    Ok(Outcome::Complete)
}
