//! Making a process run and stop: the words of debuggers and tracers.
//!
//! [`Control`] is what a target gives that can be run ([`Target::control`](crate::Target::control)); a dump gives none. It is
//! small: what has a name, a line or a type is made of it by those who know names, lines and types.
//!
//! **All stand or all may run.** When [`Control::wait`] has returned an event, every thread of every process under this control
//! stands; between [`Control::resume`] and that, those run that were told to. What can be decided where a thread has stopped
//! ([`Filter`]: conditions, counts, what to record) is decided there, and the others do not notice.

mod error;
mod event;
mod recording;
mod resume;
mod trap;

use std::{sync::Arc, time::Duration};

pub use error::{ControlError, TrapError};
pub use event::{Ending, Event, EventKind, NewProcess, Record};
pub use recording::{Checkpoint, CheckpointId, Direction, Position, Recording};
pub use resume::{Action, Follow, Leave, Resume};
pub use trap::{
    CallPhase, Collection, DataAccess, Filter, Numbers, Then, Trap, TrapCounts, TrapId, TrapPlace,
};

use crate::{Addr, ProcessId, RegisterSet, Registers, ThreadId};

/// A target that can be run.
pub trait Control {
    /// Lets threads run. It returns at once; what comes of it, [`wait`](Self::wait) says.
    ///
    /// # Errors
    /// When there is nothing that could run.
    fn resume(&mut self, how: &Resume) -> Result<(), ControlError>;

    /// Waits for the next event, and makes all threads stand when there is one. `None` when there was none in that time; threads run on
    /// then. Events that happened together come one by one, without anything running in between.
    ///
    /// # Errors
    /// When there is nothing that could give an event.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, ControlError>;

    /// What makes a running target stop from any thread, also while this one waits: [`EventKind::Interrupted`].
    fn interrupter(&self) -> Interrupter;

    /// Writes memory of a process that stands. Traps that are in it stay.
    ///
    /// # Errors
    /// When a byte of it cannot be written; those before it are.
    fn write_memory(&mut self, process: ProcessId, at: Addr, bytes: &[u8]) -> Result<(), ControlError>;

    /// Writes those general registers of a thread that are known here.
    ///
    /// # Errors
    /// When the thread does not stand, or the system refuses a value.
    fn write_registers(&mut self, thread: ThreadId, registers: &Registers) -> Result<(), ControlError>;

    /// Writes another set of registers, whole.
    ///
    /// # Errors
    /// When the thread does not stand or has no such set, or the system refuses it.
    fn write_register_set(
        &mut self,
        thread: ThreadId,
        set: RegisterSet,
        bytes: &[u8],
    ) -> Result<(), ControlError>;

    /// Keeps all of a thread's registers, and the signals that it blocks, so that it can be made to do something else:
    /// [`return_thread`](Self::return_thread) puts them back. So does the end of this control, in whatever way it comes.
    ///
    /// # Errors
    /// When the thread does not stand, is borrowed already, or stands where it cannot be sent elsewhere from; where the target cannot do
    /// this.
    fn borrow_thread(&mut self, thread: ThreadId) -> Result<(), ControlError> {
        let _ = thread;
        Err(ControlError::Unsupported("lend its threads".into()))
    }

    /// Puts back what a thread had when it was [borrowed](Self::borrow_thread), wherever it stands now. A signal that it was about to get
    /// then, it gets; one that it has caused itself meanwhile, it does not.
    ///
    /// # Errors
    /// When it was not borrowed, does not stand, or has ended.
    fn return_thread(&mut self, thread: ThreadId) -> Result<(), ControlError> {
        Err(ControlError::NotStopped(thread))
    }

    /// Sets a trap. Several may be at one place. It is in force also in processes that are made by fork, where those are followed.
    ///
    /// # Errors
    /// When it cannot be set, and why.
    fn set_trap(&mut self, process: ProcessId, trap: Trap) -> Result<TrapId, TrapError>;

    /// Takes a trap away, and says what came of it. One that is not there (any more) has had no hits.
    fn clear_trap(&mut self, trap: TrapId) -> TrapCounts;

    /// What came of a trap so far; also while threads run.
    fn counts(&mut self, trap: TrapId) -> TrapCounts;

    /// What traps have [collected](Filter::collect) since this was last asked, in the order in which it happened; also while threads
    /// run. Nothing is lost: a thread whose record has no room waits until there is some.
    fn take_records(&mut self) -> Vec<Record>;

    /// What is done with processes that one of these makes.
    fn follow(&mut self, follow: Follow);

    /// Lets a process go, as it was: no trap is left in it.
    ///
    /// # Errors
    /// When something of it could not be undone; it is let go all the same.
    fn detach(&mut self, process: ProcessId, leave: Leave) -> Result<(), ControlError>;

    /// Ends a process.
    ///
    /// # Errors
    /// When the system refuses.
    fn kill(&mut self, process: ProcessId) -> Result<(), ControlError>;
}

/// Makes a running target stop; can be kept and used by any thread.
#[derive(Clone)]
pub struct Interrupter(Arc<dyn Fn() + Send + Sync>);

impl Interrupter {
    /// One that calls this.
    pub fn new(interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(interrupt))
    }

    /// Asks for the stop and returns at once. Where nothing runs, the next [`Control::resume`] is stopped.
    pub fn interrupt(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupter")
    }
}
