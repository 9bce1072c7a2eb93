//! `CONTEXT` of PowerPC (Breakpad: `minidump_cpu_ppc.h`, `minidump_cpu_ppc64.h`), packed to four bytes.

use prospect_process::{Arch, RegisterSet};

use super::{ContextFormat, ContextRegister, ContextSet, row};

const GENERAL: u32 = 1;
const FLOAT: u32 = 8;
const VECTOR: u32 = 0x20;

/// Each register takes a word; the flags stand before the first.
const fn rows(bytes: u16) -> [ContextRegister; 38] {
    const fn at(name: &'static str, index: u16, bytes: u16) -> ContextRegister {
        row(name, bytes + bytes * index, bytes as u8, GENERAL)
    }
    [
        at("nip", 0, bytes),
        at("msr", 1, bytes),
        at("r0", 2, bytes),
        at("r1", 3, bytes),
        at("r2", 4, bytes),
        at("r3", 5, bytes),
        at("r4", 6, bytes),
        at("r5", 7, bytes),
        at("r6", 8, bytes),
        at("r7", 9, bytes),
        at("r8", 10, bytes),
        at("r9", 11, bytes),
        at("r10", 12, bytes),
        at("r11", 13, bytes),
        at("r12", 14, bytes),
        at("r13", 15, bytes),
        at("r14", 16, bytes),
        at("r15", 17, bytes),
        at("r16", 18, bytes),
        at("r17", 19, bytes),
        at("r18", 20, bytes),
        at("r19", 21, bytes),
        at("r20", 22, bytes),
        at("r21", 23, bytes),
        at("r22", 24, bytes),
        at("r23", 25, bytes),
        at("r24", 26, bytes),
        at("r25", 27, bytes),
        at("r26", 28, bytes),
        at("r27", 29, bytes),
        at("r28", 30, bytes),
        at("r29", 31, bytes),
        at("r30", 32, bytes),
        at("r31", 33, bytes),
        at("cr", 34, bytes),
        at("xer", 35, bytes),
        at("lr", 36, bytes),
        at("ctr", 37, bytes),
    ]
}

static WIDE: [ContextRegister; 38] = rows(8);
static NARROW: [ContextRegister; 38] = rows(4);

/// The 32 registers and `FPSCR`, which Linux has as a word of 64 bits and Breakpad as padding and a word of 32; 32
/// vectors and `VSCR`.
const WIDE_SETS: &[ContextSet] = &[
    ContextSet { set: RegisterSet::FLOAT, bytes: 264, group: FLOAT, parts: &[(0, 320, 264)] },
    ContextSet { set: VMX, bytes: 544, group: VECTOR, parts: &[(0, 584, 528)] },
];
const NARROW_SETS: &[ContextSet] = &[
    ContextSet { set: RegisterSet::FLOAT, bytes: 264, group: FLOAT, parts: &[(0, 164, 264)] },
    ContextSet { set: VMX, bytes: 544, group: VECTOR, parts: &[(0, 428, 528)] },
];

/// `NT_PPC_VMX`.
const VMX: RegisterSet = RegisterSet(0x100);

/// `MDRawContextPPC64`. Its flags have 64 bits, of which the high ones come first here.
pub(super) static PPC64: ContextFormat = ContextFormat {
    arch: Arch::Ppc64,
    cpu: 0x0100_0000,
    full: 0x0100_0000 | GENERAL | FLOAT | VECTOR,
    flags_at: 4,
    bytes: 1160,
    registers: &WIDE,
    sets: WIDE_SETS,
};

/// The same, little-endian.
pub(super) static PPC64LE: ContextFormat = ContextFormat { arch: Arch::Ppc64le, flags_at: 0, ..PPC64 };

/// `MDRawContextPPC`.
pub(super) static PPC: ContextFormat = ContextFormat {
    arch: Arch::Ppc,
    cpu: 0x2000_0000,
    full: 0x2000_0000 | GENERAL | FLOAT | VECTOR,
    flags_at: 0,
    bytes: 1004,
    registers: &NARROW,
    sets: NARROW_SETS,
};
