//! Expressions that are evaluated where a thread has stopped, and templates of what is written there.
//!
//! ```text
//! text ─► Expression ─ Compiler(MadeUp) ─► Compiled::Yes(AgentExpression)   next to the stop
//!                                        └► Compiled::No(why)                at a stop, by who asked for it
//! template ─► Template ─ Compiler ─► Collection ─► Record ─ RecordedMoment ─► text
//! ```
//! Where a variable is is asked for in frames with [made-up registers](MadeUp): what follows one register, or none,
//! wherever that leads, can be computed there. What is read for it from memory, or depends on callers, is found nowhere
//! in such a frame and is not compiled.

mod assembly;
mod compiler;
mod made_up;
mod number;
mod operators;
mod places;
mod record;
mod template;

pub use compiler::{Compiled, Compiler};
pub use made_up::MadeUp;
pub use record::RecordedMoment;
pub use template::{Format, Part, Template, TemplateError};
