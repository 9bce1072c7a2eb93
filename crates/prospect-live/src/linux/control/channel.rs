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
    pins::Pins,
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
    pins: Pins,
    /// What came while a reply was waited for.
    events: VecDeque<Event>,
    has_records: bool,
}

/// What comes unasked.
pub(super) enum News {
    Event(Event),
    Records,
}

impl Channel {
    pub(super) fn new(link: Link, pins: Pins) -> Self {
        let descriptor = link.as_raw_fd();
        let state = State { link, pins, events: VecDeque::new(), has_records: false };
        Self { state: Mutex::new(state), descriptor }
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    /// The tracer is no more.
    pub(super) fn ended(&self) {
        self.state().pins.give_back();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something that is not answered.
    pub(super) fn tell(&self, request: &Request) -> Result<(), ControlError> {
        self.state().send(request)
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
        state.send(request)?;
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
    fn send(&self, request: &Request) -> Result<(), ControlError> {
        self.link.send(request).map_err(|error| self.gone(&error))
    }

    /// The tracer has ended. Whatever has ended it, its target gets back what is known here.
    fn gone(&self, error: &io::Error) -> ControlError {
        self.pins.give_back();
        ControlError::TracerGone(error.to_string())
    }

    /// Takes one message that is there, or is about to be.
    fn receive(&mut self) -> Result<Option<Reply>, ControlError> {
        let message = self.link.receive();
        match message.map_err(|error| self.gone(&error))? {
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
