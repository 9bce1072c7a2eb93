//! How far a dump is.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// How far the writing of a dump is; may be looked at, and cancelled, from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    threads_total: AtomicU64,
    threads_done: AtomicU64,
    bytes_total: AtomicU64,
    bytes_done: AtomicU64,
    cancelled: AtomicBool,
    /// What cancels it too.
    cancelled_by: Option<&'static AtomicBool>,
    ended: Mutex<Option<Result<(), String>>>,
}

/// [`Progress`] at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProgressState {
    /// How many threads there are.
    pub threads_total: u64,
    /// How many of them are written.
    pub threads_done: u64,
    /// How many bytes of memory the dump says something of.
    pub bytes_total: u64,
    /// How many of them are written, or were passed over as zero.
    pub bytes_done: u64,
    /// Whether it is to end.
    pub is_cancelled: bool,
    /// How it ended; an error as a sentence. `None` as long as it has not.
    pub ended: Option<Result<(), String>>,
}

impl Progress {
    /// Nothing is done yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which is cancelled also when this becomes true: what a signal handler can do.
    #[must_use]
    pub fn cancelled_by(mut self, flag: &'static AtomicBool) -> Self {
        self.cancelled_by = Some(flag);
        self
    }

    /// Ends the writing as soon as possible, with an error.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> ProgressState {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgressState {
            threads_total: number(&self.threads_total),
            threads_done: number(&self.threads_done),
            bytes_total: number(&self.bytes_total),
            bytes_done: number(&self.bytes_done),
            is_cancelled: self.is_cancelled(),
            ended: self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        let flags = [Some(&self.cancelled), self.cancelled_by];
        flags.into_iter().flatten().any(|flag| flag.load(Ordering::Relaxed))
    }

    pub(crate) fn begin(&self, threads: u64, bytes: u64) {
        self.threads_total.store(threads, Ordering::Relaxed);
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_thread(&self) {
        self.threads_done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Does what is to be watched, and keeps how it ended. Where nobody watches, it is the same.
    pub(crate) fn shown<T, E: ToString>(
        watched: Option<&Self>,
        work: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let unseen = Self::new();
        let progress = watched.unwrap_or(&unseen);
        let result = work(progress);
        let ended = result.as_ref().map(drop).map_err(ToString::to_string);
        *progress.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        result
    }
}
