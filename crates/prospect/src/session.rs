//! What was opened.

use std::{collections::HashMap, num::NonZero, sync::Arc, thread, time::Duration};

use prospect_live::Stopped;
use prospect_process::{Addr, FrozenProcess, Process, Thread, ThreadId};
use prospect_stack::{Frame, Stack, StepContext, Walker};
use prospect_symbols::{Binaries, ResolvedAddress, Symbolizer};

use crate::{
    Mode,
    stacks::{FrameName, ModulePosition, Names, ThreadStack},
};

/// Fewer threads than this are walked by one.
const FEW_THREADS: usize = 16;

/// A process that was opened: it stands still, or is a copy that does.
#[derive(Debug)]
pub struct Session {
    pub(crate) view: View,
    pub(crate) mode: Mode,
    pub(crate) pause: Option<Duration>,
    pub(crate) binaries: Binaries,
    pub(crate) frame_limit: usize,
}

#[derive(Debug)]
pub(crate) enum View {
    Frozen(Box<FrozenProcess>),
    Held(Stopped),
}

impl Session {
    /// The process.
    #[must_use]
    pub fn process(&self) -> &dyn Process {
        match &self.view {
            View::Frozen(process) => process.as_ref(),
            View::Held(process) => process,
        }
    }

    /// How it is looked at.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// For how long the process was held; `None` while it is, or when it never was.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// The files of its modules.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// What a reader should know before believing the names that were found so far: files that are of
    /// another build than what runs, broken ones, and the like.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> =
            self.binaries.opened().iter().flat_map(|binary| binary.problems()).collect();
        warnings.sort();
        warnings.dedup();
        warnings
    }

    /// Lets the process go where it is held still, and says for how long it was; `None` when it never was.
    #[must_use = "dropping the session lets the process go too"]
    pub fn close(self) -> Option<Duration> {
        match self.view {
            View::Frozen(_) => self.pause,
            View::Held(stopped) => stopped.resume(),
        }
    }

    /// The frames of a thread, without names. `None` when its registers are not known.
    #[must_use]
    pub fn walk(&self, thread: ThreadId) -> Option<Stack> {
        let registers = self.process().registers(thread)?;
        let context = StepContext::new(self.process(), &self.binaries);
        Some(Walker::new(registers.arch()).frame_limit(self.frame_limit).walk(&registers, &context))
    }

    /// The functions, and their source lines, that an address is in. Of a return address, ask for the
    /// address before it.
    #[must_use]
    pub fn resolve(&self, at: Addr) -> ResolvedAddress {
        let mut resolved = Symbolizer::new(self.process(), &self.binaries).resolve(&[at]);
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
        let positions = Positions::new(self.process());
        let stack = |(thread, stack): (&&Thread, Option<Stack>)| {
            let name = |frame: &Frame| FrameName {
                module: positions.of(frame.for_lookup(), frame.code.addr()),
                resolved: Arc::default(),
            };
            ThreadStack {
                thread: (*thread).clone(),
                registers: self.process().registers(thread.id),
                names: stack.iter().flat_map(|stack| &stack.frames).map(name).collect(),
                stack,
            }
        };
        threads.iter().zip(self.walk_all(&threads)).map(stack).collect()
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
        let resolved = Symbolizer::new(self.process(), &self.binaries).resolve(&addresses);
        addresses.into_iter().zip(resolved.into_iter().map(Arc::new)).collect()
    }

    fn walk_all(&self, threads: &[&Thread]) -> Vec<Option<Stack>> {
        let context = StepContext::new(self.process(), &self.binaries);
        let walk_part = |part: &[&Thread]| {
            let mut walker = Walker::new(context.arch).frame_limit(self.frame_limit);
            let walk = |thread: &&Thread| Some(walker.walk(&self.process().registers(thread.id)?, &context));
            part.iter().map(walk).collect::<Vec<_>>()
        };
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        if threads.len() < FEW_THREADS || workers == 1 {
            return walk_part(threads);
        }
        thread::scope(|scope| {
            let (own, others) = threads.split_at(threads.len().div_ceil(workers));
            let others: Vec<_> =
                others.chunks(own.len()).map(|part| scope.spawn(move || walk_part(part))).collect();
            let mut stacks = walk_part(own);
            for (worker, part) in others.into_iter().zip(threads[own.len()..].chunks(own.len())) {
                // A worker that panicked loses its part, not the others'.
                stacks.extend(worker.join().unwrap_or_else(|_| vec![None; part.len()]));
            }
            stacks
        })
    }
}

/// The modules' paths as text, each made once.
struct Positions<'a> {
    process: &'a dyn Process,
    paths: HashMap<Addr, Arc<str>>,
}

impl<'a> Positions<'a> {
    fn new(process: &'a dyn Process) -> Self {
        let path = |module: &prospect_process::Module| (module.range.start, module.path_lossy().into());
        Self { process, paths: process.modules().iter().map(path).collect() }
    }

    /// The module that holds `lookup`, and where `at` is in it: a return address may lie one byte behind.
    fn of(&self, lookup: Addr, at: Addr) -> Option<ModulePosition> {
        let module = self.process.modules().at(lookup)?;
        let path = self.paths.get(&module.range.start)?.clone();
        Some(ModulePosition { path, offset: at.to_link(module.bias) })
    }
}
