//! 64-bit IBM Z, big-endian. DWARF numbers and preserved registers: "ELF Application Binary Interface
//! s390x Supplement", sections 1.2.1 and 1.6.1. Register set: Linux `arch/s390/include/uapi/asm/ptrace.h`,
//! `s390_regs`.

use super::{ArchInfo, FrameChain, RegisterId, RegisterInfo, RegisterSet, ReturnSlot};

const fn general(name: &'static str, number: u16, preserved: bool) -> RegisterInfo {
    RegisterInfo { name, dwarf: Some(number), regset_offset: 16 + 8 * number, bytes: 8, preserved }
}

const fn access(name: &'static str, number: u16) -> RegisterInfo {
    RegisterInfo {
        name,
        dwarf: Some(48 + number),
        regset_offset: 144 + 4 * number,
        bytes: 4,
        preserved: false,
    }
}

/// `arch/s390/kernel/ptrace.c`, `s390_regsets`: floating point; timer, clock comparator, programmable register,
/// control registers, prefix; last breaking event; system call; transaction; vector registers, low and high; guarded
/// storage; runtime instrumentation.
const OTHER_SETS: &[RegisterSet] = &[
    RegisterSet::FLOAT,
    RegisterSet(0x301),
    RegisterSet(0x302),
    RegisterSet(0x303),
    RegisterSet(0x304),
    RegisterSet(0x305),
    RegisterSet(0x306),
    RegisterSet(0x307),
    RegisterSet(0x308),
    RegisterSet(0x309),
    RegisterSet(0x30a),
    RegisterSet(0x30b),
    RegisterSet(0x30c),
    RegisterSet(0x30d),
];

pub(super) static INFO: ArchInfo = ArchInfo {
    name: "s390x",
    word_bytes: 8,
    big_endian: true,
    elf_machine: 22,
    regset_bytes: 216,
    registers: &[
        general("r0", 0, false),
        general("r1", 1, false),
        general("r2", 2, false),
        general("r3", 3, false),
        general("r4", 4, false),
        general("r5", 5, false),
        general("r6", 6, true),
        general("r7", 7, true),
        general("r8", 8, true),
        general("r9", 9, true),
        general("r10", 10, true),
        general("r11", 11, true),
        general("r12", 12, true),
        general("r13", 13, true),
        general("r14", 14, false),
        general("r15", 15, true),
        RegisterInfo { name: "pswm", dwarf: Some(64), regset_offset: 0, bytes: 8, preserved: false },
        RegisterInfo { name: "pswa", dwarf: Some(65), regset_offset: 8, bytes: 8, preserved: false },
        // The thread pointer is in these two.
        access("a0", 0),
        access("a1", 1),
        RegisterInfo { name: "orig_r2", dwarf: None, regset_offset: 208, bytes: 8, preserved: false },
    ],
    other_sets: OTHER_SETS,
    wide: &[],
    pc: RegisterId(17),
    sp: RegisterId(15),
    fp: RegisterId(11),
    link: Some(RegisterId(14)),
    red_zone_bytes: 0,
    code_address_mask: !1,
    authentication_mask: 0,
    // Supplement, section 1.2.2: where code keeps a back chain at all (`-mbackchain`), r15 points to the
    // caller's r15, and the registers of a function's caller are saved in its caller's frame.
    // A caller leaves its callee 160 bytes of its own frame; the CFA is above them.
    cfa_above_sp: 160,
    frame_chain: Some(FrameChain {
        base: RegisterId(15),
        saved_base: 0,
        return_slot: ReturnSlot::CallersFrame(112),
        caller_sp: None,
    }),
};
