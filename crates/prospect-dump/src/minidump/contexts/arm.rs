//! `CONTEXT` of ARM (`winnt.h`; Breakpad: `minidump_cpu_arm.h`, `minidump_cpu_arm64.h`).
//!
//! Windows has two groups of general registers, Breakpad one: they are written together.

use prospect_process::{Arch, RegisterSet};

use super::{ContextFormat, ContextRegister, ContextSet, row};

/// `CONTROL` and `INTEGER`.
const GENERAL: u32 = 3;
const FLOAT: u32 = 4;

const fn word(name: &'static str, index: u16) -> ContextRegister {
    row(name, 4 + 4 * index, 4, GENERAL)
}

const ARM_ROWS: &[ContextRegister] = &[
    word("r0", 0),
    word("r1", 1),
    word("r2", 2),
    word("r3", 3),
    word("r4", 4),
    word("r5", 5),
    word("r6", 6),
    word("r7", 7),
    word("r8", 8),
    word("r9", 9),
    word("r10", 10),
    word("r11", 11),
    word("r12", 12),
    word("sp", 13),
    word("lr", 14),
    word("pc", 15),
    word("cpsr", 16),
];

/// `FPSCR` comes before the registers here, and behind them in `NT_ARM_VFP`.
const ARM_SETS: &[ContextSet] = &[ContextSet {
    set: RegisterSet::ARM_VFP,
    bytes: 260,
    group: FLOAT,
    parts: &[(256, 72, 4), (0, 80, 256)],
}];

/// Breakpad's `MDRawContextARM`.
pub(super) static ARM: ContextFormat = ContextFormat {
    arch: Arch::Arm,
    cpu: 0x4000_0000,
    // Breakpad knows no `CONTROL`.
    full: 0x4000_0000 | 2 | FLOAT,
    flags_at: 0,
    bytes: 368,
    registers: ARM_ROWS,
    sets: ARM_SETS,
};

/// That of Windows, which is the same but for the processor's debug registers at the end.
pub(super) static ARM_WINDOWS: ContextFormat =
    ContextFormat { arch: Arch::Arm, cpu: 0x20_0000, full: 0x20_0000 | GENERAL | FLOAT, bytes: 416, ..ARM };

const fn rows(first: u16, pstate: u16) -> [ContextRegister; 34] {
    const fn at(name: &'static str, first: u16, index: u16) -> ContextRegister {
        row(name, first + 8 * index, 8, GENERAL)
    }
    [
        at("x0", first, 0),
        at("x1", first, 1),
        at("x2", first, 2),
        at("x3", first, 3),
        at("x4", first, 4),
        at("x5", first, 5),
        at("x6", first, 6),
        at("x7", first, 7),
        at("x8", first, 8),
        at("x9", first, 9),
        at("x10", first, 10),
        at("x11", first, 11),
        at("x12", first, 12),
        at("x13", first, 13),
        at("x14", first, 14),
        at("x15", first, 15),
        at("x16", first, 16),
        at("x17", first, 17),
        at("x18", first, 18),
        at("x19", first, 19),
        at("x20", first, 20),
        at("x21", first, 21),
        at("x22", first, 22),
        at("x23", first, 23),
        at("x24", first, 24),
        at("x25", first, 25),
        at("x26", first, 26),
        at("x27", first, 27),
        at("x28", first, 28),
        at("x29", first, 29),
        at("x30", first, 30),
        at("sp", first, 31),
        at("pc", first, 32),
        row("pstate", pstate, 4, GENERAL),
    ]
}

static ARM64_ROWS: [ContextRegister; 34] = rows(8, 4);
static ARM64_OLD_ROWS: [ContextRegister; 34] = rows(8, 272);

/// Linux has `FPSR` first, Windows `FPCR`.
const fn arm64_set(parts: &'static [(u16, u16, u16)]) -> ContextSet {
    ContextSet { set: RegisterSet::FLOAT, bytes: 528, group: FLOAT, parts }
}

/// `CONTEXT_ARM64`, of Windows and of all newer writers.
pub(super) static ARM64: ContextFormat = ContextFormat {
    arch: Arch::Aarch64,
    cpu: 0x40_0000,
    full: 0x40_0000 | GENERAL | FLOAT,
    flags_at: 0,
    bytes: 912,
    registers: &ARM64_ROWS,
    sets: &[arm64_set(&[(0, 272, 512), (512, 788, 4), (516, 784, 4)])],
};

/// Breakpad's first one, packed to four bytes.
pub(super) static ARM64_OLD: ContextFormat = ContextFormat {
    arch: Arch::Aarch64,
    cpu: 0x8000_0000,
    full: 0x8000_0000 | GENERAL | FLOAT,
    flags_at: 0,
    bytes: 796,
    registers: &ARM64_OLD_ROWS,
    sets: &[arm64_set(&[(512, 276, 4), (516, 280, 4), (0, 284, 512)])],
};
