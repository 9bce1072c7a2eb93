//! Ctrl-C as an event: `man 2 sigaction`.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

use super::{LiveError, epoll::Bell};

/// What the handler writes to.
static DESCRIPTOR: AtomicI32 = AtomicI32::new(-1);

/// Keeps that descriptor open.
static BELL: Mutex<Option<Arc<Bell>>> = Mutex::new(None);

/// Whether one of the signals came.
static CAME: AtomicBool = AtomicBool::new(false);

/// Called by the kernel at any moment: nothing but a system call is allowed here (`man 7 signal-safety`).
extern "C" fn ring(_signal: i32) {
    CAME.store(true, Ordering::Relaxed);
    if DESCRIPTOR.load(Ordering::Relaxed) < 0 {
        return;
    }
    let one = 1u64.to_ne_bytes();
    // SAFETY: `one` outlives the call, and `errno` is put back for whoever was interrupted.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(DESCRIPTOR.load(Ordering::Relaxed), one.as_ptr().cast(), one.len());
        *errno = before;
    }
}

/// The next `SIGINT` and the next `SIGTERM` ring this bell; those after them do what they usually do.
pub(crate) fn ring_on_interrupt(bell: Arc<Bell>) -> io::Result<()> {
    let mut kept = BELL.lock().unwrap_or_else(PoisonError::into_inner);
    DESCRIPTOR.store(bell.as_fd().as_raw_fd(), Ordering::Relaxed);
    *kept = Some(bell);
    handle()
}

/// What becomes true with the next `SIGINT` or `SIGTERM`; those after them do what they usually do. Nothing is woken by them: who
/// works looks at it from time to time.
///
/// # Errors
/// When the system does not let us handle them.
pub fn interrupts() -> Result<&'static AtomicBool, LiveError> {
    handle().map_err(LiveError::Events)?;
    Ok(&CAME)
}

fn handle() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: zeros are a value of all its fields: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = ring as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
        // SAFETY: `action` outlives the call, and its handler does nothing that is forbidden.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// From now on, a file that grows beyond what this program may write (`RLIMIT_FSIZE`) is an error of the write, and does not
/// end the program.
pub fn report_file_size_limit() {
    // SAFETY: it takes two numbers.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
