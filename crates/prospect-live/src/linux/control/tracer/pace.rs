//! On which processor the tracer runs.
//!
//! When one thread stops again and again, most of the time goes into waking the tracer on another processor and
//! the thread again on its own. On the same one it is a switch, several times as fast; so the tracer goes where a hot thread is. The
//! thread itself is never moved.

use super::super::raw;

/// So many stops in a row make a thread hot; then it is looked where it is.
const HOT: u32 = 16;

/// How often it is looked again, in stops.
const AGAIN: u32 = 4096;

#[derive(Debug)]
pub(super) struct Pace {
    allowed: libc::cpu_set_t,
    thread: u32,
    in_a_row: u32,
    processor: Option<usize>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { allowed: raw::allowed_processors(), thread: 0, in_a_row: 0, processor: None }
    }

    /// A thread has stopped that goes on at once.
    pub(super) fn stopped(&mut self, thread: u32) {
        if thread != self.thread {
            self.thread = thread;
            self.in_a_row = 0;
            return;
        }
        self.in_a_row += 1;
        if self.in_a_row == HOT || self.in_a_row.is_multiple_of(AGAIN) {
            let processor = last_processor(thread);
            if processor != self.processor {
                self.run_on(processor);
            }
        }
    }

    /// Nobody stops any more.
    pub(super) fn rest(&mut self) {
        self.in_a_row = 0;
        if self.processor.is_some() {
            self.run_on(None);
        }
    }

    fn run_on(&mut self, processor: Option<usize>) {
        self.processor = processor;
        raw::run_on(processor, &self.allowed);
    }
}

/// On which processor a thread ran last: the 39th field of `/proc/TID/stat`.
fn last_processor(thread: u32) -> Option<usize> {
    let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(36)?.parse().ok()
}
