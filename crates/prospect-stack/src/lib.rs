//! From registers to frames: [`Walker`], the [`FrameStepper`]s that it asks, and the
//! [`StepperGroup`] that puts them in order.
//!
//! A stepper is pure: from one frame and its surroundings it computes the caller's registers, or says
//! why it cannot. Whether an answer is *plausible* (the stack grows, pc can be run, nothing goes round
//! in a circle) is decided in one place, the walker; an implausible answer sends it to the next stepper.
//! A walk never fails as a whole: a [`Stack`] has the frames that were found, and says why there are no
//! more.
//!
//! ```
//! use prospect_process::{Process, ThreadId};
//! use prospect_stack::{Stack, StepContext, Walker};
//! use prospect_symbols::Binaries;
//!
//! fn stack(process: &dyn Process, thread: ThreadId, binaries: &Binaries) -> Option<Stack> {
//!     let context = StepContext::new(process, binaries);
//!     let mut walker = Walker::new(context.arch);
//!     Some(walker.walk(&process.registers(thread)?, &context))
//! }
//! ```
//!
//! To add a stepper: a type that implements [`FrameStepper`], here in `steppers/` or in any other
//! crate, and [`StepperGroup::then`].

mod analysis;
mod arch;
mod context;
mod frame;
mod frame_registers;
mod frame_state;
mod group;
mod instruction;
mod module_changes;
mod pc_cache;
mod plausibility;
pub mod return_addresses;
mod rule_cache;
mod signal_context;
mod stack;
mod stack_window;
mod step;
pub mod steppers;
mod walker;

#[cfg(test)]
mod testing;

pub use context::StepContext;
pub use frame::{CodeAddress, Frame, Trust};
pub use frame_registers::{FrameRegisters, Location, RuleAt, StepRule};
pub use frame_state::{CodeFrameHelper, FrameHelper, FrameKind, FrameProgress, FrameState};
pub use group::StepperGroup;
pub use instruction::{InstructionText, MemoryUse, instruction};
pub use module_changes::ModuleChanges;
pub use plausibility::Implausible;
pub use signal_context::signal_context;
pub use stack::{Declined, Explanation, Stack, StackEnd};
pub use step::{Caller, DeclineReason, Entered, FrameStepper, Step, StepError};
pub use walker::Walker;
