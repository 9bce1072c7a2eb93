//! The memory of a process, on its way into a dump: one thread reads, the calling one writes.

use std::{
    ops::Range,
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

use prospect_process::{Addr, Content, Memory, MemoryError, Unreadable};

use super::{Limits, Output, WriteError, direct::AlignedBuffer, windows};
use crate::redact::{Manifest, Redactor};

/// Memory is read in parts of this size: small enough to lie in the processor's cache while it is looked through.
const READ_BYTES: usize = 512 << 10;
/// It is written in pieces of this size: large enough to keep a disk busy.
const PIECE_BYTES: usize = 4 << 20;
/// So many pieces are on their way.
const PIECES: usize = 4;
/// More runs than these are another piece.
const MOST_RUNS: usize = 4096;
/// More ranges that could not be read are only counted.
const MOST_UNREAD: usize = 4096;

/// What is copied of one mapping.
pub(crate) struct Part {
    pub(crate) range: Range<Addr>,
    /// Whether what was never touched of it is zero.
    pub(crate) untouched_is_zero: bool,
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

    pub(crate) fn add(&mut self, range: Range<Addr>) {
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
    buffer: AlignedBuffer,
    filled: usize,
    runs: Vec<Run>,
}

impl Piece {
    fn new(bytes: usize) -> Self {
        Self { buffer: AlignedBuffer::new(bytes), filled: 0, runs: Vec::new() }
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
pub(crate) struct Copied {
    /// How many bytes that are not holes.
    pub(crate) bytes: u64,
    pub(crate) unread: UnreadMemory,
    pub(crate) manifest: Option<Manifest>,
}

/// Copies all parts to `output`.
pub(crate) fn copy(
    memory: &dyn Memory,
    parts: &[Part],
    page_bytes: u64,
    redactor: Option<Redactor<'_>>,
    output: &mut dyn Output,
    limits: &Limits<'_>,
) -> Result<Copied, WriteError> {
    let (full, filled) = mpsc::sync_channel(PIECES);
    let (free, emptied) = mpsc::sync_channel(PIECES);
    let small = fits_one_piece(parts);
    for _ in 0..small.map_or(PIECES, |_| 1) {
        let _ = free.send(Piece::new(small.unwrap_or(PIECE_BYTES)));
    }
    let holes = output.has_holes();
    thread::scope(|scope| {
        let read_all = move || {
            let mut reader = Reader {
                memory,
                page_bytes,
                holes,
                limits,
                redactor,
                scratch: Vec::new(),
                piece: None,
                full,
                emptied,
                unread: UnreadMemory::default(),
            };
            parts
                .iter()
                .try_for_each(|part| reader.read(part))
                .and_then(|()| reader.flush())
                .and_then(|()| reader.send())
                .map(|()| (reader.unread, reader.redactor.map(Redactor::into_manifest)))
        };
        let (read, written) = if small.is_some() {
            // Nothing comes back: if it were not enough, that would be an error.
            drop(free);
            let read = read_all();
            (read, take(&filled, drop, output, limits))
        } else {
            let reader = thread::Builder::new().name("reader".into()).spawn_scoped(scope, read_all);
            let reader = reader.map_err(WriteError::Thread)?;
            let give_back = |piece| drop(free.send(piece));
            let written = take(&filled, give_back, output, limits);
            // Its next piece finds nobody.
            drop((filled, free));
            (reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), written)
        };
        let bytes = written?;
        match read {
            Ok((unread, manifest)) => Ok(Copied { bytes, unread, manifest }),
            Err(Stop::Because(error)) => Err(error),
            Err(Stop::NobodyTakes) => Err(WriteError::Cancelled),
        }
    })
}

/// How long the one piece is that has room for all parts and is never full: then it is read before it is written, and a thread for that would take
/// longer than both. `None` when there is more of them.
fn fits_one_piece(parts: &[Part]) -> Option<usize> {
    /// Two runs at most where a part begins, and one for each page.
    const MOST_PARTS: usize = 1024;
    let mut bytes = 0;
    for part in parts {
        bytes +=
            usize::try_from(part.range.end.0 - part.range.start.0).ok().filter(|one| *one <= PIECE_BYTES)?;
        if bytes > PIECE_BYTES {
            return None;
        }
    }
    (parts.len() <= MOST_PARTS).then_some(bytes + 1)
}

/// Writes pieces as they come, gives each back to a reader that may have ended, and says how many bytes were written.
fn take(
    filled: &Receiver<Piece>,
    give_back: impl Fn(Piece),
    output: &mut dyn Output,
    limits: &Limits<'_>,
) -> Result<u64, WriteError> {
    let mut written = 0;
    for mut piece in filled {
        let mut at = 0;
        for run in &piece.runs {
            limits.check()?;
            let end = at + run.buffered;
            if run.is_zero {
                output.zeros(run.bytes)?;
            } else {
                output.bytes(&piece.buffer[at..end])?;
                written += run.bytes;
            }
            at = end;
            limits.progress.add_bytes(run.bytes);
        }
        piece.clear();
        give_back(piece);
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
    limits: &'a Limits<'a>,
    redactor: Option<Redactor<'a>>,
    /// What is read for it.
    scratch: Vec<u8>,
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
        self.flush()?;
        self.piece()?.push(bytes, 0, true);
        Ok(())
    }

    fn missing(&mut self, range: Range<Addr>) -> Result<(), Stop> {
        self.unread.add(range.clone());
        self.zeros(range.end.0 - range.start.0)
    }

    fn bytes(&mut self, range: Range<Addr>) -> Result<(), Stop> {
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end.0 - at.0).unwrap_or(usize::MAX);
            let read = if self.redactor.is_some() {
                self.read_redacted(at, left)?
            } else {
                self.read_plain(at, left)?
            };
            match read {
                Ok(read @ 1..) => at = at.wrapping_add(read as u64),
                Err(MemoryError { why: Unreadable::Gone, .. }) => {
                    return Err(Stop::Because(WriteError::Gone));
                }
                Ok(0) | Err(_) => {
                    let next =
                        Addr((at.0 / self.page_bytes + 1).saturating_mul(self.page_bytes)).min(range.end);
                    self.missing(at..next)?;
                    at = next;
                }
            }
        }
        Ok(())
    }

    /// Reads into a piece.
    fn read_plain(&mut self, at: Addr, most: usize) -> Result<Result<usize, MemoryError>, Stop> {
        let memory = self.memory;
        let piece = self.piece()?;
        let room = most.min(READ_BYTES).min(piece.buffer.len() - piece.filled);
        let read = memory.read_up_to(at, &mut piece.buffer[piece.filled..piece.filled + room]);
        if let Ok(read) = read {
            self.add(at, read)?;
        }
        Ok(read)
    }

    /// Reads for the redactor, and puts what it lets go into pieces.
    fn read_redacted(&mut self, at: Addr, most: usize) -> Result<Result<usize, MemoryError>, Stop> {
        let (mut scratch, mut redactor) = (std::mem::take(&mut self.scratch), self.redactor.take());
        scratch.resize(READ_BYTES, 0);
        let read = self.memory.read_up_to(at, &mut scratch[..most.min(READ_BYTES)]);
        let pushed = match (&mut redactor, &read) {
            (Some(redactor), Ok(read)) if *read > 0 => {
                redactor.push(at, &scratch[..*read], &mut |at, bytes| self.copy_in(at, bytes))
            }
            _ => Ok(()),
        };
        (self.scratch, self.redactor) = (scratch, redactor);
        pushed.map(|()| read)
    }

    /// Lets go what the redactor holds.
    fn flush(&mut self) -> Result<(), Stop> {
        let Some(mut redactor) = self.redactor.take() else { return Ok(()) };
        let flushed = redactor.flush(&mut |at, bytes| self.copy_in(at, bytes));
        self.redactor = Some(redactor);
        flushed
    }

    fn copy_in(&mut self, mut at: Addr, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            let piece = self.piece()?;
            let start = piece.filled;
            let room = bytes.len().min(piece.buffer.len() - start);
            piece.buffer[start..start + room].copy_from_slice(&bytes[..room]);
            self.add(at, room)?;
            at = at.wrapping_add(room as u64);
            bytes = &bytes[room..];
        }
        Ok(())
    }

    /// Bytes at `at` are in the piece's buffer, behind what it has.
    fn add(&mut self, at: Addr, bytes: usize) -> Result<(), Stop> {
        let (holes, page_bytes) = (self.holes, self.page_bytes);
        let piece = self.piece()?;
        let mut buffered = piece.filled;
        piece.filled += bytes;
        if !holes {
            piece.push(bytes as u64, bytes, false);
            return Ok(());
        }
        // Pages as the process has them: of a part that begins in the middle of one, the rest of it.
        let mut length = (page_bytes - at.0 % page_bytes) as usize;
        while buffered < piece.filled {
            let end = piece.filled.min(buffered + length);
            let page = &piece.buffer[buffered..end];
            let (is_zero, bytes) = (is_zero(page), page.len());
            piece.push(bytes as u64, bytes, is_zero);
            (buffered, length) = (end, page_bytes as usize);
        }
        Ok(())
    }

    /// A piece with room in it.
    fn piece(&mut self) -> Result<&mut Piece, Stop> {
        self.limits.check().map_err(Stop::Because)?;
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
