//! Signal frames and code of 32-bit x86 Linux.

use prospect_process::RegisterId;

use super::{Births, ChildStack, CodePatterns, Trampoline, x86};

pub(super) static PATTERNS: CodePatterns = CodePatterns {
    // Linux `arch/x86/include/asm/sigframe.h`. The handler's return address is the first word of the frame.
    trampolines: &[
        // `sigreturn` is 119: `struct sigframe_ia32` has the signal's number, then the registers.
        // pop %eax; mov $119, %eax; int $0x80
        Trampoline {
            code: &[0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80],
            states: &[(0, 4), (1, 0), (6, 0)],
            saved: SAVED,
        },
        // The same of a handler that popped the number itself.
        Trampoline { code: &[0xb8, 0x77, 0, 0, 0, 0xcd, 0x80], states: &[(0, 0), (5, 0)], saved: SAVED },
        // `rt_sigreturn` is 173: `struct rt_sigframe_ia32` has three words, a `siginfo` of 128 bytes and a
        // `ucontext` whose registers are at 20.
        // mov $173, %eax; int $0x80
        Trampoline { code: &[0xb8, 0xad, 0, 0, 0, 0xcd, 0x80], states: &[(0, 160), (5, 160)], saved: SAVED },
    ],
    births: Some(Births {
        instruction: [0xcd, 0x80],
        number: ORIG_EAX,
        result: RegisterId(0),
        calls: &[(120, ChildStack::Register(RegisterId(1))), (435, ChildStack::InMemory)],
    }),
    frame_in: Some(|code, offset| x86::frame_in(code, offset, 32)),
    progress: |before, at| x86::progress(before, at, &[&[0x89, 0xe5], &[0x8b, 0xec]]),
    call: |before, at| x86::call(before, at, false),
    jump: |at| x86::jump(at, false),
    flow: |code| x86::flow(code, 32),
    system_call: &[0xcd, 0x80],
    starts_thread,
};

/// musl's `__clone` and Go's `runtime.goexit`.
fn starts_thread(before: &[u8], at: &[u8]) -> bool {
    // int $0x80; test %eax, %eax; jnz; mov %ebp, %eax; xor %ebp, %ebp; call *%eax
    const CALL: &[u8] = &[0x89, 0xe8, 0x31, 0xed, 0xff, 0xd0];
    // mov %ebx, %eax, in either of its forms; xor %eax, %eax; inc %eax; int $0x80
    const EXITS: [&[u8]; 2] =
        [&[0x89, 0xc3, 0x31, 0xc0, 0x40, 0xcd, 0x80], &[0x8b, 0xd8, 0x31, 0xc0, 0x40, 0xcd, 0x80]];
    let is_child = before
        .strip_suffix(CALL)
        .is_some_and(|before| matches!(before, [.., 0xcd, 0x80, 0x85, 0xc0, 0x75, _]));
    is_child && EXITS.iter().any(|exit| at.starts_with(exit)) || x86::is_goexit(before, at)
}

/// Linux `arch/x86/include/uapi/asm/sigcontext.h`, `struct sigcontext_32`. The register numbers are
/// DWARF's, which are the table's (`ArchInfo::registers`) up to eflags.
static SAVED: &[(RegisterId, u16, u8)] = &[
    (GS, 0, 2),
    (FS, 4, 2),
    (ES, 8, 2),
    (DS, 12, 2),
    (RegisterId(7), 16, 4),
    (RegisterId(6), 20, 4),
    (RegisterId(5), 24, 4),
    (RegisterId(4), 28, 4),
    (RegisterId(3), 32, 4),
    (RegisterId(2), 36, 4),
    (RegisterId(1), 40, 4),
    (RegisterId(0), 44, 4),
    (RegisterId(8), 56, 4),
    (CS, 60, 2),
    (RegisterId(9), 64, 4),
    (SS, 72, 2),
];

const ES: RegisterId = RegisterId(10);
const CS: RegisterId = RegisterId(11);
const SS: RegisterId = RegisterId(12);
const DS: RegisterId = RegisterId(13);
const FS: RegisterId = RegisterId(14);
const GS: RegisterId = RegisterId(15);
const ORIG_EAX: RegisterId = RegisterId(16);
