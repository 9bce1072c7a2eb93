//! Why a core cannot be read, and what is not right of one that can.

use std::{fmt, io};

use prospect_process::{Addr, ThreadId};

/// Why a file cannot be read as a core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// It cannot be opened or read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It is no regular file.
    #[error("not a regular file")]
    NotRegular,
    /// It is no ELF file.
    #[error("not an ELF file")]
    NotElf,
    /// It is an ELF file of another kind.
    #[error("an ELF file, but no core (e_type {0})")]
    NotCore(u16),
    /// It is of a machine that is not known.
    #[error("a core of a machine that is not known (e_machine {0})")]
    UnknownMachine(u16),
    /// It is of a program with AMD64 code and addresses of 32 bits.
    #[error("a core of an x32 program, which cannot be read")]
    X32,
    /// It ends before its program headers, so that nothing in it can be found.
    #[error("the file ends at byte {length}, before its program headers (at byte {headers})")]
    NoHeaders {
        /// How long it is.
        length: u64,
        /// Where they were to be.
        headers: u64,
    },
}

/// Something in a core that is not as it should be, and what follows from it. All else is used.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CoreNotice {
    /// The file ends too soon.
    Truncated {
        /// How long it is.
        length: u64,
        /// How long it should be at least.
        expected: u64,
    },
    /// Memory that was dumped, and is missing because the file ends too soon.
    MissingMemory {
        /// How many bytes.
        bytes: u64,
        /// In how many ranges.
        ranges: usize,
        /// Where the first begins.
        first: Addr,
    },
    /// A thread whose stack is among what is missing.
    MissingStack(ThreadId),
    /// Segments that could not be read of the table.
    MissingSegments {
        /// How many there were to be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// The file ends within the first notes: threads can be missing.
    MissingNotes {
        /// How many threads were seen.
        threads: usize,
    },
    /// The file ends within notes that are not the first: what was only known when the memory was written.
    MissingLaterNotes,
    /// There are more notes than are read.
    TooManyNotes {
        /// How many bytes of them were read.
        bytes: u64,
    },
    /// A note that makes no sense, and was left out.
    BadNote {
        /// Its number.
        kind: u32,
        /// Of which thread, where it is of one.
        thread: Option<ThreadId>,
    },
    /// A thread that was there before.
    DuplicateThread(ThreadId),
    /// It was stored compressed, and could not be unpacked to its end.
    Damaged(String),
    /// No note says what threads there were.
    NoThreads,
    /// No note says which files were mapped; they were found through what the dynamic linker knows.
    NoFileNote,
}

impl CoreNotice {
    /// Whether something is missing that should be there.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        !matches!(self, Self::NoFileNote | Self::DuplicateThread(_))
    }
}

impl fmt::Display for CoreNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { length, expected } => {
                write!(f, "the core is truncated: it has {length} bytes of {expected}")
            }
            Self::MissingMemory { bytes, ranges, first } => {
                let plural = if *ranges == 1 { "" } else { "s" };
                write!(f, "{bytes} bytes of memory in {ranges} range{plural} are missing, from {first} on")
            }
            Self::MissingStack(thread) => write!(f, "the stack of thread {thread} is missing"),
            Self::MissingSegments { expected, found } => {
                write!(f, "the table of segments is cut: {found} of {expected} are there")
            }
            Self::MissingNotes { threads } => {
                write!(f, "the notes are cut: {threads} threads were read, there may have been more")
            }
            Self::MissingLaterNotes => f.write_str("the notes at the end of the core are missing"),
            Self::TooManyNotes { bytes } => write!(f, "only the first {bytes} bytes of the notes were read"),
            Self::BadNote { kind, thread: Some(thread) } => {
                write!(f, "a note of thread {thread} makes no sense (type {kind:#x})")
            }
            Self::BadNote { kind, thread: None } => write!(f, "a note makes no sense (type {kind:#x})"),
            Self::DuplicateThread(thread) => write!(f, "thread {thread} is there twice: the first is used"),
            Self::Damaged(why) => write!(f, "only the beginning of the core could be unpacked: {why}"),
            Self::NoThreads => f.write_str("the core has no threads"),
            Self::NoFileNote => f.write_str(
                "the core does not say which files were mapped: they were looked for in its memory",
            ),
        }
    }
}
