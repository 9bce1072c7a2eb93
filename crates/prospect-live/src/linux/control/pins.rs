//! Threads that are kept on a processor: written down where both halves see it, so that the program gives back what they had
//! when the tracer is killed.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::FileExt as _,
    },
};

use serde::{Deserialize, Serialize};

use super::raw::{self, Processors};

/// What is written down is within one page: the kernel writes that as a whole or not at all.
const MOST_BYTES: usize = 4096;

/// A thread that is kept on a processor.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub(super) struct Pin {
    pub(super) thread: u32,
    /// Where it may run by itself.
    pub(super) own: Processors,
    /// Where it was told to.
    pub(super) ours: Processors,
}

impl Pin {
    /// Gives a thread back what it had; who has chosen for itself meanwhile, keeps that.
    pub(super) fn give_back(&self) {
        if Processors::of(self.thread).is_ok_and(|now| now == self.ours) {
            // An error: it has ended.
            let _ = self.own.give(self.thread);
        }
    }
}

/// All of them, in memory that two processes share.
#[derive(Debug)]
pub(super) struct Pins {
    file: File,
    pins: Vec<Pin>,
}

impl Pins {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: raw::memory_file(c"prospect-pins")?, pins: Vec::new() })
    }

    /// Writes one down; false when there is no room for it.
    pub(super) fn add(&mut self, pin: &Pin) -> bool {
        self.pins.push(*pin);
        self.write()
    }

    pub(super) fn remove(&mut self, thread: u32) {
        self.pins.retain(|pin| pin.thread != thread);
        self.write();
    }

    fn write(&self) -> bool {
        let Ok(bytes) = postcard::to_allocvec(&self.pins) else { return false };
        bytes.len() <= MOST_BYTES && self.file.write_all_at(&bytes, 0).is_ok()
    }

    /// For the program, when the tracer is no more: gives back what was not given back.
    pub(super) fn give_back(&self) {
        let mut bytes = [0; MOST_BYTES];
        let read = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        let pins: Vec<Pin> = postcard::from_bytes(&bytes[..read]).unwrap_or_default();
        pins.iter().for_each(Pin::give_back);
        // Once: the numbers are given to others.
        let _ = self.file.write_all_at(&[0], 0);
    }
}

impl AsRawFd for Pins {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
