//! Where a thread can stand for ever that nobody holds.
//!
//! A thread that is made to do a system call runs on behind it when its tracer is killed at that moment, with registers that
//! are not its own. So it is sent to an instruction for system calls that is followed by a return, and finds below its stack
//! where to return to: to the end of a signal handler, where there is room for what the kernel gives it back then
//! ([`way`](super::way)); else an instruction that jumps to itself. There it does nothing until another guardian gives it back
//! what is its own ([`Replaced`](super::replaced::Replaced)).

use prospect_process::{Addr, Mapping, Memory as _, ProcessId};

use crate::linux::{LiveMemory, arch::CallConvention};

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
    /// One that jumps to itself. 0: there is none.
    pub(super) stay: u64,
    /// Some that end a signal handler. 0: there are none.
    pub(super) sigreturn: u64,
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
    /// Looks through the code of a process, which runs on: C libraries are small, and programs can be large.
    pub(super) fn find<'a>(
        process: ProcessId,
        mappings: impl IntoIterator<Item = &'a Mapping>,
        convention: &CallConvention,
    ) -> Option<Self> {
        let memory = LiveMemory::new(process);
        let (mut call, mut stay, mut sigreturn, mut left) = (None, None, None, SEARCHED);
        let mut chunk = vec![0; CHUNK];
        let is_code = |mapping: &&Mapping| {
            let permissions = mapping.permissions;
            permissions.execute && permissions.read && !mapping.advice.device
        };
        let mut mappings: Vec<_> = mappings.into_iter().filter(is_code).collect();
        mappings.sort_by_key(|mapping| mapping.bytes());
        'all: for mapping in mappings {
            let mut at = mapping.range.start;
            while at < mapping.range.end && left > 0 {
                let room = usize::try_from(mapping.range.end.0 - at.0).unwrap_or(CHUNK).min(CHUNK);
                let read = memory.read_available(at, &mut chunk[..room]);
                let code = &chunk[..read];
                let find = |wanted: &[u8]| {
                    let found = code.windows(wanted.len()).position(|bytes| bytes == wanted);
                    found.map(|offset| at.wrapping_add(offset as u64).0)
                };
                call = call.or_else(|| find_call(at, code, convention.instruction));
                stay = stay.or_else(|| find(&JUMP_TO_ITSELF));
                sigreturn = sigreturn.or_else(|| convention.sigreturn.iter().find_map(|code| find(code)));
                if call.is_some()
                    && stay.is_some()
                    && (sigreturn.is_some() || convention.sigreturn.is_empty())
                {
                    break 'all;
                }
                left = left.saturating_sub(CHUNK as u64);
                if read < room || room < CHUNK {
                    break;
                }
                // What lies across two chunks is looked at with the second one.
                at = at.wrapping_add((read - MOST_CODE) as u64);
            }
        }
        let ((call, pops), _) = (call?, stay.or(sigreturn)?);
        Some(Self { call, pops, stay: stay.unwrap_or(0), sigreturn: sigreturn.unwrap_or(0) })
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
    use crate::linux::{arch, procfs};

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
        let Some(convention) = arch::convention_of(arch::ARCH) else { return };
        let mappings = procfs::mappings(own).unwrap();
        let Some(parking) = Parking::find(own, &mappings, convention) else { return };
        let (memory, mut code) = (LiveMemory::new(own), [0; 2]);
        memory.read(Addr(parking.stay), &mut code).unwrap();
        assert_eq!(code, JUMP_TO_ITSELF);
        memory.read(Addr(parking.call), &mut code).unwrap();
        assert_eq!(code, convention.instruction);
    }
}
