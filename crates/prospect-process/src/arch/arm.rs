//! 32-bit ARM (and Thumb), little-endian. DWARF numbers: "DWARF for the Arm Architecture" (AADWARF32),
//! section 4.1; preserved registers: AAPCS32, section 6.1.1. Register set: Linux
//! `arch/arm/include/uapi/asm/ptrace.h`, `struct pt_regs`.

use super::{ArchInfo, RegisterId, RegisterInfo, RegisterSet};

const fn row(name: &'static str, number: u16, preserved: bool) -> RegisterInfo {
    RegisterInfo { name, dwarf: Some(number), regset_offset: 4 * number, bytes: 4, preserved }
}

pub(super) static INFO: ArchInfo = ArchInfo {
    name: "arm",
    word_bytes: 4,
    big_endian: false,
    elf_machine: 40,
    regset_bytes: 72,
    registers: &[
        row("r0", 0, false),
        row("r1", 1, false),
        row("r2", 2, false),
        row("r3", 3, false),
        row("r4", 4, true),
        row("r5", 5, true),
        row("r6", 6, true),
        row("r7", 7, true),
        row("r8", 8, true),
        row("r9", 9, true),
        row("r10", 10, true),
        row("r11", 11, true),
        row("r12", 12, false),
        row("sp", 13, true),
        row("lr", 14, false),
        row("pc", 15, false),
        RegisterInfo { name: "cpsr", dwarf: None, regset_offset: 64, bytes: 4, preserved: false },
        RegisterInfo { name: "orig_r0", dwarf: None, regset_offset: 68, bytes: 4, preserved: false },
    ],
    other_sets: &[RegisterSet::FLOAT, RegisterSet::ARM_VFP, RegisterSet::ARM_TLS],
    wide: &[],
    pc: RegisterId(15),
    sp: RegisterId(13),
    fp: RegisterId(11),
    link: Some(RegisterId(14)),
    red_zone_bytes: 0,
    // A return address to Thumb code is odd.
    code_address_mask: 0xffff_fffe,
    authentication_mask: 0,
    // Compilers do not agree on where fp points in its frame, and Thumb code keeps it in r7.
    cfa_above_sp: 0,
    frame_chain: None,
};
