//! A process by descriptor, which never comes to mean another one: `man 2 pidfd_open`.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use prospect_process::ProcessId;

/// Says how a process ended, once its parent has waited for it (Linux 6.15; `include/uapi/linux/pidfd.h`):
/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;
/// `PIDFD_INFO_EXIT`.
const INFO_EXIT: u64 = 1 << 3;

/// The first version of `struct pidfd_info`, 64 bytes. Newer kernels fill as much as there is room for.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    control_group: u64,
    numbers: [u32; 11],
    exit_code: i32,
}

/// A descriptor of a process.
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

impl PidFd {
    /// The descriptor of the process that has this number now. Linux 5.3.
    pub(crate) fn open(process: ProcessId) -> io::Result<Self> {
        // SAFETY: it takes two numbers, and returns a new descriptor that is ours, or -1.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_open, process.0.cast_signed(), 0) };
        let descriptor = i32::try_from(result).ok().filter(|descriptor| *descriptor >= 0);
        let descriptor = descriptor.ok_or_else(io::Error::last_os_error)?;
        // SAFETY: see above: nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Whether all threads of the process have ended; it may be a zombie still.
    pub(crate) fn has_ended(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `poll` is one element, and outlives the call, which does not wait.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// Sends a signal to the process. Linux 5.1.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the kernel takes a null pointer as "no more to say than `kill` would".
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, no_info, 0) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// How a child of this program ended, as `wait` reports it, which can still be waited for afterwards: `None` when it
    /// is no child, or was waited for already. Linux 5.4.
    pub(crate) fn status_of_child(&self) -> Option<i32> {
        // SAFETY: all of it is numbers, for which 0 is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let id = self.0.as_raw_fd().cast_unsigned();
        // SAFETY: `info` outlives the call.
        let result = unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, flags) };
        if result == -1 {
            return None;
        }
        // SAFETY: `waitid` has filled these, or left zeros where there was nothing to say.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        match info.si_code {
            _ if pid == 0 => None,
            libc::CLD_EXITED => Some((status & 0xff) << 8),
            libc::CLD_KILLED => Some(status & 0x7f),
            libc::CLD_DUMPED => Some(status & 0x7f | 0x80),
            _ => None,
        }
    }

    /// How a process ended that its parent has waited for, as `wait` reports it; `None` where the kernel does not say.
    pub(crate) fn status_of_gone(&self) -> Option<i32> {
        let mut info = Info { mask: INFO_EXIT, ..Info::default() };
        // SAFETY: the number of the request says how long `info` is, which outlives the call.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), GET_INFO, &raw mut info) };
        (result == 0 && info.mask & INFO_EXIT != 0).then_some(info.exit_code)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends a signal by number: for kernels without descriptors of processes.
pub(crate) fn signal_by_number(process: ProcessId, signal: i32) -> io::Result<()> {
    // SAFETY: it takes two numbers.
    let result = unsafe { libc::kill(process.0.cast_signed(), signal) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
