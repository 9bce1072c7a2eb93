//! What a process has loaded and unloaded between two walks.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

use prospect_process::{Addr, Arch, FileId, Module, ProcessId};

use crate::StepContext;

/// How the modules of a process differ from those at a walker's last walk.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModuleChanges<'a> {
    /// Whether the walker's last walk was of another process, or there was none: all of its modules are
    /// loaded now, and nothing of the other process is unloaded.
    pub is_other_process: bool,
    /// What was loaded, by address.
    pub loaded: Vec<&'a Module>,
    /// Where something was unloaded, by address. Another module may be there now.
    pub unloaded: Vec<Range<Addr>>,
}

/// The modules at a walker's last walk.
#[derive(Debug, Default)]
pub(crate) struct KnownModules {
    generation: Option<u64>,
    process: Option<(ProcessId, Arch)>,
    /// By address.
    modules: Vec<Known>,
}

/// What tells one module from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    range: Range<Addr>,
    bias: u64,
    file: Option<FileId>,
    /// Of its build-id and path.
    hash: u64,
}

impl Known {
    fn new(module: &Module) -> Self {
        let mut hasher = DefaultHasher::new();
        (&module.path, &module.build_id).hash(&mut hasher);
        let (range, bias, file) = (module.range.clone(), module.bias, module.file);
        Self { range, bias, file, hash: hasher.finish() }
    }
}

impl KnownModules {
    /// What has changed since this was asked before; `None` when nothing has.
    pub(crate) fn update<'a>(&mut self, context: &StepContext<'a>) -> Option<ModuleChanges<'a>> {
        if self.generation == Some(context.generation()) {
            return None;
        }
        self.generation = Some(context.generation());
        let process = Some((context.info.id, context.arch));
        let is_other_process = std::mem::replace(&mut self.process, process) != process;
        let modules: Vec<Known> = context.modules.iter().map(Known::new).collect();
        let mut before = std::mem::replace(&mut self.modules, modules);
        if is_other_process {
            before.clear();
        }
        let is_in = |modules: &[Known], one: &Known| {
            let index = modules.partition_point(|known| known.range.start < one.range.start);
            modules[index..]
                .iter()
                .take_while(|known| known.range.start == one.range.start)
                .any(|known| known == one)
        };
        let new = context.modules.iter().zip(&self.modules).filter(|(_, known)| !is_in(&before, known));
        let loaded: Vec<&Module> = new.map(|(module, _)| module).collect();
        let gone = before.iter().filter(|known| !is_in(&self.modules, known));
        let unloaded: Vec<Range<Addr>> = gone.map(|known| known.range.clone()).collect();
        let same = !is_other_process && loaded.is_empty() && unloaded.is_empty();
        (!same).then_some(ModuleChanges { is_other_process, loaded, unloaded })
    }
}

#[cfg(test)]
mod tests;
