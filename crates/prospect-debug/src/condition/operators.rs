//! Operators: of one operand, of two, casts.

use prospect_process::agent::Opcode;
use prospect_symbols::type_info::{BaseEncoding, Type, TypeKind, TypeRef};
use prospect_value::expression::{BinaryOperator as Op, Expression, Node, UnaryOperator};

use super::{
    assembly::{Code, Item},
    compiler::{Operand, Thing, Work},
    number::{Kind, Width, kind_of},
    places::{element_size, moved, pointed},
};

impl Work<'_> {
    pub(super) fn unary(&self, operator: UnaryOperator, operand: &Expression) -> Result<Thing, String> {
        if operator == UnaryOperator::Not {
            let mut code = self.truth(operand)?;
            code.push(Item::Op(Opcode::LogNot));
            return Ok(truth_value(code));
        }
        let thing = self.thing(operand)?;
        match operator {
            UnaryOperator::Dereference => {
                let (code, object) = pointed(self.operand(thing)?)?;
                return Ok(Thing::Place(code, object));
            }
            UnaryOperator::AddressOf => {
                let Thing::Place(code, object) = thing else { return Err("it has no address".into()) };
                let code = self.address(code, &object)?;
                return Ok(Thing::Value(Operand { code, kind: Kind::Pointer(object.ty) }));
            }
            _ => {}
        }
        let Operand { mut code, kind: Kind::Number(width) } = self.operand(thing)? else {
            return Err("pointers have no such operator".into());
        };
        let width = match operator {
            UnaryOperator::Plus => width,
            UnaryOperator::Negate => {
                code.insert(0, Item::Constant(0));
                code.push(Item::Op(Opcode::Sub));
                width.promoted(self.rules_of_c)
            }
            _ => {
                code.push(Item::Op(Opcode::BitNot));
                width.promoted(self.rules_of_c)
            }
        };
        width.cut(&mut code);
        Ok(number(code, width))
    }

    pub(super) fn either(
        &self,
        operator: Op,
        left: &Expression,
        right: &Expression,
    ) -> Result<Thing, String> {
        let (decided, end) = (self.label(), self.label());
        let mut code = self.truth(left)?;
        if operator == Op::And {
            code.push(Item::Op(Opcode::LogNot));
        }
        code.push(Item::IfGoto(decided));
        code.extend(self.truth(right)?);
        code.extend([
            Item::Op(Opcode::LogNot),
            Item::Op(Opcode::LogNot),
            Item::Goto(end),
            Item::Place(decided),
        ]);
        code.extend([Item::Constant(u64::from(operator == Op::Or)), Item::Place(end)]);
        Ok(truth_value(code))
    }

    pub(super) fn truth(&self, expression: &Expression) -> Result<Code, String> {
        Ok(self.operand(self.thing(expression)?)?.code)
    }

    /// The value that a name stands for in the enumeration that the `other` operand is of.
    pub(super) fn enumerator(&self, named: &Expression, other: &Expression) -> Option<Operand> {
        let Node::Name { within: None, path } = &named.node else { return None };
        let (Node::Name { .. } | Node::Member(..) | Node::Index(..) | Node::Unary(..)) = &other.node else {
            return None;
        };
        let ty = match self.thing(other).ok()? {
            Thing::Place(_, object) => object.ty,
            Thing::Value(_) => self.leaf_type(other)?,
        };
        let bare = self.bare(&ty).ok()?;
        let TypeKind::Enumeration(enumeration) = &bare.kind else { return None };
        let last = path.rsplit("::").next()?;
        let value = enumeration.enumerators.iter().find(|one| &*one.name == last)?.value;
        let kind = kind_of(&ty, &bare, self.rules_of_c).ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "it has at most eight bytes")]
        Some(Operand { code: vec![Item::Constant(value as u64)], kind })
    }

    pub(super) fn leaf_type(&self, expression: &Expression) -> Option<TypeRef> {
        Some(expression.evaluate(self.scopes[0]).ok()?.ty)
    }

    pub(super) fn binary(
        &self,
        operator: Op,
        left: &Expression,
        right: &Expression,
    ) -> Result<Thing, String> {
        let of = |named: &Expression, other: &Expression| match self.enumerator(named, other) {
            Some(value) => Ok(value),
            None => self.operand(self.thing(named)?),
        };
        let (written, left, right) = (right, of(left, right)?, of(right, left)?);
        match (&left.kind, &right.kind) {
            (Kind::Number(one), Kind::Number(other)) => {
                let (one, other) = (*one, *other);
                self.numbers(operator, (left.code, one), (right.code, other), written)
            }
            (Kind::Pointer(target), Kind::Number(_)) if matches!(operator, Op::Add | Op::Subtract) => {
                let opcode = if operator == Op::Add { Opcode::Add } else { Opcode::Sub };
                let target = target.clone();
                let code = moved(left.code, right.code, element_size(&target), opcode)?;
                Ok(Thing::Value(Operand { code, kind: Kind::Pointer(target) }))
            }
            (Kind::Number(_), Kind::Pointer(target)) if operator == Op::Add => {
                let target = target.clone();
                let code = moved(right.code, left.code, element_size(&target), Opcode::Add)?;
                Ok(Thing::Value(Operand { code, kind: Kind::Pointer(target) }))
            }
            (Kind::Pointer(target), Kind::Pointer(_)) if operator == Op::Subtract => {
                let size = target.size().filter(|size| *size > 0).unwrap_or(1);
                let mut code = [left.code, right.code].concat();
                code.extend([Item::Op(Opcode::Sub), Item::Constant(size), Item::Op(Opcode::DivSigned)]);
                Ok(number(code, Width::new(true, 8)))
            }
            _ if comparison(operator).is_some() => {
                let address = Width::new(false, 8);
                self.numbers(operator, (left.code, address), (right.code, address), written)
            }
            _ => Err(format!("pointers have no `{}`", operator.as_str())),
        }
    }

    pub(super) fn numbers(
        &self,
        operator: Op,
        (left, one): (Code, Width),
        (right, other): (Code, Width),
        written: &Expression,
    ) -> Result<Thing, String> {
        if matches!(operator, Op::ShiftLeft | Op::ShiftRight) {
            let width = one.promoted(self.rules_of_c);
            // One that is too far is an error, which the program would not notice.
            let fits = matches!(written.node, Node::Integer(by, _) if by < u128::from(width.bytes) * 8);
            if !fits {
                return Err("only a shift by a number that is written is evaluated next to a stop".into());
            }
            let opcode = match (operator, width.signed) {
                (Op::ShiftLeft, _) => Opcode::Lsh,
                (_, true) => Opcode::RshSigned,
                (_, false) => Opcode::RshUnsigned,
            };
            let mut code = [left, right].concat();
            code.push(Item::Op(opcode));
            width.cut(&mut code);
            return Ok(number(code, Width { is_untyped: false, ..width }));
        }
        let width = one.together(other, self.rules_of_c);
        let cut = |mut code: Code| {
            width.cut(&mut code);
            code
        };
        if let Some((swapped, negated)) = comparison(operator) {
            let (left, right) = if swapped { (cut(right), cut(left)) } else { (cut(left), cut(right)) };
            let mut code = [left, right].concat();
            code.push(Item::Op(match (operator, width.signed) {
                (Op::Equal | Op::NotEqual, _) => Opcode::Equal,
                (_, true) => Opcode::LessSigned,
                (_, false) => Opcode::LessUnsigned,
            }));
            if negated {
                code.push(Item::Op(Opcode::LogNot));
            }
            return Ok(truth_value(code));
        }
        let opcode = match (operator, width.signed) {
            (Op::Add, _) => Opcode::Add,
            (Op::Subtract, _) => Opcode::Sub,
            (Op::Multiply, _) => Opcode::Mul,
            (Op::Divide, true) => Opcode::DivSigned,
            (Op::Divide, false) => Opcode::DivUnsigned,
            (Op::Remainder, true) => Opcode::RemSigned,
            (Op::Remainder, false) => Opcode::RemUnsigned,
            (Op::BitAnd, _) => Opcode::BitAnd,
            (Op::BitXor, _) => Opcode::BitXor,
            _ => Opcode::BitOr,
        };
        let mut code = [cut(left), cut(right)].concat();
        code.push(Item::Op(opcode));
        Ok(number(cut(code), Width { is_untyped: false, ..width }))
    }

    pub(super) fn cast(&self, whole: &Expression, operand: &Expression) -> Result<Thing, String> {
        let Node::Cast(ty, _) = &whole.node else { return Err("it is no cast".into()) };
        // The type alone: of 0.
        let zero = Expression { node: Node::Integer(0, String::new()), at: operand.at.clone() };
        let cast = Expression { node: Node::Cast(ty.clone(), Box::new(zero)), at: whole.at.clone() };
        let ty = cast.evaluate(self.scopes[0]).map_err(|error| error.to_string())?.ty;
        let Operand { code, .. } = self.operand(self.thing(operand)?)?;
        let bare = self.bare(&ty)?;
        if matches!(&bare.kind, TypeKind::Base(base) if base.encoding == BaseEncoding::Boolean) {
            return Err("casts to truth values are not evaluated next to a stop".into());
        }
        self.typed(code, &ty)
    }
}

pub(super) fn is_letter(bare: &Type) -> bool {
    use BaseEncoding::{SignedChar, UnsignedChar, Utf};
    let TypeKind::Base(base) = &bare.kind else { return false };
    bare.size == Some(1) && matches!(base.encoding, SignedChar | UnsignedChar | Utf)
}

/// A number as it is written.
pub(super) fn literal(value: u128) -> Result<Thing, String> {
    let number_of = u64::try_from(value).map_err(|_| "the number has more than 64 bits")?;
    let bytes = if value <= i32::MAX as u128 { 4 } else { 8 };
    let is_signed = i64::try_from(value).is_ok();
    let width = Width { signed: is_signed, bytes, is_untyped: is_signed };
    Ok(number(vec![Item::Constant(number_of)], width))
}

pub(super) fn number(code: Code, width: Width) -> Thing {
    Thing::Value(Operand { code, kind: Kind::Number(width) })
}

pub(super) fn truth_value(code: Code) -> Thing {
    number(code, Width::new(false, 1))
}

/// Whether an operator compares; how it is made of less and equal: with its operands swapped, and its result negated.
pub(super) fn comparison(operator: Op) -> Option<(bool, bool)> {
    Some(match operator {
        Op::Less | Op::Equal => (false, false),
        Op::Greater => (true, false),
        Op::LessOrEqual => (true, true),
        Op::GreaterOrEqual | Op::NotEqual => (false, true),
        _ => return None,
    })
}
