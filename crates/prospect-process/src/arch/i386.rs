//! The 32-bit x86. DWARF numbers: System V psABI i386, table 2.14. Register set: Linux
//! `arch/x86/include/asm/user_32.h`, `struct user_regs_struct`.

use super::{ArchInfo, FrameChain, RegisterId, RegisterInfo, RegisterSet, ReturnSlot, wide};

const fn row(name: &'static str, dwarf: Option<u16>, regset_offset: u16, preserved: bool) -> RegisterInfo {
    RegisterInfo { name, dwarf, regset_offset, bytes: 4, preserved }
}

pub(super) static INFO: ArchInfo = ArchInfo {
    name: "i386",
    word_bytes: 4,
    big_endian: false,
    elf_machine: 3,
    regset_bytes: 68,
    registers: &[
        row("eax", Some(0), 24, false),
        row("ecx", Some(1), 4, false),
        row("edx", Some(2), 8, false),
        row("ebx", Some(3), 0, true),
        row("esp", Some(4), 60, true),
        row("ebp", Some(5), 20, true),
        row("esi", Some(6), 12, true),
        row("edi", Some(7), 16, true),
        row("eip", Some(8), 48, false),
        row("eflags", Some(9), 56, false),
        row("es", Some(40), 32, false),
        row("cs", Some(41), 52, false),
        row("ss", Some(42), 64, false),
        row("ds", Some(43), 28, false),
        row("fs", Some(44), 36, false),
        row("gs", Some(45), 40, false),
        row("orig_eax", None, 44, false),
    ],
    other_sets: &[
        RegisterSet::FLOAT,
        RegisterSet::X86_FXSAVE,
        RegisterSet::X86_EXTENDED,
        RegisterSet::X86_SEGMENTS,
        RegisterSet::X86_PORTS,
    ],
    wide: &[wide::x87(11..19), wide::x86_vectors(21..29), wide::mmx(29..37), wide::x86_masks(93..101)],
    pc: RegisterId(8),
    sp: RegisterId(4),
    fp: RegisterId(5),
    link: None,
    red_zone_bytes: 0,
    code_address_mask: 0xffff_ffff,
    authentication_mask: 0,
    cfa_above_sp: 0,
    frame_chain: Some(FrameChain {
        base: RegisterId(5),
        saved_base: 0,
        return_slot: ReturnSlot::Frame(4),
        caller_sp: Some(8),
    }),
};
