//! What is held of a process by this program, and for how long.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prospect_process::{FrozenThread, ThreadId};

use super::{
    LiveError,
    attachment::{Attachment, Grip},
    identity::Identity,
    tracer::Tracer,
};

/// Which threads of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Threads {
    /// All of them, and those that are born meanwhile.
    All,
    /// These.
    Only(Vec<ThreadId>),
}

impl From<ThreadId> for Threads {
    fn from(thread: ThreadId) -> Self {
        Self::Only(vec![thread])
    }
}

impl From<&[ThreadId]> for Threads {
    fn from(threads: &[ThreadId]) -> Self {
        Self::Only(threads.to_vec())
    }
}

impl Threads {
    pub(crate) fn includes(&self, thread: ThreadId) -> bool {
        match self {
            Self::All => true,
            Self::Only(threads) => threads.contains(&thread),
        }
    }
}

/// The holds of one process that are in force. The kernel allows one tracer, so that all share one.
#[derive(Debug)]
pub(crate) struct Holds {
    identity: Arc<Identity>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// It lives as long as there are holds: what the kernel did not let us let go is free when it ends.
    tracer: Option<Tracer>,
    count: usize,
}

/// One hold. Threads that it alone holds go on when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    holds: Arc<Holds>,
    /// `None` when it has ended.
    grip: Option<Grip>,
}

impl Holds {
    pub(crate) fn of(identity: Arc<Identity>) -> Arc<Self> {
        Arc::new(Self { identity, state: Mutex::default() })
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Holds threads, and says what they are like.
    pub(crate) fn hold(
        self: &Arc<Self>,
        which: Threads,
        deadline: Instant,
    ) -> Result<(Hold, Vec<FrozenThread>), LiveError> {
        let mut state = self.state();
        let stopped = state.run(&self.identity, move |attachment| attachment.hold(&which, deadline));
        let result = stopped.map(|(grip, threads)| {
            state.count += 1;
            (Hold { holds: self.clone(), grip: Some(grip) }, threads)
        });
        state.end_if_idle();
        result
    }

    /// Lets the tracer do something that leaves nothing held that was not before.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Attachment) -> Result<T, LiveError> + Send + 'static,
    ) -> Result<T, LiveError> {
        let mut state = self.state();
        let result = state.run(&self.identity, work);
        state.end_if_idle();
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn run<T: Send + 'static>(
        &mut self,
        identity: &Arc<Identity>,
        work: impl FnOnce(&mut Attachment) -> Result<T, LiveError> + Send + 'static,
    ) -> Result<T, LiveError> {
        let tracer = match &mut self.tracer {
            Some(tracer) => tracer,
            none => none.insert(Tracer::start(identity.clone())?),
        };
        tracer.run(work)?
    }

    /// With the lock held until it has ended: whoever holds the process next must not find it traced.
    fn end_if_idle(&mut self) {
        if self.count == 0 {
            drop(self.tracer.take());
        }
    }
}

impl Hold {
    /// Ends it, and says for how long threads were held by it; `None` when none was.
    pub(crate) fn release(mut self) -> Option<Duration> {
        self.end()
    }

    /// Lets go those of its threads that are not `kept`.
    pub(crate) fn keep(&mut self, kept: impl Fn(ThreadId) -> bool) {
        let Some(given_back) = self.grip.as_mut().map(|grip| grip.split_off(kept)) else { return };
        let _ = self.holds.run(move |attachment| {
            attachment.release(given_back);
            Ok(())
        });
    }

    /// The threads that it holds.
    pub(crate) fn threads(&self) -> &[ThreadId] {
        self.grip.as_ref().map_or(&[], Grip::threads)
    }

    /// Since when; `None` when it holds nothing.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.grip.as_ref().filter(|grip| !grip.threads().is_empty()).map(Grip::began)
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.holds.identity
    }

    fn end(&mut self) -> Option<Duration> {
        let grip = self.grip.take()?;
        let mut state = self.holds.state();
        // A tracer that is no more holds nothing any more.
        let held = state.tracer.as_ref().map(|tracer| tracer.run(move |attachment| attachment.release(grip)));
        state.count = state.count.saturating_sub(1);
        state.end_if_idle();
        held?.ok()?
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end();
    }
}
