//! 64-bit RISC-V. DWARF numbers and preserved registers: "RISC-V ELF psABI", "DWARF Register Numbers" and
//! "Integer Register Convention". Register set: Linux `arch/riscv/include/uapi/asm/ptrace.h`,
//! `struct user_regs_struct`, which has pc in the place of the register that is always 0.

use super::{ArchInfo, FrameChain, RegisterId, RegisterInfo, RegisterSet, ReturnSlot, wide};

const fn row(name: &'static str, number: u16, preserved: bool) -> RegisterInfo {
    RegisterInfo { name, dwarf: Some(number), regset_offset: 8 * number, bytes: 8, preserved }
}

pub(super) static INFO: ArchInfo = ArchInfo {
    name: "riscv64",
    word_bytes: 8,
    big_endian: false,
    elf_machine: 243,
    regset_bytes: 256,
    registers: &[
        RegisterInfo { name: "pc", dwarf: None, regset_offset: 0, bytes: 8, preserved: false },
        row("ra", 1, false),
        row("sp", 2, true),
        row("gp", 3, false),
        row("tp", 4, false),
        row("t0", 5, false),
        row("t1", 6, false),
        row("t2", 7, false),
        row("s0", 8, true),
        row("s1", 9, true),
        row("a0", 10, false),
        row("a1", 11, false),
        row("a2", 12, false),
        row("a3", 13, false),
        row("a4", 14, false),
        row("a5", 15, false),
        row("a6", 16, false),
        row("a7", 17, false),
        row("s2", 18, true),
        row("s3", 19, true),
        row("s4", 20, true),
        row("s5", 21, true),
        row("s6", 22, true),
        row("s7", 23, true),
        row("s8", 24, true),
        row("s9", 25, true),
        row("s10", 26, true),
        row("s11", 27, true),
        row("t3", 28, false),
        row("t4", 29, false),
        row("t5", 30, false),
        row("t6", 31, false),
    ],
    other_sets: &[RegisterSet::FLOAT, RegisterSet(0x901), RegisterSet(0x902)],
    wide: &[wide::float(&[("f", 8)], 32..64, wide::WORDS)],
    pc: RegisterId(0),
    sp: RegisterId(2),
    fp: RegisterId(8),
    link: Some(RegisterId(1)),
    red_zone_bytes: 0,
    code_address_mask: !1,
    authentication_mask: 0,
    // psABI, "Frame Pointer Convention": fp is the stack pointer on entry.
    cfa_above_sp: 0,
    frame_chain: Some(FrameChain {
        base: RegisterId(8),
        saved_base: -16,
        return_slot: ReturnSlot::Frame(-8),
        caller_sp: Some(0),
    }),
};
