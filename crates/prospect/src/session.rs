//! What was opened.

use std::{process::Child, sync::Arc, time::Duration};

use prospect_dump::{
    elf_core::{CoreNotice, ElfCore},
    minidump::{Minidump, MinidumpNotice},
};
use prospect_live::Stopped;
use prospect_process::{Addr, FrozenProcess, Module, Process, Thread, ThreadId};
use prospect_stack::{Frame, Stack, StepContext, Walker};
use prospect_symbols::{Binaries, ModuleBinary, ResolvedAddress, SymbolReaders, Symbolizer};

use crate::{
    Crash, Goroutine, Goroutines, GoroutinesError, Launched, MemoryFile, Mode,
    core_files::FilesOfDump,
    function::Function,
    goroutines::{self, GoRuntime, RawGoroutines},
    memo::Memo,
    stacks::{ModulePosition, Names, ThreadStack},
    type_memo::TypeMemo,
    walk::{self, WalkOptions},
};

/// A process that was opened: it stands still, or is a copy that does, or is in a dump.
#[derive(Debug)]
pub struct Session {
    pub(crate) view: View,
    /// `None` for a dump.
    pub(crate) mode: Option<Mode>,
    pub(crate) pause: Option<Duration>,
    pub(crate) binaries: Arc<Binaries>,
    pub(crate) symbols: SymbolReaders,
    pub(crate) walk: WalkOptions,
    pub(crate) memo: Arc<Memo>,
    pub(crate) types: TypeMemo,
    /// The goroutines at the moment that this is of, where they were copied then.
    pub(crate) goroutines: Option<Result<(GoRuntime, RawGoroutines), GoroutinesError>>,
    /// Behind the view: what is held is let go before it is ended.
    pub(crate) launched: Option<Launched>,
}

#[derive(Debug)]
pub(crate) enum View {
    Frozen(Box<FrozenProcess>),
    Held(Stopped),
    Core(Box<ElfCore>, FilesOfDump),
    Minidump(Box<Minidump>, FilesOfDump),
}

impl Session {
    /// The process.
    #[must_use]
    pub fn process(&self) -> &dyn Process {
        match &self.view {
            View::Frozen(process) => process.as_ref(),
            View::Held(process) => process,
            View::Core(process, _) => process.as_ref(),
            View::Minidump(process, _) => process.as_ref(),
        }
    }

    /// How it is looked at; `None` when it is not alive but in a dump.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// The core that it is read from, where it is one.
    #[must_use]
    pub fn core(&self) -> Option<&ElfCore> {
        match &self.view {
            View::Core(core, _) => Some(core),
            _ => None,
        }
    }

    /// The minidump that it is read from, where it is one.
    #[must_use]
    pub fn minidump(&self) -> Option<&Minidump> {
        match &self.view {
            View::Minidump(dump, _) => Some(dump),
            _ => None,
        }
    }

    /// Why it crashed; `None` when it did not.
    #[must_use]
    pub fn crash(&self) -> Option<Crash> {
        Crash::of(self.process())
    }

    /// What the dump that it is read from should have, and has not.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        match &self.view {
            View::Core(core, _) => {
                core.notices().iter().filter(|one| one.is_loss()).map(CoreNotice::to_string).collect()
            }
            View::Minidump(dump, _) => {
                dump.notices().iter().filter(|one| one.is_loss()).map(MinidumpNotice::to_string).collect()
            }
            View::Frozen(_) | View::Held(_) => Vec::new(),
        }
    }

    /// The files that memory was read from so far which a dump left out.
    #[must_use]
    pub fn memory_files(&self) -> Vec<MemoryFile> {
        match &self.view {
            View::Core(_, files) | View::Minidump(_, files) => files.used(),
            _ => Vec::new(),
        }
    }

    /// For how long the process was held; `None` while it is, or when it never was.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// The files of its modules. They can be kept when the session is closed.
    #[must_use]
    pub fn binaries(&self) -> &Arc<Binaries> {
        &self.binaries
    }

    /// What a reader should know before believing what was found so far: what is wrong with a core, files that are of
    /// another build than what runs, broken ones, and the like.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = match &self.view {
            View::Core(core, _) => core.notices().iter().map(ToString::to_string).collect(),
            View::Minidump(dump, _) => dump.notices().iter().map(ToString::to_string).collect(),
            View::Frozen(_) | View::Held(_) => Vec::new(),
        };
        if self.core().is_some_and(|core| core.modules().executable().is_none()) {
            let what = "the headers of the program are not in the core, so that its file is not known";
            warnings.push(format!("{what}: it can be named (--exe)"));
        }
        let unverified = self.memory_files().into_iter().filter(|file| !file.verified);
        warnings.extend(unverified.map(|file| {
            let path = file.path.display();
            format!("unverified: memory that the core left out is read from {path}, which was named for it")
        }));
        let mut problems: Vec<String> =
            self.binaries.opened().iter().flat_map(|binary| binary.problems()).collect();
        problems.sort();
        problems.dedup();
        warnings.extend(problems);
        warnings
    }

    /// Lets the process go where it is held still, and says for how long it was; `None` when it never was.
    #[must_use = "dropping the session lets the process go too"]
    pub fn close(self) -> Option<Duration> {
        match self.view {
            View::Frozen(_) | View::Core(..) | View::Minidump(..) => self.pause,
            View::Held(stopped) => stopped.resume(),
        }
    }

    /// The frames of a thread, without names. `None` when its registers are not known.
    #[must_use]
    pub fn walk(&self, thread: ThreadId) -> Option<Stack> {
        self.walk_with(&mut self.walker(), thread)
    }

    /// The frames of a thread as a walker of your choice finds them, without names. `None` when its registers
    /// are not known.
    #[must_use]
    pub fn walk_with(&self, walker: &mut Walker, thread: ThreadId) -> Option<Stack> {
        Some(walker.walk(&self.process().registers(thread)?, &self.context()))
    }

    /// A walker with the standard steppers, as [`OpenOptions`](crate::OpenOptions) said it should be.
    #[must_use]
    pub fn walker(&self) -> Walker {
        self.walk.walker(self.process().info().arch)
    }

    /// What steppers see of the process: for [`Walker::step`] and the like.
    #[must_use]
    pub fn context(&self) -> StepContext<'_> {
        StepContext::new(self.process(), &self.binaries)
    }

    /// The functions, and their source lines, that an address is in. Of a return address, ask for the
    /// address before it.
    #[must_use]
    pub fn resolve(&self, at: Addr) -> ResolvedAddress {
        let mut resolved = self.symbolizer().resolve(&[at]);
        resolved.pop().unwrap_or_default()
    }

    /// The stacks of the threads that are `wanted`, with names, in the order of the threads.
    #[must_use]
    pub fn stacks(&self, wanted: impl Fn(&Thread) -> bool) -> Vec<ThreadStack> {
        let mut stacks = self.unnamed_stacks(wanted);
        let names = self.names(&stacks);
        stacks.iter_mut().for_each(|stack| stack.take_names(&names));
        stacks
    }

    /// The stacks of the threads that are `wanted`, without names: the quick half of [`stacks`](Self::stacks).
    #[must_use]
    pub fn unnamed_stacks(&self, wanted: impl Fn(&Thread) -> bool) -> Vec<ThreadStack> {
        let threads: Vec<&Thread> = self.process().threads().iter().filter(|thread| wanted(thread)).collect();
        walk::stacks(self.process(), &self.binaries, &self.memo.walkers, self.walk, &threads)
    }

    /// The goroutines of a Go program, with names. See [`unnamed_goroutines`](Self::unnamed_goroutines).
    ///
    /// # Errors
    /// When it is no Go program, or of a release whose runtime is not known.
    pub fn goroutines(&self) -> Result<Goroutines, GoroutinesError> {
        let mut goroutines = self.unnamed_goroutines()?;
        let names = self.names_of(goroutines.all.iter().flat_map(Goroutine::addresses).collect());
        goroutines.all.iter_mut().for_each(|one| one.take_names(&names));
        Ok(goroutines)
    }

    /// The goroutines of a Go program, without names. They are of the moment that the session is of where it holds the
    /// process still, or was made with [`OpenOptions::goroutines`](crate::OpenOptions::goroutines); else they are read as
    /// the process runs on, and may not fit to each other.
    ///
    /// # Errors
    /// When it is no Go program, or of a release whose runtime is not known.
    pub fn unnamed_goroutines(&self) -> Result<Goroutines, GoroutinesError> {
        let process = self.process();
        let now;
        let (runtime, raw) = match &self.goroutines {
            Some(copied) => copied.as_ref().map_err(Clone::clone)?,
            None => {
                let runtime =
                    GoRuntime::find(process.info(), process.modules(), process.memory(), &self.binaries)?;
                let raw = RawGoroutines::read(&runtime, process.memory());
                now = (runtime, raw);
                &now
            }
        };
        let is_system = |at| {
            let name = self.resolve(at).frames.pop().and_then(|frame| frame.function).unwrap_or_default();
            // As `runtime.isSystemGoroutine` has it.
            name.starts_with("runtime.") && !matches!(&*name, "runtime.main" | "runtime.handleAsyncEvent")
        };
        let (mut walker, is_live) = (self.walker(), self.core().is_none());
        Ok(goroutines::goroutines(runtime, raw, process, &self.binaries, &mut walker, is_system, is_live))
    }

    /// The names of all addresses in `stacks`: the half of [`stacks`](Self::stacks) that reads symbol files.
    #[must_use]
    pub fn names(&self, stacks: &[ThreadStack]) -> Names {
        self.names_of(stacks.iter().flat_map(ThreadStack::frames).map(Frame::for_lookup).collect())
    }

    /// The names of these addresses, each *within* the instruction that it is about.
    #[must_use]
    pub fn names_of(&self, mut addresses: Vec<Addr>) -> Names {
        addresses.sort_unstable();
        addresses.dedup();
        let symbolizer = self.symbolizer();
        // A just-in-time compiler puts other code where some was before.
        let is_in_module = |at: Addr| self.process().modules().at(at).is_some();
        let generation = self.context().generation();
        self.memo.names(addresses, generation, is_in_module, |unknown| symbolizer.resolve(unknown))
    }

    /// The process that was [launched](crate::OpenOptions::launch) for this session, which runs on then when the session is
    /// closed. `None` where none was, or this was asked before.
    pub fn keep_launched(&mut self) -> Option<Child> {
        self.launched.take()?.keep()
    }

    /// Who is asked for names.
    #[must_use]
    pub fn symbols(&self) -> &SymbolReaders {
        &self.symbols
    }

    /// The module that a frame's code is in.
    #[must_use]
    pub fn module_of(&self, frame: &Frame) -> Option<&Module> {
        self.process().modules().at(frame.for_lookup())
    }

    /// The binary of that module: its file, or what memory holds of it, with its debug file and its symbols.
    #[must_use]
    pub fn binary_of(&self, frame: &Frame) -> Option<Arc<ModuleBinary>> {
        let process = self.process();
        Some(self.binaries.get(self.module_of(frame)?, process.info(), process.memory()))
    }

    /// The function that a frame is in.
    #[must_use]
    pub fn function_of(&self, frame: &Frame) -> Option<Function> {
        self.function_at(frame.for_lookup())
    }

    /// The function that an address lies in, and the module that it is of. `None` where nothing has a name for it.
    #[must_use]
    pub fn function_at(&self, at: Addr) -> Option<Function> {
        let named = |at| self.resolve(at).frames.pop();
        let Some(module) = self.process().modules().at(at) else {
            return Function::from_source(named(at)?, None);
        };
        let position =
            |at: Addr| ModulePosition { path: module.path_lossy().into(), offset: at.to_link(module.bias) };
        let binary = self.binaries.get(module, self.process().info(), self.process().memory());
        let Some(symbol) = binary.function(at.to_link(module.bias)).filter(|_| self.binaries.names()) else {
            return Function::from_source(named(at)?, Some(position(at)));
        };
        let range = symbol.range.start.to_addr(module.bias)..symbol.range.end.to_addr(module.bias);
        let (name, start) = (named(at).and_then(|frame| frame.function), named(range.start));
        Some(Function {
            name: name.unwrap_or_else(|| symbol.name()),
            linkage_name: Some(String::from_utf8_lossy(symbol.linkage_name).into_owned()),
            module: Some(position(range.start)),
            range: Some(range),
            file: start.as_ref().and_then(|start| start.file.clone()),
            line: start.and_then(|start| start.line),
        })
    }

    fn symbolizer(&self) -> Symbolizer<'_> {
        Symbolizer::new(self.process(), &self.binaries).readers(&self.symbols)
    }
}
