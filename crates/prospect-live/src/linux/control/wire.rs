//! What a program and its tracer say to each other: each message a length of four bytes, and the message.

use std::{
    io::{self, Read as _},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
};

use prospect_process::{
    Addr, MemoryError, ProcessId, RegisterSet, ThreadId,
    control::{ControlError, Event, Follow, Leave, Record, Resume, Trap, TrapCounts, TrapError, TrapId},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// No message is longer.
const MOST_BYTES: usize = 256 << 20;

/// What the program wants. Each is answered by one [`Reply`], but [`Request::Interrupt`].
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum Request {
    Attach(ProcessId),
    Resume(Resume),
    Interrupt,
    Threads(ProcessId),
    Registers(ThreadId, RegisterSet),
    SetRegisters(ThreadId, RegisterSet, Vec<u8>),
    Borrow(ThreadId),
    Return(ThreadId),
    Checkpoint(ProcessId),
    ForgetCheckpoint(u32),
    GoBack(u32),
    WriteMemory(ProcessId, Addr, Vec<u8>),
    SetTrap(ProcessId, Trap),
    ClearTrap(TrapId),
    Counts(TrapId),
    TakeRecords,
    Follow(Follow),
    Detach(ProcessId, Leave),
    Kill(ProcessId),
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) enum Reply {
    Done,
    Failed(Failure),
    /// The process that was launched or attached to.
    Started(ProcessId),
    Threads(Vec<ThreadId>),
    /// `None`: the thread does not stand, or has no such set.
    Registers(Option<Vec<u8>>),
    TrapSet {
        trap: TrapId,
        /// Where bytes of the process are hidden now, and what they were.
        hidden: Option<(Addr, Vec<u8>)>,
    },
    Counts(TrapCounts),
    Records(Vec<Record>),
    Checkpoint(u32),
    /// What runs from there, and what bytes of it are hidden.
    WentBack {
        process: ProcessId,
        hidden: Vec<(Addr, u8)>,
    },
}

/// What the tracer says.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum Message {
    /// To the request before.
    Reply(Reply),
    /// All stand.
    Event(Event),
    /// There are records to be taken.
    Records,
}

/// Why it did not do what it was asked.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum Failure {
    NotControlled(ProcessId),
    NothingLeft,
    NotStopped(ThreadId),
    Memory(MemoryError),
    System { doing: String, code: i32 },
    Unsupported(String),
    NoRegisterLeft(usize),
    Unaligned { at: Addr, bytes: u8 },
}

impl Failure {
    pub(super) fn system(doing: impl Into<String>, error: &io::Error) -> Self {
        Self::System { doing: doing.into(), code: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotControlled(process) => Self::NotControlled(process),
            Failure::NothingLeft => Self::NothingLeft,
            Failure::NotStopped(thread) => Self::NotStopped(thread),
            Failure::Memory(error) => Self::Memory(error),
            Failure::System { doing, code } => {
                Self::System { doing, error: io::Error::from_raw_os_error(code) }
            }
            Failure::Unsupported(what) => Self::Unsupported(what),
            Failure::NoRegisterLeft(_) | Failure::Unaligned { .. } => {
                Self::Unsupported("set that trap".into())
            }
        }
    }
}

impl From<Failure> for TrapError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoRegisterLeft(there) => Self::NoRegisterLeft(there),
            Failure::Unaligned { at, bytes } => Self::Unaligned { at, bytes },
            Failure::Memory(error) => Self::Memory(error),
            Failure::Unsupported(what) => Self::Unsupported(what),
            other => Self::Control(other.into()),
        }
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    /// What came, as far as it is no whole message yet.
    received: Vec<u8>,
}

impl Link {
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        let link = |stream| Self { stream, received: Vec::new() };
        Ok((link(one), link(other)))
    }

    pub(super) fn send(&self, message: &impl Serialize) -> io::Result<()> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
        let mut bytes = postcard::to_extend(message, vec![0; 4]).map_err(invalid)?;
        let length = u32::try_from(bytes.len() - 4).map_err(|_| io::ErrorKind::InvalidData)?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match super::raw::send(&self.stream, rest) {
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.await_room(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The tracer's end does not block, and the program may be slow to read.
    fn await_room(&self) {
        super::raw::poll_for_room(&self.stream);
    }

    /// The next message that is there already, or comes without waiting where the end does not block.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `UnexpectedEof` when there will be none.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        loop {
            if let Some(length) = self.received.first_chunk::<4>() {
                let length = u32::from_le_bytes(*length) as usize;
                if length > MOST_BYTES {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                if let Some(message) = self.received.get(4..4 + length) {
                    let message = postcard::from_bytes(message);
                    self.received.drain(..4 + length);
                    return message.map_err(|_| io::ErrorKind::InvalidData.into());
                }
            }
            let mut chunk = [0; 16 << 10];
            match (&self.stream).read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a whole message is here already.
    pub(super) fn has_message(&self) -> bool {
        let length = self.received.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize);
        length.is_some_and(|length| self.received.len() >= 4 + length)
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
