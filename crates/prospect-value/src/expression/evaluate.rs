//! What an expression means in a frame.

use std::{cell::RefCell, collections::HashMap, ops::Range};

use prospect_process::Addr;
use prospect_symbols::type_info::{Base, BaseEncoding, Language, PointerKind, TypeKind, TypeRef};

use super::{
    ExpressionError, LookupError, Scope,
    arithmetic::{self, Number, Outcome, Rules, Value as NumberValue},
    base_type,
    path::payload,
    syntax::{BinaryOperator as Op, Expression, Layer, Node, TypeName, UnaryOperator},
};
use crate::{
    Object, ValueError,
    reader::{Answer, Question, is_reference},
};

#[cfg(test)]
mod tests;

/// So many smart pointers and references are around a number.
const MOST_WRAPPERS: u32 = 8;

pub(super) type Evaluated = Result<Object, ExpressionError>;

impl Expression {
    /// What it means among the names of `scope`.
    ///
    /// # Errors
    /// When a name is not known, an operation is not possible, or a value cannot be had; with the part of the text.
    pub fn evaluate(&self, scope: &dyn Scope) -> Evaluated {
        Evaluator::new(scope).object(self)
    }

    /// Whether it is true: not 0, and not null.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and when it is neither a number nor a pointer.
    pub fn is_true(&self, scope: &dyn Scope) -> Result<bool, ExpressionError> {
        Evaluator::new(scope).truth(self)
    }
}

fn rules(language: Language) -> Rules {
    if language == Language::Rust { Rules::Rust } else { Rules::C }
}

pub(super) struct Evaluator<'a> {
    pub(super) scope: &'a dyn Scope,
    pub(super) rules: Rules,
    /// Names that were looked up: an operand is looked at in more than one way, and looking through all modules is slow.
    known: RefCell<HashMap<Name, Result<Object, LookupError>>>,
}

/// A file or module, and a path in it.
type Name = (Option<String>, String);

/// What operators work on.
pub(super) enum Operand {
    Number(Number),
    Pointer(Addr, TypeRef),
}

impl<'a> Evaluator<'a> {
    fn new(scope: &'a dyn Scope) -> Self {
        Self { scope, rules: rules(scope.language()), known: RefCell::default() }
    }
}

impl Evaluator<'_> {
    pub(super) fn object(&self, expression: &Expression) -> Evaluated {
        let at = &expression.at;
        match &expression.node {
            Node::Integer(value, suffix) => {
                let number =
                    Number::literal(*value, suffix).map_err(|why| ExpressionError::operands(at, why))?;
                Ok(self.made(number))
            }
            Node::Float(value) => Ok(self.made(Number::new(NumberValue::Float(*value), 8))),
            Node::Character(one) => Ok(self.character(*one)),
            Node::Text(text) => Ok(self.text(text)),
            Node::Boolean(value) => Ok(self.made_truth(*value)),
            Node::Name { within, path } => {
                self.named(within.as_deref(), path).map_err(|error| ExpressionError::new(at, error))
            }
            Node::Register(name) => {
                self.scope.register(name).map_err(|error| ExpressionError::new(at, error))
            }
            Node::Member(of, name) => self.member(of, name, at),
            Node::Index(of, index) => self.index(of, index, at),
            Node::Slice(of, from, to) => self.slice(of, from.as_deref(), to.as_deref(), at),
            Node::Repeat(of, count) => self.repeat(of, count, at),
            Node::Unary(operator, operand) => self.unary(*operator, operand, at),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right, at),
            Node::Conditional(condition, yes, no) => {
                self.object(if self.truth(condition)? { yes } else { no })
            }
            Node::Cast(ty, operand) => self.cast(ty, operand, at),
            Node::Length(of) => {
                let length = NumberValue::Unsigned(self.length(of, at)?.into());
                Ok(self.made(Number::new(length, self.scope.arch().word_bytes)))
            }
            Node::SizeOf(operand) => {
                let object = self.object(operand)?;
                let object = self.referent(object).map_err(failed(at))?;
                self.size(&object.ty, at)
            }
            Node::SizeOfType(ty) => self.size(&self.type_of(ty)?, at),
        }
    }

    fn unary(&self, operator: UnaryOperator, operand: &Expression, at: &Range<usize>) -> Evaluated {
        match operator {
            UnaryOperator::AddressOf => {
                let object = self.object(operand)?;
                let object = self.referent(object).map_err(failed(at))?;
                let address = object
                    .address()
                    .ok_or_else(|| ExpressionError::new(&operand.at, ValueError::NoAddress))?;
                Ok(self.pointer(address, &object.ty))
            }
            UnaryOperator::Dereference => {
                let object = self.object(operand)?;
                self.pointee(&object).map_err(failed(at))
            }
            UnaryOperator::Not => Ok(self.made_truth(!self.truth(operand)?)),
            UnaryOperator::Plus => Ok(self.made(self.number(operand)?)),
            UnaryOperator::Negate => Ok(self.made(self.number(operand)?.negated(self.rules))),
            UnaryOperator::Complement => {
                let number = self.number(operand)?.complement(self.rules);
                let fraction = || ExpressionError::operands(at, "`~` needs a whole number");
                Ok(self.made(number.ok_or_else(fraction)?))
            }
        }
    }

    fn binary(&self, operator: Op, left: &Expression, right: &Expression, at: &Range<usize>) -> Evaluated {
        if operator == Op::And || operator == Op::Or {
            // What is on the right is not looked at when the left one decides.
            let decided = self.truth(left)? != (operator == Op::And);
            let truth = if decided { operator == Op::Or } else { self.truth(right)? };
            return Ok(self.made_truth(truth));
        }
        if let Some(truth) = self.compared(operator, left, right)? {
            return Ok(self.made_truth(truth));
        }
        let (left, right) = self.operands(left, right)?;
        self.combined(operator, left, right, at)
    }

    fn combined(&self, operator: Op, left: Operand, right: Operand, at: &Range<usize>) -> Evaluated {
        let impossible = |why: String| ExpressionError::operands(at, why);
        match (left, right) {
            (Operand::Number(left), Operand::Number(right)) => {
                match arithmetic::binary(operator, left, right, self.rules).map_err(impossible)? {
                    Outcome::Number(number) => Ok(self.made(number)),
                    Outcome::Truth(truth) => Ok(self.made_truth(truth)),
                }
            }
            (Operand::Pointer(at, target), Operand::Number(by))
                if matches!(operator, Op::Add | Op::Subtract) =>
            {
                let moved = self.moved(at, &target, by, operator == Op::Subtract).map_err(impossible)?;
                Ok(self.pointer(moved, &target))
            }
            (Operand::Number(by), Operand::Pointer(at, target)) if operator == Op::Add => {
                let moved = self.moved(at, &target, by, false).map_err(impossible)?;
                Ok(self.pointer(moved, &target))
            }
            (Operand::Pointer(left, target), Operand::Pointer(right, _)) if operator == Op::Subtract => {
                let size = target.size().filter(|size| *size > 0).unwrap_or(1);
                let difference = i128::from(left.0) - i128::from(right.0);
                Ok(self.made(Number::new(NumberValue::Signed(difference / i128::from(size)), 8)))
            }
            (left, right) => {
                let is_comparison = matches!(
                    operator,
                    Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual | Op::Equal | Op::NotEqual
                );
                let address = |operand: Operand| match operand {
                    Operand::Pointer(at, _) => Number::new(NumberValue::Unsigned(at.0.into()), 8),
                    Operand::Number(number) => number.with_type(false, 8),
                };
                if !is_comparison {
                    return Err(impossible(format!("pointers have no `{}`", operator.as_str())));
                }
                match arithmetic::binary(operator, address(left), address(right), Rules::C)
                    .map_err(impossible)?
                {
                    Outcome::Truth(truth) => Ok(self.made_truth(truth)),
                    Outcome::Number(number) => Ok(self.made(number)),
                }
            }
        }
    }

    /// The address so many elements further.
    fn moved(&self, at: Addr, target: &TypeRef, by: Number, back: bool) -> Result<Addr, String> {
        if by.is_float() {
            return Err("a pointer is moved by whole numbers".into());
        }
        // As compilers do it, `void *` is moved by bytes.
        let size = if target.is_void() { Some(1) } else { target.size() };
        let size = size.ok_or_else(|| format!("how large a `{}` is is not known", target.name()))?;
        #[allow(clippy::cast_possible_truncation, reason = "addresses wrap around")]
        let bytes = (by.bits() as u64).wrapping_mul(size);
        Ok(self.cut(if back { at.0.wrapping_sub(bytes) } else { at.0.wrapping_add(bytes) }))
    }

    /// An address of the machine.
    fn cut(&self, at: u64) -> Addr {
        Addr(if self.scope.arch().word_bytes == 4 { at & 0xffff_ffff } else { at })
    }

    /// What an operator works on. A number that is written without a type has none yet.
    fn operand_of(&self, expression: &Expression) -> Result<Operand, ExpressionError> {
        if let Node::Integer(value, suffix) = &expression.node {
            let number = Number::literal(*value, suffix);
            return number.map(Operand::Number).map_err(|why| ExpressionError::operands(&expression.at, why));
        }
        self.operand(&self.object(expression)?, &expression.at)
    }

    /// Both operands. A name can be that of a value of the other's enumeration.
    fn operands(&self, left: &Expression, right: &Expression) -> Result<(Operand, Operand), ExpressionError> {
        let value_of = |named: &Expression, other: &Expression| match self.enumerator(named, other) {
            Some(value) => Ok(value),
            None => self.operand_of(named),
        };
        Ok((value_of(left, right)?, value_of(right, left)?))
    }

    /// The value that a name stands for in the enumeration that the `other` operand is of.
    fn enumerator(&self, named: &Expression, other: &Expression) -> Option<Operand> {
        let Node::Name { within: None, .. } = named.node else { return None };
        enumerator(&self.object(other).ok()?.ty, named)
    }

    fn operand(&self, object: &Object, at: &Range<usize>) -> Result<Operand, ExpressionError> {
        self.operand_in(object, MOST_WRAPPERS).map_err(failed(at))
    }

    /// An object as a number.
    pub(super) fn number_in(&self, object: &Object) -> Result<Number, ValueError> {
        Ok(number_of(self.operand_in(object, MOST_WRAPPERS)?))
    }

    /// What an object is to operators: itself, or what it holds.
    fn operand_in(&self, object: &Object, wrappers: u32) -> Result<Operand, ValueError> {
        let (_, bare) = object.bare_type(self.scope)?;
        match &bare.kind {
            TypeKind::Composite(_) if wrappers > 0 => {
                let held = self.scope.views().pointee(object, self.scope);
                match held.or_else(|| payload(object, self.scope)) {
                    Some(held) => self.operand_in(&held?, wrappers - 1),
                    None => Err(ValueError::NotANumber(object.ty.name())),
                }
            }
            TypeKind::Pointer(pointer) if pointer.kind == PointerKind::Pointer => {
                // Rust's references are what they refer to, if that is a number.
                if wrappers > 0
                    && is_reference(&bare, pointer)
                    && let Ok(target) = object.dereference(self.scope)
                    && let Ok(operand) = self.operand_in(&target, wrappers - 1)
                {
                    return Ok(operand);
                }
                let address = object.integer(self.scope)?;
                #[allow(clippy::cast_possible_truncation, reason = "it has the width of an address")]
                Ok(Operand::Pointer(self.cut(address as u64), pointer.target.clone()))
            }
            TypeKind::Pointer(_) => {
                let target = object.dereference(self.scope)?;
                self.operand_in(&target, wrappers.saturating_sub(1))
            }
            // An array stands for the address of its first element.
            TypeKind::Array(array) => {
                let address = object.address().ok_or(ValueError::NoAddress)?;
                Ok(Operand::Pointer(address, array.element.clone()))
            }
            TypeKind::Function(_) => {
                let address = object.address().ok_or(ValueError::NoAddress)?;
                Ok(Operand::Pointer(address, object.ty.clone()))
            }
            TypeKind::Base(Base { encoding: BaseEncoding::Float, .. }) => {
                let value = object.float(self.scope)?;
                let bytes = if bare.size == Some(4) { 4 } else { 8 };
                Ok(Operand::Number(Number::new(NumberValue::Float(value), bytes)))
            }
            _ => {
                let value = object.integer(self.scope)?;
                // `int` has all values of a bit-field that is smaller (C17, section 6.3.1.1).
                if self.rules == Rules::C && object.bit_field(self.scope).is_some_and(|bits| bits < 32) {
                    return Ok(Operand::Number(Number::new(NumberValue::Signed(value), 4)));
                }
                let bytes = bare
                    .size
                    .and_then(|size| u8::try_from(size).ok())
                    .filter(|size| (1..=16).contains(size))
                    .unwrap_or(8);
                let value = if bare.is_signed() == Some(true) {
                    NumberValue::Signed(value)
                } else {
                    NumberValue::Unsigned(value.cast_unsigned())
                };
                Ok(Operand::Number(Number::new(value, bytes)))
            }
        }
    }

    pub(super) fn number(&self, expression: &Expression) -> Result<Number, ExpressionError> {
        self.operand_of(expression).map(number_of)
    }

    pub(super) fn whole(&self, expression: &Expression) -> Result<i128, ExpressionError> {
        let number = self.number(expression)?;
        if number.is_float() {
            return Err(ExpressionError::operands(&expression.at, "a whole number is needed here"));
        }
        Ok(number.bits().cast_signed())
    }

    /// Whether it is not 0. What holds something or nothing is true when it holds something.
    fn truth(&self, expression: &Expression) -> Result<bool, ExpressionError> {
        let object = self.object(expression)?;
        let object = self.referent(object).map_err(failed(&expression.at))?;
        let held = self.scope.views().ask(&object, Question::Pointee, self.scope);
        match (held, payload(&object, self.scope)) {
            (Some(Ok(Answer::Part(_))), _) | (_, Some(Ok(_))) => return Ok(true),
            (Some(Err(ValueError::Empty(_))), _) | (_, Some(Err(ValueError::Empty(_)))) => return Ok(false),
            _ => {}
        }
        Ok(number_of(self.operand(&object, &expression.at)?).is_true())
    }

    fn named(&self, within: Option<&str>, path: &str) -> Result<Object, LookupError> {
        let name = (within.map(str::to_owned), path.to_owned());
        if let Some(known) = self.known.borrow().get(&name) {
            return known.clone();
        }
        let of_type = within.is_none().then(|| self.of_type(path)).flatten();
        let found = of_type.map_or_else(|| self.scope.variable(within, path), Ok);
        self.known.borrow_mut().insert(name, found.clone());
        found
    }

    /// A value of an enumeration, or what all objects of a class share, by the name of the type and its own.
    fn of_type(&self, path: &str) -> Option<Object> {
        let (scope, name) = path.rsplit_once("::")?;
        let ty = self.scope.type_named(scope.trim_start_matches("::"))?;
        let (_, bare) = ty.bare().ok()?;
        if let Some(class) = bare.composite() {
            return self.static_of(class, scope, name, 0);
        }
        let TypeKind::Enumeration(enumeration) = &bare.kind else { return None };
        let found = enumeration.enumerators.iter().find(|one| &*one.name == name)?;
        Object::from_integer(found.value, ty.clone(), self.scope).ok()
    }

    fn cast(&self, ty: &TypeName, operand: &Expression, at: &Range<usize>) -> Evaluated {
        let target = self.type_of(ty)?;
        let object = self.object(operand)?;
        let object = self.referent(object).map_err(failed(at))?;
        object.cast(target, self.scope).map_err(failed(at))
    }

    fn size(&self, ty: &TypeRef, at: &Range<usize>) -> Evaluated {
        let unknown =
            || ExpressionError::operands(at, format!("how large a `{}` is is not known", ty.name()));
        let size = ty.size().ok_or_else(unknown)?;
        Ok(self.made(Number::new(NumberValue::Unsigned(size.into()), self.scope.arch().word_bytes)))
    }

    fn type_of(&self, written: &TypeName) -> Result<TypeRef, ExpressionError> {
        let unknown = || ExpressionError::new(&written.at, LookupError::NoType(written.name.clone()));
        let name = written.name.strip_prefix("::").unwrap_or(&written.name);
        // C's own names mean the same everywhere; debug information may not have those that a program does not use.
        let mut ty = self
            .scope
            .type_named(name)
            .or_else(|| base_type::named(name, self.scope.arch().word_bytes))
            .ok_or_else(unknown)?;
        for layer in &written.layers {
            ty = match layer {
                Layer::Pointer => ty.pointer(self.scope.arch().word_bytes),
                Layer::Array(count) => ty.array(*count),
            };
        }
        Ok(ty)
    }
}

/// A value that cannot be had, of a part of the text.
fn failed(at: &Range<usize>) -> impl Fn(ValueError) -> ExpressionError + Copy + '_ {
    move |error| ExpressionError::new(at, error)
}

fn number_of(operand: Operand) -> Number {
    match operand {
        Operand::Number(number) => number,
        Operand::Pointer(at, _) => Number::new(NumberValue::Unsigned(at.0.into()), 8),
    }
}

/// The value of an enumeration that a name is meant as.
pub(super) fn enumerator(ty: &TypeRef, named: &Expression) -> Option<Operand> {
    let Node::Name { within: None, path } = &named.node else { return None };
    let (_, bare) = ty.bare().ok()?;
    let TypeKind::Enumeration(enumeration) = &bare.kind else { return None };
    let last = path.rsplit("::").next()?;
    let found = enumeration.enumerators.iter().find(|one| &*one.name == last)?;
    let bytes = bare.size.and_then(|size| u8::try_from(size).ok()).unwrap_or(4);
    let value = if bare.is_signed() == Some(true) {
        NumberValue::Signed(found.value)
    } else {
        NumberValue::Unsigned(found.value.cast_unsigned())
    };
    Some(Operand::Number(Number::new(value, bytes)))
}
