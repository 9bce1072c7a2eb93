//! Waiting for several descriptors at once: `man 7 epoll`, and `man 2 eventfd` to be woken.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

/// As many answers as one call gives.
const AT_ONCE: usize = 64;

fn owned(descriptor: i32) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the callers have it from a call that made it for them.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A set of descriptors that is waited for.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: it takes a number and returns a new descriptor, or -1.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    /// Waits for `descriptor` to become readable too; `key` says so then.
    pub(crate) fn add(&self, descriptor: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: key };
        self.control(libc::EPOLL_CTL_ADD, descriptor, &raw mut event)
    }

    pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, descriptor, std::ptr::null_mut())
    }

    fn control(&self, what: i32, of: BorrowedFd<'_>, event: *mut libc::epoll_event) -> io::Result<()> {
        // SAFETY: `event` is null where nothing is read from it, or outlives the call.
        let result = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, of.as_raw_fd(), event) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The keys of what is readable, some of them when there are many. Waits for the first one as long as `timeout`
    /// says, without one for ever, and returns early when a signal was handled.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<u64>> {
        // Rounded up, so that whoever waits for the rest does not turn in circles.
        let whole = |timeout: Duration| {
            let up = timeout.as_nanos().div_ceil(1_000_000);
            i32::try_from(up).unwrap_or(i32::MAX)
        };
        let milliseconds = timeout.map_or(-1, whole);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
        // SAFETY: there is room for as many as it is told, and it outlives the call.
        let count = unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), AT_ONCE as i32, milliseconds)
        };
        match usize::try_from(count) {
            Ok(count) => Ok(events[..count].iter().map(|event| event.u64).collect()),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
                error => Err(error),
            },
        }
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Something that can be made readable, from any thread.
#[derive(Debug)]
pub(crate) struct Bell(File);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: it takes two numbers and returns a new descriptor, or -1.
        let descriptor = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        Ok(Self(descriptor.into()))
    }

    /// Makes it readable until it is answered.
    pub(crate) fn ring(&self) {
        // It can fail only when it was rung 2⁶⁴ times and is readable anyway.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes it unreadable, and says whether it was readable.
    pub(crate) fn answer(&self) -> bool {
        (&self.0).read(&mut [0; 8]).is_ok()
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
