//! Signal frames and code of AArch64 Linux. Encodings: "Arm Architecture Reference Manual", chapter C4.

mod frame;

use frame::frame_in;
use prospect_process::RegisterId;

use super::{Call, CodePatterns, Flow, Trampoline, first_word, last_word, signed};
use crate::FrameProgress;

pub(super) static PATTERNS: CodePatterns = CodePatterns {
    // Linux `arch/arm64/kernel/signal.c`, `struct rt_sigframe`: a `siginfo` of 128 bytes and a `ucontext` whose
    // `uc_mcontext` is at 176, and has its registers at 8. `rt_sigreturn` is 139.
    trampolines: &[
        // mov x8, #139; svc #0
        Trampoline {
            code: &[0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4],
            states: &[(0, 312), (4, 312)],
            saved: &SAVED,
        },
    ],
    births: None,
    frame_in: Some(frame_in),
    progress,
    call: |before, _| call(last_word(before, false)?),
    jump: |at| jump(first_word(at, false)?),
    flow: |code| Some((4, flow(first_word(code, false)?))),
    system_call: &[0x01, 0x00, 0x00, 0xd4],
    starts_thread,
};

/// Linux `arch/arm64/include/uapi/asm/sigcontext.h`, `struct sigcontext`: x0 to x30, sp, pc and pstate, which
/// is the table's order.
static SAVED: [(RegisterId, u16, u8); 34] = {
    let mut saved = [(RegisterId(0), 0, 8); 34];
    let mut index = 0;
    while index < saved.len() {
        saved[index] = (RegisterId(index as u8), 8 * index as u16, 8);
        index += 1;
    }
    saved
};

/// `paciasp` and `pacibsp`, with which functions begin that sign their return address.
const SIGNS: [u32; 2] = [0xd503_233f, 0xd503_237f];
/// `ret`, and the forms of it that check the return address.
const RETURNS: [u32; 3] = [0xd65f_03c0, 0xd65f_0bff, 0xd65f_0fff];
/// `bti` for calls, jumps or both: where indirect calls land.
const LANDING_PADS: [u32; 3] = [0xd503_245f, 0xd503_249f, 0xd503_24df];

fn progress(_: &[u8], at: &[u8]) -> FrameProgress {
    let entry = |word: u32| {
        // stp x29, x30, [sp, #-n]!
        let saves_pair = word & 0xffc0_7fff == 0xa980_7bfd;
        saves_pair || SIGNS.contains(&word) || RETURNS.contains(&word)
    };
    let first = first_word(at, false);
    let is_pad = first.is_some_and(|word| LANDING_PADS.contains(&word));
    if is_pad || first.is_some_and(entry) { FrameProgress::Unset } else { FrameProgress::Unknown }
}

fn call(word: u32) -> Option<Call> {
    if word >> 26 == 0b10_0101 {
        // bl: relative to the instruction itself.
        return Some(Call::Relative(4 * signed(word, 26) - 4));
    }
    // blr, and blraaz, blrabz, blraa, blrab.
    let is_indirect = word & 0xffff_fc1f == 0xd63f_0000 || word & 0xfeff_f800 == 0xd63f_0800;
    is_indirect.then_some(Call::Unknown)
}

/// musl's `__clone`: `mov fp, #0; ldp x1, x0, [sp], #16; blr x1`, then `mov x8, #93; svc #0`.
fn starts_thread(before: &[u8], at: &[u8]) -> bool {
    const CALL: &[u8] = &[0x1d, 0x00, 0x80, 0xd2, 0xe1, 0x03, 0xc1, 0xa8, 0x20, 0x00, 0x3f, 0xd6];
    const EXIT: &[u8] = &[0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];
    before.ends_with(CALL) && at.starts_with(EXIT)
}

fn flow(word: u32) -> Flow {
    match word {
        _ if call(word).is_some() => Flow::Call,
        // br; braa and its kind.
        _ if word & 0xffff_fc1f == 0xd61f_0000 || word & 0xfeff_f800 == 0xd61f_0800 => Flow::Away,
        // b.cond, cbz, cbnz, tbz, tbnz, b.
        _ if word >> 24 == 0x54 || word >> 25 & 0x3f == 0x1a => Flow::Branch(4 * signed(word >> 5, 19)),
        _ if word >> 25 & 0x3f == 0x1b => Flow::Branch(4 * signed(word >> 5, 14)),
        _ if word >> 26 == 0b00_0101 => Flow::Jump(4 * signed(word, 26)),
        // ret, and what is no instruction.
        _ if word >> 25 == 0b110_1011 || word >> 16 == 0 => Flow::End,
        _ => Flow::Next,
    }
}

fn jump(word: u32) -> Option<Call> {
    (word >> 26 == 0b00_0101).then(|| Call::Relative(4 * signed(word, 26)))
}
