//! Where a thread can stand for ever that nobody holds.
//!
//! A thread that is made to do a system call runs on behind it when its tracer is killed at that moment, with registers that
//! are not its own. So it is sent to an instruction for system calls that is followed by a return, and finds below its stack
//! where to return to: an instruction that jumps to itself. There it does nothing until another guardian gives it back what
//! is its own ([`Replaced`](super::replaced::Replaced)).

use prospect_process::{Addr, Mapping, Memory as _, ProcessId};

use crate::linux::LiveMemory;

/// `jmp` to itself.
pub(super) const JUMP_TO_ITSELF: [u8; 2] = [0xeb, 0xfe];

/// `ret`.
const RETURN: u8 = 0xc3;

/// As many registers are taken from the stack between call and return, at most.
const MOST_POPS: usize = 6;

/// As much of a return path as is looked at: the call, each `pop` with a prefix, and the return.
pub(super) const MOST_CODE: usize = 2 + 2 * MOST_POPS + 1;

/// So much code is looked through at most. Such instructions are in every C library: they need not be meant as that.
const SEARCHED: u64 = 8 << 20;

/// At once.
const CHUNK: usize = 128 << 10;

/// Instructions of a process that make such a place. Those of programs of 32 bits are other ones than those of 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Parking {
    /// One for system calls, with a return behind it. 0: there is none.
    pub(super) call: u64,
    /// So many words are taken from the stack before that which is returned to.
    pub(super) pops: u64,
    /// One that jumps to itself.
    pub(super) stay: u64,
}

/// How many registers code that begins with a system call takes from the stack before it returns: `None` when it does
/// anything else.
pub(super) fn pops_behind(code: &[u8], instruction: [u8; 2]) -> Option<u64> {
    let mut rest = code.strip_prefix(&instruction)?;
    for pops in 0..=MOST_POPS as u64 {
        rest = match rest {
            [RETURN, ..] => return Some(pops),
            // `pop`, with the prefix for the other eight registers; not that of the stack pointer.
            [0x41, 0x58..=0x5f, rest @ ..] | [0x58..=0x5b | 0x5d..=0x5f, rest @ ..] => rest,
            _ => return None,
        };
    }
    None
}

impl Parking {
    /// Looks through the code of a process, which runs on.
    pub(super) fn find<'a>(
        process: ProcessId,
        mappings: impl IntoIterator<Item = &'a Mapping>,
        instruction: [u8; 2],
    ) -> Option<Self> {
        let memory = LiveMemory::new(process);
        let (mut call, mut stay, mut left) = (None, None, SEARCHED);
        let mut chunk = vec![0; CHUNK];
        let is_code = |mapping: &&Mapping| {
            let permissions = mapping.permissions;
            permissions.execute && permissions.read && !mapping.advice.device
        };
        for mapping in mappings.into_iter().filter(is_code) {
            let mut at = mapping.range.start;
            while at < mapping.range.end && left > 0 {
                let room = usize::try_from(mapping.range.end.0 - at.0).unwrap_or(CHUNK).min(CHUNK);
                let read = memory.read_available(at, &mut chunk[..room]);
                let code = &chunk[..read];
                call = call.or_else(|| find_call(at, code, instruction));
                let found = || code.windows(2).position(|bytes| bytes == JUMP_TO_ITSELF);
                stay = stay.or_else(|| Some(at.wrapping_add(found()? as u64)));
                if let (Some((call, pops)), Some(stay)) = (call, stay) {
                    return Some(Self { call, pops, stay: stay.0 });
                }
                left = left.saturating_sub(CHUNK as u64);
                if read < room || room < CHUNK {
                    break;
                }
                // What lies across two chunks is looked at with the second one.
                at = at.wrapping_add((read - MOST_CODE) as u64);
            }
        }
        None
    }
}

fn find_call(at: Addr, code: &[u8], instruction: [u8; 2]) -> Option<(u64, u64)> {
    let mut calls = code.windows(2).enumerate().filter(|(_, bytes)| *bytes == instruction);
    calls.find_map(|(offset, _)| {
        let pops = pops_behind(&code[offset..], instruction)?;
        Some((at.wrapping_add(offset as u64).0, pops))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::procfs;

    #[test]
    fn only_what_returns_is_taken() {
        const CALL: [u8; 2] = [0x0f, 0x05];
        let pops = |code: &[u8]| pops_behind(&[&CALL, code].concat(), CALL);
        assert_eq!(pops(&[0xc3]), Some(0));
        assert_eq!(pops(&[0x5d, 0x5a, 0x59, 0xc3]), Some(3));
        assert_eq!(pops(&[0x41, 0x5c, 0x5b, 0xc3, 0x90]), Some(2));
        // `pop rsp`; anything else; no end of it; cut off.
        assert_eq!(pops(&[0x5c, 0xc3]), None);
        assert_eq!(pops(&[0x31, 0xc0, 0xc3]), None);
        assert_eq!(pops(&[&[0x5d; MOST_POPS + 1][..], &[0xc3]].concat()), None);
        assert_eq!(pops(&[0x5d]), None);
        assert_eq!(pops_behind(&[0x0f, 0x0b, 0xc3], CALL), None);
    }

    #[test]
    fn this_program_has_such_a_place() {
        let own = ProcessId(std::process::id());
        let instruction = match cfg!(target_pointer_width = "64") {
            true => [0x0f, 0x05],
            false => [0xcd, 0x80],
        };
        let mappings = procfs::mappings(own).unwrap();
        let Some(parking) = Parking::find(own, &mappings, instruction) else { return };
        let (memory, mut code) = (LiveMemory::new(own), [0; 2]);
        memory.read(Addr(parking.stay), &mut code).unwrap();
        assert_eq!(code, JUMP_TO_ITSELF);
        memory.read(Addr(parking.call), &mut code).unwrap();
        assert_eq!(code, instruction);
    }
}
