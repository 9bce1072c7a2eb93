//! Ctrl-C ends a dump in good order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use prospect::{
    dump::elf_core::Progress,
    live::{Event, Events, LiveError, Wait},
};

/// Whether the user wants it to end.
pub(crate) struct Interrupted(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_interrupted: bool,
    /// What is being written.
    current: Arc<Progress>,
}

impl Interrupted {
    /// From now on, the first Ctrl-C cancels what is being written, and the second one ends the program.
    pub(crate) fn watch() -> Result<Self, LiveError> {
        let state = Arc::new(Mutex::new(State::default()));
        let events = Events::new()?;
        events.waker().wake_on_interrupt()?;
        let shared = state.clone();
        let wait = move || {
            if let Ok(woken) = events.handle_events(Wait::Forever)
                && woken.contains(&Event::Woken)
            {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                state.is_interrupted = true;
                state.current.cancel();
            }
        };
        // Without it, Ctrl-C ends the program at the second time.
        let _ = thread::Builder::new().name("interrupt".into()).spawn(wait);
        Ok(Self(state))
    }

    /// What is to be written next.
    pub(crate) fn next(&self) -> Arc<Progress> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.current = Arc::default();
        if state.is_interrupted {
            state.current.cancel();
        }
        state.current.clone()
    }

    /// Whether there was a Ctrl-C.
    pub(crate) fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_interrupted
    }
}
