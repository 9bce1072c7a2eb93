//! On which processor the tracer and hot threads run.
//!
//! When a thread stops again and again, most of the time goes into waking the tracer on another processor and the thread again
//! on its own. On the same one it is a switch, several times as fast. So the tracer goes where the first hot thread is, and that
//! thread is kept there: the scheduler would move it away from the processor that its tracer has just used. Other threads come there too when
//! nearly all of their time is in stops; who has work of its own between them stays where it is. All get back what they had when
//! they cool, when all stand, and now and then, so that the scheduler can choose anew.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::super::{
    pins::{Pin, Pins},
    raw::{self, Processors},
};

/// So many stops of a thread are looked at together.
pub(super) const STOPS: u32 = 64;

/// A thread is hot that stops more often than this.
const HOT: Duration = Duration::from_micros(300);

/// Another thread than the first comes to its processor when it uses less time for itself between stops; what the stop itself takes
/// of its time is a part of that.
const IDLE: Duration = Duration::from_micros(16);

/// A thread has cooled that was not looked at for so long.
const COOL: Duration = Duration::from_millis(40);

/// For so long all stay where they were found.
const STAY: Duration = Duration::from_secs(1);

/// How one thread stops.
#[derive(Debug)]
struct Heat {
    /// When it was looked at last, and the processor time that it had used then.
    began: Instant,
    used: Duration,
    /// What it was given, and what it had; also when it has got that back.
    pin: Option<Pin>,
    is_pinned: bool,
}

#[derive(Debug)]
pub(super) struct Pace {
    allowed: Option<Processors>,
    pins: Pins,
    /// Where the tracer is, and since when.
    processor: Option<(usize, Instant)>,
    threads: HashMap<u32, Heat>,
    cooled: Instant,
}

impl Pace {
    pub(super) fn new(pins: Pins) -> Self {
        let allowed = Processors::of(0).ok();
        Self { allowed, pins, processor: None, threads: HashMap::new(), cooled: Instant::now() }
    }

    pub(super) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// A thread has stopped [so many times](STOPS) and gone on at once.
    pub(super) fn look(&mut self, thread: u32) {
        let now = Instant::now();
        self.cool(now);
        let is_over = self.processor.is_some_and(|(_, since)| now.duration_since(since) >= STAY);
        if is_over {
            // The scheduler has so many stops to choose.
            self.rest();
        }
        let Some(heat) = self.threads.get_mut(&thread) else {
            let heat = Heat { began: now, used: used(thread), pin: None, is_pinned: false };
            self.threads.insert(thread, heat);
            return;
        };
        let is_hot = now.duration_since(heat.began) < HOT * STOPS;
        heat.began = now;
        if !is_hot || heat.is_pinned || is_over {
            return;
        }
        let used_before = std::mem::replace(&mut heat.used, used(thread));
        let is_idle = heat.used.saturating_sub(used_before) < IDLE * STOPS;
        match self.processor {
            None => {
                let Some(at) = last_processor(thread) else { return };
                if raw::run_on(Some(at), self.allowed.as_ref()).is_ok() {
                    self.processor = Some((at, now));
                    self.pin(thread, at);
                }
            }
            Some((at, _)) if is_idle => self.pin(thread, at),
            Some(_) => {}
        }
    }

    /// Keeps a thread on a processor. Where the system refuses, it stays as it is.
    fn pin(&mut self, thread: u32, at: usize) {
        let Some(heat) = self.threads.get_mut(&thread) else { return };
        let Some(ours) = Processors::one(at) else { return };
        let Ok(own) = Processors::of(thread) else { return };
        if own == ours || !own.has(at) {
            return;
        }
        let pin = Pin { thread, own, ours };
        // It is written down before it is done.
        if self.pins.add(&pin) && ours.give(thread).is_ok() {
            heat.pin = Some(pin);
            heat.is_pinned = true;
        } else {
            self.pins.remove(thread);
        }
    }

    fn unpin(&mut self, thread: u32) {
        if let Some(heat) = self.threads.get_mut(&thread)
            && std::mem::take(&mut heat.is_pinned)
        {
            heat.pin.iter().for_each(Pin::give_back);
            self.pins.remove(thread);
        }
    }

    /// Nothing was heard of anybody for a while.
    pub(super) fn tick(&mut self) {
        if !self.threads.is_empty() {
            self.cool(Instant::now());
        }
    }

    fn cool(&mut self, now: Instant) {
        if now.duration_since(self.cooled) < COOL {
            return;
        }
        self.cooled = now;
        let (mut cooled, mut is_any_warm) = (Vec::new(), false);
        for (thread, heat) in &self.threads {
            let is_warm = now.duration_since(heat.began) < COOL;
            is_any_warm |= is_warm;
            if heat.is_pinned && !is_warm {
                cooled.push(*thread);
            }
        }
        cooled.into_iter().for_each(|thread| self.unpin(thread));
        if self.processor.is_some() && !is_any_warm {
            self.rest();
        }
    }

    /// Nobody stops any more, or it is time to look anew: all get back what they had.
    pub(super) fn rest(&mut self) {
        let pinned: Vec<u32> = self.threads.keys().copied().collect();
        pinned.into_iter().for_each(|thread| self.unpin(thread));
        if self.processor.take().is_some() {
            let _ = raw::run_on(None, self.allowed.as_ref());
        }
    }

    /// A thread was made by another one, and has been given the same processors.
    pub(super) fn born(&self, parent: u32, child: u32) {
        if let Some(pin) = self.threads.get(&parent).and_then(|heat| heat.pin.as_ref()) {
            Pin { thread: child, ..*pin }.give_back();
        }
    }

    /// A thread has another number now: it has executed a program.
    pub(super) fn renamed(&mut self, former: u32, thread: u32) {
        if let Some(heat) = self.threads.remove(&former)
            && let Some(pin) = heat.pin
        {
            Pin { thread, ..pin }.give_back();
            self.pins.remove(former);
        }
    }

    /// A thread is not ours any more: it has ended, or got back what it had.
    pub(super) fn forget(&mut self, thread: u32) {
        if let Some(heat) = self.threads.remove(&thread)
            && heat.is_pinned
        {
            self.pins.remove(thread);
        }
    }
}

/// How much processor time a thread has used: the first number of `/proc/TID/schedstat`, in nanoseconds; 0 where the kernel does not count.
fn used(thread: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

/// On which processor a thread ran last: the 39th field of `/proc/TID/stat`.
fn last_processor(thread: u32) -> Option<usize> {
    let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(36)?.parse().ok()
}
