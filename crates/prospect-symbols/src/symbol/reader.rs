//! Who is asked for names, and in which order.

use std::{fmt, sync::Arc};

use prospect_process::{Addr, Process};

use super::{ResolvedAddress, from_binaries, perf_map};
use crate::Binaries;

/// Names addresses of processes: what their binaries say, the map of a just-in-time compiler, a server of one's own.
pub trait SymbolReader: Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Names `addresses`, which are sorted, each once, and lie *within* the instruction that is asked about. The answers
    /// stand in the same order; one without frames means that nothing is known, and so does one that is missing.
    fn resolve(&self, addresses: &[Addr], context: &SymbolContext<'_>) -> Vec<ResolvedAddress>;
}

/// What a [`SymbolReader`] may look at.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SymbolContext<'a> {
    /// The process that the addresses are of.
    pub process: &'a dyn Process,
    /// The files of its modules.
    pub binaries: &'a Binaries,
}

impl fmt::Debug for SymbolContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SymbolContext").field("process", &self.process.info().id).finish_non_exhaustive()
    }
}

/// Symbol readers in the order in which they are asked: each for the addresses that those before it do not know.
#[derive(Clone)]
pub struct SymbolReaders(Vec<Arc<dyn SymbolReader>>);

impl Default for SymbolReaders {
    /// The [standard](Self::standard) ones.
    fn default() -> Self {
        Self::standard()
    }
}

impl SymbolReaders {
    /// None at all: nothing has a name.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// [`BinarySymbols`], then [`PerfMap`].
    #[must_use]
    pub fn standard() -> Self {
        Self::new().then(BinarySymbols).then(PerfMap)
    }

    /// The same, and at last this one.
    #[must_use]
    pub fn then(mut self, reader: impl SymbolReader + 'static) -> Self {
        self.0.push(Arc::new(reader));
        self
    }

    /// The same, and this one before all others.
    #[must_use]
    pub fn first(mut self, reader: impl SymbolReader + 'static) -> Self {
        self.0.insert(0, Arc::new(reader));
        self
    }

    /// The names of the readers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|reader| reader.name())
    }

    /// Names `addresses`, which are sorted, each once.
    pub(super) fn resolve(&self, addresses: &[Addr], context: &SymbolContext<'_>) -> Vec<ResolvedAddress> {
        let mut resolved = vec![ResolvedAddress::default(); addresses.len()];
        // What has no name yet, by place.
        let mut unnamed: Vec<usize> = (0..addresses.len()).collect();
        for reader in &self.0 {
            if unnamed.is_empty() {
                break;
            }
            let asked: Vec<Addr> = unnamed.iter().map(|index| addresses[*index]).collect();
            for (index, found) in unnamed.iter().zip(reader.resolve(&asked, context)) {
                resolved[*index] = found;
            }
            unnamed.retain(|index| resolved[*index].frames.is_empty());
        }
        resolved
    }
}

impl fmt::Debug for SymbolReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What the binaries of the modules say, and their debug files: DWARF, symbol tables, linkage tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinarySymbols;

impl SymbolReader for BinarySymbols {
    fn name(&self) -> &'static str {
        "binaries"
    }

    fn resolve(&self, addresses: &[Addr], context: &SymbolContext<'_>) -> Vec<ResolvedAddress> {
        from_binaries(addresses, context)
    }
}

/// What a just-in-time compiler writes to `/tmp/perf-PID.map`, in the process's own root and by its own number: node with
/// `--perf-basic-prof`, Java with an agent. Asked for code in no module only. A file that is not the process's user's (or
/// root's) is not believed.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerfMap;

impl SymbolReader for PerfMap {
    fn name(&self) -> &'static str {
        "perf map"
    }

    fn resolve(&self, addresses: &[Addr], context: &SymbolContext<'_>) -> Vec<ResolvedAddress> {
        let mut resolved = vec![ResolvedAddress::default(); addresses.len()];
        let modules = context.process.modules();
        let outside: Vec<usize> =
            (0..addresses.len()).filter(|index| modules.at(addresses[*index]).is_none()).collect();
        if !outside.is_empty() {
            let asked: Vec<Addr> = outside.iter().map(|index| addresses[*index]).collect();
            for (index, name) in outside.into_iter().zip(perf_map::find(context.process.info(), &asked)) {
                resolved[index].frames.extend(name.map(super::SourceFrame::named));
            }
        }
        resolved
    }
}
