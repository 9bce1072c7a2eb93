//! What the addresses are of: a file, or a process.

use std::{path::Path, sync::Arc};

use prospect::{
    Mode, OpenOptions, Session,
    process::{Addr, LinkAddr, Module},
    symbols::{Binaries, ModuleBinary, SearchOptions, SourceFrame, Symbolizer, cache_directory},
};

use super::Args;
use crate::exit::{Failure, Result};

/// What the addresses are of.
pub(super) struct Source {
    kind: Kind,
    /// The digits of an address.
    pub(super) digits: usize,
    /// What is added to every address.
    base: u64,
}

enum Kind {
    File(Arc<ModuleBinary>),
    Process(Box<Session>),
}

/// What is known of an address.
#[derive(Default, Debug)]
pub(super) struct Answer {
    /// The functions there, the innermost inlined one first.
    pub(super) frames: Vec<SourceFrame>,
    /// The address as it was linked; `None` where no module is.
    pub(super) linked: Option<u64>,
    /// The symbol that the address lies in, where symbols are wanted.
    pub(super) symbol: Option<Symbol>,
    /// The path of the module, of a process.
    pub(super) module: Option<String>,
}

/// A symbol, and how far behind it the address is.
#[derive(Debug)]
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) section: Option<String>,
}

impl Source {
    pub(super) fn open(args: &Args) -> Result<Self> {
        let kind = match process(args) {
            Some(pid) => Kind::Process(Box::new(options(args).open(pid)?)),
            None => Kind::File(open_file(args)?),
        };
        let mut source = Self { kind, digits: 16, base: 0 };
        if source.arch().is_some_and(|arch| arch.info().word_bytes == 4) {
            source.digits = 8;
        }
        if let Some(name) = &args.section {
            source.base = source.section_start(name).ok_or_else(|| {
                Failure::failed(format_args!("{}: cannot find section {name}", args.exe.display()))
            })?;
        }
        Ok(source)
    }

    fn arch(&self) -> Option<prospect::process::Arch> {
        match &self.kind {
            Kind::File(file) => file.binary.as_ref()?.arch(),
            Kind::Process(session) => Some(session.process().info().arch),
        }
    }

    /// What is added to every address.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// All that is known of these addresses, in their order.
    pub(super) fn answer(&self, addresses: &[u64], with_symbols: bool) -> Vec<Answer> {
        match &self.kind {
            Kind::File(file) => {
                let linked: Vec<LinkAddr> = addresses.iter().map(|at| LinkAddr(*at)).collect();
                let mut answers: Vec<Answer> = file
                    .resolve(&linked)
                    .into_iter()
                    .zip(addresses)
                    .map(|(found, at)| Answer {
                        frames: found.frames,
                        linked: Some(*at),
                        ..Answer::default()
                    })
                    .collect();
                if with_symbols {
                    add_symbols(file, answers.iter_mut());
                }
                answers
            }
            Kind::Process(session) => of_process(session, addresses, with_symbols),
        }
    }

    /// The address of a symbol.
    pub(super) fn symbol(&self, name: &[u8]) -> Option<u64> {
        match &self.kind {
            Kind::File(file) => Some(file.address_of(name)?.0),
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
            Kind::File(file) => Some(start(file)?.0),
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

fn open_file(args: &Args) -> Result<Arc<ModuleBinary>> {
    let path: &Path = &args.exe;
    if !path.exists() {
        return Err(Failure::failed(format_args!("'{}': No such file", path.display())));
    }
    let mut search =
        SearchOptions { cache: cache_directory().filter(|_| !args.no_cache), ..SearchOptions::default() };
    search.debug_directories.splice(0..0, args.debug_dir.iter().cloned());
    let opened = Binaries::new(search).open(path);
    opened.map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))
}

/// Names need no stop.
fn options(args: &Args) -> OpenOptions {
    let options = match cache_directory().filter(|_| !args.no_cache) {
        Some(directory) => OpenOptions::new().cache(directory),
        None => OpenOptions::new(),
    };
    args.debug_dir.iter().rev().fold(options.mode(Mode::NoStop), OpenOptions::debug_directory)
}

fn binary(session: &Session, module: &Module) -> Arc<ModuleBinary> {
    session.binaries().get(module, session.process().info(), session.process().memory())
}

fn of_process(session: &Session, addresses: &[u64], with_symbols: bool) -> Vec<Answer> {
    let at: Vec<Addr> = addresses.iter().map(|at| Addr(*at)).collect();
    let symbolizer = Symbolizer::new(session.process(), session.binaries()).readers(session.symbols());
    let mut answers: Vec<Answer> = symbolizer
        .resolve(&at)
        .into_iter()
        .map(|found| Answer { frames: found.frames, ..Answer::default() })
        .collect();
    let modules = session.process().modules();
    let mut by_module: Vec<(&Module, Vec<&mut Answer>)> = Vec::new();
    for (answer, at) in answers.iter_mut().zip(at) {
        let Some(module) = modules.at(at) else { continue };
        answer.linked = Some(at.to_link(module.bias).0);
        answer.module = Some(module.path_lossy().into());
        match by_module.iter_mut().find(|(other, _)| other.range.start == module.range.start) {
            Some((_, inside)) => inside.push(answer),
            None => by_module.push((module, vec![answer])),
        }
    }
    for (module, answers) in by_module.into_iter().filter(|_| with_symbols) {
        add_symbols(&binary(session, module), answers.into_iter());
    }
    answers
}

fn add_symbols<'a>(file: &ModuleBinary, answers: impl Iterator<Item = &'a mut Answer>) {
    let mut answers: Vec<&mut Answer> = answers.collect();
    let addresses: Vec<LinkAddr> =
        answers.iter().map(|answer| LinkAddr(answer.linked.unwrap_or_default())).collect();
    let sections: Vec<_> = file.binary.iter().flat_map(|binary| binary.loaded_sections()).collect();
    for ((answer, at), function) in answers.iter_mut().zip(&addresses).zip(file.functions(&addresses)) {
        let Some(function) = function else { continue };
        let section = sections.iter().find(|(_, range)| range.contains(&function.range.start));
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        answer.symbol = Some(Symbol {
            name: lossy(function.linkage_name),
            offset: at.0.wrapping_sub(function.range.start.0),
            section: section.map(|(name, _)| lossy(name)),
        });
    }
}
