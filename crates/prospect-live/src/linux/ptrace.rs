//! The system calls that hold threads and read them, each made safe. `man 2 ptrace`.
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here and nowhere else")]

use std::io;

use prospect_process::{ProcessId, RegisterSet, ThreadId};

/// Room for the largest general register set (`NT_PRSTATUS`).
pub(crate) const REGISTER_SET_BYTES: usize = 512;

/// Room for what `XSAVE` writes, with the tiles of AMX.
pub(crate) const EXTENDED_SET_BYTES: usize = 16 << 10;

/// `PTRACE_GETSIGMASK` and `PTRACE_SETSIGMASK` of `include/uapi/linux/ptrace.h`.
const GET_SIGNAL_MASK: libc::c_uint = 0x420a;
const SET_SIGNAL_MASK: libc::c_uint = 0x420b;

/// How a thread stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Because of our interrupt.
    Interrupted,
    /// Job control had stopped its process before (`SIGSTOP`, `SIGTSTP`…).
    Group,
    /// A signal was about to be delivered: it must be passed on when the thread is let go.
    Signal(i32),
}

/// At the entry or the exit of a system call (`PTRACE_O_TRACESYSGOOD`).
pub(crate) const CALL_STOP: Stop = Stop::Signal(libc::SIGTRAP | 0x80);

/// What there is to know of a thread that is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// Nothing yet.
    Nothing,
    /// It stands.
    Stopped(Stop),
    /// It has ended, or is not ours any more.
    Ended,
}

fn pid(thread: ThreadId) -> libc::pid_t {
    thread.0.cast_signed()
}

fn request(request: libc::c_uint, thread: ThreadId, data: usize) -> io::Result<()> {
    // SAFETY: these requests take no pointer; `data` is a number to them.
    let result = unsafe { libc::ptrace(request, pid(thread), 0usize, data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Becomes the tracer of a thread without stopping it. It is let go when the calling thread ends,
/// however it ends.
pub(crate) fn seize(thread: ThreadId) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, thread, 0)
}

/// The same with options (`PTRACE_O_…`).
pub(crate) fn seize_with(thread: ThreadId, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, thread, options.cast_unsigned() as usize)
}

/// Other options for a stopped thread.
pub(crate) fn set_options(thread: ThreadId, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SETOPTIONS, thread, options.cast_unsigned() as usize)
}

/// Lets a stopped thread run until something stops it, with the signal that it is to get (0: none).
pub(crate) fn resume(thread: ThreadId, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, thread, signal.cast_unsigned() as usize)
}

/// Lets a stopped thread run until it enters a system call, or leaves the one that it is in: [`CALL_STOP`]. With the signal
/// that it is to get (0: none).
pub(crate) fn resume_to_call(thread: ThreadId, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, thread, signal.cast_unsigned() as usize)
}

/// Replaces the signals that a stopped thread blocks.
pub(crate) fn set_signal_mask(thread: ThreadId, mask: u64) -> io::Result<()> {
    // SAFETY: `mask` has as many bytes as the call is told, and outlives it.
    let result = unsafe { libc::ptrace(SET_SIGNAL_MASK, pid(thread), size_of::<u64>(), &raw const mask) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where a stopped thread has told the kernel to look for its restartable sequence (`man 2 rseq`): the address of its
/// `struct rseq`. Linux 5.13.
pub(crate) fn restartable_sequence(thread: ThreadId) -> Option<u64> {
    /// `PTRACE_GET_RSEQ_CONFIGURATION` of `include/uapi/linux/ptrace.h`.
    const GET: libc::c_uint = 0x420f;
    // `struct ptrace_rseq_configuration`: pointer; size and signature; flags and padding.
    let mut words = [0u64; 3];
    // SAFETY: `words` has as many bytes as the call is told, and outlives it.
    let result = unsafe { libc::ptrace(GET, pid(thread), size_of_val(&words), words.as_mut_ptr()) };
    (result != -1 && words[0] != 0).then_some(words[0])
}

/// Asks a seized thread to stop; it runs no handler for that and no system call fails by it that would
/// not be restarted.
pub(crate) fn interrupt(thread: ThreadId) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, thread, 0)
}

/// Lets a stopped thread go, with the signal that it is to get (0: none).
pub(crate) fn detach(thread: ThreadId, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, thread, signal.cast_unsigned() as usize)
}

/// Whether a thread is one of a process's: `man 2 tgkill`. Signal 0 is not sent; it is only found out whether it could be.
pub(crate) fn is_thread_of(thread: ThreadId, process: ProcessId) -> bool {
    // SAFETY: it takes three numbers.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, process.0.cast_signed(), pid(thread), 0) };
    // Who may not send one is told so only where there is such a thread.
    result != -1 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Lets a stopped thread run one instruction, with the signal that it is to get (0: none).
pub(crate) fn single_step(thread: ThreadId, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SINGLESTEP, thread, signal.cast_unsigned() as usize)
}

/// Leaves a thread of a group-stopped process stopped as job control has it, so that the end of that stop is
/// seen.
pub(crate) fn listen(thread: ThreadId) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, thread, 0)
}

/// Why a stopped thread has its signal: `si_code` of `siginfo_t`.
pub(crate) fn signal_code(thread: ThreadId) -> io::Result<i32> {
    // SAFETY: all zeros is a valid `siginfo_t`, a structure of numbers.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` outlives the call, which fills it.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, pid(thread), 0usize, &raw mut info) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(info.si_code) }
}

/// Whether a stopped thread is about to get a signal of this number that the processor caused, behind the stop that it
/// is in.
pub(crate) fn is_queued(thread: ThreadId, signal: i32) -> bool {
    const MOST: usize = 8;
    // SAFETY: all zeros is a valid `siginfo_t`, a structure of numbers.
    let mut queued: [libc::siginfo_t; MOST] = unsafe { std::mem::zeroed() };
    let arguments = libc::ptrace_peeksiginfo_args { off: 0, flags: 0, nr: MOST as i32 };
    // SAFETY: both outlive the call, which reads the one and fills as many of the other as the first says.
    let count = unsafe {
        libc::ptrace(libc::PTRACE_PEEKSIGINFO, pid(thread), &raw const arguments, queued.as_mut_ptr())
    };
    let count = usize::try_from(count).unwrap_or(0).min(MOST);
    queued[..count].iter().any(|queued| queued.si_signo == signal && queued.si_code > 0)
}

/// What is known of the signal or the event that a thread stands for, in the layout of this machine's own programs.
pub(crate) fn signal_info(thread: ThreadId) -> io::Result<SignalInfo> {
    let mut info = [0u64; SIGNAL_INFO_BYTES / 8];
    // SAFETY: `info` has the size and the alignment of a `siginfo_t`, and outlives the call, which fills it.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, pid(thread), 0usize, info.as_mut_ptr()) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    let mut bytes = [0; SIGNAL_INFO_BYTES];
    for (part, word) in bytes.chunks_exact_mut(8).zip(info) {
        part.copy_from_slice(&word.to_ne_bytes());
    }
    Ok(bytes)
}

/// The size of a `siginfo_t`.
pub(crate) const SIGNAL_INFO_BYTES: usize = 128;

/// A `siginfo_t` as bytes.
pub(crate) type SignalInfo = [u8; SIGNAL_INFO_BYTES];

/// The signals that a stopped thread blocks, a bit for each from 1 on. Of one whose system call has replaced them for as
/// long as it waits (`ppoll`), those that it goes back to.
pub(crate) fn blocked_signals(thread: ThreadId) -> io::Result<u64> {
    let mut mask = 0u64;
    let size = size_of_val(&mask);
    // SAFETY: `mask` has the size that is said, and outlives the call, which fills it.
    let result = unsafe { libc::ptrace(GET_SIGNAL_MASK, pid(thread), size, &raw mut mask) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(mask) }
}

/// The signals that were sent to a stopped thread alone and not delivered yet, a bit for each from 1 on.
pub(crate) fn pending_signals(thread: ThreadId) -> u64 {
    // A thread has one of each signal, and as many of the real-time ones as there is room for: what is behind these is
    // mostly more of the same.
    const MOST: usize = 64;
    // SAFETY: all zeros is a valid `siginfo_t`, a structure of numbers.
    let mut queued: [libc::siginfo_t; MOST] = unsafe { std::mem::zeroed() };
    let arguments = libc::ptrace_peeksiginfo_args { off: 0, flags: 0, nr: MOST as i32 };
    // SAFETY: both outlive the call, which reads the one and fills as many of the other as the first says.
    let count = unsafe {
        libc::ptrace(libc::PTRACE_PEEKSIGINFO, pid(thread), &raw const arguments, queued.as_mut_ptr())
    };
    let count = usize::try_from(count).unwrap_or(0).min(MOST);
    let bits = queued[..count].iter().filter(|info| (1..=64).contains(&info.si_signo));
    bits.fold(0, |all, info| all | 1 << (info.si_signo - 1))
}

/// Replaces the general registers of a stopped thread by such as [`register_set`] has copied.
pub(crate) fn set_register_set(thread: ThreadId, bytes: &mut [u8]) -> io::Result<()> {
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: `vector` describes `bytes`, which outlives the call and is only read.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGSET,
            pid(thread),
            libc::NT_PRSTATUS as usize,
            (&raw mut vector).cast::<libc::c_void>(),
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Copies the general registers of a stopped thread (`NT_PRSTATUS`) and returns how many bytes they
/// take: that says which architecture the thread runs as.
pub(crate) fn register_set(thread: ThreadId, buffer: &mut [u8; REGISTER_SET_BYTES]) -> io::Result<usize> {
    get_register_set(thread, libc::NT_PRSTATUS as usize, buffer)
}

/// Copies other registers of a stopped thread, and returns how many bytes they take.
pub(crate) fn other_register_set(thread: ThreadId, set: RegisterSet, buffer: &mut [u8]) -> io::Result<usize> {
    get_register_set(thread, set.0 as usize, buffer)
}

fn get_register_set(thread: ThreadId, note: usize, buffer: &mut [u8]) -> io::Result<usize> {
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `vector` describes `buffer`, which outlives the call and is written within its length.
    let result = unsafe {
        libc::ptrace(libc::PTRACE_GETREGSET, pid(thread), note, (&raw mut vector).cast::<libc::c_void>())
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(vector.iov_len) }
}

/// Whether a tracee of the calling thread has stopped. Never waits.
pub(crate) fn wait(thread: ThreadId) -> Waited {
    wait_for(pid(thread), libc::WNOHANG).1
}

/// The same, and waits until it has, or a signal interrupts the call.
pub(crate) fn wait_long(thread: ThreadId) -> Waited {
    wait_for(pid(thread), 0).1
}

/// What has happened to any tracee of the calling thread; `None` when nothing has that was not asked for yet. Never
/// waits, and takes no news from whoever else waits for processes in this program.
pub(crate) fn wait_any() -> Option<(ThreadId, Waited)> {
    match wait_for(-1, libc::WNOHANG) {
        (..=0, _) => None,
        (thread, waited) => Some((ThreadId(thread.cast_unsigned()), waited)),
    }
}

fn wait_for(whom: libc::pid_t, flags: libc::c_int) -> (libc::pid_t, Waited) {
    let mut status = 0;
    let flags = flags | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: `status` outlives the call.
    let who = unsafe { libc::waitpid(whom, &raw mut status, flags) };
    let waited = match who {
        0 => Waited::Nothing,
        -1 => match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => Waited::Nothing,
            _ => Waited::Ended,
        },
        _ if libc::WIFSTOPPED(status) => {
            let signal = libc::WSTOPSIG(status);
            Waited::Stopped(match (status >> 16, signal) {
                (libc::PTRACE_EVENT_STOP, libc::SIGTRAP) => Stop::Interrupted,
                (libc::PTRACE_EVENT_STOP, _) => Stop::Group,
                _ => Stop::Signal(signal),
            })
        }
        _ => Waited::Ended,
    };
    (who, waited)
}

/// Asks that the calling thread runs before others: while it works, somebody stands still. Where that is not
/// permitted, nothing changes.
pub(crate) fn hurry() {
    // SAFETY: it takes no pointer. Linux applies it to the calling thread alone (`man 2 setpriority`).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}

/// One part of a read: where, and the buffer.
pub(crate) struct RemoteRead<'a> {
    pub(crate) at: u64,
    pub(crate) buffer: &'a mut [u8],
}

/// As many reads as one system call takes (`IOV_MAX`).
pub(crate) const MOST_READS: usize = 1024;

/// Reads from the memory of the process that `thread` belongs to, in the order of `reads`, and returns
/// how many bytes came: fewer than asked for where something could not be read, and all before it could.
/// `man 2 process_vm_readv`.
pub(crate) fn read_memory(thread: ThreadId, reads: &mut [RemoteRead<'_>]) -> io::Result<usize> {
    let count = reads.len().min(MOST_READS);
    let mut local = Vec::with_capacity(count);
    let mut remote = Vec::with_capacity(count);
    for read in &mut reads[..count] {
        let length = read.buffer.len();
        local.push(libc::iovec { iov_base: read.buffer.as_mut_ptr().cast(), iov_len: length });
        remote.push(libc::iovec { iov_base: read.at as *mut libc::c_void, iov_len: length });
    }
    read_vectors(thread, &local, &remote)
}

/// [`read_memory`] of one range, without an allocation.
pub(crate) fn read_memory_at(thread: ThreadId, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: buffer.len() };
    read_vectors(thread, &[local], &[remote])
}

/// Writes to the memory of the process that `thread` belongs to, where that process itself may write.
/// `man 2 process_vm_writev`.
pub(crate) fn write_memory_at(thread: ThreadId, at: u64, bytes: &[u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: `local` describes `bytes`, which are only read; the remote address is only checked by the kernel.
    let written =
        unsafe { libc::process_vm_writev(pid(thread), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// The local vectors must describe buffers that are exclusively the caller's.
fn read_vectors(thread: ThreadId, local: &[libc::iovec], remote: &[libc::iovec]) -> io::Result<usize> {
    // SAFETY: the callers in this file made `local` from exclusive borrows that outlive the call; the
    // remote addresses are not ours and are only checked by the kernel.
    let read = unsafe {
        libc::process_vm_readv(
            pid(thread),
            local.as_ptr(),
            local.len() as libc::c_ulong,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}
