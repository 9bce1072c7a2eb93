//! What the expressions that find members need of a frame: the memory of the process.

use prospect_process::{Addr, ArchInfo, LinkAddr, Memory};
use prospect_symbols::{
    ModuleBinary,
    variable::{FrameContext, MemberExpression, Unavailable},
};

use crate::ValueContext;

/// The address of a member of the object at `object`.
pub(crate) fn evaluate(
    expression: &MemberExpression,
    object: Addr,
    cx: &dyn ValueContext,
) -> Result<Addr, Unavailable> {
    expression.address(object, &NoFrame(cx))
}

/// An object is in no frame.
struct NoFrame<'a>(&'a dyn ValueContext);

impl FrameContext for NoFrame<'_> {
    fn arch(&self) -> &ArchInfo {
        self.0.arch()
    }

    fn at(&self) -> LinkAddr {
        LinkAddr(0)
    }

    fn bias(&self) -> u64 {
        0
    }

    fn memory(&self) -> &dyn Memory {
        self.0.memory()
    }

    fn register(&self, _: u16) -> Option<u64> {
        None
    }

    fn register_bytes(&self, _: u16) -> Option<Vec<u8>> {
        None
    }

    fn binary(&self) -> Option<&ModuleBinary> {
        None
    }

    fn return_address(&self) -> Option<LinkAddr> {
        None
    }

    fn cfa(&self) -> Option<Addr> {
        None
    }

    fn caller(&self) -> Option<&dyn FrameContext> {
        None
    }

    fn thread_local(&self, _: u64) -> Option<Addr> {
        None
    }
}
