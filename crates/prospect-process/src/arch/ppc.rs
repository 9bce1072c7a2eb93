//! 32- and 64-bit PowerPC. DWARF numbers: "64-Bit ELF V2 ABI Specification", section 2.4, and those of GCC,
//! which numbers the 32-bit registers alike in `.eh_frame`; preserved registers: the same, section 2.2.1.1,
//! and "Power Architecture 32-bit ABI Supplement", section 3.2.1. Register set: Linux
//! `arch/powerpc/include/uapi/asm/ptrace.h`, `struct pt_regs`, and `asm/elf.h`, `ELF_NGREG`.

use super::{ArchInfo, FrameChain, RegisterId, RegisterInfo, RegisterSet, ReturnSlot, wide};

const REGISTERS: usize = 39;

/// The rows, which differ in their width, and in which register is the thread pointer (r13 or r2): the other
/// one is that of the table of contents or of small data.
/// `arch/powerpc/kernel/ptrace/ptrace-view.c`, `native_regsets`: floating point; VMX, SPE, VSX; the state of a
/// transaction; `TAR`, `PPR`, `DSCR`; event-based branches; performance monitor; protection keys.
static OTHER_SETS: &[RegisterSet] = &[
    RegisterSet::FLOAT,
    RegisterSet(0x100),
    RegisterSet(0x102),
    RegisterSet(0x101),
    RegisterSet(0x108),
    RegisterSet(0x109),
    RegisterSet(0x10a),
    RegisterSet(0x10b),
    RegisterSet(0x10c),
    RegisterSet(0x10d),
    RegisterSet(0x10e),
    RegisterSet(0x10f),
    RegisterSet(0x103),
    RegisterSet(0x104),
    RegisterSet(0x105),
    RegisterSet(0x106),
    RegisterSet(0x107),
    RegisterSet(0x110),
];

static FLOATS: &[wide::WideRegisters] = &[wide::float(&[("f", 8)], 32..64, wide::WORDS)];

const fn rows(bytes: u8) -> [RegisterInfo; REGISTERS] {
    let wide = bytes == 8;
    [
        row("r0", Some(0), 0, bytes, false),
        row("r1", Some(1), 1, bytes, true),
        row("r2", Some(2), 2, bytes, !wide),
        row("r3", Some(3), 3, bytes, false),
        row("r4", Some(4), 4, bytes, false),
        row("r5", Some(5), 5, bytes, false),
        row("r6", Some(6), 6, bytes, false),
        row("r7", Some(7), 7, bytes, false),
        row("r8", Some(8), 8, bytes, false),
        row("r9", Some(9), 9, bytes, false),
        row("r10", Some(10), 10, bytes, false),
        row("r11", Some(11), 11, bytes, false),
        row("r12", Some(12), 12, bytes, false),
        row("r13", Some(13), 13, bytes, true),
        row("r14", Some(14), 14, bytes, true),
        row("r15", Some(15), 15, bytes, true),
        row("r16", Some(16), 16, bytes, true),
        row("r17", Some(17), 17, bytes, true),
        row("r18", Some(18), 18, bytes, true),
        row("r19", Some(19), 19, bytes, true),
        row("r20", Some(20), 20, bytes, true),
        row("r21", Some(21), 21, bytes, true),
        row("r22", Some(22), 22, bytes, true),
        row("r23", Some(23), 23, bytes, true),
        row("r24", Some(24), 24, bytes, true),
        row("r25", Some(25), 25, bytes, true),
        row("r26", Some(26), 26, bytes, true),
        row("r27", Some(27), 27, bytes, true),
        row("r28", Some(28), 28, bytes, true),
        row("r29", Some(29), 29, bytes, true),
        row("r30", Some(30), 30, bytes, true),
        row("r31", Some(31), 31, bytes, true),
        row("nip", None, 32, bytes, false),
        row("msr", None, 33, bytes, false),
        row("orig_r3", None, 34, bytes, false),
        row("ctr", Some(66), 35, bytes, false),
        row("lr", Some(65), 36, bytes, false),
        row("xer", Some(76), 37, bytes, false),
        row("cr", Some(64), 38, bytes, false),
    ]
}

const fn row(name: &'static str, dwarf: Option<u16>, index: u16, bytes: u8, preserved: bool) -> RegisterInfo {
    RegisterInfo { name, dwarf, regset_offset: index * bytes as u16, bytes, preserved }
}

static WIDE: [RegisterInfo; REGISTERS] = rows(8);
static NARROW: [RegisterInfo; REGISTERS] = rows(4);

/// What all three have in common.
const fn info(name: &'static str, wide: bool, big_endian: bool) -> ArchInfo {
    ArchInfo {
        name,
        word_bytes: if wide { 8 } else { 4 },
        big_endian,
        elf_machine: if wide { 21 } else { 20 },
        regset_bytes: if wide { 384 } else { 192 },
        registers: if wide { &WIDE } else { &NARROW },
        other_sets: OTHER_SETS,
        wide: FLOATS,
        pc: RegisterId(32),
        sp: RegisterId(1),
        fp: RegisterId(31),
        link: Some(RegisterId(36)),
        // ELF V2 ABI, section 2.2.2.4; the 32-bit ABI has none.
        red_zone_bytes: if wide { 288 } else { 0 },
        code_address_mask: if wide { !3 } else { 0xffff_fffc },
        authentication_mask: 0,
        // The back chain: r1 points to the caller's r1. A function saves its return address in the frame of
        // its caller.
        cfa_above_sp: 0,
        frame_chain: Some(FrameChain {
            base: RegisterId(1),
            saved_base: 0,
            return_slot: ReturnSlot::CallersFrame(if wide { 16 } else { 4 }),
            caller_sp: None,
        }),
    }
}

pub(super) static PPC64LE: ArchInfo = info("ppc64le", true, false);
pub(super) static PPC64: ArchInfo = info("ppc64", true, true);
pub(super) static PPC: ArchInfo = info("ppc", false, true);
