//! The memory of a process as its program has it: without the breakpoints that are in it.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

use prospect_process::{Addr, Content, Memory, MemoryError, memory::ReadRequest};

use crate::linux::LiveMemory;

/// What breakpoints hide, by address.
pub(super) type Hidden = Arc<RwLock<BTreeMap<Addr, u8>>>;

#[derive(Debug)]
pub(super) struct PlainMemory {
    memory: LiveMemory,
    hidden: Hidden,
}

impl PlainMemory {
    pub(super) fn new(memory: LiveMemory, hidden: Hidden) -> Self {
        Self { memory, hidden }
    }

    fn uncover(&self, at: Addr, bytes: &mut [u8]) {
        let hidden = self.hidden.read().unwrap_or_else(PoisonError::into_inner);
        for (place, byte) in hidden.range(at..at.wrapping_add(bytes.len() as u64).max(at)) {
            bytes[(place.0 - at.0) as usize] = *byte;
        }
    }
}

impl Memory for PlainMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let read = self.memory.read_up_to(at, buffer)?;
        self.uncover(at, &mut buffer[..read]);
        Ok(read)
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        self.memory.contents(range)
    }

    fn read_many(&self, requests: &mut [ReadRequest<'_>]) {
        self.memory.read_many(requests);
        for request in requests {
            let done = request.done;
            self.uncover(request.at, &mut request.buffer[..done]);
        }
    }
}
