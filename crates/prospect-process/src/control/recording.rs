//! Targets whose time can be gone through in both directions.

use super::{ControlError, Resume};
use crate::ProcessId;

/// Which way time goes. It is an argument of what runs, never a state that something is in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Direction {
    /// As it went.
    #[default]
    Forward,
    /// Against it.
    Backward,
}

/// A moment of a recording: only to be compared, and to go back to. What it counts is the recording's own matter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position(pub u64);

/// A checkpoint by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CheckpointId(pub u32);

/// A moment that was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Its number.
    pub id: CheckpointId,
    /// When.
    pub position: Position,
    /// What whoever made it wanted to remember.
    pub note: String,
}

/// What a target can do that keeps its past.
pub trait Recording {
    /// Whether every moment of it is kept, so that it can be run backwards; else only [checkpoints](Self::checkpoints) are.
    fn is_whole(&self) -> bool;

    /// Which moment it is at.
    fn position(&self) -> Position;

    /// Keeps this moment.
    ///
    /// # Errors
    /// When it cannot be kept, and why.
    fn checkpoint(&mut self, process: ProcessId, note: &str) -> Result<CheckpointId, ControlError>;

    /// The moments that were kept, in the order in which that was done.
    fn checkpoints(&self) -> Vec<Checkpoint>;

    /// Forgets one.
    ///
    /// # Errors
    /// When there is none of that number.
    fn forget(&mut self, checkpoint: CheckpointId) -> Result<(), ControlError>;

    /// Goes to a checkpoint, which stays. The process may have another number then, which it returns.
    ///
    /// # Errors
    /// When there is none of that number, or it cannot be gone to.
    fn restart(&mut self, checkpoint: CheckpointId) -> Result<ProcessId, ControlError>;

    /// Goes to a moment.
    ///
    /// # Errors
    /// Where not every moment is kept.
    fn seek(&mut self, to: &Position) -> Result<(), ControlError>;

    /// As [`Control::resume`](super::Control::resume), against time.
    ///
    /// # Errors
    /// Where not every moment is kept.
    fn resume_backward(&mut self, how: &Resume) -> Result<(), ControlError>;
}
