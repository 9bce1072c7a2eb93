//! What kind of frame the code at an address has, and how far it is set up.

use prospect_process::Addr;

use crate::{
    StepContext,
    arch::{self, CodeAround},
    pc_cache::PcCache,
};

/// More bytes of one function are not read.
const LARGEST_FUNCTION: u64 = 64 << 10;

/// What a function does with the frame pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FrameKind {
    /// It is not known: nothing says where the function begins, or how its architecture sets up frames.
    #[default]
    Unknown,
    /// Nothing: it is its caller's.
    None,
    /// It saves it and uses the register for something else.
    SavedFpOnly,
    /// It saves it and has it point to its own frame: what a chain of frame pointers is made of.
    Standard,
}

/// How far a function has set up its frame at an instruction, or taken it down again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FrameProgress {
    /// It is not known.
    #[default]
    Unknown,
    /// Nothing is saved yet, nothing any more, or nothing ever: the frame pointer is the caller's. In a function with a
    /// standard frame, sp points to the return address then, or the link register has it.
    Unset,
    /// The caller's frame pointer is saved, and the register still has it too, or will have it again. On x86 sp points
    /// to where it is saved. Only functions with a standard frame are ever in this state.
    HalfSet,
    /// All is set up that the function sets up.
    Set,
}

/// What kind of frame some code has, and how far it is set up there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FrameState {
    /// What kind its function has.
    pub kind: FrameKind,
    /// How far it is set up before the instruction runs.
    pub progress: FrameProgress,
}

/// Knows what frames code has: what [`FramePointerStepper`](crate::steppers::FramePointerStepper) asks. Any function of
/// the right form is one.
pub trait FrameHelper: Send {
    /// The frame of the code at `pc`, which lies within the instruction that is about to run, or that makes the call
    /// that the frame is in.
    fn frame_state(&mut self, pc: Addr, context: &StepContext<'_>) -> FrameState;
}

impl<F: FnMut(Addr, &StepContext<'_>) -> FrameState + Send> FrameHelper for F {
    fn frame_state(&mut self, pc: Addr, context: &StepContext<'_>) -> FrameState {
        self(pc, context)
    }
}

/// Knows it from the code itself: x86 and AArch64. Where symbols say where the function at pc begins and ends, its
/// prologues and epilogues are looked for in all of it, and the kind is known. Elsewhere only what is next to pc is,
/// and no more is known than whether pc is at a prologue or an epilogue.
#[derive(Debug, Default)]
pub struct CodeFrameHelper {
    states: PcCache<FrameState>,
}

impl FrameHelper for CodeFrameHelper {
    fn frame_state(&mut self, pc: Addr, context: &StepContext<'_>) -> FrameState {
        *self.states.get(pc, context, || in_function(pc, context).unwrap_or_else(|| nearby(pc, context)))
    }
}

/// By all of the function's code.
fn in_function(pc: Addr, context: &StepContext<'_>) -> Option<FrameState> {
    let frame_in = arch::patterns(context.arch)?.frame_in?;
    let module = context.modules.at(pc)?;
    let binary = context.binaries.get(module, context.info, context.memory);
    let (start, size) = binary.function_at(pc.to_link(module.bias))?;
    let start = start.to_addr(module.bias);
    let offset = pc.0.checked_sub(start.0).filter(|offset| *offset < size && size <= LARGEST_FUNCTION)?;
    let mut code = vec![0; size as usize];
    let read = context.memory.read_available(start, &mut code);
    frame_in(code.get(..read)?, offset as usize)
}

/// By what is next to `pc`.
fn nearby(pc: Addr, context: &StepContext<'_>) -> FrameState {
    let Some(patterns) = arch::patterns(context.arch) else { return FrameState::default() };
    let code = CodeAround::read(pc, context.memory);
    FrameState { kind: FrameKind::Unknown, progress: (patterns.progress)(code.before(), code.at()) }
}
