//! Symbol files of Breakpad: what a module's debug information says, as text (Breakpad, `docs/symbol_files.md`).
//!
//! Their addresses are relative to where the module begins; here they are as linked.

mod cfi;
mod identity;
mod index;
mod names;
mod postfix;
mod record;
#[cfg(test)]
mod tests;
mod win;

use std::{path::Path, sync::OnceLock};

use prospect_process::{Arch, LinkAddr};

pub(crate) use identity::SymbolFileName;
use index::Index;

use crate::{BinaryError, SourceFrame, UnwindInfoError, UnwindRow, binary::FileBytes};

/// One symbol file. Its records are read where they are asked for; where they are, one pass over it finds.
#[derive(Debug)]
pub(crate) struct SymbolFile {
    bytes: FileBytes,
    arch: Arch,
    /// Where the module begins, as linked.
    base: LinkAddr,
    index: OnceLock<Index>,
}

impl SymbolFile {
    /// Opens a file that should be the one of a name.
    pub(crate) fn open(path: &Path, wanted: &SymbolFileName) -> Result<Self, BinaryError> {
        let bytes = FileBytes::map(path).map_err(BinaryError::Open)?;
        wanted.check(&bytes).map_err(BinaryError::Malformed)?;
        Ok(Self { bytes, arch: wanted.arch, base: wanted.base, index: OnceLock::new() })
    }

    /// The bytes of the file.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What it says of `sorted` addresses: the functions there, the innermost first.
    pub(crate) fn frames(&self, sorted: &[LinkAddr]) -> Vec<Vec<SourceFrame>> {
        let relative: Vec<Option<u64>> = sorted.iter().map(|at| self.relative(*at)).collect();
        names::frames(&self.bytes, self.index(), &relative)
    }

    /// The unwind row for an address.
    pub(crate) fn unwind_row(&self, at: LinkAddr) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(relative) = self.relative(at) else { return Ok(None) };
        let (index, info) = (self.index(), self.arch.info());
        let found = match cfi::row(&self.bytes, index, info, relative)? {
            None if self.arch == Arch::I386 => win::row(&self.bytes, index, info, relative)?,
            found => found,
        };
        Ok(found.map(|mut row| {
            row.range = self.linked(row.range.start.0)..self.linked(row.range.end.0);
            row
        }))
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let index = Index::read(&self.bytes);
            self.bytes.release(0..self.bytes.len());
            index
        })
    }

    fn relative(&self, at: LinkAddr) -> Option<u64> {
        at.0.checked_sub(self.base.0)
    }

    fn linked(&self, relative: u64) -> LinkAddr {
        LinkAddr(self.base.0.saturating_add(relative))
    }
}

fn broken(what: &str) -> UnwindInfoError {
    UnwindInfoError::Malformed(format!("symbol file: {what}"))
}
