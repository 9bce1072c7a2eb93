//! Stacks with names: owned values that outlive the session.

use std::{collections::HashMap, sync::Arc};

use prospect_process::{Addr, LinkAddr, Registers, Thread};
use prospect_stack::{Frame, StackEnd};
use prospect_symbols::ResolvedAddress;

/// The functions and lines of addresses.
pub type Names = HashMap<Addr, Arc<ResolvedAddress>>;

/// One thread and its stack.
#[derive(Clone, Debug)]
pub struct ThreadStack {
    /// The thread.
    pub thread: Thread,
    /// Its registers, where they are known.
    pub registers: Option<Registers>,
    /// Its frames, the innermost one first.
    pub frames: Vec<NamedFrame>,
    /// Why there are no more of them; `None` when it was not walked, for the reason in
    /// [`Thread::not_stopped`].
    pub end: Option<StackEnd>,
}

/// A frame and what is known of its address.
#[derive(Clone, Debug)]
pub struct NamedFrame {
    /// The frame.
    pub frame: Frame,
    /// Where its code is.
    pub module: Option<ModulePosition>,
    /// Its function, and before it those that were inlined there.
    pub names: Arc<ResolvedAddress>,
}

/// A place in a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModulePosition {
    /// The module's path.
    pub path: Arc<str>,
    /// The address as linked: what `addr2line` and `objdump` take.
    pub offset: LinkAddr,
}

/// One call as a person sees it: a frame has several where calls were inlined.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The function's name, demangled.
    pub function: Option<&'a str>,
    /// The source file.
    pub file: Option<&'a str>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// Whether it was inlined into the next one.
    pub inlined: bool,
    /// The frame that it belongs to.
    pub frame: &'a Frame,
    /// Where the frame's code is.
    pub module: Option<&'a ModulePosition>,
}

impl ThreadStack {
    /// Its calls, inlined ones too, the innermost one first.
    pub fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        self.frames.iter().flat_map(NamedFrame::calls)
    }

    /// Gives its frames the names of their addresses, where there are any.
    pub fn take_names(&mut self, names: &Names) {
        for frame in &mut self.frames {
            if let Some(found) = names.get(&frame.frame.for_lookup()) {
                frame.names = found.clone();
            }
        }
    }

    /// Whether all of its frames were found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.thread.not_stopped.is_none() && self.end.as_ref().is_some_and(StackEnd::is_complete)
    }
}

impl NamedFrame {
    /// The calls of this frame; one without a name where nothing is known.
    pub fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        let nameless = self.names.frames.is_empty().then_some(None);
        nameless.into_iter().chain(self.names.frames.iter().map(Some)).map(move |source| Call {
            function: source.and_then(|source| source.function.as_deref()),
            file: source.and_then(|source| source.file.as_deref()),
            line: source.and_then(|source| source.line),
            column: source.and_then(|source| source.column),
            inlined: source.is_some_and(|source| source.inlined),
            frame: &self.frame,
            module: self.module.as_ref(),
        })
    }
}
