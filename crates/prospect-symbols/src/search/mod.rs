//! Where the files of modules are found, and the one cache of them.

use std::{path::PathBuf, sync::Arc};

use prospect_process::{Memory, Module, ProcessInfo};

use crate::Binary;

/// Where to look for binaries and their debug files.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// A directory that holds the process's files under the paths that it knows them by.
    pub sysroot: Option<PathBuf>,
    /// The executable, wherever it is: it replaces the one that the process names.
    pub executable: Option<PathBuf>,
    /// Directories with separate debug files.
    pub debug_directories: Vec<PathBuf>,
    /// Look for separate debug files and read symbols; without it only unwind information is read.
    pub names: bool,
}

/// What there is of one module: its binary, and its debug file where there is one.
#[derive(Debug)]
pub struct ModuleBinary {
    /// The module's own file, or what memory holds of it.
    pub binary: Option<Arc<Binary>>,
}

impl ModuleBinary {
    /// The unwind row for an address of the module, from the first of its binary and its debug file
    /// that covers it.
    pub fn unwind_row(
        &self,
        _at: prospect_process::LinkAddr,
    ) -> Result<Option<crate::UnwindRow>, crate::UnwindInfoError> {
        Ok(None)
    }
}

/// The files of modules, each opened once: the walker and the symboliser share it.
#[derive(Debug)]
pub struct Binaries {}

impl Binaries {
    /// An empty cache that looks where `options` says.
    pub fn new(_options: SearchOptions) -> Self {
        Self {}
    }

    /// The binary of a module, found and opened when it is first asked for. With nothing usable on
    /// disk, what `memory` holds.
    pub fn get(&self, _module: &Module, _info: &ProcessInfo, _memory: &dyn Memory) -> Arc<ModuleBinary> {
        Arc::new(ModuleBinary { binary: None })
    }
}
