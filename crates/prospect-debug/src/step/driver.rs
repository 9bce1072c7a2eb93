//! Whom steps are made with.

use std::sync::Arc;

use prospect_process::{
    Addr, ProcessId, Target,
    control::{ControlError, Event},
};

use super::landing::Landings;

/// What a step runs, and who decides what is not the step's own matter.
pub trait Driver {
    /// What is run.
    fn target(&self) -> &dyn Target;

    /// The same, to run it.
    fn target_mut(&mut self) -> &mut dyn Target;

    /// What steps remember from one to the next.
    fn memo(&mut self) -> &mut StepMemo;

    /// Something has happened that is not of the step, and all stand. `None`: the step goes on; else it ends with this.
    ///
    /// # Errors
    /// When the target fails.
    fn happened(&mut self, event: Event) -> Result<Option<Event>, ControlError>;
}

/// What steps remember from one to the next, so that it is not looked for again.
#[derive(Clone, Debug, Default)]
pub struct StepMemo {
    /// Where frames are left, of a process with these modules.
    pub(super) landings: Option<(ProcessId, Vec<Addr>, Arc<Landings>)>,
}

/// A target alone: whatever happens ends the step.
pub struct Plain<'a> {
    target: &'a mut dyn Target,
    memo: StepMemo,
}

impl<'a> Plain<'a> {
    /// Of this target.
    pub fn new(target: &'a mut dyn Target) -> Self {
        Self { target, memo: StepMemo::default() }
    }
}

impl std::fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plain")
    }
}

impl Driver for Plain<'_> {
    fn target(&self) -> &dyn Target {
        self.target
    }

    fn target_mut(&mut self) -> &mut dyn Target {
        self.target
    }

    fn memo(&mut self) -> &mut StepMemo {
        &mut self.memo
    }

    fn happened(&mut self, event: Event) -> Result<Option<Event>, ControlError> {
        Ok(Some(event))
    }
}
