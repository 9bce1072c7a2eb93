//! The program's end of the way to its tracer. Several threads may use it.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd as _, RawFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use prospect_process::control::{ControlError, Event};

use super::{
    raw,
    wire::{Link, Message, Reply, Request},
};

#[derive(Debug)]
pub(super) struct Channel {
    state: Mutex<State>,
    /// For waiting without the lock.
    descriptor: RawFd,
}

#[derive(Debug)]
struct State {
    link: Link,
    /// What came while a reply was waited for.
    events: VecDeque<Event>,
    has_records: bool,
}

/// What comes unasked.
pub(super) enum News {
    Event(Event),
    Records,
}

fn gone(error: &io::Error) -> ControlError {
    ControlError::TracerGone(error.to_string())
}

impl Channel {
    pub(super) fn new(link: Link) -> Self {
        let descriptor = link.as_raw_fd();
        let state = State { link, events: VecDeque::new(), has_records: false };
        Self { state: Mutex::new(state), descriptor }
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something that is not answered.
    pub(super) fn tell(&self, request: &Request) -> Result<(), ControlError> {
        self.state().link.send(request).map_err(|error| gone(&error))
    }

    /// Asks, and waits for the answer. The tracer never makes one wait for what a target does.
    pub(super) fn ask(&self, request: &Request) -> Result<Reply, ControlError> {
        match self.try_to(request)? {
            Reply::Failed(failure) => Err(failure.into()),
            reply => Ok(reply),
        }
    }

    /// The same, and a failure is an answer.
    pub(super) fn try_to(&self, request: &Request) -> Result<Reply, ControlError> {
        let mut state = self.state();
        state.link.send(request).map_err(|error| gone(&error))?;
        state.reply()
    }

    /// The answer to what the tracer was started for.
    pub(super) fn first_reply(&self) -> Result<Reply, ControlError> {
        match self.state().reply()? {
            Reply::Failed(failure) => Err(failure.into()),
            reply => Ok(reply),
        }
    }

    /// What comes next, until then at most; `None` when nothing has.
    pub(super) fn news(&self, deadline: Option<Instant>) -> Result<Option<News>, ControlError> {
        loop {
            {
                let mut state = self.state();
                if let Some(event) = state.events.pop_front() {
                    return Ok(Some(News::Event(event)));
                }
                if std::mem::take(&mut state.has_records) {
                    return Ok(Some(News::Records));
                }
                if state.link.has_message() {
                    state.receive()?;
                    continue;
                }
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !raw::poll(&self.descriptor, left) {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Ok(None);
                }
                continue;
            }
            self.state().receive()?;
        }
    }
}

impl State {
    /// Takes one message that is there, or is about to be.
    fn receive(&mut self) -> Result<Option<Reply>, ControlError> {
        match self.link.receive().map_err(|error| gone(&error))? {
            Message::Reply(reply) => return Ok(Some(reply)),
            Message::Event(event) => self.events.push_back(event),
            Message::Records => self.has_records = true,
        }
        Ok(None)
    }

    fn reply(&mut self) -> Result<Reply, ControlError> {
        loop {
            if let Some(reply) = self.receive()? {
                return Ok(reply);
            }
        }
    }
}
