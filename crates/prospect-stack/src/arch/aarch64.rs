//! Signal frames and code of AArch64 Linux. Encodings: "Arm Architecture Reference Manual", chapter C4.

use prospect_process::RegisterId;

use super::{Call, CodePatterns, FrameState, Trampoline, first_word, last_word, signed};

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
    frame_state,
    call: |before, _| call(last_word(before, false)?),
    jump: |at| jump(first_word(at, false)?),
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

fn frame_state(_: &[u8], at: &[u8]) -> FrameState {
    let entry = |word: u32| {
        // stp x29, x30, [sp, #-n]!
        let saves_pair = word & 0xffc0_7fff == 0xa980_7bfd;
        saves_pair || SIGNS.contains(&word) || RETURNS.contains(&word)
    };
    let first = first_word(at, false);
    let is_pad = first.is_some_and(|word| LANDING_PADS.contains(&word));
    if is_pad || first.is_some_and(entry) { FrameState::Entered } else { FrameState::Set }
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

fn jump(word: u32) -> Option<Call> {
    (word >> 26 == 0b00_0101).then(|| Call::Relative(4 * signed(word, 26)))
}
