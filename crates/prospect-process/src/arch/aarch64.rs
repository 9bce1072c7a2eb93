//! AArch64, little-endian. DWARF numbers: "DWARF for the Arm 64-bit Architecture" (AADWARF64), section 4.1;
//! preserved registers: AAPCS64, section 6.1.1. Register set: Linux `arch/arm64/include/uapi/asm/ptrace.h`,
//! `struct user_pt_regs`.

use super::{ArchInfo, FrameChain, RegisterId, RegisterInfo, RegisterSet, ReturnSlot, wide};

const fn row(name: &'static str, number: u16, preserved: bool) -> RegisterInfo {
    RegisterInfo { name, dwarf: Some(number), regset_offset: 8 * number, bytes: 8, preserved }
}

/// `arch/arm64/kernel/ptrace.c`, `aarch64_regsets`: floating point; thread pointer; hardware breakpoints and
/// watchpoints; `FPMR`; system call; SVE; streaming SVE, ZA, ZT; authentication masks and enabled keys; tagged
/// addresses; permission overlay; guarded control stack.
const OTHER_SETS: &[RegisterSet] = &[
    RegisterSet::FLOAT,
    RegisterSet::ARM_TLS,
    RegisterSet(0x402),
    RegisterSet(0x403),
    RegisterSet(0x40e),
    RegisterSet(0x404),
    RegisterSet(0x405),
    RegisterSet(0x40b),
    RegisterSet(0x40c),
    RegisterSet(0x40d),
    RegisterSet::ARM_PAC_MASK,
    RegisterSet(0x40a),
    RegisterSet(0x409),
    RegisterSet(0x40f),
    RegisterSet(0x410),
];

pub(super) static INFO: ArchInfo = ArchInfo {
    name: "aarch64",
    word_bytes: 8,
    big_endian: false,
    elf_machine: 183,
    regset_bytes: 272,
    registers: &[
        row("x0", 0, false),
        row("x1", 1, false),
        row("x2", 2, false),
        row("x3", 3, false),
        row("x4", 4, false),
        row("x5", 5, false),
        row("x6", 6, false),
        row("x7", 7, false),
        row("x8", 8, false),
        row("x9", 9, false),
        row("x10", 10, false),
        row("x11", 11, false),
        row("x12", 12, false),
        row("x13", 13, false),
        row("x14", 14, false),
        row("x15", 15, false),
        row("x16", 16, false),
        row("x17", 17, false),
        row("x18", 18, false),
        row("x19", 19, true),
        row("x20", 20, true),
        row("x21", 21, true),
        row("x22", 22, true),
        row("x23", 23, true),
        row("x24", 24, true),
        row("x25", 25, true),
        row("x26", 26, true),
        row("x27", 27, true),
        row("x28", 28, true),
        row("x29", 29, true),
        row("x30", 30, false),
        row("sp", 31, true),
        row("pc", 32, false),
        RegisterInfo { name: "pstate", dwarf: None, regset_offset: 264, bytes: 8, preserved: false },
    ],
    other_sets: OTHER_SETS,
    wide: &[wide::float(&[("v", 16)], 64..96, wide::VECTOR_WORDS)],
    pc: RegisterId(32),
    sp: RegisterId(31),
    fp: RegisterId(29),
    link: Some(RegisterId(30)),
    red_zone_bytes: 0,
    code_address_mask: u64::MAX,
    // Pointer authentication keeps its code above the address. Linux gives no memory above 48 bits to a
    // program that does not ask for it by address (`Documentation/arch/arm64/memory.rst`), and code does not.
    authentication_mask: 0xffff << 48,
    // AAPCS64, section 6.4.6: the frame record (x29, x30) may be anywhere in its frame.
    cfa_above_sp: 0,
    frame_chain: Some(FrameChain {
        base: RegisterId(29),
        saved_base: 0,
        return_slot: ReturnSlot::Frame(8),
        caller_sp: None,
    }),
};
