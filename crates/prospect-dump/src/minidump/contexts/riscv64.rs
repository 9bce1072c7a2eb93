//! `CONTEXT` of 64-bit RISC-V (Breakpad: `minidump_cpu_riscv.h`; Crashpad's is the same).

use prospect_process::{Arch, RegisterSet};

use super::{ContextFormat, ContextRegister, ContextSet, row};

const GENERAL: u32 = 1;
/// Breakpad had 4 first, and has 2 as Crashpad now.
const FLOAT: u32 = 6;

const fn at(name: &'static str, index: u16) -> ContextRegister {
    row(name, 8 + 8 * index, 8, GENERAL)
}

/// `MDRawContextRISCV64`. `fcsr` stands behind the registers, as in `NT_PRFPREG`.
pub(super) static RISCV64: ContextFormat = ContextFormat {
    arch: Arch::Riscv64,
    cpu: 0x0800_0000,
    full: 0x0800_0000 | GENERAL | 2,
    flags_at: 0,
    bytes: 528,
    registers: &[
        at("pc", 0),
        at("ra", 1),
        at("sp", 2),
        at("gp", 3),
        at("tp", 4),
        at("t0", 5),
        at("t1", 6),
        at("t2", 7),
        at("s0", 8),
        at("s1", 9),
        at("a0", 10),
        at("a1", 11),
        at("a2", 12),
        at("a3", 13),
        at("a4", 14),
        at("a5", 15),
        at("a6", 16),
        at("a7", 17),
        at("s2", 18),
        at("s3", 19),
        at("s4", 20),
        at("s5", 21),
        at("s6", 22),
        at("s7", 23),
        at("s8", 24),
        at("s9", 25),
        at("s10", 26),
        at("s11", 27),
        at("t3", 28),
        at("t4", 29),
        at("t5", 30),
        at("t6", 31),
    ],
    sets: &[ContextSet { set: RegisterSet::FLOAT, bytes: 264, group: FLOAT, parts: &[(0, 264, 260)] }],
};
