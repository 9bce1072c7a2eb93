//! Making the tracer.

use std::{io, panic, sync::Arc, time::Duration};

use prospect_process::{ProcessId, control::ControlError};

use super::{
    Controlled, Launch,
    channel::Channel,
    launch::Prepared,
    pins::Pins,
    raw,
    tracer::Tracer,
    wire::{Failure, Link, Message, Reply},
};

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
        Self::begin(&Beginning::Attach(process))
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
            _ => return Err(ControlError::TracerGone("it said something else than was asked".into())),
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

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::system("talk to the system", &error)
    }
}
