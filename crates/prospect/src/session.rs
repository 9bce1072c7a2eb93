//! What was opened.

use std::{sync::Arc, time::Duration};

use prospect_live::Stopped;
use prospect_process::{Addr, FrozenProcess, Process, Thread, ThreadId};
use prospect_stack::{Frame, Stack, StepContext, Walker};
use prospect_symbols::{Binaries, ResolvedAddress, Symbolizer};

use crate::{
    Mode,
    memo::Memo,
    stacks::{Names, ThreadStack},
    walk::{self, WalkOptions},
};

/// A process that was opened: it stands still, or is a copy that does.
#[derive(Debug)]
pub struct Session {
    pub(crate) view: View,
    pub(crate) mode: Mode,
    pub(crate) pause: Option<Duration>,
    pub(crate) binaries: Arc<Binaries>,
    pub(crate) walk: WalkOptions,
    pub(crate) memo: Arc<Memo>,
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

    /// The files of its modules. They can be kept when the session is closed.
    #[must_use]
    pub fn binaries(&self) -> &Arc<Binaries> {
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
        walk::stacks(self.process(), &self.binaries, &self.memo.walkers, self.walk, &threads)
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
        let symbolizer = Symbolizer::new(self.process(), &self.binaries);
        // A just-in-time compiler puts other code where some was before.
        let is_in_module = |at: Addr| self.process().modules().at(at).is_some();
        let generation = self.context().generation();
        self.memo.names(addresses, generation, is_in_module, |unknown| symbolizer.resolve(unknown))
    }
}
