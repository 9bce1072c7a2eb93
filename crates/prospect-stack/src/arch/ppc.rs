//! Signal frames and code of PowerPC Linux. Encodings: "Power ISA", book I, section 2.4.

use prospect_process::RegisterId;

use super::{Call, CodePatterns, Trampoline, last_word, signed};
use crate::FrameProgress;

pub(super) static PPC64LE: CodePatterns = patterns(
    &[
        Trampoline {
            code: &[0x80, 0x00, 0x21, 0x38, 0xac, 0x00, 0x00, 0x38, 0x02, 0x00, 0x00, 0x44],
            states: WIDE,
            saved: &SAVED,
        },
        Trampoline {
            code: &[0xac, 0x00, 0x00, 0x38, 0x02, 0x00, 0x00, 0x44],
            states: WIDE_MOVED,
            saved: &SAVED,
        },
    ],
    |before, _| call(last_word(before, false)?),
    &[0x02, 0x00, 0x00, 0x44],
);

pub(super) static PPC64: CodePatterns = patterns(
    &[
        Trampoline {
            code: &[0x38, 0x21, 0x00, 0x80, 0x38, 0x00, 0x00, 0xac, 0x44, 0x00, 0x00, 0x02],
            states: WIDE,
            saved: &SAVED,
        },
        Trampoline {
            code: &[0x38, 0x00, 0x00, 0xac, 0x44, 0x00, 0x00, 0x02],
            states: WIDE_MOVED,
            saved: &SAVED,
        },
    ],
    |before, _| call(last_word(before, true)?),
    &[0x44, 0x00, 0x00, 0x02],
);

/// Signal frames of 32 bits are left to the call frame information of the vdso.
pub(super) static PPC: CodePatterns =
    patterns(&[], |before, _| call(last_word(before, true)?), &[0x44, 0x00, 0x00, 0x02]);

/// The trampoline is `addi r1, r1, 128; li r0, 172; sc` (`rt_sigreturn`). Linux
/// `arch/powerpc/kernel/signal_64.c`, `struct rt_sigframe`, begins 128 bytes above the handler's r1 with a
/// `ucontext` whose `uc_mcontext` is at 168, and has `gp_regs` at 64.
const WIDE: &[(u8, u16)] = &[(0, 360), (4, 232), (8, 232)];
/// Without the first instruction.
const WIDE_MOVED: &[(u8, u16)] = &[(0, 232), (4, 232)];

/// `struct pt_regs`: the table's order.
static SAVED: [(RegisterId, u16, u8); 39] = {
    let mut saved = [(RegisterId(0), 0, 8); 39];
    let mut index = 0;
    while index < saved.len() {
        saved[index] = (RegisterId(index as u8), 8 * index as u16, 8);
        index += 1;
    }
    saved
};

const fn patterns(
    trampolines: &'static [Trampoline],
    call: fn(&[u8], &[u8]) -> Option<Call>,
    system_call: &'static [u8],
) -> CodePatterns {
    CodePatterns {
        trampolines,
        births: None,
        frame_in: None,
        progress: |_, _| FrameProgress::Unknown,
        call,
        jump: |_| None,
        flow: super::unknown_flow,
        system_call,
        starts_thread: super::unknown_start,
    }
}

fn call(word: u32) -> Option<Call> {
    if word & 1 == 0 {
        return None;
    }
    match (word >> 26, word >> 1 & 0x3ff) {
        // bl: relative to the instruction itself. (An absolute one, `bla`, is not written by compilers.)
        (18, _) if word & 2 == 0 => Some(Call::Relative(signed(word & !3, 26) - 4)),
        // bcl, bla; bclrl, bcctrl
        (16 | 18, _) | (19, 16 | 528) => Some(Call::Unknown),
        _ => None,
    }
}
