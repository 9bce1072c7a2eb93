//! System calls that a process is made to do, AMD64 and the 32-bit programs that run on it.
//!
//! Registers are read and written as the kernel has them (`PTRACE_GETREGS`): for a 32-bit program too, all 64 bits, so that
//! what is put back is what was there, the number of an interrupted call and how it is to go on among it.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::io;

use prospect_process::{Arch, Registers, ThreadId};

use super::{CallConvention, RESTARTS};

/// Selectors of user code: `__USER_CS` and `__USER32_CS` of the kernel's `arch/x86/include/asm/segment.h`.
const CODE_64: u64 = 0x33;
const CODE_32: u64 = 0x23;

/// `arch/x86/entry/syscalls/syscall_64.tbl`, and the instruction `syscall`.
static LONG: CallConvention = CallConvention {
    instruction: [0x0f, 0x05],
    clone: 56,
    wait4: 61,
    mmap: 9,
    munmap: 11,
    close_range: 436,
    exit_group: 231,
    word_bytes: 8,
    // `mov $15, %rax` or `mov $15, %eax`, and the call: C libraries have it for the end of signal handlers.
    sigreturn: &[&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]],
};
/// `arch/x86/entry/syscalls/syscall_32.tbl`, and the instruction `int 0x80`.
static SHORT: CallConvention = CallConvention {
    instruction: [0xcd, 0x80],
    clone: 120,
    wait4: 114,
    mmap: 192,
    munmap: 91,
    close_range: 436,
    exit_group: 252,
    word_bytes: 4,
    sigreturn: &[],
};

/// How the programs of one kind do system calls.
pub(crate) fn convention_of(arch: Arch) -> Option<&'static CallConvention> {
    match arch {
        Arch::X86_64 => Some(&LONG),
        Arch::I386 => Some(&SHORT),
        _ => None,
    }
}

/// How many words `struct ucontext` has (Linux `arch/x86/include/uapi/asm/ucontext.h` and `sigcontext.h`).
pub(crate) const SIGNAL_CONTEXT_WORDS: usize = 38;
/// Where `rdi` is in it.
pub(crate) const FIRST_ARGUMENT_OFFSET: usize = 104;

/// `UC_FP_XSTATE`, `UC_SIGCONTEXT_SS` and `UC_STRICT_RESTORE_SS`.
const CONTEXT_FLAGS: u64 = 7;
/// Flags of an alternate stack that the kernel refuses: the thread keeps the one that it has.
const NO_STACK_FLAGS: u64 = 0x7fff;

/// The call as which the kernel begins some again that were interrupted: `restart_syscall`.
const RESTART: u64 = 219;
/// Those (`set_restart_fn` in Linux): poll, nanosleep, futex, clock_nanosleep.
const RESTARTED: [u64; 4] = [7, 35, 202, 230];
/// `mov` of a number to `eax`.
const MOVE_TO_EAX: u8 = 0xb8;
/// As many bytes before a system call are looked at for its number.
const BYTES_BEFORE: usize = 32;

/// Step by step: the trap flag of `eflags`.
const TRAP_FLAG: u64 = 1 << 8;

/// Where `rax` is in `struct user`.
const RAX_OFFSET: usize = std::mem::offset_of!(libc::user_regs_struct, rax);

/// `ERESTARTNOHAND` of `include/linux/errno.h`: the call ends with `EINTR` where a handler is to run, and else begins again.
const RESTART_UNLESS_HANDLED: i64 = -514;
const INTERRUPTED: i64 = -(libc::EINTR as i64);

/// Calls that do nothing and say `EINTR` when their thread is stopped (`man 7 signal`, "Interruption of system calls
/// and library functions by stop signals"): accept, recvfrom, recvmsg, semop, rt_sigtimedwait, io_getevents,
/// semtimedop, epoll_wait, epoll_pwait, accept4, recvmmsg, io_pgetevents, epoll_pwait2; of a socket with a time limit,
/// and of inotify: read, write, readv, writev, sendto, sendmsg, sendmmsg; and io_uring_enter (`man 2 io_uring_enter`).
const INTERRUPTED_64: &[u64] =
    &[0, 1, 19, 20, 43, 44, 45, 46, 47, 65, 128, 208, 220, 232, 281, 288, 299, 307, 333, 426, 441];
/// The same, as far as they are calls of their own: rt_sigtimedwait, io_getevents, epoll_wait, epoll_pwait, recvmmsg,
/// accept4, recvfrom, recvmsg, io_pgetevents, io_pgetevents_time64, recvmmsg_time64, rt_sigtimedwait_time64,
/// semtimedop_time64, epoll_pwait2; read, write, readv, writev, sendto, sendmsg, sendmmsg; io_uring_enter.
const INTERRUPTED_32: &[u64] = &[
    3, 4, 145, 146, 345, 369, 370, 426, 177, 247, 256, 319, 337, 364, 371, 372, 385, 416, 417, 420, 421, 441,
];

/// Calls that are several, by their first argument: socketcall (accept, send, recv, sendto, recvfrom,
/// sendmsg, recvmsg, accept4, recvmmsg, sendmmsg; the kernel's
/// `include/uapi/linux/net.h`) and ipc (semop, semtimedop; `include/uapi/linux/ipc.h`).
const INTERRUPTED_PARTS: &[(u64, &[u64])] = &[(102, &[5, 9, 10, 11, 12, 16, 17, 18, 19, 20]), (117, &[1, 4])];

/// The general registers of a stopped thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallRegisters(libc::user_regs_struct);

impl CallRegisters {
    pub(crate) fn of(thread: ThreadId) -> io::Result<Self> {
        // SAFETY: zeros are a value of all its fields, which are numbers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: `registers` is what the call fills, and outlives it.
        let result =
            unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread.0.cast_signed(), 0usize, &raw mut registers) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(Self(registers)) }
    }

    /// Makes them the registers of a stopped thread.
    pub(crate) fn put(&self, thread: ThreadId) -> io::Result<()> {
        // SAFETY: the call reads as much as there is, and keeps no pointer to it.
        let result =
            unsafe { libc::ptrace(libc::PTRACE_SETREGS, thread.0.cast_signed(), 0usize, &raw const self.0) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// How the code that the thread is in does system calls; `None` of code of another kind.
    pub(crate) fn convention(&self) -> Option<&'static CallConvention> {
        match self.0.cs {
            CODE_64 => Some(&LONG),
            CODE_32 => Some(&SHORT),
            _ => None,
        }
    }

    pub(crate) fn pc(&self) -> u64 {
        self.0.rip
    }

    /// Whether the thread came into the kernel by a system call.
    pub(crate) fn waits_in_call(&self) -> bool {
        self.0.orig_rax.cast_signed() >= 0
    }

    pub(crate) fn stack_pointer(&self) -> u64 {
        self.0.rsp
    }

    /// As many words are in them.
    pub(crate) const WORDS: usize = size_of::<libc::user_regs_struct>() / 8;

    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        // SAFETY: both are so many words, of which each value is valid.
        unsafe { std::mem::transmute(self.0) }
    }

    pub(crate) fn from_words(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        let mut all = [0; Self::WORDS];
        for word in &mut all {
            *word = words.next()?;
        }
        // SAFETY: both are so many words, of which each value is valid.
        Some(Self(unsafe { std::mem::transmute::<[u64; Self::WORDS], libc::user_regs_struct>(all) }))
    }

    /// The registers to do a call with, by the instruction at `at`, with this stack pointer. Whoever runs on with them
    /// behind it comes to what is on that stack; with none, to nothing.
    pub(crate) fn calling(&self, at: u64, stack: u64, number: u64, arguments: [u64; 6]) -> Self {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        let mut registers = self.0;
        registers.rip = at;
        registers.rsp = stack;
        registers.rax = number;
        // There is no call that were to begin again.
        registers.orig_rax = u64::MAX;
        registers.eflags &= !TRAP_FLAG;
        if registers.cs == CODE_32 {
            (registers.rbx, registers.rcx, registers.rdx, registers.rsi) = (first, second, third, fourth);
            (registers.rdi, registers.rbp) = (fifth, sixth);
        } else {
            (registers.rdi, registers.rsi, registers.rdx, registers.r10) = (first, second, third, fourth);
            (registers.r8, registers.r9) = (fifth, sixth);
        }
        Self(registers)
    }

    /// The same, elsewhere.
    pub(crate) fn moved_to(&self, pc: u64) -> Self {
        Self(libc::user_regs_struct { rip: pc, ..self.0 })
    }

    /// The same in the call that the program has made, where the kernel has begun it again as [another one](RESTART):
    /// the state of that is lost when registers are given back in another way than by a debugger. Which it was, the
    /// code before it says, that `read` reads; else it stays as it is.
    pub(crate) fn with_own_call(&self, read: impl FnOnce(u64, &mut [u8]) -> bool) -> Self {
        let mut code = [0; BYTES_BEFORE];
        let end = self.0.rip.wrapping_sub(LONG.instruction.len() as u64);
        if self.0.orig_rax != RESTART || !read(end.wrapping_sub(BYTES_BEFORE as u64), &mut code) {
            return *self;
        }
        let number = |bytes: &[u8]| match *bytes {
            [MOVE_TO_EAX, a, b, c, d] => Some(u64::from(u32::from_le_bytes([a, b, c, d]))),
            _ => None,
        };
        let found = code.windows(5).rev().filter_map(number).find(|number| RESTARTED.contains(number));
        Self(libc::user_regs_struct { orig_rax: found.unwrap_or(RESTART), ..self.0 })
    }

    /// What `rt_sigreturn` makes them of again, with these signals blocked, and registers for floating point from `state` (0:
    /// none in use). A call that was interrupted begins again.
    pub(crate) fn signal_context(&self, mask: u64, state: u64) -> [u64; SIGNAL_CONTEXT_WORDS] {
        let mut own = self.0;
        if self.waits_in_call() && RESTARTS.contains(&self.result()) {
            own.rax = own.orig_rax;
            own.rip = own.rip.wrapping_sub(LONG.instruction.len() as u64);
        }
        let head = [CONTEXT_FLAGS, 0, 0, NO_STACK_FLAGS, 0];
        let general = [
            own.r8, own.r9, own.r10, own.r11, own.r12, own.r13, own.r14, own.r15, own.rdi, own.rsi, own.rbp,
            own.rbx, own.rdx, own.rax, own.rcx, own.rsp, own.rip, own.eflags,
        ];
        let selectors = own.cs & 0xffff | (own.ss & 0xffff) << 48;
        let rest = [selectors, 0, 0, 0, 0, state];
        let mut words = [0; SIGNAL_CONTEXT_WORDS];
        let all = head.into_iter().chain(general).chain(rest);
        words.iter_mut().zip(all).for_each(|(word, value)| *word = value);
        words[SIGNAL_CONTEXT_WORDS - 1] = mask;
        words
    }

    /// What the call that it is at the end of returns; errors are negative.
    pub(crate) fn result(&self) -> i64 {
        self.0.rax.cast_signed()
    }

    /// Lets a call begin again that says `EINTR` only since its thread was stopped. Says whether it is one.
    pub(crate) fn restart_interrupted(&mut self) -> bool {
        let (is_long, number) = (self.0.cs == CODE_64, self.0.orig_rax);
        let is_one = self.result() == INTERRUPTED && is_interrupted_by_stops(is_long, number, self.0.rbx);
        if is_one {
            self.0.rax = RESTART_UNLESS_HANDLED.cast_unsigned();
        }
        is_one
    }
}

fn is_interrupted_by_stops(is_long: bool, number: u64, part: u64) -> bool {
    if is_long {
        return INTERRUPTED_64.contains(&number);
    }
    let is_part = |(call, parts): &(u64, &[u64])| *call == number && parts.contains(&part);
    INTERRUPTED_32.contains(&number) || INTERRUPTED_PARTS.iter().any(is_part)
}

/// Lets the call of a stopped thread begin again that says `EINTR` only since the thread was stopped. For a thread that is
/// let go without having been looked at.
pub(crate) fn restart_call(thread: ThreadId) {
    // Errors: it was killed.
    if let Ok(mut registers) = CallRegisters::of(thread)
        && registers.restart_interrupted()
    {
        let _ = registers.put(thread);
    }
}

/// A stopped thread with these registers: see [`CallRegisters::restart_interrupted`].
pub(crate) fn restart_interrupted(thread: ThreadId, registers: &Registers) {
    let (result, number, first, bits) = match registers.arch() {
        Arch::X86_64 => ("rax", "orig_rax", "rdi", u64::MAX),
        Arch::I386 => ("eax", "orig_eax", "ebx", u64::from(u32::MAX)),
        _ => return,
    };
    let value = |name| registers.arch().info().by_name(name).and_then(|id| registers.get(id));
    let (Some(result), Some(number), Some(first)) = (value(result), value(number), value(first)) else {
        return;
    };
    let is_interrupted = result == INTERRUPTED.cast_unsigned() & bits;
    if !is_interrupted || !is_interrupted_by_stops(registers.arch() == Arch::X86_64, number, first) {
        return;
    }
    let value = RESTART_UNLESS_HANDLED.cast_unsigned();
    // SAFETY: it takes numbers. An error: the thread was killed.
    unsafe { libc::ptrace(libc::PTRACE_POKEUSER, thread.0.cast_signed(), RAX_OFFSET, value) };
}

/// Where a debug register is in `struct user`.
fn debug_register_offset(number: usize) -> usize {
    std::mem::offset_of!(libc::user, u_debugreg) + number * size_of::<u64>()
}

/// A debug register as a stopped thread has it (Intel SDM volume 3, section 18.2).
pub(crate) fn debug_register(thread: ThreadId, number: usize) -> io::Result<u64> {
    let at = debug_register_offset(number);
    // SAFETY: it takes numbers; it returns the word itself, and says by `errno` whether that is one.
    let word = unsafe {
        *libc::__errno_location() = 0;
        libc::ptrace(libc::PTRACE_PEEKUSER, thread.0.cast_signed(), at, 0usize)
    };
    match io::Error::last_os_error().raw_os_error() {
        Some(0) | None => Ok(word.cast_unsigned()),
        Some(number) => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Replaces it.
pub(crate) fn set_debug_register(thread: ThreadId, number: usize, value: u64) -> io::Result<()> {
    let at = debug_register_offset(number);
    // SAFETY: it takes numbers.
    let result = unsafe { libc::ptrace(libc::PTRACE_POKEUSER, thread.0.cast_signed(), at, value) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_call(number: u64) -> CallRegisters {
        // SAFETY: zeros are a value of all its fields, which are numbers.
        let registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        CallRegisters(libc::user_regs_struct { orig_rax: number, rip: 0x1000, ..registers })
    }

    fn own_call(number: u64, code: &[u8]) -> u64 {
        let read = |at: u64, room: &mut [u8]| {
            assert_eq!(at + room.len() as u64, 0x1000 - 2);
            let begin = room.len() - code.len();
            room[begin..].copy_from_slice(code);
            true
        };
        in_call(number).with_own_call(read).0.orig_rax
    }

    #[test]
    fn a_call_that_was_begun_again_is_known_by_its_code() {
        // mov $0xe6,%eax; mov %r12,%r10
        let sleeps = [0xb8, 0xe6, 0, 0, 0, 0x4d, 0x89, 0xe2];
        assert_eq!(own_call(RESTART, &sleeps), 230);
        // The last one counts, and only one that is begun again so.
        assert_eq!(own_call(RESTART, &[0xb8, 7, 0, 0, 0, 0xb8, 202, 0, 0, 0, 0xb8, 1, 0, 0, 0]), 202);
        assert_eq!(own_call(RESTART, &[0xb8, 1, 0, 0, 0]), RESTART);
        assert_eq!(own_call(1, &sleeps), 1, "no other call is touched");
        assert_eq!(in_call(RESTART).with_own_call(|_, _| false).0.orig_rax, RESTART);
    }
}
