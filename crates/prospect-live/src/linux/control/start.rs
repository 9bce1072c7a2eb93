//! Making the tracer.

use std::{io, panic, sync::Arc, time::Duration};

use prospect_process::{ProcessId, control::ControlError};

use super::{
    Controlled, Launch,
    channel::Channel,
    controlled::wrong,
    launch::Prepared,
    pins::Pins,
    raw,
    tracer::Tracer,
    wire::{Failure, Link, Message, Reply, Request},
};
use crate::linux::LiveError;

/// How often waits of the tracer are interrupted.
const TICK: Duration = Duration::from_millis(20);

/// What a tracer is made for.
enum Beginning {
    Launch { program: Prepared, ends_with_us: bool },
    Attach(ProcessId),
}

impl Controlled {
    /// Starts a program; it stands before its first instruction.
    ///
    /// # Errors
    /// When it cannot be started, and why.
    pub fn launch(program: &Launch) -> Result<Self, ControlError> {
        let failed = |error| ControlError::System { doing: "start a program".into(), error };
        let prepared = program.prepare().map_err(failed)?;
        Self::begin(&Beginning::Launch { program: prepared, ends_with_us: program.ends_with_us })
    }

    /// Takes a process; it stands.
    ///
    /// # Errors
    /// When there is none, or the system does not let us.
    pub fn attach(process: ProcessId) -> Result<Self, ControlError> {
        not_ourselves(process)?;
        Self::begin(&Beginning::Attach(process)).map_err(|error| explained(process, error))
    }

    /// Takes one more process; it stands.
    ///
    /// # Errors
    /// When there is none, or the system does not let us.
    pub fn attach_also(&mut self, process: ProcessId) -> Result<(), ControlError> {
        not_ourselves(process)?;
        let reply = self.channel.ask(&Request::Attach(process)).map_err(|error| explained(process, error))?;
        match reply {
            Reply::Started(process) => self.add(process),
            reply => Err(wrong(&reply)),
        }
    }

    fn begin(beginning: &Beginning) -> Result<Self, ControlError> {
        let failed = |error: io::Error| ControlError::System { doing: "start the tracer".into(), error };
        let (ours, theirs) = Link::pair().map_err(failed)?;
        let pins = Pins::new().map_err(failed)?;
        let signals = raw::block_signals();
        let made = raw::fork();
        if let Ok(None) = made {
            drop(ours);
            be_tracer(theirs, pins, beginning, &signals);
        }
        raw::restore_signals(&signals);
        drop(theirs);
        let Some(tracer) = made.map_err(failed)? else { return Err(failed(io::ErrorKind::Other.into())) };
        let channel = Arc::new(Channel::new(ours, pins));
        let first = channel.first_reply();
        let keeps_children =
            matches!(beginning, Beginning::Launch { program, .. } if program.filtered_calls().is_some());
        let mut controlled = Self::new(channel, tracer, keeps_children);
        match first? {
            Reply::Started(process) => controlled.add(process)?,
            reply => return Err(wrong(&reply)),
        }
        Ok(controlled)
    }
}

/// The tracer process, to its end.
fn be_tracer(link: Link, pins: Pins, beginning: &Beginning, signals: &raw::SignalSet) -> ! {
    let group = raw::leave_group();
    raw::become_tracer(c"prospect-tracer");
    raw::wake_waits(&link, TICK);
    let mut tracer = Tracer::new(link, pins);
    let _ = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let begun = match beginning {
            Beginning::Launch { program, ends_with_us } => {
                tracer.launch(program, *ends_with_us, signals, group)
            }
            Beginning::Attach(process) => {
                tracer.close_all_but(&[]);
                tracer.attach(process.0)
            }
        };
        let goes_on = begun.is_ok();
        let reply = begun.map_or_else(Reply::Failed, |process| Reply::Started(ProcessId(process)));
        tracer.say(&Message::Reply(reply));
        if goes_on {
            // What it starts does not.
            crate::linux::ptrace::hurry();
            tracer.work();
        }
    }));
    // Whatever has happened, the target is not left with what was put into it.
    let _ = panic::catch_unwind(panic::AssertUnwindSafe(|| tracer.leave_all()));
    raw::exit(0)
}

/// Whoever stands cannot say what is to be done next.
fn not_ourselves(process: ProcessId) -> Result<(), ControlError> {
    if process.0 != std::process::id() {
        return Ok(());
    }
    let error = io::Error::new(io::ErrorKind::InvalidInput, LiveError::Itself(process));
    Err(ControlError::System { doing: "attach".into(), error })
}

/// With what stands in the way, where the system does not let us. The cause is a [`LiveError`] then.
fn explained(process: ProcessId, error: ControlError) -> ControlError {
    match error {
        ControlError::System { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
            let error = io::Error::new(error.kind(), LiveError::refused(process, error));
            ControlError::System { doing: "attach".into(), error }
        }
        other => other,
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::system("talk to the system", &error)
    }
}
