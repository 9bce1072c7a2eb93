//! The system calls on oneself, each made safe. All of them may be used in a signal handler.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{ffi::CStr, sync::atomic::AtomicU32, time::Duration};

use prospect_process::ThreadId;

/// An error number as the kernel gives it (`man 3 errno`).
pub(super) type Errno = i32;

/// Keeps the calling thread's `errno` as it was, until dropped: what a signal has interrupted may be about to read
/// it.
pub(super) struct KeptErrno(Errno);

impl KeptErrno {
    pub(super) fn new() -> Self {
        Self(errno())
    }
}

impl Drop for KeptErrno {
    fn drop(&mut self) {
        // SAFETY: it is the calling thread's own variable.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

/// The calling thread's `errno`.
fn errno() -> Errno {
    // SAFETY: it is the calling thread's own variable.
    unsafe { *libc::__errno_location() }
}

fn result(value: isize) -> Result<usize, Errno> {
    usize::try_from(value).map_err(|_| errno())
}

/// Reads from the calling process's memory up to the first page that cannot be read.
/// `man 2 process_vm_readv`.
pub(super) fn read_call(at: usize, buffer: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: `local` describes `buffer`, which outlives the call; `remote` is only checked by the kernel.
    // The number of the process is asked for each time: after a fork, a kept one would be the parent's.
    result(unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) })
}

/// Whether the eight bytes at `at`, a multiple of eight, can be read; where the kernel does not say, they are taken
/// for readable.
///
/// `rt_sigprocmask` with a `how` that does not exist changes nothing: it copies the new set first, which
/// fails with `EFAULT` where it cannot be read, and refuses `how` then (`kernel/signal.c`).
pub(super) fn is_readable(at: usize) -> bool {
    const NO_SUCH_HOW: libc::c_int = -1;
    const SET_BYTES: usize = 8;
    let no_set: *mut libc::c_void = std::ptr::null_mut();
    // SAFETY: the kernel checks `at`, and writes nothing since there is nowhere to.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, NO_SUCH_HOW, at, no_set, SET_BYTES) };
    result != -1 || errno() != libc::EFAULT
}

/// Reads from a file from `offset` on, opening it for this one read.
pub(super) fn read_file(path: &CStr, offset: usize, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the path ends with its NUL; the descriptor is closed by whom it was opened; the buffer is
    // written within its length.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file == -1 {
            return Err(errno());
        }
        let read =
            result(libc::pread64(file, buffer.as_mut_ptr().cast(), buffer.len(), offset as libc::off64_t));
        libc::close(file);
        read
    }
}

/// The calling thread's number.
pub(super) fn thread_id() -> u32 {
    // SAFETY: it takes no argument. Older C libraries have no function for it.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// The start of a `siginfo_t` of a queued signal (`man 2 sigaction`).
#[repr(C)]
struct QueuedSignal {
    signal: libc::c_int,
    errno: Errno,
    code: libc::c_int,
    sender: Sender,
}

/// A part of its own, as in the kernel: it is aligned as a pointer is.
#[repr(C)]
struct Sender {
    process: libc::pid_t,
    user: libc::uid_t,
    value: usize,
}

/// Queues a signal with a value for a thread of the calling process. `man 2 rt_tgsigqueueinfo`.
pub(super) fn queue(thread: ThreadId, signal: i32, value: usize) -> Result<(), Errno> {
    // SAFETY: zeros are a valid `siginfo_t`, which `QueuedSignal` is the start of; the kernel copies it.
    unsafe {
        let process = libc::getpid();
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let sender = Sender { process, user: libc::getuid(), value };
        let start = QueuedSignal { signal, errno: 0, code: libc::SI_QUEUE, sender };
        (&raw mut info).cast::<QueuedSignal>().write(start);
        let thread = thread.0.cast_signed();
        let sent = libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, signal, &raw const info);
        result(sent as isize).map(drop)
    }
}

/// The value that came with a signal; `None` when it was sent in another way.
///
/// # Safety
/// `info` is the second argument of the calling signal handler, which was installed with `SA_SIGINFO`.
pub(super) unsafe fn queued_value(info: *const libc::siginfo_t) -> Option<usize> {
    // SAFETY: the kernel wrote it; `QueuedSignal` is its start where the code says so.
    unsafe {
        let queued = info.cast::<QueuedSignal>();
        ((*queued).code == libc::SI_QUEUE).then(|| (*queued).sender.value)
    }
}

/// Wakes whoever waits for `word` to change. `man 2 futex`.
pub(super) fn wake(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel uses the address only to find who waits.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, libc::c_int::MAX) };
}

/// Waits until `word` is not `seen`, or somebody wakes us, or a signal does; at most so long.
pub(super) fn wait(word: &AtomicU32, seen: u32, timeout: Duration) {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
    };
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: both outlive the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, seen, &raw const timeout) };
}

/// What a handler is: of the signal, what came with it, what it interrupted.
pub(super) type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

fn action(signal: i32, new: *const libc::sigaction) -> Result<libc::sigaction, Errno> {
    // SAFETY: zeros are a valid `sigaction`; `new` is null or comes from the two functions below, which install
    // handlers of the right kind.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        result(libc::sigaction(signal, new, &raw mut old) as isize).map(|_| old)
    }
}

/// The address of a signal's handler, or `SIG_DFL`, or `SIG_IGN`.
pub(super) fn handler(signal: i32) -> Result<usize, Errno> {
    action(signal, std::ptr::null()).map(|action| action.sa_sigaction)
}

/// Installs a handler, on the thread's alternate stack where it has one, with all other signals held back, and so
/// that system calls go on where they can. Returns what there was before.
pub(super) fn set_handler(signal: i32, handler: Handler) -> Result<libc::sigaction, Errno> {
    // SAFETY: zeros are a valid `sigaction`, and the set is its own.
    let new = unsafe {
        let mut new: libc::sigaction = std::mem::zeroed();
        libc::sigfillset(&raw mut new.sa_mask);
        new.sa_sigaction = handler as *const () as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        new
    };
    action(signal, &raw const new)
}

/// Puts a handler back.
pub(super) fn restore_handler(signal: i32, old: &libc::sigaction) -> Result<(), Errno> {
    action(signal, old).map(drop)
}
