//! Moments that are kept, for the program: [`Recording`] by checkpoints.

use std::collections::BTreeMap;

use prospect_process::{
    ProcessId,
    control::{Checkpoint, CheckpointId, ControlError, Position, Recording, Resume},
};

use super::{
    Controlled,
    wire::{Reply, Request},
};

/// What was kept, and of which process: of several that took each other's place, the latest.
#[derive(Debug, Default)]
pub(super) struct Kept {
    all: Vec<(Checkpoint, ProcessId)>,
    /// How often was run so far.
    pub(super) position: u64,
}

impl Kept {
    /// A process was let go or ended by us, and what was kept of it is no more.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.all.retain(|(_, of)| *of != process);
    }
}

fn no_past() -> ControlError {
    ControlError::Unsupported("go anywhere in its past but to checkpoints".into())
}

/// Moments are copies of the process, which stand until they are gone back to, and then are copied once more. The program does not see them.
///
/// A copy has one thread, so a process must have one. What copies share is as it is, and not as it was: files with the places in them that are read and written next, shared memory,
/// pipes and sockets, what it has made. A copy has a number of its own, and no timers. A process that was
/// started here ends when it goes back; one that was attached to stands, and goes on as it was when it is let go: the copy that ran in its place ends then. All copies end with this control.
impl Recording for Controlled {
    fn is_whole(&self) -> bool {
        false
    }

    fn position(&self) -> Position {
        Position(self.kept.position)
    }

    fn checkpoint(&mut self, process: ProcessId, note: &str) -> Result<CheckpointId, ControlError> {
        let Reply::Checkpoint(id) = self.channel.ask(&Request::Checkpoint(process))? else {
            return Err(ControlError::NotControlled(process));
        };
        let id = CheckpointId(id);
        self.kept.all.push((Checkpoint { id, position: self.position(), note: note.to_owned() }, process));
        self.renew_views();
        Ok(id)
    }

    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.kept.all.iter().map(|(checkpoint, _)| checkpoint.clone()).collect()
    }

    fn forget(&mut self, checkpoint: CheckpointId) -> Result<(), ControlError> {
        self.kept.all.retain(|(kept, _)| kept.id != checkpoint);
        self.done(&Request::ForgetCheckpoint(checkpoint.0))
    }

    fn restart(&mut self, checkpoint: CheckpointId) -> Result<ProcessId, ControlError> {
        let missing = || ControlError::Unsupported(format!("find checkpoint {}", checkpoint.0));
        let found = self.kept.all.iter().find(|(kept, _)| kept.id == checkpoint);
        let (before, position) = found.map(|(kept, of)| (*of, kept.position.0)).ok_or_else(missing)?;
        let Reply::WentBack { process, hidden } = self.channel.ask(&Request::GoBack(checkpoint.0))? else {
            return Err(missing());
        };
        Controlled::forget(self, before);
        for (_, of) in self.kept.all.iter_mut().filter(|(_, of)| *of == before) {
            *of = process;
        }
        for (place, _) in self.traps.values_mut().filter(|(place, _)| *place == before) {
            *place = process;
        }
        self.add_with(process, BTreeMap::from_iter(hidden))?;
        self.kept.position = position;
        Ok(process)
    }

    fn seek(&mut self, _to: &Position) -> Result<(), ControlError> {
        Err(no_past())
    }

    fn resume_backward(&mut self, _how: &Resume) -> Result<(), ControlError> {
        Err(no_past())
    }
}
