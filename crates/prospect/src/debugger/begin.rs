//! How a debugger comes to its processes.

use std::{
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use prospect_debug::{breakpoint::Breakpoints, step::StepMemo};
use prospect_live::{Controlled, Launch, procfs};
use prospect_process::{ProcessId, Target as _, ThreadState, control::Follow};

use super::{DebugError, Debugger};
use crate::OpenOptions;

/// How often it is looked whether a process has begun.
const LOOK_EVERY: Duration = Duration::from_millis(2);

impl Debugger {
    /// Starts a program. It stands before its first instruction: not even its libraries are loaded.
    ///
    /// # Errors
    /// When it cannot be started, and why.
    pub fn launch(options: OpenOptions, program: Launch) -> Result<Self, DebugError> {
        let controlled = Controlled::launch(&program)?;
        Self::new(options, controlled, Some(program))
    }

    /// Takes a process; it stands.
    ///
    /// # Errors
    /// When there is none, or the system does not let us.
    pub fn attach(options: OpenOptions, process: ProcessId) -> Result<Self, DebugError> {
        Self::new(options, Controlled::attach(process)?, None)
    }

    /// Takes the one process with this name (`comm`, or the last part of its first argument).
    ///
    /// # Errors
    /// When there is none or are several, or the system does not let us.
    pub fn attach_named(options: OpenOptions, name: &str) -> Result<Self, DebugError> {
        match named(name)?[..] {
            [] => Err(DebugError::NoneNamed(name.to_owned())),
            [one] => Self::attach(options, one),
            ref several => {
                Err(DebugError::SeveralNamed { name: name.to_owned(), processes: several.to_vec() })
            }
        }
    }

    /// Waits until a process of this name begins, and takes it, as early as it is seen. Those that run already are not meant. `None` when
    /// none has begun in that time.
    ///
    /// # Errors
    /// When the system does not let us look, or take it.
    pub fn attach_next(
        options: OpenOptions,
        name: &str,
        within: Duration,
    ) -> Result<Option<Self>, DebugError> {
        let mut known = named(name)?;
        let deadline = Instant::now() + within;
        loop {
            if let Some(new) = named(name)?.into_iter().find(|one| !known.contains(one)) {
                match Self::attach(options.clone(), new) {
                    // It has ended already: another one may begin.
                    Err(_) if has_ended(new) => known.push(new),
                    attached => return attached.map(Some),
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn new(
        options: OpenOptions,
        controlled: Controlled,
        program: Option<Launch>,
    ) -> Result<Self, DebugError> {
        let mut debugger = Self {
            binaries: options.new_binaries(),
            options,
            controlled,
            program,
            follow: Follow::Parent,
            forks: None,
            breakpoints: Breakpoints::new(),
            points: HashMap::new(),
            handlers: HashMap::new(),
            watched: HashMap::new(),
            plans: HashMap::new(),
            matched: HashMap::new(),
            sessions: HashMap::new(),
            gone: HashMap::new(),
            resumed: None,
            hits: Vec::new(),
            stop_wanted: Arc::default(),
            step_memo: StepMemo::default(),
        };
        debugger.update_all()?;
        Ok(debugger)
    }

    /// Takes one more process, which stops and runs with the others and has the same breakpoints.
    ///
    /// # Errors
    /// When there is none, or the system does not let us.
    pub fn attach_also(&mut self, process: ProcessId) -> Result<(), DebugError> {
        self.controlled.attach_also(process)?;
        self.gone.remove(&process);
        self.update(process)
    }

    /// Ends what was launched, with all that is under control besides, and starts it again. Breakpoints keep their numbers, conditions,
    /// handlers and whether they are enabled; hits are counted from 0, and as many are ignored as were wanted at first. What watches memory is
    /// disabled or gone: its address means nothing in another run.
    ///
    /// # Errors
    /// When it was not [launched](Self::launch), or cannot be started again; then nothing is under control.
    pub fn restart(&mut self) -> Result<ProcessId, DebugError> {
        let program = self.program.as_ref().ok_or(DebugError::NotLaunched)?;
        for process in self.controlled.processes().to_vec() {
            // It may have ended by itself.
            let _ = prospect_process::control::Control::kill(&mut self.controlled, process);
        }
        self.controlled = Controlled::launch(program)?;
        let process = *self.controlled.processes().first().ok_or(DebugError::NotLaunched)?;
        self.breakpoints.restarted();
        let of_frames: Vec<_> =
            self.watched.drain().filter(|(_, one)| one.is_local()).map(|(id, _)| id).collect();
        for id in of_frames {
            let _ = self.remove(id);
        }
        self.plans.clear();
        self.matched.clear();
        self.sessions.clear();
        self.gone.clear();
        self.hits.clear();
        (self.resumed, self.forks) = (None, None);
        self.follow(self.follow)?;
        self.update_all()?;
        Ok(process)
    }
}

fn has_ended(process: ProcessId) -> bool {
    let state = procfs::thread_state(process.into());
    state.is_none_or(|state| matches!(state, ThreadState::Zombie | ThreadState::Dead))
}

fn named(name: &str) -> Result<Vec<ProcessId>, DebugError> {
    let failed = |error| prospect_process::control::ControlError::System {
        doing: "look at processes".into(),
        error: std::io::Error::other(error),
    };
    let own = std::process::id();
    let mut found = procfs::find_by_name(name.as_bytes()).map_err(failed)?;
    found.retain(|one| one.0 != own);
    Ok(found)
}
