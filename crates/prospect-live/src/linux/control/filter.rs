//! System calls that the kernel stops at while it lets all others through: `man 2 seccomp`.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::io;

use prospect_process::Arch;

use crate::linux::procfs;

/// What the kernel gives a filter to look at (`struct seccomp_data`): where the number is in it, and where the architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// `AUDIT_ARCH_X86_64` of `include/uapi/linux/audit.h`.
const X86_64: u32 = 62 | 0x8000_0000 | 0x4000_0000;

/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: the program is not slowed down for a side channel that the filter has nothing to do with.
const SPECULATES: libc::c_ulong = 1 << 2;

/// No filter has more instructions (`BPF_MAXINSNS`).
const MOST: usize = 4096;

/// A filter that stops at some system calls.
#[derive(Debug)]
pub(super) struct CallFilter {
    numbers: Vec<u32>,
    code: Vec<libc::sock_filter>,
}

impl CallFilter {
    /// # Errors
    /// On another architecture; for more numbers than a filter has room for.
    pub(super) fn new(numbers: &[u32]) -> io::Result<Self> {
        if procfs::host_arch() != Arch::X86_64 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "system calls cannot be filtered on this architecture",
            ));
        }
        let one = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
        let load = |from| one(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, from, 0, 0);
        let give = |what| one(libc::BPF_RET | libc::BPF_K, what, 0, 0);
        let skip_unless = |value| one(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, 1);
        let stop = give(libc::SECCOMP_RET_TRACE);
        // Calls that are numbered otherwise are told apart when they have stopped.
        let mut code = vec![
            load(ARCHITECTURE),
            one(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, X86_64, 1, 0),
            stop,
            load(NUMBER),
        ];
        code.extend(numbers.iter().flat_map(|number| [skip_unless(*number), stop]));
        code.push(give(libc::SECCOMP_RET_ALLOW));
        if code.len() > MOST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "these are too many system calls for a filter",
            ));
        }
        Ok(Self { numbers: numbers.to_vec(), code })
    }

    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Has the calling thread filtered from now on, and all that it makes. Allocates nothing.
    pub(super) fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: self.code.len() as u16, filter: self.code.as_ptr().cast_mut() };
        // SAFETY: the instructions outlive the calls, and are only read.
        let result = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, SPECULATES, &raw const program)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
