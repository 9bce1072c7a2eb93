//! Postfix expressions, and what they become: rules of an unwind row, or DWARF's expressions, which are evaluated as those of
//! call frame information are.

use prospect_process::{Arch, ArchInfo, RegisterId};

use crate::{CfaRule, Expression, RegisterRule};

/// A row's expressions have no more parts.
const MOST_NODES: usize = 1024;
/// An expression is no longer when it is written out.
const MOST_BYTES: usize = 4096;

/// What other things are added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Base {
    Cfa,
    Register(RegisterId),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    /// A number, or a register or the canonical frame address plus a number.
    Sum(Option<Base>, i64),
    /// An operator of two, by its letter.
    Pair(u8, Value, Value),
    /// A word in memory.
    Word(Value),
}

/// The value of one expression among those of an [`Expressions`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value(usize);

/// The expressions of one row.
pub(super) struct Expressions {
    info: &'static ArchInfo,
    nodes: Vec<Node>,
}

/// Why something is no expression.
pub(super) type Problem = &'static str;

impl Expressions {
    pub(super) fn new(info: &'static ArchInfo) -> Self {
        Self { info, nodes: Vec::new() }
    }

    pub(super) fn info(&self) -> &'static ArchInfo {
        self.info
    }

    fn node(&mut self, node: Node) -> Result<Value, Problem> {
        if self.nodes.len() >= MOST_NODES {
            return Err("an expression of very many parts");
        }
        self.nodes.push(node);
        Ok(Value(self.nodes.len() - 1))
    }

    fn get(&self, value: Value) -> Node {
        self.nodes.get(value.0).copied().unwrap_or(Node::Sum(None, 0))
    }

    pub(super) fn number(&mut self, number: i64) -> Result<Value, Problem> {
        self.node(Node::Sum(None, number))
    }

    pub(super) fn register(&mut self, id: RegisterId) -> Result<Value, Problem> {
        self.node(Node::Sum(Some(Base::Register(id)), 0))
    }

    pub(super) fn cfa(&mut self) -> Result<Value, Problem> {
        self.node(Node::Sum(Some(Base::Cfa), 0))
    }

    /// What an operator makes of the values on a stack: `+ - * / %`, `@` (the first rounded down to a multiple of the
    /// second), `^` (the word at). `false` where the word is none.
    pub(super) fn operate(&mut self, word: &[u8], stack: &mut Vec<Value>) -> Result<bool, Problem> {
        const FEW: Problem = "an operator without values";
        let [operator @ (b'+' | b'-' | b'*' | b'/' | b'%' | b'@' | b'^')] = word else { return Ok(false) };
        let last = stack.pop().ok_or(FEW)?;
        let node = if *operator == b'^' {
            Node::Word(last)
        } else {
            self.pair(*operator, stack.pop().ok_or(FEW)?, last)
        };
        stack.push(self.node(node)?);
        Ok(true)
    }

    fn pair(&self, operator: u8, first: Value, second: Value) -> Node {
        match (operator, self.get(first), self.get(second)) {
            (b'+', Node::Sum(base, one), Node::Sum(None, other))
            | (b'+', Node::Sum(None, one), Node::Sum(base, other)) => {
                Node::Sum(base, one.wrapping_add(other))
            }
            (b'-', Node::Sum(base, one), Node::Sum(None, other)) => Node::Sum(base, one.wrapping_sub(other)),
            _ => Node::Pair(operator, first, second),
        }
    }

    /// The rule that makes a value the canonical frame address.
    pub(super) fn cfa_rule(&self, value: Value) -> Result<CfaRule, Problem> {
        Ok(match self.get(value) {
            Node::Sum(Some(Base::Register(id)), offset) => CfaRule::Register(id, offset),
            _ => CfaRule::Expression(self.expression(value, false)?),
        })
    }

    /// The rule that makes a value that of a register. `cfa` is the rule of the canonical frame address, which a
    /// value may be based on without saying so.
    pub(super) fn rule(&self, of: RegisterId, value: Value, cfa: &CfaRule) -> Result<RegisterRule, Problem> {
        let from_cfa = |value: Value| match (self.get(value), cfa) {
            (Node::Sum(Some(Base::Cfa), offset), _) => Some(offset),
            (Node::Sum(Some(Base::Register(id)), offset), CfaRule::Register(base, distance))
                if id == *base =>
            {
                offset.checked_sub(*distance)
            }
            _ => None,
        };
        Ok(match self.get(value) {
            Node::Sum(Some(Base::Register(id)), 0) if id == of => RegisterRule::SameValue,
            Node::Sum(Some(Base::Register(id)), 0) => RegisterRule::Register(id),
            Node::Word(at) => match from_cfa(at) {
                Some(offset) => RegisterRule::AtCfa(offset),
                None => RegisterRule::AtExpression(self.expression(at, true)?),
            },
            _ => match from_cfa(value) {
                Some(offset) => RegisterRule::CfaPlus(offset),
                None => RegisterRule::IsExpression(self.expression(value, true)?),
            },
        })
    }

    /// A value as an expression of DWARF; the canonical frame address lies on its stack from the beginning on, if there is one.
    fn expression(&self, value: Value, has_cfa: bool) -> Result<Expression, Problem> {
        let mut bytes = Vec::new();
        self.write(value, has_cfa.then_some(0), &mut bytes)?;
        Ok(Expression::new(&bytes))
    }

    /// Writes what pushes a value (DWARF 5, section 2.5). `above_cfa` is how many values lie above the canonical frame address.
    fn write(&self, value: Value, above_cfa: Option<u8>, to: &mut Vec<u8>) -> Result<(), Problem> {
        const DEREF: u8 = 0x06;
        const CONSTS: u8 = 0x11;
        const OVER: u8 = 0x14;
        const PICK: u8 = 0x15;
        const SWAP: u8 = 0x16;
        const DIV: u8 = 0x1b;
        const MINUS: u8 = 0x1c;
        const MOD: u8 = 0x1d;
        const MUL: u8 = 0x1e;
        const PLUS: u8 = 0x22;
        const BREGX: u8 = 0x92;
        if to.len() > MOST_BYTES {
            return Err("an expression that is very long");
        }
        match self.get(value) {
            Node::Sum(None, number) => {
                to.push(CONSTS);
                write_signed(number, to);
            }
            Node::Sum(Some(Base::Register(id)), offset) => {
                let number = self.info.register(id).dwarf.ok_or("a register without a number")?;
                to.push(BREGX);
                write_unsigned(number, to);
                write_signed(offset, to);
            }
            Node::Sum(Some(Base::Cfa), offset) => {
                to.extend([PICK, above_cfa.ok_or("the frame address in its own rule")?, CONSTS]);
                write_signed(offset, to);
                to.push(PLUS);
            }
            Node::Word(at) => {
                self.write(at, above_cfa, to)?;
                to.push(DEREF);
            }
            Node::Pair(operator, first, second) => {
                self.write(first, above_cfa, to)?;
                let above = match above_cfa {
                    Some(above) => Some(above.checked_add(1).ok_or("an expression that is very deep")?),
                    None => None,
                };
                self.write(second, above, to)?;
                match operator {
                    b'+' => to.push(PLUS),
                    b'-' => to.push(MINUS),
                    b'*' => to.push(MUL),
                    b'/' => to.push(DIV),
                    b'%' => to.push(MOD),
                    _ => to.extend([OVER, SWAP, MOD, MINUS]),
                }
            }
        }
        Ok(())
    }
}

/// The register of a name: `$rsp` on x86, `sp` and `x29` elsewhere.
pub(super) fn register(info: &ArchInfo, name: &[u8]) -> Option<RegisterId> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.strip_prefix('$').unwrap_or(name);
    let by_number = || {
        let number = name.strip_prefix(['x', 'r'])?.parse().ok()?;
        let is_numbered = [Arch::Aarch64, Arch::Arm].iter().any(|arch| arch.info().name == info.name);
        info.by_dwarf(number).filter(|_| is_numbered)
    };
    info.by_name(name).or_else(by_number).or(match name {
        "fp" => Some(info.fp),
        "lr" => info.link,
        "sp" => Some(info.sp),
        "pc" => Some(info.pc),
        _ => None,
    })
}

fn write_unsigned(number: u16, to: &mut Vec<u8>) {
    let mut left = number;
    while left >= 0x80 {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

fn write_signed(number: i64, to: &mut Vec<u8>) {
    let mut left = number;
    while !(-0x40..0x40).contains(&left) {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8 & 0x7f);
}
