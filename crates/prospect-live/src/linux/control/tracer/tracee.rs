//! One thread of a target, as its tracer knows it.

use std::{io, ops::Range};

use prospect_process::{Addr, Arch, RegisterId, RegisterSet, ThreadId};

use super::{super::raw, borrowed::Kept};
use crate::linux::ptrace;

/// `NT_PRSTATUS`.
pub(in super::super) const GENERAL: u32 = 1;

/// Room for the largest general register set.
const GENERAL_BYTES: usize = 512;

/// The general registers of a thread that stands, as the kernel has them.
#[derive(Clone, Debug)]
pub(super) struct General {
    bytes: [u8; GENERAL_BYTES],
    length: usize,
    arch: Arch,
    /// Whether the kernel has others.
    is_changed: bool,
}

impl General {
    fn of(thread: u32) -> io::Result<Self> {
        let mut bytes = [0; GENERAL_BYTES];
        let length = ptrace::other_register_set(ThreadId(thread), RegisterSet(GENERAL), &mut bytes)?;
        let arch = Arch::from_regset_bytes(length).unwrap_or(crate::linux::procfs::host_arch());
        Ok(Self { bytes, length, arch, is_changed: false })
    }

    pub(super) fn arch(&self) -> Arch {
        self.arch
    }

    fn place(&self, id: RegisterId) -> Option<Range<usize>> {
        let row = self.arch.info().registers.get(usize::from(id.0))?;
        let start = usize::from(row.regset_offset);
        Some(start..start + usize::from(row.bytes)).filter(|place| place.end <= self.length)
    }

    pub(super) fn get(&self, id: RegisterId) -> Option<u64> {
        self.arch.info().unsigned(&self.bytes[self.place(id)?])
    }

    fn set(&mut self, id: RegisterId, value: u64) {
        let Some(place) = self.place(id) else { return };
        let width = place.len();
        self.bytes[place].copy_from_slice(&value.to_le_bytes()[..width]);
        self.is_changed = true;
    }

    pub(super) fn pc(&self) -> u64 {
        self.get(self.arch.info().pc).unwrap_or(0)
    }

    /// Has it go on elsewhere.
    pub(super) fn set_pc(&mut self, at: u64) {
        self.set(self.arch.info().pc, at);
    }

    /// Has it not do the system call that it is at the beginning of: there is none of that number.
    pub(super) fn skip_call(&mut self) {
        let by_name = |name| self.arch.info().by_name(name);
        if let Some(number) = by_name("orig_rax").or_else(|| by_name("orig_eax")) {
            self.set(number, u64::MAX);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It runs, or has not told yet that it does not.
    Running,
    /// It stands.
    Standing,
    /// Job control has it stopped, and it is not ours to let it run.
    JobStopped,
}

/// A signal that is to be delivered when it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) signal: i32,
    /// Its `siginfo_t`, where the kernel does not have it any more.
    pub(super) info: Option<[u8; 128]>,
}

#[derive(Debug)]
pub(super) struct Tracee {
    pub(super) process: u32,
    pub(super) state: State,
    pub(super) pending: Option<Pending>,
    /// Its very first stop has not come yet.
    pub(super) is_new: bool,
    /// The number of the system call that it is in, where its beginning was seen.
    pub(super) call: Option<u64>,
    /// It stands at the beginning of that call.
    pub(super) is_at_call: bool,
    /// How often it has stopped at what it mostly goes on from at once.
    pub(super) stops: u32,
    /// What it had when it was borrowed.
    pub(super) kept: Option<Box<Kept>>,
    /// What it runs for: a step, while it is in these ranges.
    pub(super) step: Option<Vec<Range<Addr>>>,
    /// Job control has it stopped, but it was needed for something. It goes back to that stop when it goes on.
    pub(super) rejoins: bool,
    /// Its hit of the trap at this address is dealt with: it goes on behind it.
    pub(super) passed: Option<u64>,
    general: Option<General>,
}

impl Tracee {
    pub(super) fn new(process: u32) -> Self {
        Self {
            process,
            state: State::Running,
            pending: None,
            is_new: true,
            call: None,
            is_at_call: false,
            stops: 0,
            kept: None,
            step: None,
            rejoins: false,
            passed: None,
            general: None,
        }
    }

    pub(super) fn stands(&self) -> bool {
        self.state != State::Running
    }

    /// Its general registers: read once for each stop.
    pub(super) fn general(&mut self, thread: u32) -> io::Result<&mut General> {
        match &mut self.general {
            Some(general) => Ok(general),
            none => Ok(none.insert(General::of(thread)?)),
        }
    }

    pub(super) fn pc(&mut self, thread: u32) -> Option<u64> {
        self.general(thread).ok().map(|general| general.pc())
    }

    /// The registers are others now than those that were read.
    pub(super) fn forget_registers(&mut self) {
        self.general = None;
    }

    /// Gives the kernel the registers that were changed.
    pub(super) fn put_registers(&mut self, thread: u32) -> io::Result<()> {
        match &mut self.general {
            Some(general) if general.is_changed => {
                general.is_changed = false;
                raw::set_register_set(thread, GENERAL, &general.bytes[..general.length])
            }
            _ => Ok(()),
        }
    }

    /// Lets it run.
    pub(super) fn run(&mut self, thread: u32, how: raw::Run) -> io::Result<()> {
        self.put_registers(thread)?;
        let pending = self.pending.take();
        if let Some(Pending { info: Some(info), .. }) = &pending {
            raw::set_signal_info(thread, info)?;
        }
        self.general = None;
        self.is_at_call = false;
        self.state = State::Running;
        raw::run(thread, how, pending.map_or(0, |pending| pending.signal))
    }
}
