//! From addresses to functions, lines and inlined calls.

mod batch;
mod demangle;
pub(crate) mod dwarf;
mod names;
mod perf_map;
pub(crate) mod plt;
mod reader;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

use prospect_process::{Addr, LinkAddr, Module, Process};

use crate::{Binaries, ModuleBinary};
pub use batch::FrameRef;
pub use demangle::{demangle, demangle_with_types};
pub use dwarf::UnitCount;
pub use dwarf::index::{IndexError, IndexProgress, IndexReport};
pub use names::{Function, Names};
pub use reader::{BinarySymbols, PerfMap, SymbolContext, SymbolReader, SymbolReaders};

/// One function at one place: an address has several where calls were inlined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFrame {
    /// The function's name, demangled.
    pub function: Option<String>,
    /// Its name in the object file, mangled: `None` where it has none of its own, as C's functions, of which the
    /// name in the source is the same.
    pub linkage_name: Option<String>,
    /// The source file, with its directory where that is known.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// Which of the pieces of code that the line has, from 1 (DWARF 5, section 6.2.2); compilers number some of them.
    pub discriminator: Option<u32>,
    /// What the line table says of the instruction; nothing where the frame is a caller of inlined code.
    pub line_flags: LineFlags,
    /// Whether this function was inlined into the next one.
    pub inlined: bool,
}

/// What a line table says of an instruction besides its line (DWARF 5, section 6.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineFlags {
    /// A breakpoint on the line should be here.
    pub is_statement: bool,
    /// A basic block begins here.
    pub is_basic_block: bool,
    /// Here a breakpoint at the function's entry should be.
    pub is_prologue_end: bool,
    /// Here a breakpoint just before the function's exit should be.
    pub is_epilogue_begin: bool,
}

impl SourceFrame {
    /// A function of which only the name is known.
    #[must_use]
    pub fn named(function: String) -> Self {
        Self { function: Some(function), ..Self::default() }
    }
}

/// What is known of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedAddress {
    /// The functions there, the innermost inlined one first, the one that was really called last.
    /// Empty when no name is known.
    pub frames: Vec<SourceFrame>,
}

/// Names the addresses of one process.
#[derive(Clone)]
pub struct Symbolizer<'a> {
    context: SymbolContext<'a>,
    readers: SymbolReaders,
}

/// The addresses that lie in one module.
struct Group {
    binary: Arc<ModuleBinary>,
    /// Which of the sorted addresses they are.
    which: Range<usize>,
    /// The same as they were linked.
    addresses: Vec<LinkAddr>,
}

impl<'a> Symbolizer<'a> {
    /// A symboliser for a process's addresses, with the [standard](SymbolReaders::standard) readers.
    pub fn new(process: &'a dyn Process, binaries: &'a Binaries) -> Self {
        Self { context: SymbolContext { process, binaries }, readers: SymbolReaders::standard() }
    }

    /// The same with other readers.
    #[must_use]
    pub fn readers(mut self, readers: &SymbolReaders) -> Self {
        self.readers = readers.clone();
        self
    }

    /// Names many addresses at once, one answer for each, in order. Each is an address *within* the
    /// instruction asked about: for a return address, the one before it.
    ///
    /// Doing them together is what makes it fast: each unit of debug information is read once, and
    /// the units are shared out over the processors. Nothing is named where the [`Binaries`] were made
    /// to look for no names.
    pub fn resolve(&self, addresses: &[Addr]) -> Vec<ResolvedAddress> {
        if !self.context.binaries.names() {
            return vec![ResolvedAddress::default(); addresses.len()];
        }
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let resolved = self.readers.resolve(&sorted, &self.context);
        let answer = |at| sorted.binary_search(at).ok().and_then(|index| resolved.get(index)).cloned();
        addresses.iter().map(|at| answer(at).unwrap_or_default()).collect()
    }
}

/// What the binaries say of `sorted` addresses.
fn from_binaries(sorted: &[Addr], context: &SymbolContext<'_>) -> Vec<ResolvedAddress> {
    let groups = groups(sorted, context);
    let mut resolved = vec![ResolvedAddress::default(); sorted.len()];
    for (group, found) in groups.iter().zip(names::resolve(&groups, Names::Demangled)) {
        for (place, frames) in resolved[group.which.clone()].iter_mut().zip(found) {
            place.frames = frames;
        }
    }
    resolved
}

/// The addresses by module, without those that lie in none.
fn groups(sorted: &[Addr], context: &SymbolContext<'_>) -> Vec<Group> {
    let modules = context.process.modules();
    let mut groups = Vec::new();
    let mut start = 0;
    while let Some(first) = sorted.get(start) {
        let Some(module) = modules.at(*first) else {
            start += 1;
            continue;
        };
        let inside = sorted[start..].partition_point(|at| *at < module.range.end);
        // The first one is inside, whatever a broken range says.
        let which = start..start + inside.max(1);
        start = which.end;
        groups.push(group(module, which, sorted, context));
    }
    groups
}

fn group(module: &Module, which: Range<usize>, sorted: &[Addr], context: &SymbolContext<'_>) -> Group {
    let binary = context.binaries.get(module, context.process.info(), context.process.memory());
    let addresses = sorted[which.clone()].iter().map(|at| at.to_link(module.bias)).collect();
    Group { binary, which, addresses }
}
