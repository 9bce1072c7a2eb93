//! What must not be in a dump.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use prospect::{
    Mode, OpenOptions, RedactRule,
    dump::redact::{Manifest, Redaction},
    process::ProcessId,
};

use super::new_file::NewFile;
use crate::{
    exit::{Failure, Result},
    report,
};

#[derive(clap::Args)]
pub(crate) struct RedactArgs {
    /// Zero bytes before they are written; may be given several times. `env`: the environment; `args`: the arguments; `secrets`: what
    /// has the shape of keys, tokens and passwords; `var:NAME`: a global variable; `type:NAME`: the objects of a type that variables lead to; `pattern:REGEX`: what matches, or what its first
    /// group does. General registers and addresses on stacks are kept; vector registers are left out.
    #[arg(long, value_name = "RULE")]
    redact: Vec<RedactRule>,

    /// Rules from a file, one on each line; lines that begin with # are comments.
    #[arg(long, value_name = "FILE")]
    redact_file: Vec<PathBuf>,

    /// Write into this file, as JSON, which ranges of memory the dump has and which were zeroed by which rule (docs/json.md).
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

impl RedactArgs {
    pub(super) fn has_manifest(&self) -> bool {
        self.manifest.is_some()
    }

    /// What the rules mean in a process. `None` where there are none.
    pub(super) fn redaction(&self, id: ProcessId) -> Result<Option<Redaction>> {
        let Some(rules) = self.rules()? else { return Ok(None) };
        let session = OpenOptions::new().mode(Mode::NoStop).open(id.0)?;
        session.redaction(&rules).map(Some).map_err(Failure::failed)
    }

    /// The rules, also those of files. `None` where there are none.
    pub(crate) fn rules(&self) -> Result<Option<Vec<RedactRule>>> {
        let mut rules = self.redact.clone();
        for path in &self.redact_file {
            let failed =
                |error: &dyn std::fmt::Display| Failure::usage(format_args!("{}: {error}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            for line in lines {
                rules.push(line.parse().map_err(|error| failed(&error))?);
            }
        }
        Ok((!rules.is_empty() || self.manifest.is_some()).then_some(rules))
    }

    /// Begins the manifest, so that it is known before whether it can be written.
    pub(crate) fn begin(&self, replace: bool) -> Result<Option<ManifestFile<'_>>> {
        let Some(path) = &self.manifest else { return Ok(None) };
        let file = NewFile::create(path, replace)
            .map_err(|error| Failure::failed(format_args!("cannot write {}: {error}", path.display())))?;
        Ok(Some(ManifestFile { file, path }))
    }
}

/// A manifest that is to be written.
pub(crate) struct ManifestFile<'a> {
    file: NewFile,
    path: &'a Path,
}

impl ManifestFile<'_> {
    pub(crate) fn write(self, rules: &Redaction, manifest: &Manifest) -> Result<()> {
        let Self { file, path } = self;
        let mut text = report::manifest_json(rules, manifest);
        text.push('\n');
        let written = file.writer().and_then(|mut to| to.write_all(text.as_bytes()));
        written.and_then(|()| file.publish()).map_err(|error| {
            Failure::failed(format_args!("cannot write {}: {error}; the dump is whole", path.display()))
        })
    }
}
