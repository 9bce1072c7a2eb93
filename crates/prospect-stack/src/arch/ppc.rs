//! Signal frames and code of PowerPC Linux. Encodings: "Power ISA", book I, section 2.4.

use prospect_process::RegisterId;

use super::{Call, CodePatterns, Trampoline, first_word, last_word, signed};
use crate::FrameProgress;

pub(super) static PPC64LE: CodePatterns = patterns(
    &[
        Trampoline {
            code: &[0x80, 0x00, 0x21, 0x38, 0xac, 0x00, 0x00, 0x38, 0x02, 0x00, 0x00, 0x44],
            states: WIDE,
            saved: &WIDE_SAVED,
        },
        Trampoline {
            code: &[0xac, 0x00, 0x00, 0x38, 0x02, 0x00, 0x00, 0x44],
            states: WIDE_EMULATED,
            saved: &WIDE_SAVED,
        },
    ],
    false,
    &[0x02, 0x00, 0x00, 0x44],
);

pub(super) static PPC64: CodePatterns = patterns(
    &[
        Trampoline {
            code: &[0x38, 0x21, 0x00, 0x80, 0x38, 0x00, 0x00, 0xac, 0x44, 0x00, 0x00, 0x02],
            states: WIDE,
            saved: &WIDE_SAVED,
        },
        Trampoline {
            code: &[0x38, 0x00, 0x00, 0xac, 0x44, 0x00, 0x00, 0x02],
            states: WIDE_EMULATED,
            saved: &WIDE_SAVED,
        },
    ],
    true,
    &[0x44, 0x00, 0x00, 0x02],
);

pub(super) static PPC: CodePatterns = patterns(
    &[
        // li r0, 119; sc (`sigreturn`)
        Trampoline {
            code: &[0x38, 0x00, 0x00, 0x77, 0x44, 0x00, 0x00, 0x02],
            states: &[(0, 96), (4, 96)],
            saved: &NARROW_SAVED,
        },
        // li r0, 172; sc (`rt_sigreturn`)
        Trampoline {
            code: &[0x38, 0x00, 0x00, 0xac, 0x44, 0x00, 0x00, 0x02],
            states: &[(0, 400), (4, 400)],
            saved: &NARROW_SAVED,
        },
    ],
    true,
    &[0x44, 0x00, 0x00, 0x02],
);

/// The trampoline is `addi r1, r1, 128; li r0, 172; sc` (`rt_sigreturn`). Linux
/// `arch/powerpc/kernel/signal_64.c`, `struct rt_sigframe`, begins 128 bytes above the handler's r1 with a
/// `ucontext` whose `uc_mcontext` is at 168, and has `gp_regs` at 64.
const WIDE: &[(u8, u16)] = &[(0, 360), (4, 232), (8, 232)];
/// QEMU's user mode emulation (`linux-user/ppc/signal.c`) does without the first instruction, and has 16 bytes more
/// between r1 and the frame.
const WIDE_EMULATED: &[(u8, u16)] = &[(0, 376), (4, 376)];

// Linux `arch/powerpc/kernel/signal_32.c`: 64 bytes above the handler's r1 is a `struct sigframe`, whose `mctx` is at
// 32; or 80 bytes above it a `struct rt_sigframe`: a `siginfo` of 128 bytes and a `ucontext32`, whose `uc_mcontext`
// is at 192.
static WIDE_SAVED: [(RegisterId, u16, u8); 39] = saved(8);
static NARROW_SAVED: [(RegisterId, u16, u8); 39] = saved(4);

/// `struct pt_regs`: the table's order.
const fn saved(bytes: u8) -> [(RegisterId, u16, u8); 39] {
    let mut saved = [(RegisterId(0), 0, bytes); 39];
    let mut index = 0;
    while index < saved.len() {
        saved[index] = (RegisterId(index as u8), bytes as u16 * index as u16, bytes);
        index += 1;
    }
    saved
}

const fn patterns(
    trampolines: &'static [Trampoline],
    big_endian: bool,
    system_call: &'static [u8],
) -> CodePatterns {
    CodePatterns {
        trampolines,
        births: None,
        frame_in: None,
        progress: if big_endian {
            |_, at| progress(first_word(at, true))
        } else {
            |_, at| progress(first_word(at, false))
        },
        call: if big_endian {
            |before, _| call(last_word(before, true)?)
        } else {
            |before, _| call(last_word(before, false)?)
        },
        jump: |_| None,
        flow: super::unknown_flow,
        system_call,
        starts_thread: super::unknown_start,
    }
}

/// `blr`; or the making of a frame, `stdu r1, -n(r1)` and `stwu r1, -n(r1)`: no function has made a call before.
fn progress(word: Option<u32>) -> FrameProgress {
    let makes_frame = |word: u32| word & 0xffff_8003 == 0xf821_8001 || word & 0xffff_8000 == 0x9421_8000;
    let entry = |word: u32| word == 0x4e80_0020 || makes_frame(word);
    if word.is_some_and(entry) { FrameProgress::Unset } else { FrameProgress::Unknown }
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
