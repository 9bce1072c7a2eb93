//! ELF cores, written of any process (`elf_core_dump` in the kernel's `fs/binfmt_elf.c`; docs/dump.md).
//!
//! A core is written from its beginning to its end, so that it can go into a pipe. All that its headers say is known
//! before: which mappings there are, and how much of each belongs into it. What is only known afterwards is in a note at the
//! end.

mod encode;
mod header;
mod limit;
mod notes;
mod selection;
#[cfg(test)]
mod tests;

use std::{
    io,
    ops::Range,
    time::{Duration, Instant},
};

use prospect_process::{Addr, Mapping, Memory, Process};

pub use crate::writing::{
    GatheredFile, Output, Progress, ProgressState, SparseFile, Stream, UnreadMemory, WriteError,
};
pub use limit::Cut;
pub(crate) use limit::{Bounds, cut};
pub(crate) use notes::page_bytes;
pub use selection::{CoreFilter, Selection};
pub(crate) use selection::{Piece, is_zero_until_touched, pieces};

use super::dump_note::{DUMP_BYTES, DumpNote, NT_DUMP, PROSPECT};
use crate::redact::{Manifest, Redaction, Redactor};
use crate::writing::{Copied, Limits, Part, SurveyedMemory, copy};
use header::{Segment, SegmentKind};
use notes::Notes;

/// How a core is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions<'a> {
    selection: Selection,
    stillness: Stillness,
    progress: Option<&'a Progress>,
    bounds: Bounds,
    redaction: Option<&'a Redaction>,
    deadline: Option<Instant>,
    fallback: Option<&'a str>,
    live: &'a [Range<Addr>],
    left_out: &'a [Range<Addr>],
    earlier: Option<&'a DumpNote>,
}

/// How the process is kept still while it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Stillness {
    /// It is no live process.
    #[default]
    Always,
    /// It stands since then, and until the core is written.
    Stop {
        /// When its first thread was stopped.
        since: Instant,
    },
    /// It runs on, and what is written is a copy that was made while it stood.
    Snapshot {
        /// For how long it stood.
        pause: Duration,
    },
}

impl Stillness {
    /// The word for it in notes and output; nothing where there is nothing to say.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::Stop { .. } => "stop",
            Self::Snapshot { .. } => "snapshot",
        }
    }

    /// For how long the process stood, until now.
    #[must_use]
    pub fn pause(self) -> Option<Duration> {
        match self {
            Self::Always => None,
            Self::Stop { since } => Some(since.elapsed()),
            Self::Snapshot { pause } => Some(pause),
        }
    }
}

impl<'a> WriteOptions<'a> {
    /// What the kernel would write, of what is no live process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which memory belongs into it.
    #[must_use]
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// How the process is kept still: the core says so.
    #[must_use]
    pub fn stillness(mut self, stillness: Stillness) -> Self {
        self.stillness = stillness;
        self
    }

    /// At most so many bytes of memory, which holes are not counted to: the most telling ones, see [`reach`](crate::reachable::reach).
    /// What a debugger needs to find modules and threads is there in any case.
    #[must_use]
    pub fn limit(mut self, bytes: Option<u64>) -> Self {
        self.bounds.limit = bytes;
        self
    }

    /// The limit that was set.
    #[must_use]
    pub fn limited_to(&self) -> Option<u64> {
        self.bounds.limit
    }

    /// Only what is reached from the stacks in so many steps, see [`ReachPlan::new`](crate::reachable::ReachPlan::new).
    #[must_use]
    pub fn depth(mut self, depth: Option<u32>) -> Self {
        self.bounds.depth = depth;
        self
    }

    /// What is zeroed before it is written.
    #[must_use]
    pub fn redaction(mut self, redaction: Option<&'a Redaction>) -> Self {
        self.redaction = redaction;
        self
    }

    /// Where to say how far it is, and to be told to end.
    #[must_use]
    pub fn progress(mut self, progress: &'a Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Until when the memory has to be read. What takes longer is given up: [`WriteError::Late`].
    #[must_use]
    pub fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Why the process was stopped where a snapshot was wanted: the core says so.
    #[must_use]
    pub fn fallback(mut self, why: Option<&'a str>) -> Self {
        self.fallback = why;
        self
    }

    /// Memory of which a snapshot has not what was there when it was made, but what is there when it is read; and memory
    /// that a snapshot does not have. The core says so.
    #[must_use]
    pub fn not_of_the_moment(mut self, live: &'a [Range<Addr>], left_out: &'a [Range<Addr>]) -> Self {
        (self.live, self.left_out) = (live, left_out);
        self
    }

    /// How the core was made that this one is made of: the core says that too.
    #[must_use]
    pub fn earlier(mut self, note: Option<&'a DumpNote>) -> Self {
        self.earlier = note;
        self
    }
}

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Written {
    /// How many threads have notes. Those of which no register is known have none.
    pub threads: usize,
    /// How many mappings have segments.
    pub segments: usize,
    /// How long the core is, with its holes.
    pub bytes: u64,
    /// How many bytes of memory are in it that are not holes.
    pub memory_bytes: u64,
    /// Memory that is zero in it because it could not be read.
    pub unread: UnreadMemory,
    /// What is not in it for want of room, where there was too little.
    pub cut: Option<Cut>,
    /// What was zeroed, where anything was to be.
    pub manifest: Option<Manifest>,
    /// For how long the process stood, as the core says it.
    pub pause: Option<Duration>,
}

/// Writes a core of a process that stands still. What cannot be read of its memory is written as zeros, and said in
/// [`Written`] and in the core.
///
/// However large the process is, it takes little memory: a few megabytes, and some for each mapping and each thread.
///
/// # Errors
/// When it cannot be written, the process ends meanwhile, or it is cancelled; then what was written is of no use.
pub fn write(
    process: &dyn Process,
    options: &WriteOptions<'_>,
    output: &mut dyn Output,
) -> Result<Written, WriteError> {
    Progress::shown(options.progress, |progress| write_all(process, options, output, progress))
}

fn write_all(
    process: &dyn Process,
    options: &WriteOptions<'_>,
    output: &mut dyn Output,
    progress: &Progress,
) -> Result<Written, WriteError> {
    let info = process.info().arch.info();
    let redaction = options.redaction.map(|redaction| redaction.of(process, options.deadline)).transpose();
    let redaction = redaction.map_err(WriteError::Redaction)?;
    let notes = Notes::of(process, redaction.as_ref());
    let page_bytes = notes.page_bytes();
    let memory = SurveyedMemory::new(process.memory(), process.mappings().iter());
    let limits = Limits { progress, deadline: options.deadline };
    let plan = Plan::make(process, &memory, options, &notes, output.has_holes(), &limits)?;
    progress.begin(
        notes.thread_count() as u64,
        plan.parts.iter().map(|part| part.range.end.0 - part.range.start.0).sum(),
    );

    let mut position = Position { output, at: 0 };
    let count = plan.segments.len() as u64;
    position.bytes(&header::file_header(process.info().arch, count))?;
    let mut headers = Vec::new();
    for segment in &plan.segments {
        headers.extend(header::program_header(info, segment));
        if headers.len() >= 1 << 16 {
            position.bytes(&headers)?;
            headers.clear();
        }
    }
    headers.extend(header::counting_section(info, count));
    position.bytes(&headers)?;
    notes.each(|notes, is_thread| {
        if is_thread {
            progress.add_thread();
        }
        limits.check()?;
        position.bytes(notes).map_err(WriteError::Output)
    })?;
    position.zeros_until(plan.memory_at)?;

    let redactor = redaction.as_ref().map(Redactor::new);
    let Copied { bytes: memory_bytes, mut unread, manifest } =
        copy(&memory, &plan.parts, page_bytes, redactor, position.output, &limits)?;
    limits.check()?;
    plan.without_room.iter().for_each(|range| unread.add(range.clone()));

    let pause = options.stillness.pause();
    let note = DumpNote {
        tool: concat!("prospect ", env!("CARGO_PKG_VERSION")).into(),
        method: options.stillness.as_str().into(),
        pause,
        fallback: options.fallback.unwrap_or_default().into(),
        live: options.live.to_vec(),
        left_out: options.left_out.to_vec(),
        unread: unread.ranges.clone(),
        unread_more: unread.more,
        live_more: 0,
        limit: plan.cut.and_then(|cut| cut.limit),
        depth: plan.cut.and_then(|cut| cut.depth),
        beyond_limit: plan.cut.map_or(0, |cut| cut.left_out),
        redacted: options.redaction.map(|redaction| redaction.names().join(", ")).unwrap_or_default(),
    };
    let note = match options.earlier {
        Some(earlier) => note.after(earlier),
        None => note,
    };
    let note = notes::note(info, PROSPECT, NT_DUMP, &note.to_bytes());
    position.output.bytes(&note)?;
    position.output.finish()?;
    Ok(Written {
        threads: notes.thread_count(),
        segments: plan.segments.len() - 2,
        bytes: plan.end_at + note.len() as u64,
        memory_bytes,
        unread,
        cut: plan.cut,
        manifest,
        pause,
    })
}

/// What will be where in the core.
struct Plan {
    /// In the order of their headers.
    segments: Vec<Segment>,
    /// What is copied, in the order of the file.
    parts: Vec<Part>,
    /// Where the memory begins in the file, and where it ends.
    memory_at: u64,
    end_at: u64,
    /// Memory for which a core of this class has no room.
    without_room: Vec<Range<Addr>>,
    /// What a limit has done to it.
    cut: Option<Cut>,
}

impl Plan {
    fn make(
        process: &dyn Process,
        memory: &dyn Memory,
        options: &WriteOptions<'_>,
        notes: &Notes<'_>,
        holes: bool,
        limits: &Limits<'_>,
    ) -> Result<Self, WriteError> {
        let info = process.info();
        let (narrow, page_bytes) = (info.arch.info().word_bytes == 4, notes.page_bytes());
        // The kernel shows a page of its own to programs of 32 bits that lies where they cannot reach.
        limits.check()?;
        let fits = |mapping: &Mapping| !narrow || mapping.range.end.0 <= 1 << 32;
        let mut pieces = pieces(process, memory, options.selection, page_bytes, holes, fits);
        let is_bound = options.bounds.limit.is_some() || options.bounds.depth.is_some();
        let cut =
            if is_bound { cut(process, memory, &mut pieces, options.bounds, holes, limits)? } else { None };

        let notes_at = header::length(info.arch.info(), pieces.len() as u64 + 2);
        let mut notes_length = 0;
        let counted: Result<(), std::convert::Infallible> = notes.each(|notes, _| {
            notes_length += notes.len() as u64;
            Ok(())
        });
        let Ok(()) = counted;
        let memory_at = (notes_at + notes_length).next_multiple_of(page_bytes);

        let mut segments = vec![Segment { kind: SegmentKind::Notes, offset: notes_at, length: notes_length }];
        let (mut parts, mut without_room, mut at) = (Vec::new(), Vec::new(), memory_at);
        let most = if narrow { u64::from(u32::MAX) - 2 * DUMP_BYTES as u64 } else { u64::MAX };
        for (mapping, Piece { range, mut length }) in pieces {
            let start = range.start;
            if at.saturating_add(length) > most {
                without_room.push(start..start.wrapping_add(length));
                length = 0;
            }
            let kind = SegmentKind::Memory { range, permissions: mapping.permissions, page_bytes };
            segments.push(Segment { kind, offset: at, length });
            if length > 0 {
                let untouched_is_zero = is_zero_until_touched(mapping);
                parts.push(Part { range: start..start.wrapping_add(length), untouched_is_zero });
            }
            at += length;
        }
        let length = notes::note(info.arch.info(), PROSPECT, NT_DUMP, &[0; DUMP_BYTES]).len() as u64;
        segments.push(Segment { kind: SegmentKind::Notes, offset: at, length });
        Ok(Self { segments, parts, memory_at, end_at: at, without_room, cut })
    }
}

/// Where the output is.
struct Position<'a> {
    output: &'a mut dyn Output,
    at: u64,
}

impl Position<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.output.bytes(bytes)
    }

    fn zeros_until(&mut self, end: u64) -> io::Result<()> {
        let count = end.saturating_sub(self.at);
        self.at += count;
        self.output.zeros(count)
    }
}
