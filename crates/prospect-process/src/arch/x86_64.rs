//! AMD64. DWARF numbers: System V psABI AMD64, figure 3.36. Register set: Linux
//! `arch/x86/include/asm/user_64.h`, `struct user_regs_struct`.

use super::{ArchInfo, FrameChain, RegisterId, RegisterInfo, RegisterSet, ReturnSlot, wide};

const fn row(name: &'static str, dwarf: Option<u16>, regset_offset: u16, preserved: bool) -> RegisterInfo {
    RegisterInfo { name, dwarf, regset_offset, bytes: 8, preserved }
}

pub(super) static INFO: ArchInfo = ArchInfo {
    name: "x86_64",
    word_bytes: 8,
    big_endian: false,
    elf_machine: 62,
    regset_bytes: 216,
    registers: &[
        row("rax", Some(0), 80, false),
        row("rdx", Some(1), 96, false),
        row("rcx", Some(2), 88, false),
        row("rbx", Some(3), 40, true),
        row("rsi", Some(4), 104, false),
        row("rdi", Some(5), 112, false),
        row("rbp", Some(6), 32, true),
        row("rsp", Some(7), 152, true),
        row("r8", Some(8), 72, false),
        row("r9", Some(9), 64, false),
        row("r10", Some(10), 56, false),
        row("r11", Some(11), 48, false),
        row("r12", Some(12), 24, true),
        row("r13", Some(13), 16, true),
        row("r14", Some(14), 8, true),
        row("r15", Some(15), 0, true),
        row("rip", Some(16), 128, false),
        row("eflags", Some(49), 144, false),
        row("es", Some(50), 192, false),
        row("cs", Some(51), 136, false),
        row("ss", Some(52), 160, false),
        row("ds", Some(53), 184, false),
        row("fs", Some(54), 200, false),
        row("gs", Some(55), 208, false),
        row("fs_base", Some(58), 168, true),
        row("gs_base", Some(59), 176, true),
        row("orig_rax", None, 120, false),
    ],
    other_sets: &[
        RegisterSet::FLOAT,
        RegisterSet::X86_PORTS,
        RegisterSet::X86_EXTENDED,
        RegisterSet::X86_SHADOW_STACK,
    ],
    wide: &[
        wide::x86_vectors(17..33),
        wide::x87(33..41),
        wide::mmx(41..49),
        wide::x86_new_vectors(67..83),
        wide::x86_masks(118..126),
    ],
    pc: RegisterId(16),
    sp: RegisterId(7),
    fp: RegisterId(6),
    link: None,
    red_zone_bytes: 128,
    code_address_mask: u64::MAX,
    authentication_mask: 0,
    cfa_above_sp: 0,
    frame_chain: Some(FrameChain {
        base: RegisterId(6),
        saved_base: 0,
        return_slot: ReturnSlot::Frame(8),
        caller_sp: Some(16),
    }),
};
