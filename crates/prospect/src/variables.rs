//! The variables of frames, and where their values are.

use prospect_process::{Module, ThreadId};
use prospect_stack::Frame;
use prospect_symbols::variable::{Located, Unavailable, Variable};

use crate::{
    Session, ThreadStack,
    frame_view::{FrameView, Scene},
};

/// The variables of one call: a frame has several where calls were inlined.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallVariables {
    /// The function's name, demangled.
    pub function: Option<String>,
    /// Whether the call was inlined into the next one.
    pub inlined: bool,
    /// Its parameters, then its other variables, each with where its value is, or why it cannot be had.
    pub variables: Vec<(Variable, Result<Located, Unavailable>)>,
}

impl Session {
    /// A frame of a stack, for [`Variable::locate`] and for reading values. `None` where there is none of that number.
    #[must_use]
    pub fn frame_view<'a>(
        &'a self,
        thread: ThreadId,
        frames: &'a [Frame],
        index: usize,
    ) -> Option<FrameView<'a>> {
        FrameView::of(self.scene(), thread, frames, index)
    }

    /// What is true of a module wherever a thread is in it: for its global variables, and the thread's own.
    #[must_use]
    pub fn module_view<'a>(&'a self, thread: ThreadId, module: &'a Module) -> FrameView<'a> {
        FrameView::of_module(self.scene(), thread, module)
    }

    /// The variables of each call of a frame, the innermost inlined one first: as many and in the same order as the calls of
    /// [`ThreadStack::calls`] that belong to it. Empty where no debug information describes it.
    #[must_use]
    pub fn variables(&self, stack: &ThreadStack, index: usize) -> Vec<CallVariables> {
        let Some(view) = self.frame_view(stack.thread.id, stack.frames(), index) else { return Vec::new() };
        let names = stack.names.get(index).map_or(&[][..], |name| &name.resolved.frames);
        self.variables_of(&view, |call| names.get(call)?.function.clone())
    }

    /// The same for a frame of any walk; `name` knows the names of its calls by their number.
    pub fn variables_of(
        &self,
        view: &FrameView<'_>,
        name: impl Fn(usize) -> Option<String>,
    ) -> Vec<CallVariables> {
        use prospect_symbols::variable::FrameContext as _;
        let Some(binary) = view.module_binary().filter(|_| self.binaries.names()) else { return Vec::new() };
        let located = |variable: &Variable| (variable.clone(), variable.locate(view));
        let scopes = binary.unnamed_scopes(view.at());
        scopes
            .iter()
            .enumerate()
            .map(|(call, scope)| CallVariables {
                function: name(call),
                inlined: scope.is_inlined,
                variables: scope.variables.iter().map(located).collect(),
            })
            .collect()
    }

    pub(crate) fn scene(&self) -> Scene<'_> {
        Scene { process: self.process(), binaries: &self.binaries }
    }
}
