//! Members whose place an expression says (DWARF 5, section 5.7.6): virtual base classes.

use std::{fmt, sync::Arc};

use prospect_process::Addr;

use super::{FrameContext, Unavailable, machine::Budget, machine::Machine, machine::broken};
use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel},
    type_info::EntryId,
};

/// The expression that makes the address of a member of the address of an object.
#[derive(Clone)]
pub struct MemberExpression {
    pub(crate) debug: Arc<DebugInfo>,
    /// The entry of the type that has the member.
    pub(crate) of: EntryId,
    pub(crate) bytes: Arc<[u8]>,
}

impl MemberExpression {
    /// The address of the member of the object at `object`. Of the frame, its process's memory is used.
    ///
    /// # Errors
    /// When memory that leads to it cannot be read, or the expression is not understood.
    pub fn address(&self, object: Addr, frame: &dyn FrameContext) -> Result<Addr, Unavailable> {
        let (tank, mut budget) = (self.debug.tank(), Budget::new());
        let run = |unit: &EntryUnit<'_>, _: usize, fuel: &mut Fuel<'_>| {
            let (debug, budget, object) = (&self.debug, &mut budget, Some(object));
            let mut machine = Machine { debug, frame, function: None, budget, fuel, object };
            machine.address_from(unit, &self.bytes)
        };
        let found = self.debug.with_entry(self.of, &mut tank.fuel(), run);
        found.unwrap_or_else(|| Err(broken("an entry that is not there")))
    }
}

/// The same expression of the same entry.
impl PartialEq for MemberExpression {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.debug, &other.debug) && self.of == other.of && self.bytes == other.bytes
    }
}

impl Eq for MemberExpression {}

impl fmt::Debug for MemberExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemberExpression").field(&self.bytes).finish()
    }
}
