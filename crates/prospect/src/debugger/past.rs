//! Moments that are kept, and gone back to.

use prospect_process::{
    ProcessId,
    control::{Checkpoint, CheckpointId, Recording},
};

use super::{DebugError, Debugger};

impl Debugger {
    /// Keeps this moment of a process that stands, with what is to be remembered of it.
    ///
    /// # Errors
    /// When it cannot be kept, and why.
    pub fn checkpoint(&mut self, process: ProcessId, note: &str) -> Result<CheckpointId, DebugError> {
        self.process(process)?;
        Ok(Recording::checkpoint(&mut self.controlled, process, note)?)
    }

    /// The moments that were kept.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        Recording::checkpoints(&self.controlled)
    }

    /// Forgets one.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn forget_checkpoint(&mut self, checkpoint: CheckpointId) -> Result<(), DebugError> {
        Ok(Recording::forget(&mut self.controlled, checkpoint)?)
    }

    /// Goes back to one, which stays. All breakpoints are in force, and their hits stay counted. The process has another number then.
    ///
    /// # Errors
    /// When there is none of that number, or it cannot be gone to.
    pub fn go_back(&mut self, checkpoint: CheckpointId) -> Result<ProcessId, DebugError> {
        let before = self.processes().to_vec();
        let process = Recording::restart(&mut self.controlled, checkpoint)?;
        let gone = before.into_iter().find(|one| !self.processes().contains(one));
        if let Some(gone) = gone {
            self.breakpoints.went_back(gone, process);
            self.gone(gone, super::ProcessState::LetGo);
        }
        self.gone.remove(&process);
        self.resumed = None;
        self.update(process)?;
        Ok(process)
    }
}
