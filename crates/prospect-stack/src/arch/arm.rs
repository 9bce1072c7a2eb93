//! Signal frames and code of 32-bit ARM Linux. Encodings: "Arm Architecture Reference Manual" for ARMv7-A.

use prospect_process::RegisterId;

use super::{Call, CodePatterns, Trampoline, first_word, last_word};
use crate::FrameProgress;

pub(super) static PATTERNS: CodePatterns = CodePatterns {
    // Linux `arch/arm/include/asm/ucontext.h` and `arch/arm/kernel/signal.h`: `struct sigframe` begins with a
    // `ucontext` whose `uc_mcontext` is at 20, and has its registers at 12; `struct rt_sigframe` has a
    // `siginfo` of 128 bytes before it. `sigreturn` is 119, `rt_sigreturn` 173.
    trampolines: &[
        // The kernel's own (`arch/arm/kernel/sigreturn_codes.S`) also say the number as the old ABI does.
        // mov r7, #119; svc 0x900077
        Trampoline {
            code: &[0x77, 0x70, 0xa0, 0xe3, 0x77, 0x00, 0x90, 0xef],
            states: &[(0, 32), (4, 32)],
            saved: &SAVED,
        },
        // mov r7, #173; svc 0x9000ad
        Trampoline {
            code: &[0xad, 0x70, 0xa0, 0xe3, 0xad, 0x00, 0x90, 0xef],
            states: &[(0, 160), (4, 160)],
            saved: &SAVED,
        },
        // Those of C libraries: mov r7, #119; svc 0
        Trampoline {
            code: &[0x77, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef],
            states: &[(0, 32), (4, 32)],
            saved: &SAVED,
        },
        // mov r7, #173; svc 0
        Trampoline {
            code: &[0xad, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef],
            states: &[(0, 160), (4, 160)],
            saved: &SAVED,
        },
        // The same in Thumb code: movs r7, #119; svc 0
        Trampoline { code: &[0x77, 0x27, 0x00, 0xdf], states: &[(0, 32), (2, 32)], saved: &SAVED },
        // movs r7, #173; svc 0
        Trampoline { code: &[0xad, 0x27, 0x00, 0xdf], states: &[(0, 160), (2, 160)], saved: &SAVED },
    ],
    births: None,
    frame_in: None,
    progress,
    call: |before, _| is_call(last_word(before, false)?).then_some(Call::Unknown),
    jump: |_| None,
    flow: super::unknown_flow,
    system_call: &[0x00, 0x00, 0x00, 0xef],
    starts_thread: super::unknown_start,
};

/// Linux `arch/arm/include/uapi/asm/sigcontext.h`, `struct sigcontext`: r0 to r15 and cpsr, which is the
/// table's order.
static SAVED: [(RegisterId, u16, u8); 17] = {
    let mut saved = [(RegisterId(0), 0, 4); 17];
    let mut index = 0;
    while index < saved.len() {
        saved[index] = (RegisterId(index as u8), 4 * index as u16, 4);
        index += 1;
    }
    saved
};

/// ARM code: `bx lr`, or a push of lr, with which functions begin.
fn progress(_: &[u8], at: &[u8]) -> FrameProgress {
    let entry = |word: u32| {
        word == 0xe12f_ff1e           // bx lr
            || word & 0xffff_4000 == 0xe92d_4000 // push {..., lr}
            || word == 0xe52d_e004 // push {lr}
    };
    if first_word(at, false).is_some_and(entry) { FrameProgress::Unset } else { FrameProgress::Unknown }
}

/// Whether the 32 bits before an address, of ARM or of Thumb code (it is not known which), end in a call.
fn is_call(word: u32) -> bool {
    let arm = word & 0x0f00_0000 == 0x0b00_0000  // bl
        || word & 0x0fff_fff0 == 0x012f_ff30     // blx register
        || word & 0xfe00_0000 == 0xfa00_0000; // blx label
    // In Thumb code, the half-word that comes first is the lower one.
    let thumb = word & 0xc000_f800 == 0xc000_f000 // bl, blx label
        || word & 0xff87_0000 == 0x4780_0000; // blx register
    arm || thumb
}
