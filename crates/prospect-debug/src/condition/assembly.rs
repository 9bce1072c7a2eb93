//! Programs in the making: pieces are put together before it is known where they will stand.

use prospect_process::{
    RegisterId,
    agent::{AgentError, AgentExpression, Assembler, Label, Opcode},
};

/// One instruction, or a place that others go to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    Op(Opcode),
    With(Opcode, u64),
    Constant(u64),
    Register(RegisterId),
    Place(usize),
    Goto(usize),
    IfGoto(usize),
}

/// A piece of a program.
pub(super) type Code = Vec<Item>;

/// The program that a piece is, whose labels are numbered below `labels`.
pub(super) fn assemble(code: &[Item], labels: usize) -> Result<AgentExpression, AgentError> {
    let mut assembler = Assembler::new();
    let labels: Vec<Label> = (0..labels).map(|_| assembler.label()).collect();
    for item in code {
        match *item {
            Item::Op(opcode) => assembler.op(opcode),
            Item::With(opcode, operand) => assembler.with(opcode, operand),
            Item::Constant(number) => assembler.constant(number),
            Item::Register(register) => assembler.register(register),
            Item::Place(label) => assembler.place(labels[label]),
            Item::Goto(label) => assembler.goto(labels[label]),
            Item::IfGoto(label) => assembler.if_goto(labels[label]),
        };
    }
    assembler.finish()
}
