//! An end to system calls that have none of their own.
//!
//! `waitpid` waits for as long as it takes. Asking again and again instead is quick where the other thread has a
//! processor of its own; where processors are scarce, whoever asks keeps the asked one from running, and a stop takes
//! milliseconds instead of microseconds. So the call waits, and a timer interrupts it now and then to look at the time.
#![expect(unsafe_code, reason = "timers and signal handlers are C's")]

use std::{marker::PhantomData, mem, ptr, sync::OnceLock};

/// Interrupts the system calls of the thread that made it.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: libc::timer_t,
    _not_send: PhantomData<*const ()>,
}

/// The signal that interrupts: a real-time one that nobody else handles. Its handler stays for good, since a signal
/// that comes without one ends the program.
static SIGNAL: OnceLock<Option<i32>> = OnceLock::new();

extern "C" fn interrupt(_signal: i32) {}

impl Alarm {
    /// One for the calling thread. `None` where the system does not give one.
    pub(crate) fn new() -> Option<Self> {
        let signal = (*SIGNAL.get_or_init(take_a_signal))?;
        // SAFETY: an all-zero event is a valid one; it and the set are only read and written within the calls.
        unsafe {
            let mut set = mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
            let mut event: libc::sigevent = mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = mem::zeroed();
            let made = libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) == 0;
            made.then_some(Self { timer, _not_send: PhantomData })
        }
    }

    /// From now on, every so many nanoseconds a system call that waits ends with `EINTR`. Again and again, since the
    /// first time may be just before the call.
    pub(crate) fn ring_every(&self, nanoseconds: libc::c_long) {
        self.set(libc::timespec { tv_sec: 0, tv_nsec: nanoseconds });
    }

    /// No more.
    pub(crate) fn silence(&self) {
        self.set(libc::timespec { tv_sec: 0, tv_nsec: 0 });
    }

    fn set(&self, period: libc::timespec) {
        let times = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: the timer is this value's own, and `times` outlives the call.
        unsafe { libc::timer_settime(self.timer, 0, &raw const times, ptr::null_mut()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the timer is this value's own.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// Gives a real-time signal that nobody handles a handler that does nothing.
fn take_a_signal() -> Option<i32> {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|signal| {
        // SAFETY: all-zero actions are valid; they are only read and written within the calls. The handler does
        // nothing, so that it may run anywhere.
        unsafe {
            let mut before: libc::sigaction = mem::zeroed();
            if libc::sigaction(*signal, ptr::null(), &raw mut before) != 0
                || before.sa_sigaction != libc::SIG_DFL
            {
                return false;
            }
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = interrupt as *const () as usize;
            libc::sigaction(*signal, &raw const action, ptr::null_mut()) == 0
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_call_that_would_wait_for_ever_ends() {
        let mut ends = [0; 2];
        // SAFETY: there is room for two.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        let alarm = Alarm::new().unwrap();
        for _ in 0..3 {
            alarm.ring_every(2_000_000);
            let mut byte = 0u8;
            // SAFETY: the byte outlives the call.
            let read = unsafe { libc::read(ends[0], (&raw mut byte).cast(), 1) };
            assert_eq!((read, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EINTR)));
            alarm.silence();
        }
        let (began, pause) = (Instant::now(), libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 });
        // SAFETY: the time outlives the call.
        assert_eq!(unsafe { libc::nanosleep(&raw const pause, ptr::null_mut()) }, 0, "it is silent");
        assert!(began.elapsed() >= Duration::from_millis(10));
        // SAFETY: they are this test's own.
        ends.into_iter().for_each(|end| assert_eq!(unsafe { libc::close(end) }, 0));
    }
}
