//! The memory that a dump has, and what it left out.

use std::{fmt, ops::Range, sync::Arc};

use prospect_process::{Addr, Content, Memory, MemoryError, Unreadable};

use super::{file::CoreFile, header::Segment};

/// The memory that a dump has: an ELF core, or a minidump.
#[derive(Debug)]
pub struct CoreSegments {
    file: CoreFile,
    /// By address, without overlap.
    segments: Vec<Segment>,
}

impl CoreSegments {
    pub(crate) fn new(file: CoreFile, segments: Vec<Segment>) -> Self {
        Self { file, segments }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn file(&self) -> &CoreFile {
        &self.file
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file.length()
    }

    /// The segment that an address lies in; else the index of the one after it.
    fn find(&self, at: Addr) -> Result<&Segment, usize> {
        let next = self.segments.partition_point(|segment| segment.range.start <= at);
        let before = next.checked_sub(1).map(|index| &self.segments[index]);
        before.filter(|segment| segment.range.contains(&at)).ok_or(next)
    }

    /// Where the process could have memory that was left out of the dump, from `at` on. `None` where the dump has it, or
    /// should have it and is truncated.
    fn left_out(&self, at: Addr) -> Option<Range<Addr>> {
        match self.find(at) {
            Ok(segment) => Some(at..segment.range.end).filter(|_| at >= segment.dumped_end()),
            Err(next) => Some(at..self.segments.get(next).map_or(Addr(u64::MAX), |next| next.range.start)),
        }
    }
}

impl Memory for CoreSegments {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let segment = self.find(at).map_err(|_| MemoryError { at, why: Unreadable::Unmapped })?;
        let missing = MemoryError { at, why: Unreadable::NotCaptured };
        let there = segment.present_end().0.checked_sub(at.0).filter(|there| *there > 0).ok_or(missing)?;
        let length = buffer.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        if let Some(memory) = self.file.memory() {
            return memory.read_up_to(at, &mut buffer[..length]);
        }
        let offset = segment.offset.saturating_add(at.0 - segment.range.start.0);
        match self.file.read_up_to(offset, &mut buffer[..length]) {
            Ok(0) | Err(_) => Err(missing),
            Ok(read) => Ok(read),
        }
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        contents(self, None, range)
    }
}

/// The memory of a process in a dump: what the dump has, over what is known of what it left out.
pub struct CoreMemory {
    segments: Arc<CoreSegments>,
    left_out: Option<Box<dyn Memory + Send>>,
}

impl CoreMemory {
    pub(crate) fn new(segments: Arc<CoreSegments>) -> Self {
        Self { segments, left_out: None }
    }

    pub(crate) fn over(&mut self, left_out: Box<dyn Memory + Send>) {
        self.left_out = Some(left_out);
    }

    pub(crate) fn segments(&self) -> &Arc<CoreSegments> {
        &self.segments
    }
}

impl Memory for CoreMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let own = self.segments.read_up_to(at, buffer);
        let (Err(error), Some(files)) = (&own, &self.left_out) else { return own };
        // What is missing because the file ends too soon may have been written to.
        let Some(range) = self.segments.left_out(at) else { return own };
        let room = usize::try_from(range.end.0 - at.0).unwrap_or(usize::MAX).min(buffer.len());
        files.read_up_to(at, &mut buffer[..room]).map_err(|_| *error)
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        contents(&self.segments, self.left_out.as_deref().map(|memory| memory as &dyn Memory), range)
    }
}

fn contents(
    core: &CoreSegments,
    left_out: Option<&dyn Memory>,
    range: Range<Addr>,
) -> Vec<(Range<Addr>, Content)> {
    let mut contents = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let (end, content) = match core.find(at) {
            Ok(segment) if at < segment.present_end() => {
                let end = segment.present_end().min(range.end);
                match core.file.memory() {
                    Some(memory) => contents.extend(memory.contents(at..end)),
                    None => contents.push((at..end, Content::Own)),
                }
                at = end;
                continue;
            }
            Ok(segment) if at < segment.dumped_end() => (segment.dumped_end(), Content::Missing),
            _ => {
                let end = core.left_out(at).map_or(range.end, |range| range.end).min(range.end);
                match left_out {
                    Some(files) => contents.extend(files.contents(at..end)),
                    None => contents.push((at..end, Content::Missing)),
                }
                at = end;
                continue;
            }
        };
        let end = end.min(range.end);
        contents.push((at..end, content));
        at = end;
    }
    contents
}

impl fmt::Debug for CoreMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreMemory")
            .field("segments", &self.segments.segments.len())
            .field("left_out", &self.left_out.is_some())
            .finish()
    }
}
