//! The memory of a copy of a process.

use std::{ops::Range, sync::Arc};

use prospect_process::{Addr, Content, Memory, MemoryError, Unreadable, memory::ReadRequest};

use super::guardian::Guardian;
use crate::linux::LiveMemory;

/// The memory of a child that stands still, which lives as long as this does.
#[derive(Debug)]
pub(super) struct ChildMemory {
    pub(super) memory: LiveMemory,
    /// What the child does not have of its parent, or has as zeros: by address.
    pub(super) left_out: Vec<Range<Addr>>,
    /// Ends the child when nobody needs it any more.
    pub(super) _guardian: Arc<Guardian>,
}

impl ChildMemory {
    /// Whether `at` is left out, and where that changes first behind it.
    fn left_out(&self, at: Addr) -> (bool, Addr) {
        let index = self.left_out.partition_point(|range| range.end <= at);
        match self.left_out.get(index) {
            None => (false, Addr(u64::MAX)),
            Some(range) if range.start <= at => (true, range.end),
            Some(range) => (false, range.start),
        }
    }
}

impl Memory for ChildMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let (is_left_out, end) = self.left_out(at);
        if is_left_out {
            return Err(MemoryError { at, why: Unreadable::NotCaptured });
        }
        let room = usize::try_from(end.0 - at.0).unwrap_or(usize::MAX).min(buffer.len());
        self.memory.read_up_to(at, &mut buffer[..room])
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        let (mut contents, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let (is_left_out, end) = self.left_out(at);
            let part = at..end.min(range.end);
            at = part.end;
            if is_left_out {
                contents.push((part, Content::Missing));
            } else {
                contents.extend(self.memory.contents(part));
            }
        }
        contents
    }

    fn read_many(&self, requests: &mut [ReadRequest<'_>]) {
        if self.left_out.is_empty() {
            return self.memory.read_many(requests);
        }
        for request in requests {
            request.done = self.read_available(request.at, request.buffer);
        }
    }
}
