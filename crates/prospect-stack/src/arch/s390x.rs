//! Signal frames and code of 64-bit IBM Z Linux. Encodings: "z/Architecture Principles of Operation".

use prospect_process::RegisterId;

use super::{Call, CodePatterns, Trampoline};
use crate::FrameProgress;

pub(super) static PATTERNS: CodePatterns = CodePatterns {
    // Linux `arch/s390/kernel/signal.c`. Both frames begin with the 160 bytes that belong to a callee.
    trampolines: &[
        // svc 119, `sigreturn`: `struct sigframe` has the old mask and a pointer, then the registers.
        Trampoline { code: &[0x0a, 0x77], states: &[(0, 176)], saved: &SAVED },
        // svc 173, `rt_sigreturn`: `struct rt_sigframe` has the instruction, a `siginfo` of 128 bytes at 168, and
        // a `ucontext` whose `uc_mcontext` is at 40.
        Trampoline { code: &[0x0a, 0xad], states: &[(0, 336)], saved: &SAVED },
    ],
    births: None,
    frame_in: None,
    progress: |_, at| match at {
        // br %r14
        [0x07, 0xfe, ..] => FrameProgress::Unset,
        // stmg %rN, %r15, n(%r15), or up to %r14: with which functions begin
        [0xeb, registers, 0xf0..=0xff, _, _, 0x24, ..] if registers & 0xf >= 0xe => FrameProgress::Unset,
        _ => FrameProgress::Unknown,
    },
    call: |before, _| call(before),
    jump: |_| None,
    flow: super::unknown_flow,
    system_call: &[0x0a, 0x78],
    starts_thread: super::unknown_start,
};

/// Linux `arch/s390/include/uapi/asm/sigcontext.h`, `_s390_regs_common`: the mask and the address of the program
/// status word, r0 to r15, and the access registers.
static SAVED: [(RegisterId, u16, u8); 20] = {
    let mut saved = [(RegisterId(0), 0, 8); 20];
    let mut index = 0;
    while index < 16 {
        saved[index] = (RegisterId(index as u8), 16 + 8 * index as u16, 8);
        index += 1;
    }
    saved[16] = (RegisterId(16), 0, 8);
    saved[17] = (RegisterId(17), 8, 8);
    saved[18] = (RegisterId(18), 144, 4);
    saved[19] = (RegisterId(19), 148, 4);
    saved
};

fn call(before: &[u8]) -> Option<Call> {
    // brasl %r14: in half-words from the instruction itself, which has six bytes.
    if let Some([0xc0, 0xe5, offset @ ..]) = before.last_chunk::<6>() {
        return Some(Call::Relative(2 * i64::from(i32::from_be_bytes(*offset)) - 6));
    }
    if let Some([0xa7, 0xe5, offset @ ..]) = before.last_chunk::<4>() {
        return Some(Call::Relative(2 * i64::from(i16::from_be_bytes(*offset)) - 4));
    }
    // basr %r14
    matches!(before, [.., 0x0d, 0xe0..=0xef]).then_some(Call::Unknown)
}
