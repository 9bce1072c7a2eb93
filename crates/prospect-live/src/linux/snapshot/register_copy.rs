//! All registers of a thread on their way from the guardian: for each set its number, its length and its bytes.

use prospect_process::{Arch, RegisterSet, ThreadId};

use super::channel::PAYLOAD_BYTES;
use crate::linux::ptrace;

/// `NT_PRSTATUS`.
pub(super) const GENERAL: RegisterSet = RegisterSet(1);

/// Copies all registers of a thread that stands, without allocation. Says how long that is.
pub(super) fn write(thread: ThreadId, room: &mut [u8; PAYLOAD_BYTES]) -> usize {
    let mut used = 0;
    let mut general = [0; ptrace::REGISTER_SET_BYTES];
    let Ok(length) = ptrace::register_set(thread, &mut general) else { return 0 };
    let mut add = |note: u32, fill: &mut dyn FnMut(&mut [u8]) -> usize| {
        let Some((head, rest)) = room.get_mut(used..).and_then(|room| room.split_at_mut_checked(8)) else {
            return;
        };
        let length = fill(rest);
        let (number, size) = head.split_at_mut(4);
        number.copy_from_slice(&note.to_ne_bytes());
        size.copy_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
        used += 8 + length;
    };
    add(GENERAL.0, &mut |rest| {
        let general = general.get(..length).unwrap_or_default();
        rest.get_mut(..general.len()).map_or(0, |rest| {
            rest.copy_from_slice(general);
            general.len()
        })
    });
    for set in Arch::from_regset_bytes(length).map_or(&[][..], |arch| arch.info().other_sets) {
        // The kernel wants room for whole elements, which are of 4 to 16 bytes (`ptrace_regset` in `kernel/ptrace.c`).
        add(set.0, &mut |rest| {
            let whole = rest.len() & !15;
            let room = rest.get_mut(..whole).unwrap_or_default();
            ptrace::other_register_set(thread, *set, room).unwrap_or(0)
        });
    }
    used
}

/// Registers as [`write`] has written them.
pub(super) fn read(mut bytes: &[u8]) -> Vec<(RegisterSet, &[u8])> {
    let mut sets = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let (Some(note), Some(length)) = (word(0), word(4)) else { break };
        let Some((set, rest)) = rest.split_at_checked(length as usize) else { break };
        sets.push((RegisterSet(note), set));
        bytes = rest;
    }
    sets
}
