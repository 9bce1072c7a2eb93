//! What a command looks at: the one grammar of all subcommands.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use prospect::{LaunchError, Launched, live::procfs, process::ProcessId};

use crate::{
    commands::demo,
    exit::{Failure, Result},
};

/// The arguments that say what to look at.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TargetArgs {
    /// What to look at: the number of a process.
    #[arg(value_name = "TARGET", conflicts_with_all = ["demo", "command"])]
    targets: Vec<String>,

    #[command(flatten)]
    others: OtherTargetArgs,
}

/// Those of them that are no numbers.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct OtherTargetArgs {
    /// Every process of this name.
    #[arg(long, value_name = "NAME")]
    name: Vec<OsString>,

    /// Look at a small program that comes with this command, to see what it does.
    #[arg(long, conflicts_with_all = ["name", "command"])]
    demo: bool,

    /// Start this command, look at it after `--after` seconds, and end it. What it writes goes to stderr.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "name")]
    command: Vec<OsString>,

    /// How long a started command runs before it is looked at.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    after: Duration,
}

/// What was asked for, found.
pub(crate) struct Targets {
    pub(crate) processes: Vec<ProcessId>,
    /// A process that we started, and end.
    child: Option<Launched>,
}

impl TargetArgs {
    /// Finds or starts what is to be looked at.
    pub(crate) fn find(&self) -> Result<Targets> {
        self.others.find(&self.targets)
    }

    /// The same, where arguments that are not numbers are files.
    pub(crate) fn find_with_files(&self) -> Result<(Targets, Vec<PathBuf>)> {
        let is_number = |text: &String| text.bytes().all(|byte| byte.is_ascii_digit());
        let (numbers, files): (Vec<String>, Vec<String>) = self.targets.iter().cloned().partition(is_number);
        let files = files.into_iter().map(PathBuf::from).collect::<Vec<_>>();
        if numbers.is_empty() && !self.others.are_given() && !files.is_empty() {
            return Ok((Targets { processes: Vec::new(), child: None }, files));
        }
        Ok((self.others.find(&numbers)?, files))
    }
}

impl OtherTargetArgs {
    /// Whether there are any.
    pub(crate) fn are_given(&self) -> bool {
        self.demo || !self.name.is_empty() || !self.command.is_empty()
    }

    /// Finds or starts what is to be looked at, and these processes.
    pub(crate) fn find(&self, numbers: &[String]) -> Result<Targets> {
        if self.demo {
            return Ok(Targets::launched(demo::start()?.into()));
        }
        if let Some((program, arguments)) = self.command.split_first() {
            return self.launch(program, arguments);
        }
        let mut processes = Vec::new();
        for target in numbers {
            processes.push(pid(target)?);
        }
        for name in &self.name {
            let found = procfs::find_by_name(name.as_bytes()).map_err(Failure::failed)?;
            if found.is_empty() {
                return Err(Failure::not_found(format_args!(
                    "there is no process named {}",
                    name.to_string_lossy()
                )));
            }
            processes.extend(found);
        }
        if processes.is_empty() {
            return Err(Failure::usage(
                "nothing to look at: give a process number, --name NAME, --demo, or -- COMMAND",
            ));
        }
        Ok(Targets { processes, child: None })
    }

    fn launch(&self, program: &OsString, arguments: &[OsString]) -> Result<Targets> {
        let stderr = io::stderr().as_fd().try_clone_to_owned().map_err(Failure::failed)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(stderr);
        let launched = Launched::start(&mut command, self.after).map_err(|error| match &error {
            LaunchError::Start { error: reason, .. } if reason.kind() == io::ErrorKind::NotFound => {
                Failure::not_found(&error)
            }
            LaunchError::Ended { .. } => Failure::failed(format_args!("{error}; see --after")),
            _ => Failure::failed(&error),
        })?;
        Ok(Targets::launched(launched))
    }
}

impl Targets {
    fn launched(child: Launched) -> Self {
        Self { processes: vec![child.id()], child: Some(child) }
    }

    /// Ends what was started for this.
    pub(crate) fn end(self) {
        drop(self.child);
        // What the process wrote to stderr before it ended stands before what we write to stdout.
        let _ = io::stderr().flush();
    }
}

/// Reads the number of a process.
pub(crate) fn pid(target: &str) -> Result<ProcessId> {
    match target.parse::<u32>() {
        Ok(pid) if pid > 0 => Ok(ProcessId(pid)),
        _ if target.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Failure::not_found(format_args!("there is no process {target}")))
        }
        _ => Err(Failure::usage(format_args!(
            "{target:?} is not the number of a process (a process by name: --name {target})"
        ))),
    }
}

/// Reads a time between two events: a number with a unit (`ms`, `s`, `m`, `h`; seconds without one), more than nothing.
pub(crate) fn interval(text: &str) -> std::result::Result<Duration, String> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let unit = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, unit) = unit.unwrap_or((text, &1.0));
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a time (5s, 500ms, 2m)"))?;
    let time = Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())?;
    if time.is_zero() { Err(format!("{text:?} is no time at all")) } else { Ok(time) }
}

/// Reads a number of seconds, which may have a fraction.
pub(crate) fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units() {
        let read = |text| interval(text).ok().map(|time| time.as_millis());
        assert_eq!(
            ["5s", "500ms", "2m", "1h", "0.25"].map(read),
            [5000, 500, 120_000, 3_600_000, 250].map(Some)
        );
        assert_eq!(["", "s", "0", "0ms", "-1s", "5x", "NaN", "inf", "1e300s", "5 s "].map(read), [None; 10]);
    }
}
