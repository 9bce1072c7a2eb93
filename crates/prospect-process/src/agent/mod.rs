//! Agent expressions: small programs that are evaluated where a thread has stopped, without asking anybody else.
//!
//! They are GDB's ("The GDB Agent Expression Mechanism", appendix F of its manual): a stack machine for whole numbers,
//! with memory and registers to read and ranges of memory to collect. So conditions can go over GDB's remote protocol as they
//! are, in both directions. Numbers of several bytes are big-endian in the code, whatever the machine.
//!
//! Numbers with a fraction are not in it, as they are not in GDB's own: who compiles an expression with such numbers
//! evaluates it elsewhere.

mod assemble;
mod evaluate;
mod opcode;
#[cfg(test)]
mod tests;

pub use assemble::{Assembler, Label};
pub use evaluate::{AgentContext, AgentFault};
pub use opcode::{AgentError, AgentExpression, Opcode};

/// The most steps that one evaluation takes: a program that jumps backwards must end.
pub const MOST_STEPS: u32 = 10_000;

/// The deepest stack of an evaluation, in numbers.
pub const STACK_DEPTH: usize = 100;
