//! What the kernel sends, read until a deadline.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::AsFd as _, unix::fs::FileExt as _},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// So much is read at once.
const CHUNK_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = 4096;
static ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// The standard input, which is not waited for longer than until a deadline.
#[derive(Debug)]
pub(super) struct Input {
    /// `None` when it is closed.
    file: Option<File>,
    deadline: Instant,
}

impl Input {
    /// Takes the standard input, so that it can be closed.
    pub(super) fn stdin(deadline: Instant) -> io::Result<Self> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self { file: Some(file), deadline })
    }

    /// From now on, it is waited for until then.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Closes it: the kernel lets the process end, and what it still had to send, nobody takes.
    pub(super) fn close(&mut self) {
        self.file = None;
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let time = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&*file, PollFlags::IN)], Some(&time)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// How the copying of a stream ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// With the stream.
    Whole,
    /// There is more of it than is wanted.
    Cut,
    /// Nothing came any more, for too long.
    Late,
    /// It could not be read or written on.
    Failed(String),
}

impl Ended {
    /// What is missing for that.
    pub(super) fn missing(&self, bytes: u64) -> Option<String> {
        Some(match self {
            Self::Whole => return None,
            Self::Cut => format!("the core has more than {bytes} bytes, and is cut there (--max-size)"),
            Self::Late => format!("no more of the core came in time after {bytes} bytes"),
            Self::Failed(why) => format!("the core ends after {bytes} bytes: {why}"),
        })
    }
}

/// Copies a stream to the end of a file, of `most` bytes altogether; zeros become holes. Returns how long the file is.
pub(super) fn spool(from: &mut Input, to: &File, most: u64) -> (u64, Ended) {
    let mut at = to.metadata().map_or(0, |file| file.len());
    let mut buffer = vec![0; CHUNK_BYTES];
    let ended = loop {
        let (mut filled, mut ended) = (0, None);
        // Pieces of a pipe are small, and holes are whole pages.
        while filled < buffer.len() && ended.is_none() {
            match from.read(&mut buffer[filled..]) {
                Ok(0) => ended = Some(Ended::Whole),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => ended = Some(Ended::Late),
                Err(error) => ended = Some(Ended::Failed(error.to_string())),
            }
        }
        let room = most.saturating_sub(at).min(filled as u64) as usize;
        for page in buffer[..room].chunks(PAGE_BYTES) {
            if page != &ZEROS[..page.len()]
                && let Err(error) = to.write_all_at(page, at)
            {
                return (at, Ended::Failed(error.to_string()));
            }
            at += page.len() as u64;
        }
        match ended {
            _ if room < filled => break Ended::Cut,
            Some(ended) => break ended,
            None => {}
        }
    };
    match to.set_len(at) {
        Ok(()) => (at, ended),
        Err(error) => (at, Ended::Failed(error.to_string())),
    }
}
