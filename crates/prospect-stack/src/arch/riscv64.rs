//! Signal frames and code of 64-bit RISC-V Linux. Encodings: "The RISC-V Instruction Set Manual", volume I.

use prospect_process::RegisterId;

use super::{Call, CodePatterns, Trampoline, last_word};
use crate::FrameProgress;

pub(super) static PATTERNS: CodePatterns = CodePatterns {
    // Linux `arch/riscv/kernel/signal.c`, `struct rt_sigframe`: a `siginfo` of 128 bytes and a `ucontext` whose
    // `uc_mcontext` is at 176. `rt_sigreturn` is 139.
    trampolines: &[
        // li a7, 139; ecall
        Trampoline {
            code: &[0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0],
            states: &[(0, 304), (4, 304)],
            saved: &SAVED,
        },
    ],
    births: None,
    // ret, in its long and its short form.
    frame_in: None,
    progress: |_, at| {
        let returns = at.starts_with(&[0x67, 0x80, 0, 0]) || at.starts_with(&[0x82, 0x80]);
        if returns { FrameProgress::Unset } else { FrameProgress::Unknown }
    },
    call: |before, _| call(before),
    jump: |_| None,
    flow: super::unknown_flow,
    system_call: &[0x73, 0x00, 0x00, 0x00],
    starts_thread: super::unknown_start,
};

/// Linux `arch/riscv/include/uapi/asm/ptrace.h`, `struct user_regs_struct`: pc, and x1 to x31, which is the
/// table's order.
static SAVED: [(RegisterId, u16, u8); 32] = {
    let mut saved = [(RegisterId(0), 0, 8); 32];
    let mut index = 0;
    while index < saved.len() {
        saved[index] = (RegisterId(index as u8), 8 * index as u16, 8);
        index += 1;
    }
    saved
};

fn call(before: &[u8]) -> Option<Call> {
    let word = last_word(before, false);
    match word.map(|word| word & 0xfff) {
        // jal ra
        Some(0x0ef) => return Some(Call::Relative(offset(word?) - 4)),
        // jalr ra
        Some(0x0e7) => return Some(Call::Unknown),
        _ => {}
    }
    // c.jalr, whose register is not x0 (that is c.ebreak)
    let short = u16::from_le_bytes(*before.last_chunk()?);
    (short & 0xf07f == 0x9002 && short != 0x9002).then_some(Call::Unknown)
}

/// The operand of a `jal` (format J): imm[20|10:1|11|19:12].
fn offset(word: u32) -> i64 {
    let bits =
        (word >> 21 & 0x3ff) << 1 | (word >> 20 & 1) << 11 | (word >> 12 & 0xff) << 12 | (word >> 31) << 20;
    super::signed(bits, 21)
}
