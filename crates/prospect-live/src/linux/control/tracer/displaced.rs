//! Instructions run at another place than their own.
//!
//! Where a breakpoint instruction stands, the one that it hides is run from a copy elsewhere, which goes on behind the
//! place. So the breakpoint need not be taken out for anybody to get past it, and no other thread can slip by.

use iced_x86::{Decoder, DecoderOptions, Encoder, FlowControl, Instruction};
use prospect_process::Arch;

/// The longest instruction of x86.
pub(super) const LONGEST: usize = 15;

/// Room for a copy and the way back.
const SLOT_BYTES: u64 = 32;

/// `jmp [rip + 0]`, and behind it the address.
const JUMP: [u8; 6] = [0xff, 0x25, 0, 0, 0, 0];

/// Memory of the target for copies.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    start: u64,
    end: u64,
    next: u64,
    free: Vec<u64>,
}

impl Slots {
    pub(super) fn new(start: u64, bytes: u64) -> Self {
        Self { start, end: start + bytes, next: start, free: Vec::new() }
    }

    pub(super) fn take(&mut self) -> Option<u64> {
        self.free.pop().or_else(|| {
            let slot = self.next;
            (slot + SLOT_BYTES <= self.end).then(|| self.next += SLOT_BYTES)?;
            Some(slot)
        })
    }

    pub(super) fn give_back(&mut self, slot: u64) {
        self.free.push(slot);
    }

    /// The same memory, with all of it free.
    pub(super) fn emptied(&self) -> Self {
        Self { next: self.start, free: Vec::new(), ..*self }
    }

    pub(super) fn contains(&self, at: u64) -> bool {
        (self.start..self.end).contains(&at)
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// A copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Displaced {
    pub(super) slot: u64,
    /// How long the copy of the instruction is.
    copied: u64,
    /// How long the instruction is.
    length: u64,
}

impl Displaced {
    /// For a thread at `pc` in this slot: where it would be, and whether the instruction at `at` was run.
    pub(super) fn origin(&self, at: u64, pc: u64) -> Option<(u64, bool)> {
        let offset = pc.checked_sub(self.slot)?;
        match offset {
            0 => Some((at, false)),
            _ if offset == self.copied => Some((at + self.length, true)),
            _ => None,
        }
    }
}

/// The copy of the instruction that `code` begins with, whose place is `at`, and the way back, as they are to be written to `slot`.
/// `None` for what works at its own place only.
pub(super) fn displace(arch: Arch, code: &[u8], at: u64, slot: u64) -> Option<(Displaced, Vec<u8>)> {
    if arch != Arch::X86_64 {
        return None;
    }
    let mut instruction = Instruction::default();
    let mut decoder = Decoder::with_ip(64, code, at, DecoderOptions::NONE);
    decoder.decode_out(&mut instruction);
    if instruction.is_invalid() {
        return None;
    }
    match instruction.flow_control() {
        FlowControl::Next
        | FlowControl::UnconditionalBranch
        | FlowControl::ConditionalBranch
        | FlowControl::IndirectBranch
        | FlowControl::Return => {}
        // A call leaves the address behind itself; what traps says where.
        _ => return None,
    }
    let length = instruction.len() as u64;
    let to_near = instruction.is_jcc_short() || instruction.is_jmp_short();
    if to_near {
        instruction.as_near_branch();
    }
    let mut encoder = Encoder::new(64);
    let copied = encoder.encode(&instruction, slot).ok()? as u64;
    let mut bytes = encoder.take_buffer();
    bytes.extend_from_slice(&JUMP);
    bytes.extend_from_slice(&(at + length).to_le_bytes());
    (bytes.len() as u64 <= SLOT_BYTES).then_some((Displaced { slot, copied, length }, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0x40_1000;
    const SLOT: u64 = 0x40_8000;

    fn copy_of(code: &[u8]) -> Option<Vec<u8>> {
        let (displaced, bytes) = displace(Arch::X86_64, code, AT, SLOT)?;
        assert_eq!(displaced.origin(AT, SLOT), Some((AT, false)));
        let end = bytes.len() - 14;
        assert_eq!(displaced.origin(AT, SLOT + end as u64), Some((AT + code.len() as u64, true)));
        assert_eq!(bytes[end..end + 6], JUMP);
        assert_eq!(bytes[end + 6..], (AT + code.len() as u64).to_le_bytes());
        Some(bytes[..end].to_vec())
    }

    #[test]
    fn instructions_are_copied_with_the_places_that_they_mean() {
        // push rbp; endbr64; sub rsp, 0x18.
        for code in [&[0x55][..], &[0xf3, 0x0f, 0x1e, 0xfa], &[0x48, 0x83, 0xec, 0x18]] {
            assert_eq!(copy_of(code).unwrap(), code);
        }
        // mov eax, [rip + 0x100]: the same place, from 0x7000 bytes further on.
        let moved = copy_of(&[0x8b, 0x05, 0, 1, 0, 0]).unwrap();
        assert_eq!(moved, [0x8b, 0x05, 0x00, 0x91, 0xff, 0xff]);
        // je +5, a short branch, becomes a near one.
        let branch = copy_of(&[0x74, 5]).unwrap();
        let target = (AT + 7).wrapping_sub(SLOT + 6) as u32;
        assert_eq!(branch[..2], [0x0f, 0x84]);
        assert_eq!(branch[2..], target.to_le_bytes());
    }

    #[test]
    fn what_says_where_it_stands_is_not_copied() {
        // call +0; call rax; int3; loop -2; and nothing at all.
        let codes = [&[0xe8, 0, 0, 0, 0][..], &[0xff, 0xd0], &[0xcc], &[0xe2, 0xfe], &[0x06], &[]];
        for code in codes {
            assert_eq!(displace(Arch::X86_64, code, AT, SLOT), None, "{code:x?}");
        }
    }

    #[test]
    fn slots_are_used_again() {
        let mut slots = Slots::new(0x1000, 64);
        assert_eq!([slots.take(), slots.take(), slots.take()], [Some(0x1000), Some(0x1020), None]);
        slots.give_back(0x1000);
        assert_eq!([slots.take(), slots.take()], [Some(0x1000), None]);
    }
}
