//! What a command looks at: the one grammar of all subcommands.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use prospect::{
    LaunchError, Launched, Source,
    dump::{Compression, elf_core::ElfCore, minidump::Minidump, systemd},
    live::procfs,
    process::ProcessId,
};

use crate::{
    commands::demo,
    exit::{Failure, Result},
};

/// The arguments that say what to look at.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TargetArgs {
    /// What to look at: the number of a process, or a core (also one that is compressed with zstd, xz, lz4 or gzip).
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

    /// The newest core that systemd-coredump has stored of a process of this name or number.
    #[arg(long, value_name = "NAME|PID", conflicts_with = "command")]
    coredump: Vec<String>,

    /// With `--coredump`: the directory to look in.
    #[arg(long, value_name = "DIR", default_value = systemd::DIRECTORY, requires = "coredump")]
    coredump_dir: PathBuf,

    /// Look at a small program that comes with this command, to see what it does.
    #[arg(long, conflicts_with_all = ["name", "coredump", "command"])]
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
    pub(crate) sources: Vec<Source>,
    /// A process that we started, and end.
    child: Option<Launched>,
}

impl TargetArgs {
    /// Finds or starts what is to be looked at.
    pub(crate) fn find(&self) -> Result<Targets> {
        self.others.find(&self.targets)
    }

    /// The same, where arguments that are no numbers and no cores are files.
    pub(crate) fn find_with_files(&self) -> Result<(Targets, Vec<PathBuf>)> {
        let is_target = |text: &String| is_number(text) || core(Path::new(text)).is_some();
        let (targets, files): (Vec<String>, Vec<String>) = self.targets.iter().cloned().partition(is_target);
        let files = files.into_iter().map(PathBuf::from).collect::<Vec<_>>();
        if targets.is_empty() && !self.others.are_given() && !files.is_empty() {
            return Ok((Targets { sources: Vec::new(), child: None }, files));
        }
        Ok((self.others.find(&targets)?, files))
    }
}

impl OtherTargetArgs {
    /// Whether there are any.
    pub(crate) fn are_given(&self) -> bool {
        self.demo || !self.name.is_empty() || !self.coredump.is_empty() || !self.command.is_empty()
    }

    /// Finds or starts what is to be looked at, and these processes and cores.
    pub(crate) fn find(&self, targets: &[String]) -> Result<Targets> {
        if self.demo {
            return Ok(Targets::launched(demo::start()?.into()));
        }
        if let Some((program, arguments)) = self.command.split_first() {
            return self.launch(program, arguments);
        }
        let mut sources = Vec::new();
        for target in targets {
            sources.push(source(target)?);
        }
        for name in &self.name {
            let found = procfs::find_by_name(name.as_bytes()).map_err(Failure::failed)?;
            if found.is_empty() {
                return Err(Failure::not_found(format_args!(
                    "there is no process named {}",
                    name.to_string_lossy()
                )));
            }
            sources.extend(found.into_iter().map(Source::Process));
        }
        for wanted in &self.coredump {
            sources.push(self.stored_core(wanted)?);
        }
        if sources.is_empty() {
            return Err(Failure::usage(
                "nothing to look at: give a process number, a core, --name NAME, --demo, or -- COMMAND",
            ));
        }
        Ok(Targets { sources, child: None })
    }

    fn stored_core(&self, wanted: &str) -> Result<Source> {
        let directory = self.coredump_dir.display();
        let stored = systemd::stored(&self.coredump_dir)
            .map_err(|error| Failure::not_found(format_args!("no stored cores in {directory}: {error}")))?;
        match stored.into_iter().find(|core| core.is_of(wanted)) {
            Some(core) => Ok(Source::Core(core.path)),
            None => Err(Failure::not_found(format_args!("no core of {wanted} is stored in {directory}"))),
        }
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
        Self { sources: vec![Source::Process(child.id())], child: Some(child) }
    }

    /// The processes, for an option that needs them alive.
    pub(crate) fn processes(&self, option: &str) -> Result<Vec<ProcessId>> {
        let process = |source: &Source| match source {
            Source::Process(id) => Ok(*id),
            other => Err(Failure::usage(format_args!("{option} is for live processes, and not for {other}"))),
        };
        self.sources.iter().map(process).collect()
    }

    /// Ends what was started for this.
    pub(crate) fn end(self) {
        drop(self.child);
        // What the process wrote to stderr before it ended stands before what we write to stdout.
        let _ = io::stderr().flush();
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads the number of a process, or the path of a core. A core that has a number for a name can be given with its
/// directory.
fn source(target: &str) -> Result<Source> {
    match target.parse::<u32>() {
        Ok(pid) if pid > 0 => Ok(Source::Process(ProcessId(pid))),
        _ if is_number(target) => Err(Failure::not_found(format_args!("there is no process {target}"))),
        _ => core_at(Path::new(target)).unwrap_or_else(|| {
            Err(Failure::usage(format_args!(
                "{target:?} is not the number of a process, and no core (a process by name: --name {target})"
            )))
        }),
    }
}

/// The core that a file is to be.
pub(crate) fn named_core(path: &Path) -> Result<Source> {
    core_at(path)
        .unwrap_or_else(|| Err(Failure::not_found(format_args!("there is no file {}", path.display()))))
}

/// `None` where there is no such file.
fn core_at(path: &Path) -> Option<Result<Source>> {
    match core(path) {
        Some(core) => Some(Ok(core)),
        None if is_denied(path) => Some(Ok(Source::Core(path.into()))),
        None => path.exists().then(|| Err(Failure::usage(format_args!("{path:?} is no core")))),
    }
}

/// The core or the minidump that a file is, where it is one, or is compressed as one may be.
pub(crate) fn core(path: &Path) -> Option<Source> {
    // Opening a FIFO would block: what it is comes before.
    let file = path.is_file().then(|| File::open(path).ok())??;
    if Minidump::is_minidump(&file) {
        return Some(Source::Minidump(path.to_owned()));
    }
    let is_core = ElfCore::is_core(&file) || matches!(Compression::of_file(&file), Ok(Some(_)));
    is_core.then(|| Source::Core(path.to_owned()))
}

/// Whether we may not look at a file: opening it will say so.
fn is_denied(path: &Path) -> bool {
    path.is_file() && File::open(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// How a source is given in arguments.
pub(crate) fn argument(source: &Source) -> String {
    match source {
        Source::Process(id) => id.to_string(),
        Source::Core(path) | Source::Minidump(path) => path.display().to_string(),
        other => other.to_string(),
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

/// Reads a number of bytes, which may have a unit: K, M, G, T, of 1024.
pub(crate) fn size(text: &str) -> std::result::Result<u64, String> {
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let unit = units.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
    let (number, bits) = unit.unwrap_or((text, 0));
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << bits));
    bytes.ok_or_else(|| format!("{text:?} is no size (4096, 64K, 200M, 2G)"))
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
    fn sizes_have_units() {
        let read = |text| size(text).ok();
        assert_eq!(["7", "64K", "200M", "2G"].map(read), [7, 64 << 10, 200 << 20, 2 << 30].map(Some));
        assert_eq!(["", "M", "-1", "1.5G", "2 G", "9999999999T"].map(read), [None; 6]);
    }

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
