//! Why a minidump cannot be read, and what is not right of one that can.

use std::{fmt, io};

use prospect_process::{Addr, ThreadId};

use super::stream;

/// Why a file cannot be read as a minidump.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinidumpError {
    /// It cannot be opened or read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It is no regular file.
    #[error("not a regular file")]
    NotRegular,
    /// It does not begin as a minidump does.
    #[error("not a minidump")]
    NotMinidump,
    /// It ends before its directory of streams, so that nothing in it can be found.
    #[error("the file ends at byte {length}, before its directory of streams (at byte {directory})")]
    NoDirectory {
        /// How long it is.
        length: u64,
        /// Where the directory was to be.
        directory: u64,
    },
    /// No stream says of which machine it is.
    #[error("a minidump that does not say which machine it is of")]
    NoSystem,
    /// It is of a machine that is not known.
    #[error("a minidump of a machine that is not known (ProcessorArchitecture {0:#x})")]
    UnknownMachine(u16),
}

/// Something in a minidump that is not as it should be, and what follows from it. All else is used.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MinidumpNotice {
    /// The file ends too soon.
    Truncated {
        /// How long it is.
        length: u64,
        /// How long it should be at least.
        expected: u64,
    },
    /// Streams that are in the directory's count, and not in the directory.
    MissingStreams {
        /// How many there were to be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// A stream that makes no sense, or not all of it.
    BadStream(u32),
    /// A stream that was there before: the first is used.
    DuplicateStream(u32),
    /// A stream with more entries than are read.
    TooMany {
        /// The stream.
        kind: u32,
        /// How many were read.
        read: usize,
    },
    /// More is said to be in the file, by its own references, than it has room for; not all was read.
    TooMuch,
    /// A thread whose registers are missing or make no sense.
    NoRegisters(ThreadId),
    /// A thread that was there before.
    DuplicateThread(ThreadId),
    /// A thread whose stack is not in the dump, or not where it runs.
    MissingStack(ThreadId),
    /// Memory that was dumped, and is missing because the file ends too soon.
    MissingMemory {
        /// How many bytes.
        bytes: u64,
        /// In how many ranges.
        ranges: usize,
        /// Where the first begins.
        first: Addr,
    },
    /// No stream says what threads there were.
    NoThreads,
    /// No stream says which files were mapped.
    NoModules,
    /// It was stored compressed, and could not be unpacked to its end.
    Damaged(String),
    /// What its writer could not do, as it says itself.
    Writer(String),
}

impl MinidumpNotice {
    /// Whether something is missing that should be there.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        !matches!(self, Self::DuplicateStream(_) | Self::DuplicateThread(_))
    }
}

impl fmt::Display for MinidumpNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |kind: &u32| stream::name(*kind).map_or_else(|| format!("{kind:#x}"), str::to_owned);
        match self {
            Self::Truncated { length, expected } => {
                write!(f, "the minidump is truncated: it has {length} bytes of {expected}")
            }
            Self::MissingStreams { expected, found } => {
                write!(f, "the directory of streams is cut: {found} of {expected} are there")
            }
            Self::BadStream(kind) => write!(f, "not all of the stream {} makes sense", name(kind)),
            Self::DuplicateStream(kind) => {
                write!(f, "the stream {} is there twice: the first is used", name(kind))
            }
            Self::TooMany { kind, read } => {
                write!(f, "only the first {read} entries of the stream {} were read", name(kind))
            }
            Self::TooMuch => {
                f.write_str("what the minidump refers to is more than it can hold: not all was read")
            }
            Self::NoRegisters(thread) => write!(f, "the registers of thread {thread} are missing"),
            Self::DuplicateThread(thread) => write!(f, "thread {thread} is there twice: the first is used"),
            Self::MissingStack(thread) => write!(f, "the stack of thread {thread} is missing"),
            Self::MissingMemory { bytes, ranges, first } => {
                let plural = if *ranges == 1 { "" } else { "s" };
                write!(f, "{bytes} bytes of memory in {ranges} range{plural} are missing, from {first} on")
            }
            Self::NoThreads => f.write_str("the minidump has no threads"),
            Self::NoModules => f.write_str("the minidump does not say which files were mapped"),
            Self::Damaged(why) => write!(f, "only the beginning of the minidump could be unpacked: {why}"),
            Self::Writer(text) => write!(f, "the writer of the minidump says: {text}"),
        }
    }
}
