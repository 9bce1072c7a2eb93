//! How the frames of an architecture are chained.

use super::RegisterId;

/// Where code that keeps frame pointers, or a back chain, has its caller's registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameChain {
    /// The register that points into the frame: the frame pointer; or the stack pointer, where every frame
    /// begins with the address of the one before it (a back chain).
    pub base: RegisterId,
    /// Where the caller's `base` was saved, in bytes from `base`.
    pub saved_base: i16,
    /// Where the return address was saved.
    pub return_slot: ReturnSlot,
    /// The caller's stack pointer, in bytes from `base`. `None` where it is not told by the chain (or is the
    /// saved base itself).
    pub caller_sp: Option<i16>,
}

impl FrameChain {
    /// Whether the chain tells what the caller's stack pointer is, and not only that it is above the frame.
    #[must_use]
    pub fn tells_sp(&self) -> bool {
        self.caller_sp.is_some() || matches!(self.return_slot, ReturnSlot::CallersFrame(_))
    }
}

/// Where a return address was saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReturnSlot {
    /// So many bytes from `base`.
    Frame(i16),
    /// So many bytes from the *caller's* `base`.
    CallersFrame(i16),
}
