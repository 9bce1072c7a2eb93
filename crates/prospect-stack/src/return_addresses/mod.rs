//! Return addresses only: the fast walk, for profilers and signal handlers.
//!
//! A frame is no more here than pc, sp and the frame pointer, and a [`ReturnRule`] of 16 bytes says how to get to
//! the next one. Where a walk needs more than that, it ends and says so; what [`Walker`](crate::Walker) finds
//! beyond that is for those who have the time. Nothing in [`walk`] allocates, locks or waits; whether that is so of
//! the whole depends on where its rules and its memory come from:
//!
//! | rules | found | for |
//! |---|---|---|
//! | [`BinaryRules`] | when an address is first looked up | other processes |
//! | [`ProcessRules`] | before, for all modules of a process | one's own, in signal handlers too |
//!
//! Either is made faster by a [`RuleCache`], which remembers the rules of addresses in room of a fixed size.

mod cache;
mod process_rules;
mod rule;
mod source;
mod stack_words;
mod table;
mod walk;

pub use cache::{Cached, RuleCache};
pub use process_rules::ProcessRules;
pub use rule::ReturnRule;
pub use source::{BinaryRules, RuleSource};
pub use table::RuleTable;
pub use walk::{ReturnEnd, StackPosition, Walked, walk};

#[cfg(test)]
mod tests;
