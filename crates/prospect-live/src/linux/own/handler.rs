//! The signal that asks a thread for its registers, and its handler.
#![expect(unsafe_code, reason = "signal handlers are known by their address")]

use std::{
    ffi::c_void,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use prospect_process::ThreadId;

use super::{
    super::LiveError,
    slot,
    system::{self, Errno, KeptErrno},
};

/// How many answers there were, for who waits for one.
static ANSWERS: AtomicU32 = AtomicU32::new(0);

/// Runs on the thread that is asked, in the middle of whatever it does: it takes no lock, allocates nothing, and
/// needs little stack.
extern "C" fn answer(_signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let _errno = KeptErrno::new();
    // SAFETY: the second argument of a handler with `SA_SIGINFO`.
    let number = unsafe { system::queued_value(info) };
    let Some(slot) = number.and_then(slot::existing) else { return };
    // SAFETY: the third argument of a handler with `SA_SIGINFO`.
    if unsafe { slot.answer(context) } {
        ANSWERS.fetch_add(1, Ordering::Release);
        system::wake(&ANSWERS);
    }
}

/// How many answers there were so far: to be asked for before looking for one.
pub(super) fn answers() -> u32 {
    ANSWERS.load(Ordering::Acquire)
}

/// Waits until there are more than `seen` answers, at most so long.
pub(super) fn wait_for_more_than(seen: u32, timeout: Duration) {
    system::wait(&ANSWERS, seen, timeout);
}

/// Sends a thread the signal with the number of its slot.
pub(super) fn ask(thread: ThreadId, signal: i32, slot: usize) -> Result<(), Errno> {
    system::queue(thread, signal, slot)
}

/// Makes sure that `signal` is answered.
///
/// # Errors
/// When somebody else handles it already, or it cannot be handled.
pub(super) fn install(signal: i32) -> Result<(), LiveError> {
    let is_ours = |action: usize| action == answer as *const () as usize;
    let failed = |error| LiveError::Signal { signal, source: std::io::Error::from_raw_os_error(error) };
    let before = system::handler(signal).map_err(failed)?;
    if is_ours(before) {
        return Ok(());
    }
    if before != libc::SIG_DFL {
        return Err(LiveError::SignalTaken(signal));
    }
    let replaced = system::set_handler(signal, answer).map_err(failed)?;
    if is_ours(replaced.sa_sigaction) || replaced.sa_sigaction == libc::SIG_DFL {
        return Ok(());
    }
    // Somebody installed one between the two calls.
    system::restore_handler(signal, &replaced).map_err(failed)?;
    Err(LiveError::SignalTaken(signal))
}

/// Takes a real-time signal that nobody handles, from the last one downwards: the first ones are the ones that
/// programs choose.
pub(super) fn install_any() -> Result<i32, LiveError> {
    let free = |signal: &i32| install(*signal).is_ok();
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(free).ok_or(LiveError::NoFreeSignal)
}
