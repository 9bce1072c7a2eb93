//! What steppers see of a process.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use prospect_process::{Addr, Arch, Mappings, Memory, Modules, Process, ProcessInfo};
use prospect_symbols::Binaries;

/// The surroundings of a frame: all that a stepper may look at. Made once per process and moment, and
/// good for all of its threads.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct StepContext<'a> {
    /// The architecture that the process runs as.
    pub arch: Arch,
    /// Its memory.
    pub memory: &'a dyn Memory,
    /// What it has loaded.
    pub modules: &'a Modules,
    /// Its memory map.
    pub mappings: &'a Mappings,
    /// What else is known of it.
    pub info: &'a ProcessInfo,
    /// The files of its modules.
    pub binaries: &'a Binaries,
    generation: u64,
}

impl<'a> StepContext<'a> {
    /// The context of a process.
    #[must_use]
    pub fn new(process: &'a dyn Process, binaries: &'a Binaries) -> Self {
        let (info, modules) = (process.info(), process.modules());
        Self {
            arch: info.arch,
            memory: process.memory(),
            modules,
            mappings: process.mappings(),
            info,
            binaries,
            generation: generation(info, modules, binaries),
        }
    }

    /// A number that differs between contexts with different processes, modules or binaries. What a
    /// stepper remembers under one number must not be used under another.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The same surroundings with another view of the memory: a copy of a stack, say.
    #[must_use]
    pub fn with_memory<'b>(&self, memory: &'b dyn Memory) -> StepContext<'b>
    where
        'a: 'b,
    {
        StepContext { memory, ..*self }
    }

    /// Whether code can run at `at`. With an empty memory map nothing is known, and all may be.
    #[must_use]
    pub fn is_executable(&self, at: Addr) -> bool {
        self.mappings.as_slice().is_empty()
            || self.mappings.at(at).is_some_and(|mapping| mapping.permissions.execute)
    }

    /// Whether a call can return to `at`. It may be the end of a mapping, after a call that never
    /// returns, or the start of one.
    #[must_use]
    pub fn can_return_to(&self, at: Addr) -> bool {
        self.is_executable(at) || self.is_executable(Addr(at.0.wrapping_sub(1)))
    }
}

fn generation(info: &ProcessInfo, modules: &Modules, binaries: &Binaries) -> u64 {
    let mut hasher = DefaultHasher::new();
    (info.id, info.arch, std::ptr::from_ref(binaries).addr()).hash(&mut hasher);
    for module in modules {
        (module.range.start, module.range.end, module.bias).hash(&mut hasher);
        (&module.path, &module.file, &module.build_id).hash(&mut hasher);
    }
    hasher.finish()
}

impl fmt::Debug for StepContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext")
            .field("process", &self.info.id)
            .field("arch", &self.arch)
            .field("modules", &self.modules.as_slice().len())
            .finish_non_exhaustive()
    }
}
