//! `CONTEXT` of x86 (`winnt.h`; Breakpad: `minidump_cpu_amd64.h`, `minidump_cpu_x86.h`).

use prospect_process::{Arch, RegisterSet};

use super::{ContextFormat, ContextRegister, ContextSet, row};

const CONTROL: u32 = 1;
const INTEGER: u32 = 2;
const SEGMENTS: u32 = 4;
const FLOAT: u32 = 8;
/// Of 32 bits: what `FXSAVE` writes.
const EXTENDED: u32 = 0x20;

const AMD64_ROWS: &[ContextRegister] = &[
    row("cs", 0x38, 2, CONTROL),
    row("ds", 0x3a, 2, SEGMENTS),
    row("es", 0x3c, 2, SEGMENTS),
    row("fs", 0x3e, 2, SEGMENTS),
    row("gs", 0x40, 2, SEGMENTS),
    row("ss", 0x42, 2, CONTROL),
    row("eflags", 0x44, 4, CONTROL),
    row("rax", 0x78, 8, INTEGER),
    row("rcx", 0x80, 8, INTEGER),
    row("rdx", 0x88, 8, INTEGER),
    row("rbx", 0x90, 8, INTEGER),
    row("rsp", 0x98, 8, CONTROL),
    row("rbp", 0xa0, 8, INTEGER),
    row("rsi", 0xa8, 8, INTEGER),
    row("rdi", 0xb0, 8, INTEGER),
    row("r8", 0xb8, 8, INTEGER),
    row("r9", 0xc0, 8, INTEGER),
    row("r10", 0xc8, 8, INTEGER),
    row("r11", 0xd0, 8, INTEGER),
    row("r12", 0xd8, 8, INTEGER),
    row("r13", 0xe0, 8, INTEGER),
    row("r14", 0xe8, 8, INTEGER),
    row("r15", 0xf0, 8, INTEGER),
    row("rip", 0xf8, 8, CONTROL),
];

/// Where [`AMD64`] has what `FXSAVE` writes.
const AMD64_FXSAVE: u16 = 0x100;

/// `CONTEXT_AMD64`. `MxCsr` stands in it twice.
pub(super) static AMD64: ContextFormat = ContextFormat {
    arch: Arch::X86_64,
    cpu: 0x10_0000,
    full: 0x10_0000 | CONTROL | INTEGER | SEGMENTS | FLOAT,
    flags_at: 0x30,
    bytes: 0x4d0,
    registers: AMD64_ROWS,
    sets: &[ContextSet {
        set: RegisterSet::FLOAT,
        bytes: 512,
        group: FLOAT,
        parts: &[(24, 0x34, 4), (0, AMD64_FXSAVE, 512)],
    }],
};

const X86_ROWS: &[ContextRegister] = &[
    row("gs", 0x8c, 4, SEGMENTS),
    row("fs", 0x90, 4, SEGMENTS),
    row("es", 0x94, 4, SEGMENTS),
    row("ds", 0x98, 4, SEGMENTS),
    row("edi", 0x9c, 4, INTEGER),
    row("esi", 0xa0, 4, INTEGER),
    row("ebx", 0xa4, 4, INTEGER),
    row("edx", 0xa8, 4, INTEGER),
    row("ecx", 0xac, 4, INTEGER),
    row("eax", 0xb0, 4, INTEGER),
    row("ebp", 0xb4, 4, CONTROL),
    row("eip", 0xb8, 4, CONTROL),
    row("cs", 0xbc, 4, CONTROL),
    row("eflags", 0xc0, 4, CONTROL),
    row("esp", 0xc4, 4, CONTROL),
    row("ss", 0xc8, 4, CONTROL),
];

/// `CONTEXT_X86`. What `FSAVE` writes is the first 108 of the 112 bytes of its `FLOATING_SAVE_AREA`.
pub(super) static X86: ContextFormat = ContextFormat {
    arch: Arch::I386,
    cpu: 0x1_0000,
    full: 0x1_0000 | CONTROL | INTEGER | SEGMENTS | FLOAT | EXTENDED,
    flags_at: 0,
    bytes: 0x2cc,
    registers: X86_ROWS,
    sets: &[
        ContextSet { set: RegisterSet::FLOAT, bytes: 108, group: FLOAT, parts: &[(0, 0x1c, 108)] },
        ContextSet { set: RegisterSet::X86_FXSAVE, bytes: 512, group: EXTENDED, parts: &[(0, 0xcc, 512)] },
    ],
};
