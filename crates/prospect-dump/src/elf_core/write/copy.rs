//! The memory of a process, on its way into a core: one thread reads, the calling one writes.

use std::{
    io,
    ops::Range,
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

use prospect_process::{Addr, Content, Memory, MemoryError, Unreadable};

use super::{Output, Progress, WriteError, selection::windows};

/// Memory is read in pieces of this size: small enough to lie in the processor's cache while it is looked through.
const PIECE_BYTES: usize = 512 << 10;
/// So many pieces are on their way.
const PIECES: usize = 8;
/// More runs than these are another piece.
const MOST_RUNS: usize = 4096;
/// More ranges that could not be read are only counted.
const MOST_UNREAD: usize = 4096;

/// What is copied of one mapping.
pub(super) struct Part {
    pub(super) range: Range<Addr>,
    /// Whether what was never touched of it is zero.
    pub(super) untouched_is_zero: bool,
}

/// Memory that could not be read, and was written as zeros.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnreadMemory {
    /// Where, by address.
    pub ranges: Vec<Range<Addr>>,
    /// How many bytes more.
    pub more: u64,
}

impl UnreadMemory {
    /// Whether all was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.end.0 - range.start.0).sum::<u64>().saturating_add(self.more)
    }

    pub(super) fn add(&mut self, range: Range<Addr>) {
        let has_room = self.ranges.len() < MOST_UNREAD;
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if has_room => self.ranges.push(range),
            _ => self.more = self.more.saturating_add(range.end.0 - range.start.0),
        }
    }
}

/// Bytes of one kind, one after the other.
struct Run {
    bytes: u64,
    /// How many of them are in the piece's buffer.
    buffered: usize,
    is_zero: bool,
}

/// What goes from the reader to the writer.
struct Piece {
    buffer: Box<[u8]>,
    filled: usize,
    runs: Vec<Run>,
}

impl Piece {
    fn new() -> Self {
        Self { buffer: vec![0; PIECE_BYTES].into(), filled: 0, runs: Vec::new() }
    }

    fn clear(&mut self) {
        self.filled = 0;
        self.runs.clear();
    }

    fn is_full(&self) -> bool {
        self.filled == self.buffer.len() || self.runs.len() >= MOST_RUNS
    }

    fn push(&mut self, bytes: u64, buffered: usize, is_zero: bool) {
        match self.runs.last_mut() {
            Some(run) if run.is_zero == is_zero => {
                run.bytes += bytes;
                run.buffered += buffered;
            }
            _ => self.runs.push(Run { bytes, buffered, is_zero }),
        }
    }
}

/// What was copied.
#[derive(Default)]
pub(super) struct Copied {
    /// How many bytes that are not holes.
    pub(super) bytes: u64,
    pub(super) unread: UnreadMemory,
}

/// Copies all parts to `output`.
pub(super) fn copy(
    memory: &dyn Memory,
    parts: &[Part],
    page_bytes: u64,
    output: &mut dyn Output,
    progress: &Progress,
) -> Result<Copied, WriteError> {
    let (full, filled) = mpsc::sync_channel(PIECES);
    let (free, emptied) = mpsc::sync_channel(PIECES);
    for _ in 0..PIECES {
        let _ = free.send(Piece::new());
    }
    let holes = output.has_holes();
    thread::scope(|scope| {
        let reader = move || {
            let mut reader = Reader {
                memory,
                page_bytes,
                holes,
                progress,
                piece: None,
                full,
                emptied,
                unread: UnreadMemory::default(),
            };
            parts
                .iter()
                .try_for_each(|part| reader.read(part))
                .and_then(|()| reader.send())
                .map(|()| reader.unread)
        };
        let reader = thread::Builder::new().name("reader".into()).spawn_scoped(scope, reader);
        let reader = reader.map_err(WriteError::Thread)?;
        let written = take(&filled, &free, output, progress);
        // Its next piece finds nobody.
        drop((filled, free));
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let bytes = written?;
        match read {
            Ok(unread) => Ok(Copied { bytes, unread }),
            Err(Stop::Because(error)) => Err(error),
            Err(Stop::NobodyTakes) => Err(WriteError::Cancelled),
        }
    })
}

/// Writes pieces as they come, and says how many bytes were written.
fn take(
    filled: &Receiver<Piece>,
    free: &SyncSender<Piece>,
    output: &mut dyn Output,
    progress: &Progress,
) -> Result<u64, WriteError> {
    let mut written = 0;
    for mut piece in filled {
        let mut at = 0;
        for run in &piece.runs {
            if progress.is_cancelled() {
                return Err(WriteError::Cancelled);
            }
            let end = at + run.buffered;
            if run.is_zero {
                output.zeros(run.bytes)?;
            } else {
                output.bytes(&piece.buffer[at..end])?;
                written += run.bytes;
            }
            at = end;
            progress.add_bytes(run.bytes);
        }
        piece.clear();
        // The reader may have ended.
        let _ = free.send(piece);
    }
    Ok(written)
}

/// Why the reader ends early.
enum Stop {
    Because(WriteError),
    /// The writer has ended, and says why.
    NobodyTakes,
}

struct Reader<'a> {
    memory: &'a dyn Memory,
    page_bytes: u64,
    /// Whether zeros are looked for.
    holes: bool,
    progress: &'a Progress,
    /// What is being filled.
    piece: Option<Piece>,
    full: SyncSender<Piece>,
    emptied: Receiver<Piece>,
    unread: UnreadMemory,
}

impl Reader<'_> {
    fn read(&mut self, part: &Part) -> Result<(), Stop> {
        for window in windows(part.range.clone()) {
            for (range, content) in self.memory.contents(window) {
                match content {
                    Content::Untouched if part.untouched_is_zero => {
                        self.zeros(range.end.0 - range.start.0)?
                    }
                    Content::Missing => self.missing(range)?,
                    _ => self.bytes(range)?,
                }
            }
        }
        Ok(())
    }

    fn zeros(&mut self, bytes: u64) -> Result<(), Stop> {
        self.piece()?.push(bytes, 0, true);
        Ok(())
    }

    fn missing(&mut self, range: Range<Addr>) -> Result<(), Stop> {
        self.unread.add(range.clone());
        self.zeros(range.end.0 - range.start.0)
    }

    fn bytes(&mut self, range: Range<Addr>) -> Result<(), Stop> {
        let (memory, holes, page_bytes) = (self.memory, self.holes, self.page_bytes);
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece()?;
            let start = piece.filled;
            let left = usize::try_from(range.end.0 - at.0).unwrap_or(usize::MAX);
            let room = left.min(piece.buffer.len() - start);
            match memory.read_up_to(at, &mut piece.buffer[start..start + room]) {
                Ok(read @ 1..) => {
                    piece.filled += read;
                    if holes {
                        let mut buffered = start;
                        // Pages as the process has them: of a part that begins in the middle of one, the rest of it.
                        let mut length = (page_bytes - at.0 % page_bytes) as usize;
                        while buffered < piece.filled {
                            let end = piece.filled.min(buffered + length);
                            let page = &piece.buffer[buffered..end];
                            let (is_zero, bytes) = (is_zero(page), page.len());
                            piece.push(bytes as u64, bytes, is_zero);
                            (buffered, length) = (end, page_bytes as usize);
                        }
                    } else {
                        piece.push(read as u64, read, false);
                    }
                    at = at.wrapping_add(read as u64);
                }
                Err(MemoryError { why: Unreadable::Gone, .. }) => {
                    return Err(Stop::Because(WriteError::Gone));
                }
                Ok(0) | Err(_) => {
                    let next = Addr((at.0 / page_bytes + 1).saturating_mul(page_bytes)).min(range.end);
                    self.missing(at..next)?;
                    at = next;
                }
            }
        }
        Ok(())
    }

    /// A piece with room in it.
    fn piece(&mut self) -> Result<&mut Piece, Stop> {
        if self.progress.is_cancelled() {
            return Err(Stop::Because(WriteError::Cancelled));
        }
        if self.piece.as_ref().is_some_and(Piece::is_full) {
            self.send()?;
        }
        match &mut self.piece {
            Some(piece) => Ok(piece),
            none => Ok(none.insert(self.emptied.recv().map_err(|_| Stop::NobodyTakes)?)),
        }
    }

    fn send(&mut self) -> Result<(), Stop> {
        match self.piece.take() {
            Some(piece) => self.full.send(piece).map_err(|_| Stop::NobodyTakes),
            None => Ok(()),
        }
    }
}

/// Whether there is nothing but zeros. A comparison of slices is what libraries have in its fastest form.
fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|part| part == &ZEROS[..part.len()])
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
