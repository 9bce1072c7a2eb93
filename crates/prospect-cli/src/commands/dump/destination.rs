//! Where a dump goes to.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use prospect::dump::elf_core::{GatheredFile, Output, SparseFile, Stream};

use super::{compress::Compression, new_file::NewFile};
use crate::exit::{Failure, Result};

/// A place for a dump.
pub(crate) enum Destination {
    /// A file that is made.
    New { file: NewFile, path: PathBuf },
    /// What is there already and is no file: a pipe, a device.
    Existing { file: File, path: PathBuf },
    /// Our own output.
    Stdout,
}

impl Destination {
    /// Begins it: what cannot be written to is known before anything is stopped.
    pub(crate) fn open(path: &Path, force: bool) -> Result<Self> {
        if path == Path::new("-") {
            return if io::stdout().is_terminal() {
                Err(Failure::usage(
                    "a dump is nothing for a terminal: give -o FILE, or send it through a pipe",
                ))
            } else {
                Ok(Self::Stdout)
            };
        }
        let is_other = path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir());
        let opened = if is_other {
            let file = OpenOptions::new().write(true).open(path);
            file.map(|file| Self::Existing { file, path: path.to_owned() })
        } else {
            NewFile::create(path, force).map(|file| Self::New { file, path: path.to_owned() })
        };
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::failed(format_args!("{} is there already, and is kept", path.display()))
                    .with_help("--force to replace it, or -o with another name".into())
            }
            _ => Failure::failed(format_args!("cannot write {}: {error}", path.display())),
        })
    }

    /// Its name; `None` for our own output.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::New { path, .. } | Self::Existing { path, .. } => Some(path),
            Self::Stdout => None,
        }
    }

    /// What takes the dump.
    pub(crate) fn output(&self, compression: Option<Compression>) -> io::Result<Box<dyn Output>> {
        let stream: Box<dyn Write> = match self {
            Self::New { file, .. } if compression.is_none() => {
                return Ok(Box::new(SparseFile::new(file.writer()?)?));
            }
            Self::New { file, .. } => Box::new(GatheredFile::new(file.writer()?)?),
            Self::Existing { file, .. } => Box::new(file.try_clone()?),
            // Not through its buffer: pieces are large.
            Self::Stdout => Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        };
        match compression {
            Some(compression) => compression.around(stream),
            None => Ok(Box::new(Stream(stream))),
        }
    }

    /// The dump is whole. Says how many bytes the file has, and how many it takes on the disk.
    pub(crate) fn publish(self) -> io::Result<Option<(u64, u64)>> {
        let Self::New { file, .. } = self else { return Ok(None) };
        let there = file.writer()?.metadata()?;
        file.publish()?;
        Ok(Some((there.len(), there.blocks() * 512)))
    }
}
