//! Puts together what debug information and symbol tables say of the addresses of several modules.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use prospect_process::LinkAddr;

use super::{
    Group, ResolvedAddress, SourceFrame,
    demangle::demangle,
    dwarf::{self, DebugInfo, DwarfFrame},
    plt,
    table::{FunctionSymbol, TableKind, What},
};
use crate::{Binary, ModuleBinary, breakpad::SymbolFile, parallel};

/// Of one module, no more addresses are looked up in its linkage table: each costs a search.
const MOST_LINKAGE_ENTRIES: usize = 256;

/// For so many addresses of a module, it is worth while to have an index made in memory.
pub(crate) const VERY_MANY: usize = 8192;

/// How many bytes of debug information are read in the time that one byte of a name takes to demangle.
const DEMANGLING: usize = 64;

/// How functions are to be named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// As people write them.
    Demangled,
    /// As the binary has them: where there is a linkage name, [`SourceFrame::function`] is that. Nothing is demangled, which can
    /// take longer than all the rest.
    Linkage,
}

/// What is known of an address so far.
#[derive(Clone, Default)]
struct Known {
    frames: Vec<SourceFrame>,
    /// Whether a symbol may say more of the last frame's name.
    has_bare_name: bool,
}

/// The frames of every address of every group.
pub(super) fn resolve(groups: &[Group], names: Names) -> Vec<Vec<Vec<SourceFrame>>> {
    let mut resolved = from_debug_info(groups, names);
    add_symbol_files(groups, &mut resolved);
    for (group, found) in groups.iter().zip(&mut resolved) {
        add_go_frames(group, found);
        add_symbol_names(group, found, names);
    }
    let frames = |found: Vec<Known>| found.into_iter().map(|known| known.frames).collect();
    resolved.into_iter().map(frames).collect()
}

/// What the debug information says, for all modules at once.
fn from_debug_info(groups: &[Group], names: Names) -> Vec<Vec<Known>> {
    let mut found: Vec<Vec<Known>> =
        groups.iter().map(|group| vec![Known::default(); group.addresses.len()]).collect();
    let with_debug_info =
        |(index, group): (usize, &'_ Group)| Some((index, group.binary.debug_info()?.clone()));
    let (which, files): (Vec<usize>, Vec<Arc<DebugInfo>>) =
        groups.iter().enumerate().filter_map(with_debug_info).unzip();
    let requests: Vec<(&DebugInfo, Vec<LinkAddr>)> =
        files.iter().zip(&which).map(|(file, index)| (&**file, groups[*index].addresses.clone())).collect();
    let answers = dwarf::resolve(&requests);
    let demangled = (names == Names::Demangled).then(|| Demangled::of(answers.iter().flatten().flatten()));
    let source_frame = |frame| source_frame(frame, demangled.as_ref());
    for (index, addresses) in which.into_iter().zip(answers) {
        for (place, frames) in found[index].iter_mut().zip(addresses) {
            place.has_bare_name = frames.last().is_some_and(|outer| outer.has_bare_name);
            place.frames = frames.into_iter().map(source_frame).collect();
        }
    }
    found
}

/// Linkage names, each demangled once, on all processors.
#[derive(Default)]
struct Demangled(HashMap<Arc<str>, String>);

impl Demangled {
    fn of<'a>(frames: impl Iterator<Item = &'a DwarfFrame>) -> Self {
        let unknown = frames.filter(|frame| frame.shown.is_none());
        let names: HashSet<&Arc<str>> = unknown.filter_map(|frame| frame.linkage_name.as_ref()).collect();
        let jobs: Vec<(usize, &Arc<str>)> =
            names.into_iter().map(|name| (DEMANGLING * name.len(), name)).collect();
        let texts = parallel::run(&jobs, |name| demangle(name.as_bytes()));
        Self(jobs.into_iter().map(|(_, name)| name.clone()).zip(texts).collect())
    }

    fn get(&self, name: &Arc<str>) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| demangle(name.as_bytes()))
    }
}

/// The linkage name is preferred: it says what the function belongs to.
fn source_frame(frame: DwarfFrame, demangled: Option<&Demangled>) -> SourceFrame {
    let linkage_name = frame.linkage_name.as_ref();
    let function = match demangled {
        Some(demangled) => {
            let shown = frame.shown.map(|name| name.to_string());
            shown.or_else(|| linkage_name.map(|name| demangled.get(name)))
        }
        None => linkage_name.map(|name| name.to_string()),
    };
    SourceFrame {
        function: function.or_else(|| frame.function.map(|name| name.to_string())),
        linkage_name: linkage_name.map(|name| name.to_string()),
        file: frame.file.map(|file| file.to_string()),
        line: frame.line,
        column: frame.column,
        discriminator: frame.discriminator,
        line_flags: frame.flags,
        inlined: frame.inlined,
    }
}

/// What symbol files say of the addresses of modules that have no debug information.
fn add_symbol_files(groups: &[Group], found: &mut [Vec<Known>]) {
    let without = groups.iter().enumerate().filter(|(_, group)| group.binary.debug_info().is_none());
    let jobs: Vec<(usize, (usize, &Arc<SymbolFile>))> = without
        .filter_map(|(index, group)| Some((index, group.binary.breakpad_file()?)))
        .map(|(index, symbols)| (symbols.len(), (index, symbols)))
        .collect();
    let answers = parallel::run(&jobs, |(index, symbols)| symbols.frames(&groups[*index].addresses));
    for ((_, (index, _)), answer) in jobs.iter().zip(answers) {
        for (known, frames) in found[*index].iter_mut().zip(answer) {
            known.frames = frames;
        }
    }
}

/// What a Go program knows of the addresses that debug information does not.
fn add_go_frames(group: &Group, found: &mut [Known]) {
    let Some((binary, go)) = group.binary.binary.as_ref().and_then(|binary| Some((binary, binary.go()?)))
    else {
        return;
    };
    for (known, at) in found.iter_mut().zip(&group.addresses).filter(|(known, _)| known.frames.is_empty()) {
        known.frames = go.frames(binary.headers(), *at);
    }
}

/// Names the functions that debug information does not know: those of assembly, and of binaries
/// without it. And those of which it knows too little.
fn add_symbol_names(group: &Group, found: &mut [Known], names: Names) {
    let wants_symbol = |known: &Known| {
        known.has_bare_name || known.frames.last().is_none_or(|outer| outer.function.is_none())
    };
    let unnamed: Vec<usize> = (0..found.len()).filter(|index| wants_symbol(&found[*index])).collect();
    let addresses: Vec<LinkAddr> = unnamed.iter().map(|index| group.addresses[*index]).collect();
    let mut linkage_entries = 0;
    for ((index, at), symbol) in
        unnamed.iter().zip(&addresses).zip(symbols_at(&group.binary, What::Code, &addresses))
    {
        if let Some(symbol) = symbol {
            found[*index].take_symbol(symbol.name, names);
        } else if let Some(binary) =
            group.binary.binary.as_ref().filter(|_| linkage_entries < MOST_LINKAGE_ENTRIES)
        {
            linkage_entries += 1;
            if let Some(name) = plt::name(binary.headers(), *at) {
                found[*index].take_name(name.clone(), name, None);
            }
        }
    }
}

impl Known {
    /// Takes a symbol's name for the function that was really called.
    fn take_symbol(&mut self, symbol: &[u8], names: Names) {
        let raw = String::from_utf8_lossy(symbol).into_owned();
        match names {
            Names::Demangled => {
                let name = demangle(symbol);
                self.take_name(name.clone(), name, Some(raw));
            }
            // What it is held against must be demangled.
            Names::Linkage if self.has_bare_name => self.take_name(demangle(symbol), raw.clone(), Some(raw)),
            Names::Linkage => self.take_name(String::new(), raw.clone(), Some(raw)),
        }
    }

    /// The same of a name, where the demangled form may be that of the function.
    fn take_name(&mut self, demangled: String, name: String, linkage_name: Option<String>) {
        if self.frames.is_empty() {
            self.frames.push(SourceFrame::default());
        }
        let Some(outer) = self.frames.last_mut() else { return };
        let is_meant = |bare: &String| is_qualified_form(&demangled, bare);
        if !self.has_bare_name || outer.function.as_ref().is_some_and(is_meant) {
            outer.function = Some(name);
            outer.linkage_name = linkage_name;
        }
    }
}

/// The functions, or variables, that `addresses` (sorted) lie in, by the first symbol table of the module that has each.
fn symbols_at<'a>(
    module: &'a ModuleBinary,
    what: What,
    addresses: &[LinkAddr],
) -> Vec<Option<FunctionSymbol<'a>>> {
    let mut found = vec![None; addresses.len()];
    let mut missing: Vec<usize> = (0..addresses.len()).collect();
    for table in tables(module) {
        if missing.is_empty() {
            break;
        }
        let asked: Vec<LinkAddr> = missing.iter().map(|index| addresses[*index]).collect();
        let Some(symbols) = table.binary().and_then(|one| one.symbols_at(table.kind, what, &asked)) else {
            continue;
        };
        for (index, symbol) in missing.iter().zip(symbols) {
            found[*index] = symbol;
        }
        missing.retain(|index| found[*index].is_none());
    }
    found
}

/// Whether `name` says what the function belongs to that debug information calls `bare`: `a::b::f::<T>` is such a
/// form of `f<T>`. A symbol can be another function's, where the linker has folded equal code into one.
fn is_qualified_form(name: &str, bare: &str) -> bool {
    let base = bare.split(['<', '(']).next().unwrap_or(bare);
    !base.is_empty()
        && name.match_indices(base).any(|(at, _)| {
            let follows = name[at + base.len()..].chars().next();
            name[..at].ends_with("::") && !follows.is_some_and(|next| next.is_alphanumeric() || next == '_')
        })
}

/// A function or variable in the symbols of a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function<'a> {
    /// Its name as it is there, mangled.
    pub linkage_name: &'a [u8],
    /// Its addresses as linked; empty where its end is not known.
    pub range: Range<LinkAddr>,
}

impl Function<'_> {
    /// The name as people write it.
    #[must_use]
    pub fn name(&self) -> String {
        demangle(self.linkage_name)
    }
}

impl ModuleBinary {
    /// Names many addresses of the module at once, as linked, one answer for each, in order.
    #[must_use]
    pub fn resolve(self: &Arc<Self>, addresses: &[LinkAddr]) -> Vec<ResolvedAddress> {
        if addresses.len() < VERY_MANY {
            return self.resolve_together(addresses, Names::Demangled);
        }
        let mut resolved = vec![ResolvedAddress::default(); addresses.len()];
        self.each_with(addresses, Names::Demangled, &mut |place, frames| {
            resolved[place].frames = frames.iter().map(SourceFrame::from).collect();
        });
        resolved
    }

    /// The same, whatever they are: the units that they lie in are read, unless an index has them.
    pub(super) fn resolve_together(
        self: &Arc<Self>,
        addresses: &[LinkAddr],
        names: Names,
    ) -> Vec<ResolvedAddress> {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let group = Group { binary: self.clone(), which: 0..sorted.len(), addresses: sorted };
        let resolved = resolve(std::slice::from_ref(&group), names).pop().unwrap_or_default();
        let frames = |at| Some(resolved.get(group.addresses.binary_search(at).ok()?)?.clone());
        addresses.iter().map(|at| ResolvedAddress { frames: frames(at).unwrap_or_default() }).collect()
    }

    /// The address of what the module exports under that name: a function or a variable.
    #[must_use]
    pub fn exported(&self, name: &[u8]) -> Option<LinkAddr> {
        super::table::exported(self.binary.as_ref()?.headers(), name)
    }

    /// The function that an address of the module lies in, by the symbols of the binary, of its debug file, and of
    /// `.gnu_debugdata`, whichever has it first.
    #[must_use]
    pub fn function(&self, at: LinkAddr) -> Option<Function<'_>> {
        self.functions(&[at]).pop().flatten()
    }

    /// The same of many addresses at once, one answer for each, in order.
    #[must_use]
    pub fn functions(&self, addresses: &[LinkAddr]) -> Vec<Option<Function<'_>>> {
        self.symbols_of(What::Code, addresses)
    }

    /// The variables that addresses of the module lie in, in the same way: their symbols.
    #[must_use]
    pub fn variables(&self, addresses: &[LinkAddr]) -> Vec<Option<Function<'_>>> {
        self.symbols_of(What::Data, addresses)
    }

    fn symbols_of(&self, what: What, addresses: &[LinkAddr]) -> Vec<Option<Function<'_>>> {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let symbols = symbols_at(self, what, &sorted);
        let function = |at| symbols[sorted.binary_search(at).ok()?].map(Function::from);
        addresses.iter().map(function).collect()
    }

    /// The directory that the code at an address was compiled in (`DW_AT_comp_dir`), and the version of DWARF that describes it.
    #[must_use]
    pub fn compilation_directory(&self, at: LinkAddr) -> Option<(String, u16)> {
        let debug = self.debug_info()?;
        let tank = debug.tank();
        let found = debug.with_unit_at(at, &mut tank.fuel(), |unit, _| {
            let directory = String::from_utf8_lossy(unit.comp_dir()?).into_owned();
            Some((directory, unit.encoding().version))
        });
        found.flatten()
    }

    /// The source file, without its directory, of a function that only its own file knows, as the symbol table has it:
    /// the `STT_FILE` symbol that the function's local symbol follows (ELF gABI, "Symbol Table").
    #[must_use]
    pub fn symbol_file(&self, function: &Function<'_>) -> Option<&[u8]> {
        let start = function.range.start;
        tables(self)
            .into_iter()
            .find_map(|table| table.binary()?.local_file(table.kind, start, function.linkage_name))
    }

    /// Where the function or label of this name begins, or else the variable, its name as it is in the symbols: those of the
    /// binary, of its debug file, and of `.gnu_debugdata`, whichever has it first.
    #[must_use]
    pub fn address_of(&self, linkage_name: &[u8]) -> Option<LinkAddr> {
        [What::Code, What::Data].into_iter().find_map(|what| {
            let mut tables = tables(self).into_iter();
            tables.find_map(|table| table.binary()?.symbol_address(table.kind, what, linkage_name))
        })
    }
}

impl<'a> From<FunctionSymbol<'a>> for Function<'a> {
    fn from(symbol: FunctionSymbol<'a>) -> Self {
        let end = LinkAddr(symbol.start.0.saturating_add(symbol.size));
        Self { linkage_name: symbol.name, range: symbol.start..end }
    }
}

/// A symbol table that may be asked; where its file must be looked for first, only when it is.
struct Table<'a> {
    kind: TableKind,
    module: &'a ModuleBinary,
    file: fn(&'a ModuleBinary) -> Option<&'a Arc<Binary>>,
}

impl<'a> Table<'a> {
    fn binary(&self) -> Option<&'a Arc<Binary>> {
        (self.file)(self.module)
    }
}

/// The tables of a module, the best one first.
fn tables(module: &ModuleBinary) -> [Table<'_>; 4] {
    let table = |kind, file| Table { kind, module, file };
    [
        table(TableKind::Full, |module| module.binary.as_ref()),
        table(TableKind::Full, |module| {
            let own = module.binary.as_ref()?.section(".symtab");
            module.debug_file().filter(|_| own.is_none())
        }),
        table(TableKind::Full, ModuleBinary::mini_debug_info),
        table(TableKind::Dynamic, |module| module.binary.as_ref()),
    ]
}

#[cfg(test)]
mod form_tests {
    use super::is_qualified_form;

    #[test]
    fn a_qualified_form_has_the_bare_name_behind_a_path() {
        assert!(is_qualified_form("prospect::demo::transfer", "transfer"));
        assert!(is_qualified_form("<std::Mutex<u64>>::lock", "lock<u64>"));
        assert!(is_qualified_form("ns::S::get(int)", "get"));
        assert!(is_qualified_form("a::b::{closure#0}", "{closure#0}"));
        assert!(!is_qualified_form("transfer", "transfer"));
        assert!(!is_qualified_form("a::transfer_all", "transfer"));
        assert!(!is_qualified_form("a::other", "transfer"));
        assert!(!is_qualified_form("a::b", ""));
    }
}
