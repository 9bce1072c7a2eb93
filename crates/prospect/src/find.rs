//! From names and source lines to addresses of a process.

use std::{ops::Range, sync::Arc};

use prospect_process::{Addr, Module};
use prospect_symbols::{Found, ModuleBinary, Query, Symbol};

use crate::Session;

/// Something that was found in a process: an owned value that outlives the session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Match {
    /// The path of the module that it is in.
    pub module: String,
    /// What it is there, with addresses as linked.
    pub found: Found,
    /// Its addresses in the process, empty where its end is not known. `None` for what has none.
    pub range: Option<Range<Addr>>,
}

impl Session {
    /// What is meant, at most so much: in all modules that the pattern [wants](prospect_symbols::Pattern::wants_module), in the
    /// order in which the dynamic linker looks for symbols, and of each module by address. Nothing where the session was opened
    /// without [names](crate::OpenOptions::names).
    #[must_use]
    pub fn find(&self, query: &Query, limit: usize) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        if !self.binaries.names() {
            return matches;
        }
        for (module, binary) in self.modules_in_load_order() {
            let path = module.path_lossy();
            let wanted = query.wants_module(&path, binary.soname().as_deref());
            let left = limit - matches.len();
            if !wanted || left == 0 {
                continue;
            }
            let found = binary.find(query, left);
            matches.extend(found.into_iter().map(|found| Match::new(module, found)));
        }
        // Where one module has code of the line, the next line of another is not meant.
        let is_exact = |one: &Match| one.found.is_exact();
        if matches.iter().any(is_exact) {
            matches.retain(is_exact);
        }
        matches
    }

    /// The symbol that the dynamic linker binds a linkage name to that any module needs, of this version or with `None`
    /// the default one: the first in its order, and the module that it is of.
    #[must_use]
    pub fn export(&self, name: &[u8], version: Option<&str>) -> Option<(&Module, Symbol)> {
        self.modules_in_load_order()
            .find_map(|(module, binary)| Some((module, binary.export(name, version)?)))
    }

    /// The function that an indirect one, which a symbol of `module` is the name of, was found to mean: what the
    /// dynamic linker put into the slots of those who call it. `None` while nobody did.
    #[must_use]
    pub fn indirect_target(&self, module: &Module, symbol: &Symbol) -> Option<Addr> {
        let process = self.process();
        let (arch, memory) = (process.info().arch, process.memory());
        let is_target = |at: &Addr| {
            // Before it is bound, a slot leads back into the module that it is in; and a pointer may be to the resolver.
            let is_code = process.mappings().at(*at).is_some_and(|mapping| mapping.permissions.execute);
            module.range.contains(at) && is_code && *at != symbol.range.start.to_addr(module.bias)
        };
        let read = |bias: u64, slot: prospect_symbols::IndirectSlot| {
            memory.read_word(arch, slot.slot.to_addr(bias)).ok().map(Addr).filter(is_target)
        };
        let own = self.binaries.get(module, process.info(), memory);
        let mut chosen = own.slots_of_resolver(symbol.range.start).into_iter();
        chosen.find_map(|slot| read(module.bias, slot)).or_else(|| {
            self.modules_in_load_order().filter(|(other, _)| other.range != module.range).find_map(
                |(other, binary)| {
                    let mut slots = binary.slots_of_symbol(&symbol.name).into_iter();
                    slots.find_map(|slot| read(other.bias, slot))
                },
            )
        })
    }

    /// Where the arguments of a function that begins at `start` can be read: behind its prologue, as far as debug
    /// information says where that ends, or else at its start.
    #[must_use]
    pub fn after_prologue(&self, start: Addr) -> Addr {
        let process = self.process();
        let Some(module) = process.modules().at(start).filter(|_| self.binaries.names()) else {
            return start;
        };
        let binary = self.binaries.get(module, process.info(), process.memory());
        binary.after_prologue(start.to_link(module.bias)).to_addr(module.bias)
    }

    /// The modules in the order in which the dynamic linker looks for symbols, with their files.
    pub fn modules_in_load_order(&self) -> impl Iterator<Item = (&Module, Arc<ModuleBinary>)> {
        let process = self.process();
        let modules = process.modules().in_load_order(process.info().arch, process.memory());
        modules
            .into_iter()
            .map(move |module| (module, self.binaries.get(module, process.info(), process.memory())))
    }
}

impl Match {
    fn new(module: &Module, found: Found) -> Self {
        let run_time = |range: &Range<prospect_process::LinkAddr>| {
            range.start.to_addr(module.bias)..range.end.to_addr(module.bias)
        };
        Self { module: module.path_lossy().into(), range: found.range.as_ref().map(run_time), found }
    }
}
