//! A processor on which no process is made to do system calls yet.

use std::io;

use prospect_process::{Arch, Registers, ThreadId};

use super::CallConvention;

pub(crate) const SIGNAL_CONTEXT_WORDS: usize = 0;
pub(crate) const FIRST_ARGUMENT_OFFSET: usize = 0;

#[derive(Clone, Copy, Debug)]
pub(crate) struct CallRegisters;

impl CallRegisters {
    pub(crate) fn of(_thread: ThreadId) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn put(&self, _thread: ThreadId) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn convention(&self) -> Option<&'static CallConvention> {
        None
    }

    pub(crate) fn pc(&self) -> u64 {
        0
    }

    pub(crate) fn waits_in_call(&self) -> bool {
        false
    }

    pub(crate) fn stack_pointer(&self) -> u64 {
        0
    }

    pub(crate) const WORDS: usize = 0;

    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        []
    }

    pub(crate) fn from_words(_words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        Some(Self)
    }

    pub(crate) fn calling(&self, _at: u64, _stack: u64, _number: u64, _arguments: [u64; 6]) -> Self {
        *self
    }

    pub(crate) fn moved_to(&self, _pc: u64) -> Self {
        *self
    }

    pub(crate) fn with_own_call(&self, _read: impl FnOnce(u64, &mut [u8]) -> bool) -> Self {
        *self
    }

    pub(crate) fn signal_context(&self, _mask: u64, _state: u64) -> [u64; SIGNAL_CONTEXT_WORDS] {
        []
    }

    pub(crate) fn result(&self) -> i64 {
        0
    }

    pub(crate) fn restart_interrupted(&mut self) -> bool {
        false
    }
}

pub(crate) fn restart_interrupted(_thread: ThreadId, _registers: &Registers) {}

pub(crate) fn restart_call(_thread: ThreadId) {}

pub(crate) fn convention_of(_arch: Arch) -> Option<&'static CallConvention> {
    None
}

pub(crate) fn debug_register(_thread: ThreadId, _number: usize) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn set_debug_register(_thread: ThreadId, _number: usize, _value: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
