//! `prospect crash-handler install` and `uninstall`: telling the kernel.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use super::{
    DIRECTORY,
    pattern::{Installed, PatternFile, pattern},
    settings::SettingsArgs,
    store::{Configuration, Store},
};
use crate::exit::{Failure, Outcome, Result};

/// Have the kernel give crashes to this command from now on, until the machine starts again.
///
/// What it did before is noted, for `uninstall`. The settings are noted too, and hold for each crash.
#[derive(clap::Args)]
pub(super) struct InstallArgs {
    /// The directory of all crashes.
    #[arg(short = 'D', long = "dir", value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Take the place of another program.
    #[arg(long)]
    force: bool,

    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    setting: PatternFile,
}

/// Have the kernel do with cores what it did before.
#[derive(clap::Args)]
pub(super) struct UninstallArgs {
    /// The directory of all crashes; they stay.
    #[arg(short = 'D', long = "dir", value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,

    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    setting: PatternFile,
}

pub(super) fn install(args: &InstallArgs) -> Result {
    args.settings.check()?;
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let directory = std::path::absolute(&args.directory).map_err(Failure::failed)?;
    let pattern = pattern(&program, &directory)?;
    let now = args.setting.read()?;
    let before = Store::at(&directory).configuration();
    let earlier = match Installed::of(&now) {
        Installed::Files => now,
        // It is ours already: what was before that stays what was before.
        Installed::Own => before.map_or_else(|| "core".into(), |before| before.earlier),
        Installed::Other if args.force => now,
        Installed::Other => {
            let failure = Failure::failed(format_args!("another program takes the cores: {now}"));
            return Err(failure.with_help("--force to take its place until `uninstall`".into()));
        }
    };
    let mut output = io::stdout().lock();
    if args.dry_run {
        writeln!(output, "would set kernel.core_pattern to: {pattern}\nand keep the earlier one: {earlier}")?;
        return Ok(Outcome::Complete);
    }
    args.setting.check()?;
    let store = Store::create(&directory)?;
    let configuration = Configuration { earlier: earlier.clone(), settings: args.settings.clone() };
    store.configure(&configuration).map_err(|error| {
        Failure::failed(format_args!("cannot write into {}: {error}", directory.display()))
    })?;
    args.setting.write(&pattern)?;
    writeln!(output, "kernel.core_pattern is now: {pattern}\nit was: {earlier}")?;
    writeln!(
        output,
        "until the machine starts again; for longer: echo 'kernel.core_pattern = {pattern}' > /etc/sysctl.d/99-prospect.conf"
    )?;
    Ok(Outcome::Complete)
}

pub(super) fn uninstall(args: &UninstallArgs) -> Result {
    let directory = std::path::absolute(&args.directory).map_err(Failure::failed)?;
    let now = args.setting.read()?;
    if Installed::of(&now) != Installed::Own {
        return Err(Failure::failed(format_args!("it is not installed: kernel.core_pattern is {now}")));
    }
    let store = Store::at(&directory);
    let Some(configuration) = store.configuration() else {
        return Err(Failure::failed(format_args!(
            "what kernel.core_pattern was before is not noted in {}",
            directory.display()
        ))
        .with_help("--dir with the directory that it was installed with".into()));
    };
    let mut output = io::stdout().lock();
    if args.dry_run {
        writeln!(output, "would set kernel.core_pattern to: {}", configuration.earlier)?;
        return Ok(Outcome::Complete);
    }
    args.setting.write(&configuration.earlier)?;
    // The setting is back: a note that stays is of no harm.
    let _ = store.forget_configuration();
    writeln!(output, "kernel.core_pattern is now: {}", configuration.earlier)?;
    Ok(Outcome::Complete)
}
