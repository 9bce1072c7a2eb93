//! Writing them.

use super::{AgentError, AgentExpression, Opcode};
use crate::RegisterId;

/// A place in a program that is written, known or not yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

/// Writes a program, instruction by instruction.
#[derive(Clone, Default, Debug)]
pub struct Assembler {
    code: Vec<u8>,
    /// Where each label is.
    labels: Vec<Option<usize>>,
    /// Where in the code the place of a label is to be written.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// One without an instruction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An instruction that takes no operand.
    pub fn op(&mut self, opcode: Opcode) -> &mut Self {
        debug_assert_eq!(opcode.operand_bytes(), 0, "{opcode:?} takes an operand");
        self.code.push(opcode as u8);
        self
    }

    /// An instruction with its operand; bits that it has no room for are cut off.
    pub fn with(&mut self, opcode: Opcode, operand: u64) -> &mut Self {
        self.code.push(opcode as u8);
        self.code.extend_from_slice(&operand.to_be_bytes()[8 - opcode.operand_bytes()..]);
        self
    }

    /// A number, in the shortest way.
    pub fn constant(&mut self, number: u64) -> &mut Self {
        let opcode = match number.leading_zeros() {
            56.. => Opcode::Const8,
            48.. => Opcode::Const16,
            32.. => Opcode::Const32,
            _ => Opcode::Const64,
        };
        self.with(opcode, number)
    }

    /// A register.
    pub fn register(&mut self, register: RegisterId) -> &mut Self {
        self.with(Opcode::Reg, u64::from(register.0))
    }

    /// A label, to be [placed](Self::place) somewhere.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places a label here.
    pub fn place(&mut self, label: Label) -> &mut Self {
        self.labels[label.0] = Some(self.code.len());
        self
    }

    /// Goes to a label.
    pub fn goto(&mut self, label: Label) -> &mut Self {
        self.jump(Opcode::Goto, label)
    }

    /// Takes a number and goes to a label where it is not 0.
    pub fn if_goto(&mut self, label: Label) -> &mut Self {
        self.jump(Opcode::IfGoto, label)
    }

    fn jump(&mut self, opcode: Opcode, label: Label) -> &mut Self {
        self.jumps.push((self.code.len() + 1, label));
        self.with(opcode, 0)
    }

    /// The program, with an end behind it.
    ///
    /// # Errors
    /// When a label that is gone to was not placed, or it is too long.
    pub fn finish(mut self) -> Result<AgentExpression, AgentError> {
        self.code.push(Opcode::End as u8);
        for (at, label) in self.jumps {
            let to = self.labels[label.0].ok_or(AgentError::BadTarget { to: usize::MAX })?;
            let to = u16::try_from(to).map_err(|_| AgentError::TooLong)?;
            self.code[at..at + 2].copy_from_slice(&to.to_be_bytes());
        }
        AgentExpression::new(self.code)
    }
}
