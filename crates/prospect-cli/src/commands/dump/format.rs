//! What a dump is written as.

use std::path::Path;

use super::compress::Compression;

/// A format of dumps.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Core,
    Minidump,
}

impl Format {
    /// A minidump where the name of the file ends in `.dmp`, compressed or not, and else a core.
    pub(crate) fn by_name(file: Option<&Path>) -> Self {
        let name = file.and_then(Path::to_str).unwrap_or_default();
        let is_minidump = name.strip_suffix(Compression::SUFFIX).unwrap_or(name).ends_with(".dmp");
        if is_minidump { Self::Minidump } else { Self::Core }
    }
}
