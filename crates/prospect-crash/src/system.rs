//! The system calls of the handler, each made safe. All of them may be used in a signal handler, and none sets `errno` for good.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// An error number as the kernel gives it (`man 3 errno`).
pub(crate) type Errno = i32;

/// Keeps the calling thread's `errno` as it was, until dropped.
pub(crate) struct KeptErrno(Errno);

impl KeptErrno {
    pub(crate) fn new() -> Self {
        Self(errno())
    }
}

impl Drop for KeptErrno {
    fn drop(&mut self) {
        // SAFETY: it is the calling thread's own variable.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

fn errno() -> Errno {
    // SAFETY: it is the calling thread's own variable.
    unsafe { *libc::__errno_location() }
}

/// The calling thread's number.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: it takes no argument.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// A moment of the clock that only goes forward, as a time since its beginning (`CLOCK_MONOTONIC`).
pub(crate) fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it is written into a value of its type.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Whether this process has a thread of that number.
pub(crate) fn has_thread(thread: u32) -> bool {
    // SAFETY: it takes numbers. Signal 0 is not sent; it is only found out whether it could be (`man 2 tgkill`).
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.cast_signed(), 0) != -1 }
}

/// Does nothing for a while.
pub(crate) fn pause(time: Duration) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(time.subsec_nanos().cast_signed()) };
    // SAFETY: it outlives the call, which may end early.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}

/// Sends a packet without waiting. Who does not listen any more is an error, and no signal.
pub(crate) fn send(socket: i32, bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: the bytes outlive the call.
    let sent = unsafe {
        libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    };
    if sent == -1 { Err(errno()) } else { Ok(()) }
}

/// Receives a packet without waiting; says how long it is. 0: the other side has gone.
pub(crate) fn receive(socket: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    receive_with(socket, buffer, 0)
}

/// The same, and leaves the packet there.
pub(crate) fn peek(socket: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    receive_with(socket, buffer, libc::MSG_PEEK)
}

fn receive_with(socket: i32, buffer: &mut [u8], flags: i32) -> Result<usize, Errno> {
    // SAFETY: the buffer is written within its length.
    let received =
        unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT | flags) };
    usize::try_from(received).map_err(|_| errno())
}

/// Waits until `events` are there, the other side has gone, or it is `deadline`; says whether it was the last.
pub(crate) fn is_late(socket: i32, events: i16, deadline: Duration) -> bool {
    loop {
        let left = deadline.saturating_sub(now());
        if left.is_zero() {
            return true;
        }
        let milliseconds = left.as_millis().saturating_add(1).min(i32::MAX as u128) as i32;
        let mut one = libc::pollfd { fd: socket, events, revents: 0 };
        // SAFETY: it is written into a value of its type.
        match unsafe { libc::poll(&raw mut one, 1, milliseconds) } {
            0 => {}
            -1 if errno() == libc::EINTR => {}
            _ => return false,
        }
    }
}

/// Lets a process look into this one, where only parents may (`PR_SET_PTRACER`, the kernel's
/// `Documentation/admin-guide/LSM/Yama.rst`). Where there is no such rule, it fails, and nothing is lost.
pub(crate) fn let_look(process: u32) {
    // SAFETY: it takes numbers.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::from(process), 0, 0, 0) };
}

/// Waits until `word` is not `seen` any more, at most until `deadline`, or a little less.
pub(crate) fn wait(word: &AtomicU32, seen: u32, deadline: Duration) {
    let left = deadline.saturating_sub(now());
    let timeout = libc::timespec {
        tv_sec: left.as_secs().try_into().unwrap_or(i32::MAX.into()),
        tv_nsec: libc::c_long::from(left.subsec_nanos().cast_signed()),
    };
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: both outlive the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, seen, &raw const timeout) };
}

/// Gives `word` a value, and wakes all who wait for it to change.
pub(crate) fn store_and_wake(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel uses the address only to find who waits.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, libc::c_int::MAX) };
}

/// What a handler is: of the signal, what came with it, what it interrupted.
pub(crate) type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// What happens at a signal now.
pub(crate) fn action(signal: i32) -> Result<libc::sigaction, Errno> {
    // SAFETY: zeros are a valid `sigaction`, which is written.
    unsafe {
        let mut there: libc::sigaction = std::mem::zeroed();
        match libc::sigaction(signal, ptr::null(), &raw mut there) {
            -1 => Err(errno()),
            _ => Ok(there),
        }
    }
}

/// An action that does what the system does when nobody has said anything.
pub(crate) fn default_action() -> libc::sigaction {
    // SAFETY: zeros are a valid `sigaction`, and `SIG_DFL` is zero.
    unsafe { std::mem::zeroed() }
}

/// An action that runs a handler on the thread's alternate stack, with all other signals held back.
pub(crate) fn handling_action(handler: Handler) -> libc::sigaction {
    let mut action = default_action();
    // SAFETY: the set is its own.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    action
}

/// Says what is to happen at a signal.
pub(crate) fn set_action(signal: i32, action: &libc::sigaction) -> Result<(), Errno> {
    // SAFETY: it comes from one of the functions above.
    match unsafe { libc::sigaction(signal, action, ptr::null_mut()) } {
        -1 => Err(errno()),
        _ => Ok(()),
    }
}

/// Sends a signal to the calling thread, with what came with it the first time: it comes when it is not held back any more.
///
/// # Safety
/// `info` is the second argument of the calling signal handler, which was installed with `SA_SIGINFO`.
pub(crate) unsafe fn raise_again(signal: i32, info: *const libc::siginfo_t) {
    // SAFETY: the kernel copies it. A thread may send itself any `si_code` (`do_rt_tgsigqueueinfo` in `kernel/signal.c`).
    unsafe {
        let (process, thread) = (libc::getpid(), libc::syscall(libc::SYS_gettid));
        if libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, signal, info) == -1 {
            libc::syscall(libc::SYS_tgkill, process, thread, signal);
        }
    }
}
