//! What happens when the process crashes. Everything here may run in a signal handler.
#![expect(unsafe_code, reason = "signal handlers are known by their address")]

use std::{
    ffi::c_void,
    ptr,
    sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    signals::{self, NUMBERS, Signals},
    system::{self, Errno, KeptErrno},
    wire::{Reply, Request, SIGNAL_INFO_BYTES},
};

/// How a watcher is reached: what the handler needs of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) socket: i32,
    /// The watcher's process; 0 where it is not known.
    pub(crate) watcher: u32,
    pub(crate) timeout: Duration,
}

/// Where the handler finds it. The socket is the last to be written.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static WATCHER: AtomicU32 = AtomicU32::new(0);
static TIMEOUT: AtomicU64 = AtomicU64::new(0);

/// What happened at each signal before. They are never freed: a handler may be about to look.
static PREVIOUS: [AtomicPtr<libc::sigaction>; NUMBERS.len()] =
    [const { AtomicPtr::new(ptr::null_mut()) }; NUMBERS.len()];

/// The thread that talks to the watcher; 0 for none. With [`CRASHED`], the one whose crash was reported.
static TURN: AtomicU32 = AtomicU32::new(0);

/// No number of a thread is so large (`PID_MAX_LIMIT` is 4 Mi).
const CRASHED: u32 = 1 << 31;

/// How long other threads that crash leave the first one to end the process.
const TO_END: Duration = Duration::from_secs(1);

/// How long a reply to another process is left to it, and how often it is looked whether it has taken it.
const TO_TAKE: Duration = Duration::from_millis(200);
const TURNS_TO_TAKE: Duration = Duration::from_millis(1);

static SEQUENCE: AtomicU32 = AtomicU32::new(0);

/// Why nobody was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Untold {
    /// The thread is telling already, or the process has crashed.
    Busy,
    /// It took too long.
    Late,
    /// The watcher has gone.
    Gone,
    /// The system says so.
    Failed(Errno),
}

/// Whether a handler is installed.
pub(crate) fn is_installed() -> bool {
    SOCKET.load(Ordering::Acquire) != -1
}

/// Handles these signals from now on. What was there is remembered.
pub(crate) fn install(line: Line, signals: Signals) -> Result<(), Errno> {
    WATCHER.store(line.watcher, Ordering::Relaxed);
    let timeout = u64::try_from(line.timeout.as_nanos()).unwrap_or(u64::MAX);
    TIMEOUT.store(timeout, Ordering::Relaxed);
    SOCKET.store(line.socket, Ordering::Release);
    for place in signals.places() {
        let (Some(previous), Some(signal)) = (PREVIOUS.get(place), NUMBERS.get(place)) else { continue };
        previous.store(Box::into_raw(Box::new(system::action(*signal)?)), Ordering::Release);
        system::set_action(*signal, &system::handling_action(on_crash))?;
    }
    Ok(())
}

/// What happened at a signal before.
fn previous(signal: i32) -> libc::sigaction {
    let kept = signals::place(signal).and_then(|place| PREVIOUS.get(place));
    let kept = kept.map_or(ptr::null_mut(), |kept| kept.load(Ordering::Acquire));
    // SAFETY: it was made by `install`, and is never freed.
    unsafe { kept.as_ref() }.copied().unwrap_or_else(system::default_action)
}

/// From now on, all is as if there were no handler here.
fn restore_all() {
    for (signal, kept) in NUMBERS.iter().zip(&PREVIOUS) {
        // SAFETY: it was made by `install`, and is never freed.
        if let Some(previous) = unsafe { kept.load(Ordering::Acquire).as_ref() } {
            let _ = system::set_action(*signal, previous);
        }
    }
}

/// Runs on the thread that crashed, wherever it is.
extern "C" fn on_crash(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let _errno = KeptErrno::new();
    // SAFETY: the second argument of a handler with `SA_SIGINFO`.
    let is_sent = unsafe { info.as_ref() }.is_none_or(|info| info.si_code <= 0);
    let mut previous = previous(signal);
    if previous.sa_sigaction == libc::SIG_IGN {
        if is_sent {
            return;
        }
        // The kernel does not let its own signals be ignored.
        previous = system::default_action();
    }
    let mut signal_info = [0; SIGNAL_INFO_BYTES];
    if !info.is_null() {
        // SAFETY: the kernel has written that many (`copy_siginfo_to_user`).
        unsafe { ptr::copy_nonoverlapping(info.cast::<u8>(), signal_info.as_mut_ptr(), SIGNAL_INFO_BYTES) };
    }
    let line = Line {
        socket: SOCKET.load(Ordering::Acquire),
        watcher: WATCHER.load(Ordering::Relaxed),
        timeout: Duration::from_nanos(TIMEOUT.load(Ordering::Relaxed)),
    };
    let thread = system::thread_id();
    // Whatever comes of it, the process goes on to its end.
    if take_turn(thread, line.timeout, Purpose::Crash).is_some() {
        let _ = tell(line, thread, signal, context as u64, signal_info);
        // No other crash is told. What an earlier handler raises, as `abort` does, is not to need room here for a second one.
        restore_all();
        system::store_and_wake(&TURN, thread | CRASHED);
    }
    let _ = system::set_action(signal, &previous);
    // SAFETY: the second argument of this handler, as it came.
    unsafe { system::raise_again(signal, info) };
}

/// Asks for a dump of a process that did not crash, or goes on after a crash. Says whether it was made.
pub(crate) fn ask(line: Line) -> Result<bool, Untold> {
    let thread = system::thread_id();
    let before = take_turn(thread, line.timeout, Purpose::Demand).ok_or(Untold::Busy)?;
    let told = tell(line, thread, 0, 0, [0; SIGNAL_INFO_BYTES]);
    system::store_and_wake(&TURN, before);
    told
}

/// What the watcher is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Crash,
    Demand,
}

/// Waits until nobody else talks to the watcher, for as long as that may take, and says what the turn was before. Where another
/// thread has crashed, it is waited for the end of the process; when that does not come, an earlier handler has let it go on.
fn take_turn(thread: u32, timeout: Duration, purpose: Purpose) -> Option<u32> {
    let mut deadline = system::now() + timeout + TO_END;
    let mut saw_crash = false;
    let take = |from: u32| TURN.compare_exchange(from, thread, Ordering::AcqRel, Ordering::Acquire);
    loop {
        let seen = match take(0) {
            Ok(before) => return Some(before),
            Err(seen) => seen,
        };
        let (is_own, has_crashed) = (seen & !CRASHED == thread, seen & CRASHED != 0);
        // One that is no thread of this process had its turn when the process was forked.
        let is_stale = !system::has_thread(seen & !CRASHED);
        if is_stale && (!has_crashed || purpose == Purpose::Demand) {
            if let Ok(before) = take(seen) {
                return Some(if has_crashed { before } else { 0 });
            }
            continue;
        }
        if has_crashed && !saw_crash {
            saw_crash = true;
            deadline = deadline.min(system::now() + TO_END);
        }
        if is_own || system::now() >= deadline {
            // Who asks after its own crash is no longer in the handler.
            let lives = has_crashed && purpose == Purpose::Demand;
            return lives.then(|| take(seen).ok()).flatten();
        }
        system::wait(&TURN, seen, deadline);
    }
}

/// Tells the watcher, and waits for its reply.
fn tell(
    line: Line,
    thread: u32,
    signal: i32,
    context: u64,
    signal_info: [u8; SIGNAL_INFO_BYTES],
) -> Result<bool, Untold> {
    let deadline = system::now() + line.timeout;
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let request = Request { sequence, thread, signal, context, signal_info };
    if line.watcher != 0 {
        system::let_look(line.watcher);
    }
    let bytes = request.to_bytes();
    loop {
        match system::send(line.socket, &bytes) {
            Ok(()) => break,
            Err(libc::EINTR) => {}
            Err(libc::EAGAIN) if system::is_late(line.socket, libc::POLLOUT, deadline) => {
                return Err(Untold::Late);
            }
            Err(libc::EAGAIN) => {}
            Err(libc::EPIPE | libc::ECONNRESET) => return Err(Untold::Gone),
            Err(error) => return Err(Untold::Failed(error)),
        }
    }
    let mut buffer = [0; Reply::BYTES];
    let mut left_to_others = Duration::ZERO;
    loop {
        if system::is_late(line.socket, libc::POLLIN, deadline) {
            return Err(Untold::Late);
        }
        // Processes that were forked share the socket: what is for another one is left to it for a while.
        let next = system::peek(line.socket, &mut buffer).ok().and_then(|length| buffer.get(..length));
        let is_others = next
            .and_then(Reply::from_bytes)
            .is_some_and(|reply| reply.thread != thread && !system::has_thread(reply.thread));
        if is_others && left_to_others < TO_TAKE {
            system::pause(TURNS_TO_TAKE);
            left_to_others += TURNS_TO_TAKE;
            continue;
        }
        left_to_others = Duration::ZERO;
        match system::receive(line.socket, &mut buffer) {
            Ok(0) | Err(libc::ECONNRESET) => return Err(Untold::Gone),
            Ok(length) => {
                // A late reply to an earlier request is none to this one.
                let reply = buffer.get(..length).and_then(Reply::from_bytes);
                if let Some(reply) = reply
                    && (reply.sequence, reply.thread) == (sequence, thread)
                {
                    return Ok(reply.is_made);
                }
            }
            Err(libc::EINTR | libc::EAGAIN) => {}
            Err(error) => return Err(Untold::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_of_a_thread_of_another_process_is_none() {
        let gone = std::thread::spawn(system::thread_id).join().unwrap_or_default();
        let own = system::thread_id();
        let left = Duration::from_secs(60);
        for (turn, purpose, before) in [
            (0, Purpose::Crash, Some(0)),
            (gone, Purpose::Crash, Some(0)),
            (gone, Purpose::Demand, Some(0)),
            (gone | CRASHED, Purpose::Demand, Some(gone | CRASHED)),
            (own, Purpose::Demand, None),
            (own, Purpose::Crash, None),
        ] {
            TURN.store(turn, Ordering::Release);
            assert_eq!(take_turn(own, left, purpose), before, "{turn:#x}");
        }
        TURN.store(0, Ordering::Release);
    }
}
