//! Stacks with names: owned values that outlive the session.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use prospect_process::{Addr, LinkAddr, Registers, Thread};
use prospect_stack::{Explanation, Frame, Stack, StackEnd};
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
    /// Its frames, and why there are no more of them; `None` when it was not walked, for the reason in
    /// [`Thread::not_stopped`].
    pub stack: Option<Stack>,
    /// What is known of each frame's address, in the order of the frames.
    pub names: Vec<FrameName>,
}

/// What is known of a frame's address.
#[derive(Clone, Debug)]
pub struct FrameName {
    /// Where its code is.
    pub module: Option<ModulePosition>,
    /// Its function, and before it those that were inlined there.
    pub resolved: Arc<ResolvedAddress>,
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
    /// How the frame was found, where that was [asked for](crate::OpenOptions::explain).
    pub explanation: Option<&'a Explanation>,
}

impl ThreadStack {
    /// Its frames, the innermost one first.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        self.stack.as_ref().map_or(&[], |stack| &stack.frames)
    }

    /// Why there are no more frames; `None` when the thread was not walked.
    #[must_use]
    pub fn end(&self) -> Option<&StackEnd> {
        self.stack.as_ref().map(|stack| &stack.end)
    }

    /// A number that is the same for a thread whose stack has the same frames at the same place as before. `None` when it
    /// was not walked.
    #[must_use]
    pub fn fingerprint(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        for frame in &self.stack.as_ref()?.frames {
            (frame.code.addr(), frame.registers.sp()).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// How each frame was found; see [`Stack::explanations`].
    #[must_use]
    pub fn explanations(&self) -> &[Explanation] {
        self.stack.as_ref().map_or(&[], |stack| &stack.explanations)
    }

    /// How it was found that the last frame has no caller, where that was
    /// [asked for](crate::OpenOptions::explain) and is so.
    #[must_use]
    pub fn explained_end(&self) -> Option<&Explanation> {
        self.explanations().get(self.frames().len())
    }

    /// Its calls, inlined ones too, the innermost one first.
    pub fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        calls(self.frames(), &self.names, self.explanations())
    }

    /// Gives its frames the names of their addresses, where there are any.
    pub fn take_names(&mut self, names: &Names) {
        let frames = self.stack.iter().flat_map(|stack| &stack.frames);
        for (frame, name) in frames.zip(&mut self.names) {
            name.take(names, frame.for_lookup());
        }
    }

    /// Whether all of its frames were found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.thread.not_stopped.is_none() && self.end().is_some_and(StackEnd::is_complete)
    }
}

/// The calls of these frames, inlined ones too.
pub(crate) fn calls<'a>(
    frames: &'a [Frame],
    names: &'a [FrameName],
    explanations: &'a [Explanation],
) -> impl Iterator<Item = Call<'a>> {
    let explanations = explanations.iter().map(Some).chain(std::iter::repeat(None));
    let named = frames.iter().zip(names).zip(explanations);
    named.flat_map(|((frame, name), explanation)| name.calls(frame, explanation))
}

impl FrameName {
    /// Takes the name of its address, if there is one.
    pub(crate) fn take(&mut self, names: &Names, at: Addr) {
        if let Some(found) = names.get(&at) {
            self.resolved = found.clone();
        }
    }

    /// The calls of `frame`, which this names; one without a name where nothing is known.
    fn calls<'a>(
        &'a self,
        frame: &'a Frame,
        explanation: Option<&'a Explanation>,
    ) -> impl Iterator<Item = Call<'a>> {
        let nameless = self.resolved.frames.is_empty().then_some(None);
        nameless.into_iter().chain(self.resolved.frames.iter().map(Some)).map(move |source| Call {
            function: source.and_then(|source| source.function.as_deref()),
            file: source.and_then(|source| source.file.as_deref()),
            line: source.and_then(|source| source.line),
            column: source.and_then(|source| source.column),
            inlined: source.is_some_and(|source| source.inlined),
            frame,
            module: self.module.as_ref(),
            explanation,
        })
    }
}
