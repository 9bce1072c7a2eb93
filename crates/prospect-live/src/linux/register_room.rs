//! Copying floating point and vector registers while a process stands still.

use std::ops::Range;

use prospect_process::{Arch, FrozenThread, RegisterSet, ThreadId};

use super::{present::present_bytes, ptrace};

/// What the sets of a thread are expected to take: `XSAVE` with AVX-512, and a little.
const TYPICAL_BYTES: usize = 3 << 10;

/// Where in both the system says what it has enabled (`struct _fpx_sw_bytes`), which the kernel leaves out of the shorter one.
const SOFTWARE_AT: usize = 464;

/// Which sets are copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WantedSets {
    /// All that a core has.
    All,
    /// Those that values can be in: not which ports a thread may use.
    Values,
}

/// Room for the registers of threads beside the general ones. It is made before they stop, so that nothing is asked of the
/// system while they stand but what is copied; and what a set has that another one begins with is copied once.
#[derive(Debug)]
pub(crate) struct RegisterRoom {
    wanted: WantedSets,
    bytes: Vec<u8>,
    used: usize,
    /// Of which thread, by its index, and where.
    copied: Vec<(usize, RegisterSet, Range<usize>)>,
    /// What this machine does not have.
    missing: Vec<RegisterSet>,
}

impl RegisterRoom {
    /// Room for so many threads.
    pub(crate) fn new(wanted: WantedSets, threads: usize) -> Self {
        let bytes = present_bytes(threads.saturating_mul(TYPICAL_BYTES).max(ptrace::EXTENDED_SET_BYTES));
        Self {
            wanted,
            bytes,
            used: 0,
            copied: Vec::with_capacity(threads.saturating_mul(2)),
            missing: Vec::with_capacity(8),
        }
    }

    /// Copies the sets of those of `threads` that stand and are the calling thread's.
    pub(crate) fn copy(&mut self, threads: &[FrozenThread]) {
        let standing = |one: &&FrozenThread| one.thread.not_stopped.is_none();
        for (index, one) in threads.iter().enumerate().filter(|(_, one)| standing(one)) {
            let Some(arch) = one.registers.as_ref().map(prospect_process::Registers::arch) else { continue };
            // The whole sets first.
            for set in arch.info().other_sets.iter().filter(|set| set.is_start_of(arch).is_none()) {
                self.copy_set(index, one.thread.id, *set);
            }
            for set in arch.info().other_sets {
                let Some(whole) = set.is_start_of(arch) else { continue };
                let mut own = self.copied.iter().rev().take_while(|(of, ..)| *of == index);
                if !own.any(|(_, set, _)| *set == whole) {
                    self.copy_set(index, one.thread.id, *set);
                }
            }
        }
    }

    fn copy_set(&mut self, index: usize, thread: ThreadId, set: RegisterSet) {
        let is_wanted = self.wanted == WantedSets::All || set != RegisterSet::X86_PORTS;
        if !is_wanted || self.missing.contains(&set) {
            return;
        }
        if self.bytes.len() - self.used < ptrace::EXTENDED_SET_BYTES {
            self.bytes.resize(2 * self.bytes.len(), 0);
        }
        let room = &mut self.bytes[self.used..self.used + ptrace::EXTENDED_SET_BYTES];
        match ptrace::other_register_set(thread, set, room) {
            Ok(length @ 1..) => {
                self.copied.push((index, set, self.used..self.used + length));
                self.used = (self.used + length).next_multiple_of(16);
            }
            // The kernel knows of none (`find_regset` in `kernel/ptrace.c`).
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.missing.push(set),
            // This thread has none, or was killed.
            Ok(0) | Err(_) => {}
        }
    }

    /// Gives `threads`, which are those that were copied, what is theirs.
    pub(crate) fn hand_out(self, threads: &mut [FrozenThread]) {
        for (index, set, range) in &self.copied {
            let bytes = &self.bytes[range.clone()];
            let Some(one) = threads.get_mut(*index) else { continue };
            let arch = one.registers.as_ref().map(prospect_process::Registers::arch);
            let sets = arch.map_or(&[][..], |arch: Arch| arch.info().other_sets);
            let is_start = |start: &&RegisterSet| arch.and_then(|arch| start.is_start_of(arch)) == Some(*set);
            for start in sets.iter().filter(is_start) {
                let mut legacy = bytes.get(..RegisterSet::X86_LEGACY_BYTES).unwrap_or_default().to_vec();
                legacy.iter_mut().skip(SOFTWARE_AT).for_each(|byte| *byte = 0);
                one.register_sets.push((*start, legacy.into()));
            }
            one.register_sets.push((*set, bytes.into()));
        }
    }
}
