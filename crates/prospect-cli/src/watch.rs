//! A deadline for work that the kernel may never let come back: a memory map whose lock is held, a file on a
//! server that is gone.

use std::{
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::exit::{self, Failure, Result};

/// What is said of work that did not end in the time that `--timeout` gives.
pub(crate) fn not_finished(timeout: Duration) -> String {
    format!("not finished after {} s (--timeout)", timeout.as_secs_f64())
}

/// Does work about something, and gives it up with the program when it takes longer than is given.
pub(crate) fn within<T>(
    timeout: Option<Duration>,
    about: impl fmt::Display,
    late: impl FnOnce(Failure) -> Failure + Send + 'static,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let Some(timeout) = timeout else { return work() };
    let failure = Failure::failed(format_args!("{about}: {}", not_finished(timeout)));
    let watch =
        Watch::<()>::start(Instant::now() + timeout, move |_| Err(late(failure))).map_err(Failure::failed)?;
    let result = work();
    watch.finish();
    result
}

/// Watches over work on the current thread. When it has not finished by the deadline, another thread takes what
/// there is of it, and ends the program when it has dealt with that.
pub(crate) struct Watch<P> {
    shared: Arc<Shared<P>>,
}

struct Shared<P> {
    state: Mutex<State<P>>,
    finished: Condvar,
}

enum State<P> {
    /// With what there is so far.
    Working(Option<P>),
    Finished,
    TooLate,
}

impl<P: Send + 'static> Watch<P> {
    /// Begins to watch. `late` is given what there is at the deadline; with its result the program ends.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(
        deadline: Instant,
        late: impl FnOnce(Option<P>) -> Result + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State::Working(None)), finished: Condvar::new() });
        let watched = shared.clone();
        let watch = move || {
            if let Some(progress) = watched.wait(deadline) {
                std::process::exit(exit::number(late(progress)).into());
            }
        };
        thread::Builder::new().name("watch".into()).spawn(watch)?;
        Ok(Self { shared })
    }

    /// Says what there is so far.
    pub(crate) fn note(&self, progress: P) {
        let mut state = self.shared.state();
        if matches!(*state, State::Working(_)) {
            *state = State::Working(Some(progress));
        }
    }

    /// Adds to what was said so far.
    pub(crate) fn add(&self, add: impl FnOnce(&mut P)) {
        if let State::Working(Some(progress)) = &mut *self.shared.state() {
            add(progress);
        }
    }

    /// Ends the watch and gives back what was noted. Does not return when it is too late: then all that is left
    /// to do is done by the other thread.
    pub(crate) fn finish(self) -> Option<P> {
        let state = std::mem::replace(&mut *self.shared.state(), State::Finished);
        match state {
            State::Working(progress) => {
                self.shared.finished.notify_all();
                progress
            }
            State::Finished => None,
            State::TooLate => loop {
                thread::park();
            },
        }
    }
}

impl<P> Shared<P> {
    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end of the work; at the deadline, takes what there is.
    fn wait(&self, deadline: Instant) -> Option<Option<P>> {
        let mut state = self.state();
        loop {
            let State::Working(progress) = &mut *state else { return None };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let progress = progress.take();
                *state = State::TooLate;
                return Some(progress);
            }
            let woken = self.finished.wait_timeout(state, left);
            state = woken.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(state: State<u32>) -> Arc<Shared<u32>> {
        Arc::new(Shared { state: Mutex::new(state), finished: Condvar::new() })
    }

    #[test]
    fn what_there_is_at_the_deadline_is_taken() {
        let shared = shared(State::Working(Some(7)));
        assert_eq!(shared.wait(Instant::now() + Duration::from_millis(5)), Some(Some(7)));
        assert!(matches!(*shared.state(), State::TooLate));
    }

    #[test]
    fn work_that_is_finished_is_left_alone() {
        let shared = shared(State::Working(None));
        let watch = Watch { shared: shared.clone() };
        watch.note(2);
        watch.add(|progress| *progress += 1);
        let waiting = thread::spawn(move || shared.wait(Instant::now() + Duration::from_secs(600)));
        assert_eq!(watch.finish(), Some(3));
        assert_eq!(waiting.join().unwrap(), None);
    }
}
