//! Signal frames and code of AMD64 Linux.

use prospect_process::RegisterId;

use super::{Births, ChildStack, CodePatterns, Trampoline, x86};

pub(super) static PATTERNS: CodePatterns = CodePatterns {
    // `rt_sigreturn` is 15. The kernel puts the handler's return address below a `struct ucontext`, so that
    // sp points to it when the handler has returned; its `uc_mcontext` is at 40.
    trampolines: &[
        // mov $15, %rax; syscall
        Trampoline {
            code: &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05],
            states: &[(0, 40), (7, 40)],
            saved: SAVED,
        },
        // mov $15, %eax; syscall
        Trampoline { code: &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05], states: &[(0, 40), (5, 40)], saved: SAVED },
    ],
    // `clone` has the stack in its second argument; `clone3` in `struct clone_args` (uapi/linux/sched.h).
    births: Some(Births {
        instruction: [0x0f, 0x05],
        number: ORIG_RAX,
        result: RegisterId(0),
        calls: &[(56, ChildStack::Register(RegisterId(4))), (435, ChildStack::InMemory)],
    }),
    frame_in: Some(|code, offset| x86::frame_in(code, offset, 64)),
    progress: |before, at| x86::progress(before, at, &[&[0x48, 0x89, 0xe5], &[0x48, 0x8b, 0xec]]),
    call: |before, at| x86::call(before, at, true),
    jump: |at| x86::jump(at, true),
    flow: |code| x86::flow(code, 64),
    system_call: &[0x0f, 0x05],
    starts_thread,
};

/// musl's `__clone`, Go's `runtime.clone` and `runtime.goexit`.
fn starts_thread(before: &[u8], at: &[u8]) -> bool {
    // syscall; test %eax, %eax; jnz; xor %ebp, %ebp; pop %rdi; call *%r9
    const CALL: &[u8] = &[0x31, 0xed, 0x5f, 0x41, 0xff, 0xd1];
    // mov %eax, %edi; xor %eax, %eax; mov $60, %al; syscall
    const EXIT: &[u8] = &[0x89, 0xc7, 0x31, 0xc0, 0xb0, 0x3c, 0x0f, 0x05];
    // mov $111, %edi; mov $60, %eax; syscall; and that again, should it return
    const GO_EXIT: &[u8] = &[0xbf, 0x6f, 0, 0, 0, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf2];
    // call *%r12
    let is_go = before.ends_with(&[0x41, 0xff, 0xd4]) && at.starts_with(GO_EXIT);
    let is_child = before
        .strip_suffix(CALL)
        .is_some_and(|before| matches!(before, [.., 0x0f, 0x05, 0x85, 0xc0, 0x75, _]));
    is_child && at.starts_with(EXIT) || is_go || x86::is_goexit(before, at)
}

/// Linux `arch/x86/include/uapi/asm/sigcontext.h`, `struct sigcontext` of 64 bits. The register numbers
/// are DWARF's, which are the table's (`ArchInfo::registers`) up to rip.
static SAVED: &[(RegisterId, u16, u8)] = &[
    (RegisterId(8), 0, 8),
    (RegisterId(9), 8, 8),
    (RegisterId(10), 16, 8),
    (RegisterId(11), 24, 8),
    (RegisterId(12), 32, 8),
    (RegisterId(13), 40, 8),
    (RegisterId(14), 48, 8),
    (RegisterId(15), 56, 8),
    (RegisterId(5), 64, 8),
    (RegisterId(4), 72, 8),
    (RegisterId(6), 80, 8),
    (RegisterId(3), 88, 8),
    (RegisterId(1), 96, 8),
    (RegisterId(0), 104, 8),
    (RegisterId(2), 112, 8),
    (RegisterId(7), 120, 8),
    (RegisterId(16), 128, 8),
    (EFLAGS, 136, 8),
    (CS, 144, 2),
    (SS, 150, 2),
];

const EFLAGS: RegisterId = RegisterId(17);
const ORIG_RAX: RegisterId = RegisterId(26);
const CS: RegisterId = RegisterId(19);
const SS: RegisterId = RegisterId(20);
