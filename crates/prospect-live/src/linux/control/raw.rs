//! The system calls of the tracer process, each made safe. `man 2 ptrace`, `man 2 waitpid`.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    time::Duration,
};

use prospect_process::ThreadId;

use crate::linux::ptrace;

/// What has become of a tracee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// It stands: the signal, and the number of the event (`PTRACE_EVENT_…`), 0 for none.
    Stopped { signal: i32, event: i32 },
    /// It has ended by itself.
    Exited(i32),
    /// A signal has ended it.
    Signalled(i32),
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// How a thread is to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Run {
    /// Until something stops it.
    On,
    /// Until it enters or leaves a system call.
    ToCall,
    /// One instruction.
    Step,
}

/// Lets a stopped thread run, with the signal that it is to get (0: none).
pub(super) fn run(thread: u32, how: Run, signal: i32) -> io::Result<()> {
    let thread = ThreadId(thread);
    match how {
        Run::On => ptrace::resume(thread, signal),
        Run::ToCall => ptrace::resume_to_call(thread, signal),
        Run::Step => ptrace::single_step(thread, signal),
    }
}

/// What the kernel says besides of the event that a thread stands at.
pub(super) fn event_message(thread: u32) -> io::Result<u32> {
    let mut message: libc::c_ulong = 0;
    let pid = thread.cast_signed();
    // SAFETY: `message` outlives the call, which fills it.
    checked(unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0usize, &raw mut message) })?;
    Ok(message as u32)
}

/// Replaces a set of registers, by the number of its note.
pub(super) fn set_register_set(thread: u32, note: u32, bytes: &[u8]) -> io::Result<()> {
    let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let pid = thread.cast_signed();
    // SAFETY: `vector` describes `bytes`, which are only read; both outlive the call.
    checked(unsafe { libc::ptrace(libc::PTRACE_SETREGSET, pid, note as usize, &raw mut vector) }).map(drop)
}

/// News of any tracee or child; `None` when there is none now, or a signal came first.
///
/// # Errors
/// When there is nobody to wait for.
pub(super) fn wait_any(block: bool) -> io::Result<Option<(u32, Status)>> {
    let mut status = 0;
    let flags = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    // SAFETY: `status` outlives the call.
    let who = unsafe { libc::waitpid(-1, &raw mut status, flags) };
    match who {
        0 => Ok(None),
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINTR) => Ok(None),
            error => Err(error),
        },
        _ => Ok(Some((who.cast_unsigned(), decoded(status)))),
    }
}

/// News of one; waits for it until a signal comes, and is `None` then. Who is gone has ended.
pub(super) fn wait_for(thread: u32) -> Option<Status> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let who = unsafe { libc::waitpid(thread.cast_signed(), &raw mut status, libc::__WALL) };
    match who {
        0 => None,
        -1 if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => None,
        -1 => Some(Status::Exited(0)),
        _ => Some(decoded(status)),
    }
}

fn decoded(status: i32) -> Status {
    if libc::WIFSTOPPED(status) {
        Status::Stopped { signal: libc::WSTOPSIG(status), event: status >> 16 }
    } else if libc::WIFSIGNALED(status) {
        Status::Signalled(libc::WTERMSIG(status))
    } else {
        Status::Exited(libc::WEXITSTATUS(status))
    }
}

/// Sends a signal to a process.
pub(super) fn kill(process: u32, signal: i32) -> io::Result<()> {
    // SAFETY: it takes two numbers.
    checked(libc::c_long::from(unsafe { libc::kill(process.cast_signed(), signal) })).map(drop)
}

/// Sends a signal to a thread.
pub(super) fn kill_thread(process: u32, thread: u32, signal: i32) -> io::Result<()> {
    let (process, thread) = (process.cast_signed(), thread.cast_signed());
    // SAFETY: it takes three numbers.
    checked(unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) }).map(drop)
}

/// Makes a process that goes on with the caller's memory: its number, or `None` in the new one. Of the new process's
/// threads only the calling one is there; the C library keeps its allocator usable in it.
pub(super) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: what is done in the new process does not rely on other threads: see `tracer`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        made => Ok(Some(made.cast_unsigned())),
    }
}

/// Ends the calling process, and nothing of what a program does at its end.
pub(super) fn exit(status: i32) -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(status) }
}

/// Waits for a child that has ended or is about to.
pub(super) fn reap(process: u32) {
    // SAFETY: a null pointer is taken as "no status, please".
    while unsafe { libc::waitpid(process.cast_signed(), ptr::null_mut(), libc::__WALL) } == -1
        && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
    {}
}

/// Whether a child has ended; it is waited for then.
pub(super) fn has_ended(process: u32) -> bool {
    // SAFETY: the same.
    unsafe { libc::waitpid(process.cast_signed(), ptr::null_mut(), libc::__WALL | libc::WNOHANG) != 0 }
}

/// A set of signals.
#[derive(Clone, Copy)]
pub(super) struct SignalSet(libc::sigset_t);

/// Blocks all signals of the calling thread but those that wake a tracer, and returns those that were blocked before.
pub(super) fn block_signals() -> SignalSet {
    // SAFETY: sets are written before they are read.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        for wakes in [libc::SIGIO, libc::SIGALRM] {
            libc::sigdelset(&raw mut all, wakes);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        SignalSet(before)
    }
}

/// Has the calling thread block these and no others.
pub(super) fn restore_signals(set: &SignalSet) {
    // SAFETY: the set outlives the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set.0, ptr::null_mut()) };
}

/// Does nothing: it is there to interrupt a wait.
extern "C" fn awaken(_signal: libc::c_int) {}

/// Has waits of this process end when something comes from a descriptor (`SIGIO`), and every so often (`SIGALRM`): a signal that comes just before
/// a wait begins does not interrupt it.
pub(super) fn wake_waits(descriptor: &impl AsRawFd, tick: Duration) {
    let descriptor = descriptor.as_raw_fd();
    let every =
        libc::timeval { tv_sec: 0, tv_usec: libc::suseconds_t::from(tick.subsec_micros().cast_signed()) };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the structures outlive the calls; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = awaken as extern "C" fn(libc::c_int) as usize;
        for signal in [libc::SIGIO, libc::SIGALRM] {
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::fcntl(descriptor, libc::F_SETOWN, libc::getpid());
        let flags = libc::fcntl(descriptor, libc::F_GETFL);
        libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_ASYNC | libc::O_NONBLOCK);
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut());
    }
}

/// Leaves the process group of the program, so that what ends that as a group does not end this; returns its number.
pub(super) fn leave_group() -> u32 {
    // SAFETY: they take numbers.
    unsafe {
        let group = libc::getpgrp();
        libc::setpgid(0, 0);
        group.cast_unsigned()
    }
}

/// Has the calling process be of a process group, for whoever reads from a terminal must be of that which it belongs to.
pub(super) fn join_group(group: u32) {
    // SAFETY: it takes two numbers.
    unsafe { libc::setpgid(0, group.cast_signed()) };
}

/// Names the calling process.
pub(super) fn become_tracer(name: &CStr) {
    // SAFETY: the name outlives the call; the others take numbers.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
    }
}

/// Closes all descriptors from 3 on but these. Who else used them is not in this process.
pub(super) fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<u32> = kept.iter().map(|kept| kept.cast_unsigned()).collect();
    kept.sort_unstable();
    let mut first: u32 = 3;
    for last in kept.into_iter().chain([u32::MAX]) {
        let end = if last == u32::MAX { last } else { last.saturating_sub(1) };
        // SAFETY: nobody in this process uses them.
        if first <= end && unsafe { libc::syscall(libc::SYS_close_range, first, end, 0) } != 0 {
            for descriptor in first..=end.min(1 << 16) {
                // SAFETY: the same.
                unsafe { libc::close(descriptor.cast_signed()) };
            }
        }
        first = first.max(last.saturating_add(1));
    }
}

/// Waits until something can be read, or the other end is closed, or for so long. Whether there is something.
pub(super) fn poll(descriptor: &impl AsRawFd, most: Option<Duration>) -> bool {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let most = most.map_or(-1, |most| i32::try_from(most.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
    // SAFETY: `poll` is one element, and outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, most) == 1 }
}

/// Processors that a thread may run on: a bit for each. `man 2 sched_setaffinity`.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, Debug)]
pub(super) struct Processors([u64; 16]);

impl Processors {
    /// Those of a thread; 0 is the calling one.
    ///
    /// # Errors
    /// When there is no such thread; on a machine of more processors than there is room for.
    pub(super) fn of(thread: u32) -> io::Result<Self> {
        let mut bits = [0; 16];
        let room = size_of_val(&bits);
        let pid = thread.cast_signed();
        // SAFETY: there is as much room as is said, and it outlives the call.
        let result = unsafe { libc::sched_getaffinity(pid, room, bits.as_mut_ptr().cast()) };
        checked(result.into()).map(|_| Self(bits))
    }

    /// One alone.
    pub(super) fn one(processor: usize) -> Option<Self> {
        let mut bits = [0; 16];
        *bits.get_mut(processor / 64)? = 1 << (processor % 64);
        Some(Self(bits))
    }

    pub(super) fn has(&self, processor: usize) -> bool {
        self.0.get(processor / 64).is_some_and(|bits| bits >> (processor % 64) & 1 == 1)
    }

    /// Has a thread run there; 0 is the calling one.
    ///
    /// # Errors
    /// When there is no such thread, or the system refuses.
    pub(super) fn give(&self, thread: u32) -> io::Result<()> {
        let bits = self.0.as_ptr().cast();
        // SAFETY: there are as many bytes as is said, they are only read, and they outlive the call.
        let result = unsafe { libc::sched_setaffinity(thread.cast_signed(), size_of_val(&self.0), bits) };
        checked(result.into()).map(drop)
    }
}

/// Has the calling process run on one processor, or on those that it may.
pub(super) fn run_on(processor: Option<usize>, allowed: Option<&Processors>) -> io::Result<()> {
    let one = processor.and_then(Processors::one);
    one.as_ref().or(allowed).ok_or(io::ErrorKind::Unsupported)?.give(0)
}

/// A file in memory, closed when a program is executed. `man 2 memfd_create`.
pub(super) fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the name outlives the call.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    checked(descriptor.into())?;
    // SAFETY: it is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }.into())
}

/// A pipe, closed when a program is executed.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two numbers.
    checked(libc::c_long::from(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    // SAFETY: they are new, and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Waits until something can be written, or the other end is closed.
pub(super) fn poll_for_room(descriptor: &impl AsRawFd) {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: `poll` is one element, and outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, 1000) };
}

/// Sends bytes. A closed end is an error and no signal.
pub(super) fn send(descriptor: &impl AsRawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: `bytes` are only read, within their length.
    let sent =
        unsafe { libc::send(descriptor.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Waits until the other end of a pipe is closed.
pub(super) fn await_end(end: &OwnedFd) {
    let mut byte = 0u8;
    // SAFETY: there is room for one byte.
    while unsafe { libc::read(end.as_raw_fd(), (&raw mut byte).cast(), 1) } == -1
        && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
    {}
}

/// Writes bytes to a pipe, as many as it takes.
pub(super) fn tell(end: &OwnedFd, bytes: &[u8]) {
    // SAFETY: `bytes` are only read, within their length.
    unsafe { libc::write(end.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
}

/// Reads what is in a pipe until its other end is closed, four bytes at most: a number, if there are four.
pub(super) fn told(end: &OwnedFd) -> Option<i32> {
    let mut bytes = [0u8; 4];
    loop {
        // SAFETY: there is room for four bytes.
        let read = unsafe { libc::read(end.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
        if read != -1 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return (read == 4).then(|| i32::from_ne_bytes(bytes));
        }
    }
}

/// A new terminal: the side that programs write to a user at, and theirs.
pub(super) fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let unlocked = 0;
    // SAFETY: the path ends with a NUL, the kernel reads one number, and the descriptors that it makes belong to nobody else.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let ours = OwnedFd::from_raw_fd(checked(libc::open(c"/dev/ptmx".as_ptr(), flags).into())? as RawFd);
        checked(libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked).into())?;
        let theirs = checked(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags).into())?;
        Ok((ours, OwnedFd::from_raw_fd(theirs as RawFd)))
    }
}

/// Begins a session, with this terminal if it is one.
pub(super) fn begin_session(terminal: Option<RawFd>) {
    // SAFETY: there are no pointers. That it is no terminal is no error.
    unsafe {
        libc::setsid();
        if let Some(terminal) = terminal {
            libc::ioctl(terminal, libc::TIOCSCTTY, 0);
        }
    }
}

/// Makes the calling process another program; returns when that is not possible. Nothing is allocated but a list of pointers.
pub(super) fn execute(
    paths: &[CString],
    arguments: &[CString],
    environment: &[CString],
    working_directory: Option<&CStr>,
    streams: &[Option<RawFd>],
    random_addresses: bool,
    signals: &SignalSet,
) {
    let list = |texts: &[CString]| {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<*const libc::c_char>>()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    // SAFETY: all texts end with a NUL, all lists with a null pointer, and they outlive the calls.
    unsafe {
        for (stream, descriptor) in (0..).zip(streams) {
            if let Some(descriptor) = descriptor
                && libc::dup2(*descriptor, stream) == -1
            {
                return;
            }
        }
        if working_directory.is_some_and(|directory| libc::chdir(directory.as_ptr()) != 0) {
            return;
        }
        if !random_addresses {
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
        }
        for signal in [libc::SIGIO, libc::SIGALRM, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_DFL);
        }
        let off: libc::itimerval = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_REAL, &raw const off, ptr::null_mut());
        restore_signals(signals);
        let mut refused = libc::ENOENT;
        for path in paths {
            libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                Some(libc::EACCES) => refused = libc::EACCES,
                _ => return,
            }
        }
        *libc::__errno_location() = refused;
    }
}

/// Replaces the `siginfo_t` that a thread stands with.
pub(super) fn set_signal_info(thread: u32, info: &[u8; 128]) -> io::Result<()> {
    let pid = thread.cast_signed();
    // SAFETY: there are as many bytes as the kernel reads.
    checked(unsafe { libc::ptrace(libc::PTRACE_SETSIGINFO, pid, 0usize, info.as_ptr()) }).map(drop)
}

/// What a thread is at that stands at a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Entry { number: u64, arguments: [u64; 6] },
    Exit { result: i64 },
}

/// `PTRACE_GET_SYSCALL_INFO`, Linux 5.3. At a stop by a filter it says the same as at the beginning of a call.
pub(super) fn call(thread: u32) -> io::Result<Option<Call>> {
    /// `struct ptrace_syscall_info` of `include/uapi/linux/ptrace.h`, in words: operation and architecture; instruction; stack; and what
    /// depends on the operation.
    const GET: libc::c_uint = 0x420e;
    let mut words = [0u64; 11];
    let pid = thread.cast_signed();
    // SAFETY: the call is told how many bytes there are, and they outlive it.
    checked(unsafe { libc::ptrace(GET, pid, size_of_val(&words), words.as_mut_ptr()) })?;
    Ok(match words[0] as u8 {
        1 | 3 => Some(Call::Entry {
            number: words[3],
            arguments: [words[4], words[5], words[6], words[7], words[8], words[9]],
        }),
        2 => Some(Call::Exit { result: words[3].cast_signed() }),
        _ => None,
    })
}

/// `si_code` of a `siginfo_t`.
pub(super) fn signal_code(info: &[u8; 128]) -> i32 {
    i32::from_ne_bytes([info[8], info[9], info[10], info[11]])
}

/// Ends a connection in both directions.
pub(super) fn hang_up(descriptor: RawFd) {
    // SAFETY: it takes two numbers.
    unsafe { libc::shutdown(descriptor, libc::SHUT_RDWR) };
}

/// A descriptor that lives as long as its owner.
pub(super) fn borrow<T>(descriptor: RawFd, _owner: &T) -> BorrowedFd<'_> {
    // SAFETY: the caller names who keeps it open.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}
