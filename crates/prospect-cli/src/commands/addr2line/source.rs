//! What the addresses are of: a file, or a process.

use std::{borrow::Cow, cell::RefCell, num::NonZero, path::Path, slice, sync::Arc, thread};

use prospect::{
    Mode, OpenOptions, Session,
    process::{Addr, LinkAddr, Module},
    symbols::{Binaries, Binary, FrameRef, Function, ModuleBinary, Names, SearchOptions, Symbolizer},
};

use super::{Args, Style, query::Asked};
use crate::{
    downloads,
    exit::{Failure, Result},
    symbol_args::Fetch,
    target,
};

/// Fewer addresses are not worth another thread. Without an index, the units that they lie in are shared out over the
/// processors.
const LEAST_FOR_A_THREAD: usize = 8192;
const LEAST_WITH_AN_INDEX: usize = 384;

/// The symbols of so many addresses that lie together are looked for at once: each look may read the whole table.
const SYMBOLS_AT_ONCE: usize = 4096;

/// Who is told of addresses.
pub(super) trait Visitor: Send {
    fn visit(&mut self, place: usize, answer: &Answer<'_, '_>);
}

/// What the addresses are of.
pub(super) struct Source {
    kind: Kind,
    /// The digits of an address.
    pub(super) digits: usize,
    /// What numbers count from.
    base: Option<u64>,
}

enum Kind {
    File { file: Arc<ModuleBinary>, binaries: Box<Binaries> },
    Process(Box<Session>),
}

/// What is known of an address.
pub(super) struct Answer<'a, 'f> {
    /// The functions there, the innermost inlined one first.
    pub(super) frames: &'a [FrameRef<'a>],
    /// The address as it was linked; `None` where no module is.
    pub(super) linked: Option<u64>,
    /// The path of the module, of a process.
    pub(super) module: Option<&'a str>,
    /// What is asked for the symbol, and the address's place in it.
    symbols: Option<(&'a Symbols<'f>, usize)>,
}

/// The symbols of addresses of one file.
struct Symbols<'f> {
    file: &'f ModuleBinary,
    addresses: &'f [LinkAddr],
    functions: RefCell<LastFound<'f>>,
    variables: RefCell<LastFound<'f>>,
}

/// Where in the addresses those begin that were looked for last, and what was found.
type LastFound<'f> = (usize, Vec<Option<Function<'f>>>);

impl<'f> Symbols<'f> {
    fn new(file: &'f ModuleBinary, addresses: &'f [LinkAddr]) -> Self {
        Self { file, addresses, functions: RefCell::default(), variables: RefCell::default() }
    }

    /// The function that the address at a place in the addresses lies in.
    fn function(&self, place: usize) -> Option<Function<'f>> {
        self.get(&self.functions, place, ModuleBinary::functions)
    }

    /// The variable, in the same way.
    fn variable(&self, place: usize) -> Option<Function<'f>> {
        self.get(&self.variables, place, ModuleBinary::variables)
    }

    fn get(
        &self,
        last: &RefCell<LastFound<'f>>,
        place: usize,
        look: fn(&'f ModuleBinary, &[LinkAddr]) -> Vec<Option<Function<'f>>>,
    ) -> Option<Function<'f>> {
        let first = place / SYMBOLS_AT_ONCE * SYMBOLS_AT_ONCE;
        let mut found = last.borrow_mut();
        if found.0 != first || found.1.is_empty() {
            let asked = self.addresses.chunks(SYMBOLS_AT_ONCE).nth(place / SYMBOLS_AT_ONCE)?;
            *found = (first, look(self.file, asked));
        }
        found.1.get(place - first)?.clone()
    }
}

/// A symbol, and how far behind it the address is.
pub(super) struct Symbol<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) offset: u64,
    start: LinkAddr,
    file: &'a ModuleBinary,
    function: Function<'a>,
}

impl<'f> Answer<'_, 'f> {
    /// The symbol of the function that the address lies in. It is looked for when it is asked for.
    pub(super) fn symbol(&self) -> Option<Symbol<'f>> {
        let (symbols, place) = self.symbols?;
        self.symbol_of(symbols.function(place)?)
    }

    /// The same of a function or variable. Where there are no frames, no function's symbol was found either: it would be one.
    pub(super) fn any_symbol(&self) -> Option<Symbol<'f>> {
        let function = if self.frames.is_empty() { None } else { self.symbol() };
        let (symbols, place) = self.symbols?;
        function.or_else(|| self.symbol_of(symbols.variable(place)?))
    }

    fn file(&self) -> Option<&'f ModuleBinary> {
        self.symbols.map(|(symbols, _)| symbols.file)
    }

    fn symbol_of(&self, function: Function<'f>) -> Option<Symbol<'f>> {
        let (at, file) = (self.linked?, self.file()?);
        let start = function.range.start;
        let name = String::from_utf8_lossy(function.linkage_name);
        Some(Symbol { name, offset: at.wrapping_sub(start.0), start, file, function })
    }
}

impl Answer<'_, '_> {
    /// Where the code there was compiled, and the version of DWARF that says so.
    pub(super) fn compilation_directory(&self) -> Option<(String, u16)> {
        self.file()?.compilation_directory(LinkAddr(self.linked?))
    }

    /// The section that the address lies in, and how far behind its start, in a file that has still to be linked.
    pub(super) fn relocatable_section(&self) -> Option<(Cow<'_, str>, u64)> {
        let (at, file) = (LinkAddr(self.linked?), self.file()?.binary.as_ref()?);
        let mut sections = file.loaded_sections().filter(|_| file.is_relocatable());
        let (name, range) = sections.find(|(_, range)| range.contains(&at))?;
        Some((String::from_utf8_lossy(name), at.0 - range.start.0))
    }
}

impl<'a> Symbol<'a> {
    /// The section that it lies in.
    pub(super) fn section(&self) -> Option<Cow<'a, str>> {
        let mut sections = self.file.binary.as_ref()?.loaded_sections();
        let (name, _) = sections.find(|(_, range)| range.contains(&self.start))?;
        Some(String::from_utf8_lossy(name))
    }

    /// The source file that the symbol table has for it, if it is a local one.
    pub(super) fn source_file(&self) -> Option<Cow<'a, str>> {
        self.file.symbol_file(&self.function).map(String::from_utf8_lossy)
    }
}

impl Source {
    pub(super) fn open(args: &Args) -> Result<Self> {
        let options = || Ok::<_, Failure>(OpenOptions::new().mode(Mode::NoStop).search(search(args)?));
        let kind = match (&args.core, process(args)) {
            (Some(core), _) => Kind::Process(Box::new(open_core(args, core, options()?)?)),
            // Names need no stop.
            (_, Some(pid)) => Kind::Process(Box::new(options()?.open(pid)?)),
            _ => open_file(args, search(args)?)?,
        };
        let mut source = Self { kind, digits: 16, base: None };
        if source.arch().is_some_and(|arch| arch.info().word_bytes == 4) {
            source.digits = 8;
        }
        if let Some(name) = &args.section {
            let start = source.section_start(name).ok_or_else(|| {
                Failure::failed(format_args!("{}: cannot find section {name}", args.exe.display()))
            })?;
            source.base = Some(start);
        }
        Ok(source)
    }

    fn arch(&self) -> Option<prospect::process::Arch> {
        match &self.kind {
            Kind::File { file, .. } => file.binary.as_ref()?.arch(),
            Kind::Process(session) => Some(session.process().info().arch),
        }
    }

    /// The address that is meant, and the one that is shown.
    pub(super) fn place(&self, asked: Asked, style: Style) -> (u64, u64) {
        let start = self.relocatable().map(|binary| (binary, binary.loaded_sections().next()));
        let Some((binary, Some((_, first)))) = start else {
            let address = match asked {
                Asked::Number(number) => number.wrapping_add(self.base.unwrap_or(0)),
                Asked::Symbol(address) => address,
            };
            return (address, address);
        };
        // Without addresses of their own, sections begin at 0: all of them for binutils, the first for elfutils, which
        // lays them out as we do.
        match (asked, style) {
            (Asked::Number(number), Style::Eu) => {
                let base = self.base.unwrap_or(first.start.0);
                (base.wrapping_add(number), base.wrapping_add(number).wrapping_sub(first.start.0))
            }
            (Asked::Number(number), Style::Binutils) if self.base.is_some() => {
                (number.wrapping_add(self.base.unwrap_or(0)), number)
            }
            (Asked::Symbol(address), Style::Eu) => (address, address.wrapping_sub(first.start.0)),
            (Asked::Number(number), Style::Binutils) => {
                // The first section that is so long, one of code if there is any.
                let mut sections =
                    binary.code_sections().chain(binary.loaded_sections().map(|(_, range)| range));
                let found = sections.find(|range| range.end.0 - range.start.0 > number);
                (found.map_or(number, |range| range.start.0 + number), number)
            }
            (Asked::Symbol(address), Style::Binutils) => {
                let mut sections = binary.loaded_sections();
                let found = sections.find(|(_, range)| range.contains(&LinkAddr(address)));
                (address, address.wrapping_sub(found.map_or(0, |(_, range)| range.start.0)))
            }
        }
    }

    /// The file, if it has still to be linked.
    fn relocatable(&self) -> Option<&Binary> {
        match &self.kind {
            Kind::File { file, .. } => file.binary.as_deref().filter(|binary| binary.is_relocatable()),
            Kind::Process(_) => None,
        }
    }

    /// Has all that is known of each address told to one of several `visitors`, each of which `visitor` makes and gets addresses
    /// that lie together, on all processors: an address's place in `addresses`, and the answer. Linkage names are what is
    /// shown, in a form of their own, but for JSON.
    pub(super) fn each<V: Visitor>(
        &self,
        addresses: &[u64],
        args: &Args,
        visitor: impl Fn() -> V + Sync,
    ) -> Vec<V> {
        match &self.kind {
            Kind::File { file, .. } => {
                let linked: Vec<LinkAddr> = addresses.iter().map(|at| LinkAddr(*at)).collect();
                let least = if file.has_index() { LEAST_WITH_AN_INDEX } else { LEAST_FOR_A_THREAD };
                if linked.len() <= least {
                    return vec![of_file(file, &linked, 0, args, visitor())];
                }
                let processors = thread::available_parallelism().map_or(1, NonZero::get);
                let part = linked.len().div_ceil(processors).max(least);
                let answer = &|number: usize, addresses: &[LinkAddr]| {
                    of_file(file, addresses, number * part, args, visitor())
                };
                thread::scope(|scope| {
                    let mut parts = linked.chunks(part).enumerate();
                    let own = parts.next();
                    let start = |(number, addresses)| scope.spawn(move || answer(number, addresses));
                    let others: Vec<_> = parts.map(start).collect();
                    let own = own.map(|(number, addresses)| answer(number, addresses));
                    own.into_iter().chain(others.into_iter().filter_map(|part| part.join().ok())).collect()
                })
            }
            Kind::Process(session) => vec![of_process(session, addresses, visitor())],
        }
    }

    /// Keeps for the next run what was read.
    pub(super) fn store(&self) {
        match &self.kind {
            Kind::File { binaries, .. } => binaries.store(),
            Kind::Process(session) => session.binaries().store(),
        }
    }

    /// The address of a symbol.
    pub(super) fn symbol(&self, name: &[u8]) -> Option<u64> {
        match &self.kind {
            Kind::File { file, .. } => Some(file.address_of(name)?.0),
            Kind::Process(session) => {
                let mut modules = session.process().modules().iter();
                modules
                    .find_map(|module| Some(binary(session, module).address_of(name)?.to_addr(module.bias).0))
            }
        }
    }

    /// Where a section begins; of a process, that of the program.
    fn section_start(&self, name: &str) -> Option<u64> {
        let start = |file: &ModuleBinary| {
            let mut sections = file.binary.as_ref()?.loaded_sections();
            sections.find(|(other, _)| *other == name.as_bytes()).map(|(_, range)| range.start)
        };
        match &self.kind {
            Kind::File { file, .. } => Some(start(file)?.0),
            Kind::Process(session) => {
                let program = session.process().modules().iter().find(|module| module.is_executable)?;
                Some(start(&binary(session, program))?.to_addr(program.bias).0)
            }
        }
    }
}

/// The process that is asked about. A file of that name goes first.
fn process(args: &Args) -> Option<u32> {
    let named = || args.exe.to_str()?.parse().ok().filter(|_| !args.exe.exists());
    args.pid.or_else(named)
}

/// The process in a core, of which a file can be named too.
fn open_core(args: &Args, core: &Path, options: OpenOptions) -> Result<Session> {
    let source = target::core(core)
        .ok_or_else(|| Failure::failed(format_args!("{}: no core file", core.display())))?;
    let options = downloads::show_unpacking(options);
    let is_named = args.exe != Path::new(super::DEFAULT_FILE);
    let options = if is_named { options.executable(&args.exe) } else { options };
    Ok(options.open(source)?)
}

fn open_file(args: &Args, search: SearchOptions) -> Result<Kind> {
    let path: &Path = &args.exe;
    if !path.exists() {
        return Err(Failure::failed(format_args!("'{}': No such file", path.display())));
    }
    let binaries = Box::new(Binaries::new(search));
    match binaries.open(path) {
        Ok(file) => Ok(Kind::File { file, binaries }),
        Err(error) => Err(Failure::failed(format_args!("{}: {error}", path.display()))),
    }
}

/// Where to look. Servers have the time that they are given elsewhere: nobody waits for what can be had without.
fn search(args: &Args) -> Result<SearchOptions> {
    let mut search = args.search.search(Fetch::Unhurried)?;
    let more = args.debuginfo_path.iter().flat_map(|path| path.split(':'));
    // `+` and `-` before an entry say whether checksums are compared, which they always are. What is relative is looked
    // at anyway: it is beside the file.
    let more = more.map(|entry| Path::new(entry.trim_start_matches(['+', '-'])));
    search.debug_directories.extend(more.filter(|path| path.is_absolute()).map(Path::to_owned));
    Ok(search)
}

fn binary(session: &Session, module: &Module) -> Arc<ModuleBinary> {
    session.binaries().get(module, session.process().info(), session.process().memory())
}

fn of_file<V: Visitor>(
    file: &Arc<ModuleBinary>,
    addresses: &[LinkAddr],
    first: usize,
    args: &Args,
    mut visitor: V,
) -> V {
    let symbols = Symbols::new(file, addresses);
    let visit = |place: usize, frames: &[FrameRef<'_>]| {
        let linked = addresses.get(place).map(|at| at.0);
        let symbols = Some((&symbols, place));
        visitor.visit(first + place, &Answer { frames, linked, module: None, symbols });
    };
    let names = if args.json { Names::Demangled } else { Names::Linkage };
    file.resolve_each(addresses, names, visit);
    visitor
}

fn of_process<V: Visitor>(session: &Session, addresses: &[u64], mut visitor: V) -> V {
    let asked: Vec<Addr> = addresses.iter().map(|at| Addr(*at)).collect();
    let symbolizer = Symbolizer::new(session.process(), session.binaries()).readers(session.symbols());
    let modules = session.process().modules();
    // Addresses that lie together are of the same module.
    let mut last: Option<(&Module, Arc<ModuleBinary>)> = None;
    for (place, (found, at)) in symbolizer.resolve(&asked).iter().zip(asked).enumerate() {
        let frames: Vec<FrameRef<'_>> = found.frames.iter().map(FrameRef::from).collect();
        let Some(module) = modules.at(at) else {
            visitor.visit(place, &Answer { frames: &frames, linked: None, module: None, symbols: None });
            continue;
        };
        let known = last.take().filter(|(other, _)| other.range.start == module.range.start);
        let (_, file) = last.insert(known.unwrap_or_else(|| (module, binary(session, module))));
        let (at, path) = (at.to_link(module.bias), module.path_lossy());
        let symbols = Symbols::new(file, slice::from_ref(&at));
        let symbols = Some((&symbols, 0));
        visitor.visit(place, &Answer { frames: &frames, linked: Some(at.0), module: Some(&path), symbols });
    }
    visitor
}
