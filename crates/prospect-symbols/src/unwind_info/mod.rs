//! Call frame information: how to get from a frame to its caller's registers.

use std::{ops::Range, sync::Arc};

use prospect_process::{LinkAddr, Memory, MemoryError, RegisterId, Registers};

/// Why call frame information cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwindInfoError {
    /// It is broken.
    #[error("broken call frame information: {0}")]
    Malformed(String),
}

/// How to get from a frame at one address to its caller's registers (DWARF 5, section 6.4.1): a row
/// of the unwind table.
#[derive(Clone, Debug)]
pub struct UnwindRow {
    /// The addresses that the row is for.
    pub range: Range<LinkAddr>,
    /// The canonical frame address.
    pub cfa: CfaRule,
    /// The register (often not a real one) that gets the return address.
    pub return_address: RegisterId,
    /// The rules of the registers that have one.
    pub rules: Vec<(RegisterId, RegisterRule)>,
    /// Whether the function is a signal trampoline (augmentation `S`): its caller was interrupted, and
    /// did not call.
    pub signal_frame: bool,
}

/// How the canonical frame address is computed.
#[derive(Clone, Debug)]
pub enum CfaRule {
    /// A register plus an offset.
    Register(RegisterId, i64),
    /// An expression.
    Expression(Expression),
}

/// Where a caller's register is (DWARF 5, section 6.4.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegisterRule {
    /// It is lost. For the return address: there is no caller.
    Undefined,
    /// It was not changed.
    SameValue,
    /// It was saved at the canonical frame address plus this.
    AtCfa(i64),
    /// It *is* the canonical frame address plus this.
    CfaPlus(i64),
    /// It is in another register.
    Register(RegisterId),
    /// It was saved where the expression says.
    AtExpression(Expression),
    /// It is what the expression says.
    IsExpression(Expression),
}

/// A DWARF expression from call frame information.
#[derive(Clone, Debug)]
pub struct Expression {
    bytes: Arc<[u8]>,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Memory that it needs cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A register that it needs is not known.
    #[error("needs register {0}, which is not known")]
    Register(&'static str),
    /// It is broken, or has an operation that call frame information may not have.
    #[error("broken expression: {0}")]
    Malformed(&'static str),
}

impl Expression {
    /// Its value in a frame with these registers. `initial` is pushed first: the canonical frame address
    /// for register rules, nothing for the address itself.
    ///
    /// # Errors
    /// When a register or memory that it needs is missing, or it is broken, or it runs too long.
    pub fn evaluate(
        &self,
        _initial: Option<u64>,
        _registers: &Registers,
        _memory: &dyn Memory,
    ) -> Result<u64, ExpressionError> {
        let _ = &self.bytes;
        Err(ExpressionError::Malformed("not evaluated"))
    }
}
