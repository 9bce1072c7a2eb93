//! Walks the threads of a process, on several processors where there is enough to do.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use prospect_process::{Addr, Arch, Module, Process, Registers, Thread};
use prospect_stack::{Stack, StepContext, Walker};
use prospect_symbols::{Binaries, ResolvedAddress};

use crate::stacks::{FrameName, ModulePosition, ThreadStack};

/// Threads that a worker takes at once: their stacks differ in depth, so that equal parts would not be equal
/// work.
const THREADS_AT_ONCE: usize = 8;

/// So many frames are walked before there is help, which is about a millisecond: a helper that is slow to get a
/// processor would take longer to end than all of them.
const FRAMES_ALONE: usize = 8_000;

/// How stacks are walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkOptions {
    pub(crate) frame_limit: usize,
    pub(crate) explain: bool,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self { frame_limit: 10_000, explain: false }
    }
}

impl WalkOptions {
    pub(crate) fn walker(self, arch: Arch) -> Walker {
        Walker::new(arch).frame_limit(self.frame_limit).explain(self.explain)
    }
}

/// Walkers that have walked a process, with what they remember of it.
#[derive(Debug, Default)]
pub(crate) struct Walkers(Mutex<Vec<(Arch, Walker)>>);

impl Walkers {
    /// One of them, or a new one, to be given back.
    fn take(&self, arch: Arch, options: WalkOptions) -> Walker {
        let mut walkers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of another architecture are of a program that the process runs no more.
        walkers.retain(|(of, _)| *of == arch);
        walkers.pop().map_or_else(|| options.walker(arch), |(_, walker)| walker)
    }

    fn give_back(&self, arch: Arch, walker: Walker) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((arch, walker));
    }
}

/// The stacks of `threads`, without names, in their order. All walks with the same `walkers` have the same `options`.
pub(crate) fn stacks(
    process: &dyn Process,
    binaries: &Binaries,
    walkers: &Walkers,
    options: WalkOptions,
    threads: &[&Thread],
) -> Vec<ThreadStack> {
    let context = StepContext::new(process, binaries);
    let mut stacks: Vec<Option<ThreadStack>> = Vec::new();
    stacks.resize_with(threads.len(), || None);
    let parts = threads.chunks(THREADS_AT_ONCE).zip(stacks.chunks_mut(THREADS_AT_ONCE));
    let parts = Mutex::new(parts);
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = |worker: &mut Worker<'_>, frames: usize| {
        let mut done = 0;
        while done < frames {
            let Some((threads, places)) = next() else { return false };
            for (thread, place) in threads.iter().zip(places) {
                let stack = worker.stack(thread);
                done += stack.frames().len();
                *place = Some(stack);
            }
        }
        true
    };
    let mut own = Worker::new(process, context, walkers.take(context.arch, options));
    // The first one opens the binaries too, which the others would only wait for.
    if work(&mut own, FRAMES_ALONE) {
        let left = parts.lock().unwrap_or_else(PoisonError::into_inner).len();
        let helpers = thread::available_parallelism().map_or(0, |all| NonZero::get(all) - 1).min(left);
        thread::scope(|scope| {
            let help = || {
                let mut worker = Worker::new(process, context, walkers.take(context.arch, options));
                work(&mut worker, usize::MAX);
                walkers.give_back(context.arch, worker.walker);
            };
            let helpers: Vec<_> =
                (0..helpers).map_while(|_| thread::Builder::new().spawn_scoped(scope, help).ok()).collect();
            work(&mut own, usize::MAX);
            // One that panicked loses the threads that it had taken, not the others'.
            helpers.into_iter().for_each(|helper| drop(helper.join()));
        });
    }
    walkers.give_back(context.arch, own.walker);
    let unwalked = |thread: &Thread| ThreadStack {
        thread: thread.clone(),
        registers: process.registers(thread.id),
        stack: None,
        names: Vec::new(),
    };
    stacks.into_iter().zip(threads).map(|(stack, thread)| stack.unwrap_or_else(|| unwalked(thread))).collect()
}

/// What one processor needs to itself. Nothing that is counted is shared: two that count the users of one
/// text wait for each other at every frame.
struct Worker<'a> {
    process: &'a dyn Process,
    context: StepContext<'a>,
    walker: Walker,
    positions: Positions<'a>,
}

impl<'a> Worker<'a> {
    fn new(process: &'a dyn Process, context: StepContext<'a>, walker: Walker) -> Self {
        Self { process, context, walker, positions: Positions::new(process) }
    }

    fn stack(&mut self, thread: &Thread) -> ThreadStack {
        let registers = self.process.registers(thread.id);
        let walk = |registers: &Registers| self.walker.walk(registers, &self.context);
        let stack: Option<Stack> = registers.as_ref().map(walk);
        let frames = stack.as_ref().map_or(&[][..], |stack| &stack.frames);
        let names = frames.iter().map(|frame| self.positions.name(frame.for_lookup(), frame.code.addr()));
        ThreadStack { thread: thread.clone(), registers, names: names.collect(), stack }
    }
}

/// Places in the modules of a process.
pub(crate) struct Positions<'a> {
    process: &'a dyn Process,
    /// The paths of the modules as text, by their place among all.
    paths: Vec<Option<Arc<str>>>,
    no_name: Arc<ResolvedAddress>,
}

impl<'a> Positions<'a> {
    pub(crate) fn new(process: &'a dyn Process) -> Self {
        Self { process, paths: vec![None; process.modules().as_slice().len()], no_name: Arc::default() }
    }

    /// Where `at` is, without a name yet. The module is that of `lookup`: a return address may lie one byte behind.
    pub(crate) fn name(&mut self, lookup: Addr, at: Addr) -> FrameName {
        FrameName { module: self.position(lookup, at), resolved: self.no_name.clone() }
    }

    fn position(&mut self, lookup: Addr, at: Addr) -> Option<ModulePosition> {
        let modules = self.process.modules().as_slice();
        let index = modules.partition_point(|module| module.range.start <= lookup).checked_sub(1)?;
        let module: &Module = modules.get(index).filter(|module| module.range.contains(&lookup))?;
        let path = self.paths.get_mut(index)?.get_or_insert_with(|| module.path_lossy().into());
        Some(ModulePosition { path: path.clone(), offset: at.to_link(module.bias) })
    }
}
