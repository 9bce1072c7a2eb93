//! What a process that was forked from a program of many threads may do: system calls, and nothing that allocates memory
//! or takes a lock (`man 7 signal-safety`).
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    fmt::{self, Write as _},
    io,
    os::fd::RawFd,
    ptr,
    time::{Duration, Instant},
};

use prospect_process::{ProcessId, ThreadId};

/// A path in `/proc`, with a NUL behind it.
pub(super) struct Path {
    bytes: [u8; 64],
    length: usize,
}

impl Path {
    /// `None` when it is too long.
    pub(super) fn new(path: fmt::Arguments<'_>) -> Option<Self> {
        let mut new = Self { bytes: [0; 64], length: 0 };
        new.write_fmt(path).ok()?;
        Some(new)
    }
}

impl fmt::Write for Path {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.checked_add(text.len()).filter(|end| *end < 64).ok_or(fmt::Error)?;
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

fn with_open<T>(path: &Path, flags: i32, read: impl FnOnce(RawFd) -> Option<T>) -> Option<T> {
    // SAFETY: the path ends with a NUL, and outlives the call.
    let descriptor =
        unsafe { libc::open(path.bytes.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC | flags) };
    if descriptor < 0 {
        return None;
    }
    let result = read(descriptor);
    // SAFETY: it is ours.
    unsafe { libc::close(descriptor) };
    result
}

/// The start of a file.
pub(super) fn read_file<'a>(path: &Path, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = with_open(path, 0, |descriptor| {
        // SAFETY: the buffer is as long as said, and outlives the call.
        let read = unsafe { libc::read(descriptor, buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(read).ok()
    })?;
    buffer.get(..length)
}

/// The threads of a process, as many as there is room for; says how many there are in `threads`.
pub(super) fn threads(process: ProcessId, threads: &mut [ThreadId]) -> usize {
    let Some(path) = Path::new(format_args!("/proc/{process}/task")) else { return 0 };
    let mut found = 0;
    with_open(&path, libc::O_DIRECTORY, |descriptor| {
        let mut buffer = [0u8; 4096];
        loop {
            // SAFETY: the buffer is as long as said, and outlives the call.
            let read =
                unsafe { libc::syscall(libc::SYS_getdents64, descriptor, buffer.as_mut_ptr(), buffer.len()) };
            let mut entries = buffer.get(..usize::try_from(read).unwrap_or(0)).unwrap_or_default();
            if entries.is_empty() {
                return Some(());
            }
            // `struct linux_dirent64`: number, offset, u16 length of the entry, a byte, and the name with a NUL.
            while let Some((length, name)) = entries.get(16..18).zip(entries.get(19..)) {
                let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                if let (Some(id), Some(room)) = (leading_number(name), threads.get_mut(found)) {
                    *room = ThreadId(id);
                    found += 1;
                }
                entries = entries.get(length.max(19)..).unwrap_or_default();
            }
        }
    });
    found
}

/// The decimal number at the start of some text.
pub(super) fn leading_number(text: &[u8]) -> Option<u32> {
    let mut digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let mut any = false;
    digits
        .try_fold(0u32, |number, digit| {
            any = true;
            number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
        })
        .filter(|_| any)
}

/// Waits until a tracee or child of this process has news, or for so long. Its signals must be blocked, so that none is
/// lost between looking and waiting.
pub(super) fn await_news(most: Duration) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(most.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(most.subsec_nanos().cast_signed()),
    };
    // SAFETY: the set is written before it is read; set and time outlive the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const time);
    }
}

/// How long is left until then; a second where there is no end.
pub(super) fn left(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::from_secs(1), |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// Ends a process at once.
pub(super) fn kill(process: ProcessId) {
    // SAFETY: it takes two numbers.
    unsafe { libc::kill(process.0.cast_signed(), libc::SIGKILL) };
}

/// Waits until something can be read from one of the descriptors or it is closed at its other end, for so long at most.
/// Says of which; negative ones are left out.
pub(super) fn poll<const N: usize>(descriptors: [RawFd; N], most: Duration) -> [bool; N] {
    let mut polled = descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // Rounded up: a wait of nothing would spin.
    let most = i32::try_from(most.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: there are as many as said, and they outlive the call.
    unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, most) };
    polled.map(|one| one.revents != 0)
}

/// Leaves all that a new process has of the one that it was forked from, but these descriptors, which are sorted.
pub(super) fn leave_everything_but(kept: &[RawFd]) {
    // SAFETY: numbers, or pointers to what outlives the calls. Descriptors that are closed here are used by nobody.
    unsafe {
        // No session of its own: Linux gives each its share of the processor (`man 7 sched`, "The autogroup feature"), and
        // a new one was seen to wait for seconds where many are busy.
        libc::setpgid(0, 0);
        libc::prctl(libc::PR_SET_NAME, c"snapshot-guard".as_ptr());
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::chdir(c"/".as_ptr());
        let mut first: u32 = 0;
        for last in kept.iter().map(|kept| kept.cast_unsigned()).chain([u32::MAX]) {
            if let Some(end) = last.checked_sub(1).filter(|end| *end >= first) {
                close_range(first, end);
            }
            first = last.saturating_add(1);
        }
    }
}

/// Closes descriptors, one by one before Linux 5.9.
fn close_range(first: u32, last: u32) {
    // SAFETY: it takes three numbers.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    for descriptor in first..=last.min(1 << 16) {
        // SAFETY: see the caller.
        unsafe { libc::close(descriptor.cast_signed()) };
    }
}

/// Forks without telling the C library, whose handlers are for programs that go on: in the new process only what this
/// file says is permitted. Its end is announced to nobody and seen by nobody who does not ask for it (`__WALL`). All of
/// its signals are blocked. `None` in the new process.
///
/// # Errors
/// When there is none.
pub(super) fn fork() -> io::Result<Option<ProcessId>> {
    // SAFETY: sets are written before they are read. With all flags zero it is a plain fork, without a stack or pointers.
    let (made, error) = unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let made = libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0);
        if made == 0 {
            return Ok(None);
        }
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        (made, error)
    };
    u32::try_from(made).map(|made| Some(ProcessId(made))).map_err(|_| error)
}

/// Whether a process that [`fork`] has made is no more: it is waited for, and this does not wait.
pub(super) fn has_ended(process: ProcessId) -> bool {
    let flags = libc::__WALL | libc::WNOHANG;
    // SAFETY: a null pointer is taken as "no status, please".
    unsafe { libc::waitpid(process.0.cast_signed(), ptr::null_mut(), flags) != 0 }
}

/// Ends the calling process, and nothing of what a program does at its end.
pub(super) fn exit() -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(0) }
}
