//! The instructions, and programs whose every instruction is one of them.

/// Why bytes are no agent expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// A byte is no instruction, or one for numbers with a fraction.
    #[error("byte {at} of the agent expression is no instruction that is known: {byte:#x}")]
    UnknownInstruction {
        /// Where in the code.
        at: usize,
        /// What is there.
        byte: u8,
    },
    /// The code ends in the middle of an instruction.
    #[error("the agent expression ends in the middle of an instruction")]
    Truncated,
    /// It goes to where no instruction begins.
    #[error("the agent expression goes to byte {to}, where no instruction begins")]
    BadTarget {
        /// Where to.
        to: usize,
    },
    /// A jump needs 16 bits to say where to.
    #[error("the agent expression has more than 65,535 bytes")]
    TooLong,
}

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $operands:literal;)*) => {
        /// One instruction. Its operands follow it in the code.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Opcode { $($(#[$doc])* $name = $value,)* }

        impl Opcode {
            /// The instruction that a byte says.
            #[must_use]
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$name),)* _ => None }
            }

            /// How many bytes of operands follow it.
            #[must_use]
            pub fn operand_bytes(self) -> usize {
                match self { $(Self::$name => $operands,)* }
            }
        }
    };
}

opcodes! {
    /// `a b` → `a + b`.
    Add = 0x02, 0;
    /// `a b` → `a - b`.
    Sub = 0x03, 0;
    /// `a b` → `a * b`.
    Mul = 0x04, 0;
    /// `a b` → `a / b`, signed.
    DivSigned = 0x05, 0;
    /// `a b` → `a / b`.
    DivUnsigned = 0x06, 0;
    /// `a b` → the remainder of `a / b`, signed.
    RemSigned = 0x07, 0;
    /// `a b` → the remainder of `a / b`.
    RemUnsigned = 0x08, 0;
    /// `a b` → `a << b`.
    Lsh = 0x09, 0;
    /// `a b` → `a >> b`, signed.
    RshSigned = 0x0a, 0;
    /// `a b` → `a >> b`.
    RshUnsigned = 0x0b, 0;
    /// `address size` → nothing; collects that memory.
    Trace = 0x0c, 0;
    /// `address` → `address`; collects so many bytes (8 bits) from there on.
    TraceQuick = 0x0d, 1;
    /// `a` → 1 where it is 0, else 0.
    LogNot = 0x0e, 0;
    /// `a b` → `a & b`.
    BitAnd = 0x0f, 0;
    /// `a b` → `a | b`.
    BitOr = 0x10, 0;
    /// `a b` → `a ^ b`.
    BitXor = 0x11, 0;
    /// `a` → `!a`.
    BitNot = 0x12, 0;
    /// `a b` → 1 where they are equal, else 0.
    Equal = 0x13, 0;
    /// `a b` → 1 where `a` is less than `b`, signed, else 0.
    LessSigned = 0x14, 0;
    /// `a b` → 1 where `a` is less than `b`, else 0.
    LessUnsigned = 0x15, 0;
    /// `a` → its lowest so many bits (8 bits) as a signed number.
    Ext = 0x16, 1;
    /// `address` → the byte there.
    Ref8 = 0x17, 0;
    /// `address` → the two bytes there, in the machine's order.
    Ref16 = 0x18, 0;
    /// `address` → the four bytes there.
    Ref32 = 0x19, 0;
    /// `address` → the eight bytes there.
    Ref64 = 0x1a, 0;
    /// `a` → nothing; goes to a place (16 bits) where it is not 0.
    IfGoto = 0x20, 2;
    /// Goes to a place (16 bits).
    Goto = 0x21, 2;
    /// → a number of 8 bits.
    Const8 = 0x22, 1;
    /// → a number of 16 bits.
    Const16 = 0x23, 2;
    /// → a number of 32 bits.
    Const32 = 0x24, 4;
    /// → a number of 64 bits.
    Const64 = 0x25, 8;
    /// → the register of that number (16 bits): its place in the architecture's table
    /// ([`RegisterId`](crate::RegisterId)). On the wire it is GDB's number.
    Reg = 0x26, 2;
    /// Ends it.
    End = 0x27, 0;
    /// `a` → `a a`.
    Dup = 0x28, 0;
    /// `a` → nothing.
    Pop = 0x29, 0;
    /// `a` → its lowest so many bits (8 bits).
    ZeroExt = 0x2a, 1;
    /// `a b` → `b a`.
    Swap = 0x2b, 0;
    /// → the variable of that number (16 bits).
    GetVariable = 0x2c, 2;
    /// `a` → `a`; the variable of that number (16 bits) becomes it.
    SetVariable = 0x2d, 2;
    /// `address size` → nothing; collects memory up to a NUL, and at most so many bytes.
    TraceString = 0x2f, 0;
    /// `address` → `address`; collects so many bytes (16 bits) from there on.
    Trace16 = 0x30, 2;
    /// → a copy of the number that lies so deep (8 bits; 0 is the topmost).
    Pick = 0x32, 1;
    /// `a b c` → `c a b`.
    Rot = 0x33, 0;
}

/// A program of which every instruction is known and every jump goes to one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Box<[u8]>"))]
pub struct AgentExpression(Box<[u8]>);

impl AgentExpression {
    /// Checks bytes that came from somewhere.
    ///
    /// # Errors
    /// When they are no such program.
    pub fn new(code: impl Into<Box<[u8]>>) -> Result<Self, AgentError> {
        let code = code.into();
        if code.len() > usize::from(u16::MAX) {
            return Err(AgentError::TooLong);
        }
        let (mut starts, mut targets, mut at) = (vec![false; code.len()], Vec::new(), 0);
        while let Some(byte) = code.get(at) {
            let opcode =
                Opcode::from_byte(*byte).ok_or(AgentError::UnknownInstruction { at, byte: *byte })?;
            let operands = code.get(at + 1..).and_then(|rest| rest.get(..opcode.operand_bytes()));
            let operands = operands.ok_or(AgentError::Truncated)?;
            if matches!(opcode, Opcode::Goto | Opcode::IfGoto) {
                targets.push(number(operands) as usize);
            }
            starts[at] = true;
            at += 1 + operands.len();
        }
        let bad = targets.into_iter().find(|to| starts.get(*to) != Some(&true));
        bad.map_or(Ok(Self(code)), |to| Err(AgentError::BadTarget { to }))
    }

    /// The code, as it goes over a wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The instruction at a place, its operand as a number, and where the next one is.
    pub(super) fn at(&self, at: usize) -> Option<(Opcode, u64, usize)> {
        let opcode = Opcode::from_byte(*self.0.get(at)?)?;
        let end = at + 1 + opcode.operand_bytes();
        Some((opcode, number(self.0.get(at + 1..end)?), end))
    }
}

/// A big-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl TryFrom<Box<[u8]>> for AgentExpression {
    type Error = AgentError;

    fn try_from(code: Box<[u8]>) -> Result<Self, AgentError> {
        Self::new(code)
    }
}
