//! What an expression means in a frame.

use std::ops::Range;

use prospect_process::Addr;
use prospect_symbols::type_info::{Base, BaseEncoding, Bound, Language, PointerKind, TypeKind, TypeRef};

use super::{
    ExpressionError, LookupError, Scope,
    arithmetic::{self, Number, Outcome, Rules, Value as NumberValue},
    base_type,
    syntax::{BinaryOperator as Op, Expression, Layer, Node, TypeName, UnaryOperator},
};
use crate::{Chars, Content, Limits, Object, Value, ValueError, scalar};

#[cfg(test)]
mod tests;

/// So many pointers are followed on the way to a member.
const MOST_POINTERS: usize = 8;

/// Slices and repetitions have no more elements than this.
const MOST_ELEMENTS: u64 = 1 << 32;

type Evaluated = Result<Object, ExpressionError>;

impl Expression {
    /// What it means among the names of `scope`.
    ///
    /// # Errors
    /// When a name is not known, an operation is not possible, or a value cannot be had; with the part of the text.
    pub fn evaluate(&self, scope: &dyn Scope) -> Evaluated {
        Evaluator { scope, rules: rules(scope.language()) }.object(self)
    }

    /// Whether it is true: not 0, and not null.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and when it is neither a number nor a pointer.
    pub fn is_true(&self, scope: &dyn Scope) -> Result<bool, ExpressionError> {
        Evaluator { scope, rules: rules(scope.language()) }.truth(self)
    }
}

fn rules(language: Language) -> Rules {
    if language == Language::Rust { Rules::Rust } else { Rules::C }
}

pub(super) struct Evaluator<'a> {
    pub(super) scope: &'a dyn Scope,
    pub(super) rules: Rules,
}

/// What operators work on.
enum Operand {
    Number(Number),
    Pointer(Addr, TypeRef),
}

impl Evaluator<'_> {
    fn object(&self, expression: &Expression) -> Evaluated {
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
                self.scope.variable(within.as_deref(), path).map_err(|error| ExpressionError::new(at, error))
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
            Node::SizeOf(operand) => {
                let object = self.object(operand)?;
                self.size(&object.ty, at)
            }
            Node::SizeOfType(ty) => self.size(&self.type_of(ty)?, at),
        }
    }

    /// The member of something, or of what it points to.
    fn member(&self, of: &Expression, name: &str, at: &Range<usize>) -> Evaluated {
        let mut object = self.object(of)?;
        for _ in 0..MOST_POINTERS {
            let error = match object.member(name, self.scope) {
                Ok(member) => return Ok(member),
                Err(error) => error,
            };
            match pointee(&object, self.scope) {
                Ok(target) => object = target,
                Err(ValueError::NotAPointer(_)) => return Err(ExpressionError::new(at, error)),
                Err(error) => return Err(ExpressionError::new(at, error)),
            }
        }
        Err(ExpressionError::operands(at, "too many pointers lead to it"))
    }

    fn index(&self, of: &Expression, index: &Expression, at: &Range<usize>) -> Evaluated {
        let object = self.object(of)?;
        if matches!(index.node, Node::Text(_)) {
            return Err(ExpressionError::operands(&index.at, "elements are found by their numbers"));
        }
        let index = self.whole(index)?;
        self.element(&object, index, at)
    }

    fn element(&self, object: &Object, index: i128, at: &Range<usize>) -> Evaluated {
        let position = i64::try_from(index)
            .map_err(|_| ExpressionError::operands(at, format!("there is no element {index}")))?;
        object.element(position, self.scope).map_err(|error| ExpressionError::new(at, error))
    }

    fn slice(
        &self,
        of: &Expression,
        from: Option<&Expression>,
        to: Option<&Expression>,
        at: &Range<usize>,
    ) -> Evaluated {
        let object = self.object(of)?;
        let from = from.map_or(Ok(0), |from| self.whole(from))?;
        let to = match to {
            Some(to) => self.whole(to)?,
            None => length(&object, self.scope).map_err(|error| ExpressionError::new(at, error))?.into(),
        };
        let count = u64::try_from(to.saturating_sub(from)).ok().filter(|count| *count <= MOST_ELEMENTS);
        let Some(count) = count else {
            return Err(ExpressionError::operands(at, format!("there are no elements from {from} to {to}")));
        };
        let first = self.element(&object, from, at)?;
        if count > 0 {
            // The last one must be there too.
            self.element(&object, to - 1, at)?;
        }
        self.many(&first, count, at)
    }

    fn repeat(&self, of: &Expression, count: &Expression, at: &Range<usize>) -> Evaluated {
        let first = self.object(of)?;
        let number = self.whole(count)?;
        let number = u64::try_from(number).ok().filter(|number| *number <= MOST_ELEMENTS);
        let number = number.ok_or_else(|| ExpressionError::operands(&count.at, "there cannot be so many"))?;
        self.many(&first, number, at)
    }

    /// So many as `first`, from it on.
    fn many(&self, first: &Object, count: u64, at: &Range<usize>) -> Evaluated {
        let ty = first.ty.array(count);
        let address = first.address();
        if let Some(address) = address {
            return Ok(Object::at(address, ty));
        }
        Err(ExpressionError::new(at, ValueError::NoAddress))
    }

    fn unary(&self, operator: UnaryOperator, operand: &Expression, at: &Range<usize>) -> Evaluated {
        match operator {
            UnaryOperator::AddressOf => {
                let object = self.object(operand)?;
                let address = object
                    .address()
                    .ok_or_else(|| ExpressionError::new(&operand.at, ValueError::NoAddress))?;
                Ok(self.pointer(address, &object.ty))
            }
            UnaryOperator::Dereference => {
                let object = self.object(operand)?;
                pointee(&object, self.scope).map_err(|error| ExpressionError::new(at, error))
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
        if let Some(truth) = self.compared_texts(operator, left, right)? {
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

    /// Both operands. A name that nothing has can be that of a value of the other's enumeration.
    fn operands(&self, left: &Expression, right: &Expression) -> Result<(Operand, Operand), ExpressionError> {
        let error = match (self.operand_of(left), self.operand_of(right)) {
            (Ok(one), Ok(other)) => return Ok((one, other)),
            (Err(error), Err(_)) => return Err(error),
            (Ok(one), Err(error)) => match self.enumerator(right, left) {
                Some(other) => return Ok((one, other)),
                None => error,
            },
            (Err(error), Ok(other)) => match self.enumerator(left, right) {
                Some(one) => return Ok((one, other)),
                None => error,
            },
        };
        Err(error)
    }

    /// The value that a name stands for in the enumeration that the `other` operand is of.
    fn enumerator(&self, named: &Expression, other: &Expression) -> Option<Operand> {
        enumerator(&self.object(other).ok()?.ty, named)
    }

    fn operand(&self, object: &Object, at: &Range<usize>) -> Result<Operand, ExpressionError> {
        let failed = |error: ValueError| ExpressionError::new(at, error);
        let (_, bare) = object.bare_type(self.scope).map_err(|error| failed(error.into()))?;
        match &bare.kind {
            TypeKind::Pointer(pointer) if pointer.kind == PointerKind::Pointer => {
                let address = object.integer(self.scope).map_err(failed)?;
                #[allow(clippy::cast_possible_truncation, reason = "it has the width of an address")]
                Ok(Operand::Pointer(self.cut(address as u64), pointer.target.clone()))
            }
            TypeKind::Pointer(_) => {
                let target = object.dereference(self.scope).map_err(failed)?;
                self.operand(&target, at)
            }
            // An array stands for the address of its first element.
            TypeKind::Array(array) => {
                let address = object.address().ok_or_else(|| failed(ValueError::NoAddress))?;
                Ok(Operand::Pointer(address, array.element.clone()))
            }
            TypeKind::Function(_) => {
                let address = object.address().ok_or_else(|| failed(ValueError::NoAddress))?;
                Ok(Operand::Pointer(address, object.ty.clone()))
            }
            TypeKind::Base(Base { encoding: BaseEncoding::Float, .. }) => {
                let value = object.float(self.scope).map_err(failed)?;
                let bytes = if bare.size == Some(4) { 4 } else { 8 };
                Ok(Operand::Number(Number::new(NumberValue::Float(value), bytes)))
            }
            _ => {
                let value = object.integer(self.scope).map_err(failed)?;
                let bytes = bare
                    .size
                    .and_then(|size| u8::try_from(size).ok())
                    .filter(|size| *size <= 16)
                    .unwrap_or(8);
                let value = if scalar::is_signed(&bare) == Some(true) {
                    NumberValue::Signed(value)
                } else {
                    NumberValue::Unsigned(value.cast_unsigned())
                };
                Ok(Operand::Number(Number::new(value, bytes)))
            }
        }
    }

    fn number(&self, expression: &Expression) -> Result<Number, ExpressionError> {
        match self.operand_of(expression)? {
            Operand::Number(number) => Ok(number),
            Operand::Pointer(at, _) => Ok(Number::new(NumberValue::Unsigned(at.0.into()), 8)),
        }
    }

    fn whole(&self, expression: &Expression) -> Result<i128, ExpressionError> {
        let number = self.number(expression)?;
        if number.is_float() {
            return Err(ExpressionError::operands(&expression.at, "a whole number is needed here"));
        }
        Ok(number.bits().cast_signed())
    }

    fn truth(&self, expression: &Expression) -> Result<bool, ExpressionError> {
        Ok(match self.operand_of(expression)? {
            Operand::Number(number) => number.is_true(),
            Operand::Pointer(at, _) => at.0 != 0,
        })
    }

    /// Whether texts are equal, where one operand is written as text.
    fn compared_texts(
        &self,
        operator: Op,
        left: &Expression,
        right: &Expression,
    ) -> Result<Option<bool>, ExpressionError> {
        let (text, other) = match (&left.node, &right.node) {
            (Node::Text(text), _) => (text, right),
            (_, Node::Text(text)) => (text, left),
            _ => return Ok(None),
        };
        let equal = match operator {
            Op::Equal => true,
            Op::NotEqual => false,
            _ => return Err(ExpressionError::operands(&left.at, "texts are compared by `==` and `!=` only")),
        };
        let object = self.object(other)?;
        let mut limits = Limits::default();
        limits.text = limits.text.max(text.len() as u64 + 1);
        let value = Value::read(&object, self.scope, &limits);
        match text_of(&value.content) {
            Some(chars) => Ok(Some(is_text(chars, text) == equal)),
            None => Err(match value.content {
                Content::Unavailable(why) => ExpressionError::new(&other.at, ValueError::from(why)),
                _ => ExpressionError::operands(&other.at, format!("`{}` is no text", object.ty.name())),
            }),
        }
    }

    fn cast(&self, ty: &TypeName, operand: &Expression, at: &Range<usize>) -> Evaluated {
        let target = self.type_of(ty)?;
        let object = self.object(operand)?;
        object.cast(target, self.scope).map_err(|error| ExpressionError::new(at, error))
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

/// The value of an enumeration that a name is meant as.
fn enumerator(ty: &TypeRef, named: &Expression) -> Option<Operand> {
    let Node::Name { within: None, path } = &named.node else { return None };
    let (_, bare) = ty.bare().ok()?;
    let TypeKind::Enumeration(enumeration) = &bare.kind else { return None };
    let last = path.rsplit("::").next()?;
    let found = enumeration.enumerators.iter().find(|one| &*one.name == last)?;
    let bytes = bare.size.and_then(|size| u8::try_from(size).ok()).unwrap_or(4);
    let value = if scalar::is_signed(&bare) == Some(true) {
        NumberValue::Signed(found.value)
    } else {
        NumberValue::Unsigned(found.value.cast_unsigned())
    };
    Some(Operand::Number(Number::new(value, bytes)))
}

/// The text that a value is, or leads to.
fn text_of(content: &Content) -> Option<&Chars> {
    match content {
        Content::Text { chars, .. } => Some(chars),
        Content::Pointer(pointer) => text_of(&pointer.target.as_ref()?.content),
        _ => None,
    }
}

fn is_text(chars: &Chars, text: &str) -> bool {
    match chars {
        Chars::Bytes(bytes) => bytes == text.as_bytes(),
        Chars::Utf16(units) => text.encode_utf16().eq(units.iter().copied()),
        Chars::Utf32(points) => text.chars().map(u32::from).eq(points.iter().copied()),
    }
}

/// What a pointer leads to, plain or one of a library.
fn pointee(object: &Object, scope: &dyn Scope) -> Result<Object, ValueError> {
    object.dereference(scope)
}

/// How many elements an array has.
fn length(object: &Object, scope: &dyn Scope) -> Result<u64, ValueError> {
    let (_, bare) = object.bare_type(scope)?;
    match &bare.kind {
        TypeKind::Array(array) => match array.dimensions.first().map(|first| &first.count) {
            Some(Bound::Fixed(count)) => Ok(*count),
            _ => Err(ValueError::NoElements(object.ty.name())),
        },
        _ => Err(ValueError::NoElements(object.ty.name())),
    }
}
