//! Waiting for a thread to stop: it takes a few microseconds where it has a processor of its own, and else as long as it takes.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

use prospect_process::ThreadId;

use super::{
    alarm::Alarm,
    ptrace::{self, Waited},
};

/// How long a thread is looked for again and again: on another processor it needs no longer. After that it may need
/// ours.
const EAGER: Duration = Duration::from_micros(20);

/// After so many times in vain, it is tried again.
const FORGIVEN: u32 = 256;

/// So often a thread that waits looks at the time, in nanoseconds.
const PERIOD: libc::c_long = 1_000_000;

/// Where there is no alarm: between two looks.
const SLEEP: Duration = Duration::from_micros(50);

/// Waits for one stop after the other.
#[derive(Debug)]
pub(crate) struct Patience {
    /// Since when nothing has happened.
    since: Instant,
    /// How often being eager was in vain, one time after the other: where there is no other processor, it always is.
    in_vain: u32,
    /// Made when it is needed first; the inner one is missing where the system gives none.
    alarm: Option<Option<Alarm>>,
    is_ringing: bool,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), in_vain: 0, alarm: None, is_ringing: false }
    }

    /// Something has happened, or is asked for now: the next thread may be as quick.
    pub(crate) fn renew(&mut self) {
        self.since = Instant::now();
    }

    /// Half as long for each time that it was in vain, and now and then as if it had not been.
    fn eagerness(&self) -> Duration {
        EAGER / (1 << (self.in_vain % FORGIVEN).min(6))
    }

    /// Looks whether a tracee has stopped, and waits for it where it is no longer eager: for about a millisecond at
    /// most.
    pub(crate) fn wait(&mut self, thread: ThreadId) -> Waited {
        if self.since.elapsed() < self.eagerness() {
            hint::spin_loop();
            let waited = ptrace::wait(thread);
            if waited != Waited::Nothing {
                self.in_vain = 0;
            }
            return waited;
        }
        self.in_vain = self.in_vain.wrapping_add(1);
        match self.alarm.get_or_insert_with(Alarm::new) {
            Some(alarm) => {
                if !self.is_ringing {
                    alarm.ring_every(PERIOD);
                    self.is_ringing = true;
                }
                ptrace::wait_long(thread)
            }
            None => {
                thread::sleep(SLEEP);
                ptrace::wait(thread)
            }
        }
    }

    /// Nothing more is waited for, for now.
    pub(crate) fn rest(&mut self) {
        if let (true, Some(Some(alarm))) = (self.is_ringing, &self.alarm) {
            alarm.silence();
        }
        self.is_ringing = false;
    }
}
