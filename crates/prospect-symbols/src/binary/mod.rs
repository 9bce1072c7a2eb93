//! One ELF file, or what a process's memory holds of one.

mod file;
mod section;

use std::path::Path;

use prospect_process::{Arch, BuildId, LinkAddr, Memory, Module};

use crate::{UnwindInfoError, UnwindRow};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinaryError {
    /// It cannot be opened.
    #[error("cannot open: {0}")]
    Open(#[source] std::io::Error),
    /// It is not an ELF file, or a broken one.
    #[error("not a usable ELF file: {0}")]
    Malformed(String),
}

/// One ELF file, parsed as far as it was asked for.
#[derive(Debug)]
pub struct Binary {}

impl Binary {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened or is no ELF file.
    pub fn open(_path: &Path) -> Result<Self, BinaryError> {
        Err(BinaryError::Malformed("".into()))
    }

    /// What the memory of a process holds of a module whose file cannot be had.
    ///
    /// # Errors
    /// When the headers in memory make no sense.
    pub fn from_memory(_module: &Module, _memory: &dyn Memory) -> Result<Self, BinaryError> {
        Err(BinaryError::Malformed("".into()))
    }

    /// The machine it is for.
    pub fn arch(&self) -> Option<Arch> {
        None
    }

    /// Its build-id.
    pub fn build_id(&self) -> Option<&BuildId> {
        None
    }

    /// The unwind row for an address. `None` where no call frame information covers it.
    ///
    /// # Errors
    /// When what covers it is broken.
    pub fn unwind_row(&self, _at: LinkAddr) -> Result<Option<UnwindRow>, UnwindInfoError> {
        Ok(None)
    }
}
