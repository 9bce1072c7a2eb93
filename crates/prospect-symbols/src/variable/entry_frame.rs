//! A frame as it was when its function was called: what its caller says of registers, and of memory nothing.

use std::collections::HashMap;

use gimli::{EndianSlice, Operation, RunTimeEndian};
use prospect_process::{Addr, ArchInfo, LinkAddr, Memory, MemoryError, Unreadable};

use super::{FrameContext, Unavailable};
use crate::{ModuleBinary, symbol::dwarf::EntryUnit};

/// An expression uses no more registers than this.
const MOST_REGISTERS: usize = 16;

pub(super) struct EntryFrame<'f> {
    /// The same frame, now.
    pub(super) frame: &'f dyn FrameContext,
    /// What registers held, by their DWARF numbers, in the machine's order.
    pub(super) registers: HashMap<u16, Vec<u8>>,
}

/// The registers that an expression uses.
pub(super) fn registers_of(
    unit: &EntryUnit<'_>,
    expression: EndianSlice<'_, RunTimeEndian>,
) -> Result<Vec<u16>, Unavailable> {
    let mut operations = gimli::Expression(expression).operations(unit.encoding());
    let mut registers = Vec::new();
    while let Ok(Some(operation)) = operations.next() {
        let (Operation::Register { register } | Operation::RegisterOffset { register, .. }) = operation
        else {
            continue;
        };
        if !registers.contains(&register.0) {
            registers.push(register.0);
        }
        if registers.len() > MOST_REGISTERS {
            return Err(Unavailable::EntryValueUnknown);
        }
    }
    Ok(registers)
}

impl FrameContext for EntryFrame<'_> {
    fn arch(&self) -> &ArchInfo {
        self.frame.arch()
    }

    fn at(&self) -> LinkAddr {
        self.frame.at()
    }

    fn bias(&self) -> u64 {
        self.frame.bias()
    }

    fn memory(&self) -> &dyn Memory {
        &Forgotten
    }

    fn register(&self, number: u16) -> Option<u64> {
        self.arch().unsigned(self.registers.get(&number)?)
    }

    fn register_bytes(&self, number: u16) -> Option<Vec<u8>> {
        self.registers.get(&number).cloned()
    }

    fn binary(&self) -> Option<&ModuleBinary> {
        self.frame.binary()
    }

    fn return_address(&self) -> Option<LinkAddr> {
        None
    }

    fn cfa(&self) -> Option<Addr> {
        self.frame.cfa()
    }

    fn caller(&self) -> Option<&dyn FrameContext> {
        self.frame.caller()
    }

    fn thread_local(&self, offset: u64) -> Option<Addr> {
        self.frame.thread_local(offset)
    }
}

/// Memory as it was: nobody knows.
#[derive(Debug)]
struct Forgotten;

impl Memory for Forgotten {
    fn read_up_to(&self, at: Addr, _: &mut [u8]) -> Result<usize, MemoryError> {
        Err(MemoryError { at, why: Unreadable::Unmapped })
    }
}
