//! Evaluating them.

use super::{AgentExpression, MOST_STEPS, Opcode, STACK_DEPTH};
use crate::{Addr, Arch, MemoryError};

/// Why an evaluation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AgentFault {
    /// It takes more from the stack than there is.
    #[error("the stack of the agent expression is empty")]
    StackEmpty,
    /// It keeps more on the stack than there is room for.
    #[error("the stack of the agent expression is full")]
    StackFull,
    /// It divides by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// It takes too many steps.
    #[error("the agent expression did not end within {MOST_STEPS} steps")]
    TooLong,
    /// A register is not known, or there is none of that number.
    #[error("register {0} is not known")]
    NoRegister(u16),
    /// It reads memory that cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There is no room for what it collects.
    #[error("no room for what is collected")]
    NoRoom,
}

/// What an evaluation reads of a stopped thread, and where it puts what it collects.
pub trait AgentContext {
    /// The architecture of the thread.
    fn arch(&self) -> Arch;

    /// A register, by its place in the architecture's table.
    fn register(&mut self, number: u16) -> Option<u64>;

    /// Reads memory.
    ///
    /// # Errors
    /// When a byte of it cannot be read.
    fn read(&mut self, at: Addr, buffer: &mut [u8]) -> Result<(), MemoryError>;

    /// Collects memory; `to_nul`: up to a NUL at the latest.
    ///
    /// # Errors
    /// When it cannot be read, or there is no room for it.
    fn collect(&mut self, at: Addr, length: u64, to_nul: bool) -> Result<(), AgentFault>;

    /// A variable that outlives the evaluation; 0 before it was set.
    fn variable(&mut self, _number: u16) -> u64 {
        0
    }

    /// Sets it.
    fn set_variable(&mut self, _number: u16, _value: u64) {}
}

#[derive(Default)]
struct Stack(Vec<u64>);

impl Stack {
    fn pop(&mut self) -> Result<u64, AgentFault> {
        self.0.pop().ok_or(AgentFault::StackEmpty)
    }

    fn push(&mut self, number: u64) -> Result<(), AgentFault> {
        if self.0.len() >= STACK_DEPTH {
            return Err(AgentFault::StackFull);
        }
        self.0.push(number);
        Ok(())
    }

    /// What lies so deep.
    fn peek(&self, depth: usize) -> Result<u64, AgentFault> {
        let place = self.0.len().checked_sub(depth + 1).ok_or(AgentFault::StackEmpty)?;
        Ok(self.0[place])
    }

    fn unary(&mut self, f: impl FnOnce(u64) -> u64) -> Result<(), AgentFault> {
        let a = self.pop()?;
        self.push(f(a))
    }

    fn binary(&mut self, f: impl FnOnce(u64, u64) -> Option<u64>) -> Result<(), AgentFault> {
        let (b, a) = (self.pop()?, self.pop()?);
        self.push(f(a, b).ok_or(AgentFault::DivisionByZero)?)
    }
}

impl AgentExpression {
    /// Evaluates it: the topmost number of the stack at its end, `None` where the stack is empty then.
    ///
    /// # Errors
    /// When something it needs is not there, or it does not end.
    pub fn evaluate(&self, context: &mut dyn AgentContext) -> Result<Option<u64>, AgentFault> {
        let (mut stack, mut at) = (Stack::default(), 0);
        for _ in 0..MOST_STEPS {
            let Some((opcode, operand, next)) = self.at(at) else { return Ok(stack.0.pop()) };
            at = next;
            match opcode {
                Opcode::End => return Ok(stack.0.pop()),
                Opcode::Goto => at = operand as usize,
                Opcode::IfGoto => {
                    if stack.pop()? != 0 {
                        at = operand as usize;
                    }
                }
                _ => step(&mut stack, opcode, operand, context)?,
            }
        }
        Err(AgentFault::TooLong)
    }
}

fn step(
    stack: &mut Stack,
    opcode: Opcode,
    operand: u64,
    context: &mut dyn AgentContext,
) -> Result<(), AgentFault> {
    let signed = u64::cast_signed;
    match opcode {
        Opcode::Add => stack.binary(|a, b| Some(a.wrapping_add(b))),
        Opcode::Sub => stack.binary(|a, b| Some(a.wrapping_sub(b))),
        Opcode::Mul => stack.binary(|a, b| Some(a.wrapping_mul(b))),
        Opcode::DivSigned => {
            stack.binary(|a, b| (b != 0).then(|| signed(a).wrapping_div(signed(b)).cast_unsigned()))
        }
        Opcode::DivUnsigned => stack.binary(u64::checked_div),
        Opcode::RemSigned => {
            stack.binary(|a, b| (b != 0).then(|| signed(a).wrapping_rem(signed(b)).cast_unsigned()))
        }
        Opcode::RemUnsigned => stack.binary(u64::checked_rem),
        Opcode::Lsh => stack.binary(|a, b| Some(shift(b).map_or(0, |by| a << by))),
        Opcode::RshUnsigned => stack.binary(|a, b| Some(shift(b).map_or(0, |by| a >> by))),
        Opcode::RshSigned => stack.binary(|a, b| Some((signed(a) >> shift(b).unwrap_or(63)).cast_unsigned())),
        Opcode::LogNot => stack.unary(|a| u64::from(a == 0)),
        Opcode::BitAnd => stack.binary(|a, b| Some(a & b)),
        Opcode::BitOr => stack.binary(|a, b| Some(a | b)),
        Opcode::BitXor => stack.binary(|a, b| Some(a ^ b)),
        Opcode::BitNot => stack.unary(|a| !a),
        Opcode::Equal => stack.binary(|a, b| Some(u64::from(a == b))),
        Opcode::LessSigned => stack.binary(|a, b| Some(u64::from(signed(a) < signed(b)))),
        Opcode::LessUnsigned => stack.binary(|a, b| Some(u64::from(a < b))),
        Opcode::Ext => stack.unary(|a| match unused_bits(operand) {
            Some(unused) => (signed(a << unused) >> unused).cast_unsigned(),
            None => a,
        }),
        Opcode::ZeroExt => stack.unary(|a| match unused_bits(operand) {
            Some(unused) => a << unused >> unused,
            None => a,
        }),
        Opcode::Ref8 => read(stack, context, 1),
        Opcode::Ref16 => read(stack, context, 2),
        Opcode::Ref32 => read(stack, context, 4),
        Opcode::Ref64 => read(stack, context, 8),
        Opcode::Const8 | Opcode::Const16 | Opcode::Const32 | Opcode::Const64 => stack.push(operand),
        Opcode::Reg => {
            let number = operand as u16;
            stack.push(context.register(number).ok_or(AgentFault::NoRegister(number))?)
        }
        Opcode::Dup => stack.push(stack.peek(0)?),
        Opcode::Pick => stack.push(stack.peek(operand as usize)?),
        Opcode::Pop => stack.pop().map(drop),
        Opcode::Swap => {
            let (b, a) = (stack.pop()?, stack.pop()?);
            stack.push(b)?;
            stack.push(a)
        }
        Opcode::Rot => {
            let (c, b, a) = (stack.pop()?, stack.pop()?, stack.pop()?);
            [c, a, b].into_iter().try_for_each(|number| stack.push(number))
        }
        Opcode::GetVariable => stack.push(context.variable(operand as u16)),
        Opcode::SetVariable => {
            context.set_variable(operand as u16, stack.peek(0)?);
            Ok(())
        }
        Opcode::Trace | Opcode::TraceString => {
            let (length, at) = (stack.pop()?, stack.pop()?);
            context.collect(Addr(at), length, opcode == Opcode::TraceString)
        }
        Opcode::TraceQuick | Opcode::Trace16 => context.collect(Addr(stack.peek(0)?), operand, false),
        Opcode::End | Opcode::Goto | Opcode::IfGoto => Ok(()),
    }
}

fn read(stack: &mut Stack, context: &mut dyn AgentContext, bytes: usize) -> Result<(), AgentFault> {
    let (at, mut buffer) = (stack.pop()?, [0; 8]);
    context.read(Addr(at), &mut buffer[..bytes])?;
    stack.push(context.arch().info().unsigned(&buffer[..bytes]).unwrap_or(0))
}

/// By how much to shift; `None` where nothing is left of the number.
fn shift(by: u64) -> Option<u32> {
    u32::try_from(by).ok().filter(|by| *by < 64)
}

/// How many of 64 bits are not among the lowest `used`; `None` where all are used, or none, which says nothing.
fn unused_bits(used: u64) -> Option<u32> {
    (1..64).contains(&used).then(|| 64 - used as u32)
}
