//! `/proc/PID/task/TID/syscall`: where a thread entered the kernel.

use std::fmt;

use prospect_process::{Addr, Arch, Registers};

use super::cursor::Cursor;

/// What `syscall` says of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyscallState {
    /// It is on a processor or ready to be, and nothing is known.
    Running,
    /// It waits in the kernel, but not in a system call (a page fault, a stop).
    Blocked {
        /// The stack pointer in user mode.
        sp: Addr,
        /// The program counter in user mode.
        pc: Addr,
    },
    /// It waits in a system call.
    InCall {
        /// The number of the call, in the table of the process's architecture.
        number: u64,
        /// The six argument registers; calls with fewer arguments leave the rest as it was.
        arguments: [u64; 6],
        /// The stack pointer in user mode.
        sp: Addr,
        /// The program counter in user mode: behind the instruction that made the call.
        pc: Addr,
    },
}

impl SyscallState {
    /// The stack pointer and program counter in user mode, where they are known. Both are zero for a kernel
    /// thread.
    #[must_use]
    pub fn sp_and_pc(&self) -> Option<(Addr, Addr)> {
        match *self {
            Self::Running => None,
            Self::Blocked { sp, pc } | Self::InCall { sp, pc, .. } => Some((sp, pc)),
        }
    }

    /// The registers in user mode, as far as they are known: the stack pointer, the program counter, and in a system call
    /// those that have its arguments.
    #[must_use]
    pub fn registers(&self, arch: Arch) -> Option<Registers> {
        let (sp, pc) = self.sp_and_pc()?;
        let info = arch.info();
        let mut registers = Registers::unknown(arch);
        registers.set(info.sp, sp.0);
        registers.set(info.pc, pc.0);
        if let Self::InCall { arguments, .. } = self {
            for (name, value) in argument_registers(arch).iter().zip(arguments) {
                if let Some(id) = info.by_name(name) {
                    registers.set(id, *value);
                }
            }
        }
        Some(registers)
    }
}

/// The registers that the arguments of system calls are in, while a call waits too: `syscall_get_arguments` in Linux
/// `arch/x86/include/asm/syscall.h`. The sixth of i386 may have been on the stack.
fn argument_registers(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["rdi", "rsi", "rdx", "r10", "r8", "r9"],
        Arch::I386 => &["ebx", "ecx", "edx", "esi", "edi"],
        _ => &[],
    }
}

impl fmt::Display for SyscallState {
    /// As the kernel writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Blocked { sp, pc } => write!(f, "-1 {sp} {pc}"),
            Self::InCall { number, arguments, sp, pc } => {
                write!(f, "{number}")?;
                arguments.iter().try_for_each(|argument| write!(f, " {argument:#x}"))?;
                write!(f, " {sp} {pc}")
            }
        }
    }
}

/// Reads the line of `syscall`: `running`, `-1 SP PC`, or `NUMBER A0 A1 A2 A3 A4 A5 SP PC`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<SyscallState> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes == b"running" {
        return Some(SyscallState::Running);
    }
    let mut cursor = Cursor(bytes);
    let number = cursor.signed()?;
    let mut word = || {
        cursor.literal(b' ')?;
        cursor.prefixed_hex()
    };
    let Ok(number) = u64::try_from(number) else {
        let state = SyscallState::Blocked { sp: Addr(word()?), pc: Addr(word()?) };
        return cursor.0.is_empty().then_some(state);
    };
    let mut arguments = [0; 6];
    for argument in &mut arguments {
        *argument = word()?;
    }
    let state = SyscallState::InCall { number, arguments, sp: Addr(word()?), pc: Addr(word()?) };
    cursor.0.is_empty().then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read_and_written() {
        let call = "202 0x7ffe0 0x189 0x0 0x0 0x0 0xffffffffffffffff 0x7ffc8 0x7f12";
        let expected = SyscallState::InCall {
            number: 202,
            arguments: [0x7ffe0, 0x189, 0, 0, 0, u64::MAX],
            sp: Addr(0x7ffc8),
            pc: Addr(0x7f12),
        };
        assert_eq!(parse(format!("{call}\n").as_bytes()), Some(expected));
        assert_eq!(expected.to_string(), call);
        let blocked = SyscallState::Blocked { sp: Addr(0x10), pc: Addr(0x20) };
        assert_eq!(parse(b"-1 0x10 0x20\n"), Some(blocked));
        assert_eq!(blocked.to_string(), "-1 0x10 0x20");
        assert_eq!(parse(b"running\n"), Some(SyscallState::Running));
        assert_eq!(SyscallState::Running.to_string(), "running");
    }

    #[test]
    fn anything_else_is_refused() {
        let bad: [&[u8]; 8] = [
            b"",
            b"\n",
            b"run",
            b"-1 0x10",
            b"-1 10 20",
            b"1 0x1 0x2 0x3",
            b"-1 0x10 0x20 0x30",
            b"0 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x10000000000000000",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
