//! Comparisons of what is no number: texts, variants, and the keys of maps.

use prospect_symbols::type_info::TypeKind;

use super::{
    ErrorKind, ExpressionError,
    arithmetic::{Number, Value as NumberValue},
    evaluate::{Evaluator, Operand, enumerator},
    syntax::{BinaryOperator as Op, Expression, Node},
};
use crate::{Chars, Content, Key, Limits, Object, Value, ValueContext, ValueError, text::Text};

/// Texts that are longer are not compared.
const LONGEST_TEXT: u64 = 1 << 20;

/// So many references are followed to a variant.
const MOST_REFERENCES: u32 = 4;

impl Evaluator<'_> {
    /// Whether texts or variants are equal; `None` where the operands are neither.
    pub(super) fn compared(
        &self,
        operator: Op,
        left: &Expression,
        right: &Expression,
    ) -> Result<Option<bool>, ExpressionError> {
        let is_equality = matches!(operator, Op::Equal | Op::NotEqual);
        let equal = operator == Op::Equal;
        let (text, other) = match (&left.node, &right.node) {
            (Node::Text(text), _) => (text, right),
            (_, Node::Text(text)) => (text, left),
            _ if !is_equality => return Ok(None),
            _ => {
                let same = self.same_variant(left, right).or_else(|| self.same_variant(right, left));
                let same = same.or_else(|| self.same_texts(left, right));
                return Ok(same.map(|same| same == equal));
            }
        };
        if !is_equality {
            return Err(ExpressionError::operands(&left.at, "texts are compared by `==` and `!=` only"));
        }
        let object = self.object(other)?;
        match self.text_in(&object) {
            Ok(Some(chars)) => Ok(Some(is_text(&chars, text) == equal)),
            Ok(None) => {
                Err(ExpressionError::operands(&other.at, format!("`{}` is no text", object.ty.name())))
            }
            Err(error) => Err(ExpressionError::new(&other.at, error)),
        }
    }

    /// The text that an object is, or leads to.
    fn text_in(&self, object: &Object) -> Result<Option<Chars>, ValueError> {
        let mut limits = Limits::default();
        (limits.text, limits.elements, limits.values) = (LONGEST_TEXT, 1, 16);
        match Value::read(object, self.scope, &limits).content {
            Content::Unavailable(why) => Err(why.into()),
            content => Ok(text_of(content)),
        }
    }

    /// An object as it is shown on one line.
    fn shown(&self, object: &Object) -> String {
        let value = Value::read_with(object, self.scope, &Limits::default(), self.scope.views());
        Text::one_line(&value).to_string()
    }

    /// Whether two texts are equal, of which one at least is of a library: pointers are compared as what they are.
    fn same_texts(&self, left: &Expression, right: &Expression) -> Option<bool> {
        let (left, right) = (self.object(left).ok()?, self.object(right).ok()?);
        let is_of_library = |object: &Object| {
            let object = self.referent(object.clone()).ok()?;
            let (_, ty) = object.bare_type(self.scope).ok()?;
            ty.composite().map(|_| ())
        };
        is_of_library(&left).or_else(|| is_of_library(&right))?;
        Some(self.text_in(&left).ok()?? == self.text_in(&right).ok()??)
    }

    /// Whether an enumeration of Rust is the variant with that name.
    fn same_variant(&self, one: &Expression, named: &Expression) -> Option<bool> {
        let last = last_name(named)?;
        let mut object = self.object(one).ok()?;
        let (_, mut ty) = object.bare_type(self.scope).ok()?;
        for _ in 0..MOST_REFERENCES {
            let TypeKind::Pointer(_) = ty.kind else { break };
            object = object.dereference(self.scope).ok()?;
            ty = object.bare_type(self.scope).ok()?.1;
        }
        is_variant(&object, last, self.scope)
    }
}

/// The last part of a name.
fn last_name(expression: &Expression) -> Option<&str> {
    match &expression.node {
        Node::Name { within: None, path } => path.rsplit("::").next(),
        _ => None,
    }
}

/// Whether an object is the variant with a name; `None` where its type has none of that name.
fn is_variant(object: &Object, name: &str, cx: &dyn ValueContext) -> Option<bool> {
    let (_, ty) = object.bare_type(cx).ok()?;
    let variants = &ty.composite()?.variants.as_ref()?.variants;
    let mut names = variants.iter().filter_map(|variant| variant.members.first()?.name.as_deref());
    names.find(|one| *one == name)?;
    Some(object.variant_name(cx)?.as_ref() == name)
}

/// What stands between brackets.
pub(super) struct Sought<'e> {
    evaluator: &'e Evaluator<'e>,
    expression: &'e Expression,
    what: What,
}

enum What {
    Number(Number),
    Text(Chars),
    /// A name that nothing here has: of a value of the keys' enumeration.
    Name,
}

impl<'e> Sought<'e> {
    pub(super) fn new(
        evaluator: &'e Evaluator<'e>,
        expression: &'e Expression,
    ) -> Result<Self, ExpressionError> {
        let made = |what| Self { evaluator, expression, what };
        if let Node::Text(text) = &expression.node {
            return Ok(made(What::Text(Chars::Bytes(text.clone().into_bytes()))));
        }
        let object = match evaluator.object(expression) {
            Err(ExpressionError { kind: ErrorKind::Lookup(_), .. }) if last_name(expression).is_some() => {
                return Ok(made(What::Name));
            }
            object => object?,
        };
        if let Ok(Some(text)) = evaluator.text_in(&object) {
            return Ok(made(What::Text(text)));
        }
        let number = evaluator.number(expression)?;
        if number.is_float() {
            return Err(ExpressionError::operands(&expression.at, "a whole number is needed here"));
        }
        Ok(made(What::Number(number)))
    }
}

impl Key for Sought<'_> {
    fn position(&self) -> Option<i128> {
        match &self.what {
            What::Number(number) => Some(number.bits().cast_signed()),
            _ => None,
        }
    }

    fn is(&self, key: &Object) -> Result<bool, ValueError> {
        let name = match &self.what {
            What::Number(number) => return Ok(is_same(self.evaluator.number_in(key)?, *number)),
            What::Text(text) => {
                let Some(found) = self.evaluator.text_in(key)? else {
                    // What is neither a number nor text, a tuple for instance, is named as it is shown.
                    return Ok(
                        matches!(text, Chars::Bytes(bytes) if self.evaluator.shown(key).as_bytes() == bytes),
                    );
                };
                return Ok(match text {
                    Chars::Bytes(bytes) => {
                        std::str::from_utf8(bytes).map_or(found == *text, |text| is_text(&found, text))
                    }
                    _ => found == *text,
                });
            }
            What::Name => last_name(self.expression).unwrap_or_default(),
        };
        if let Some(is_it) = is_variant(key, name, self.evaluator.scope) {
            return Ok(is_it);
        }
        match enumerator(&key.ty, self.expression) {
            Some(Operand::Number(number)) => Ok(is_same(self.evaluator.number_in(key)?, number)),
            _ => Err(ValueError::NoKey(self.text())),
        }
    }

    fn text(&self) -> String {
        match &self.what {
            What::Number(Number { value: NumberValue::Signed(value), .. }) => value.to_string(),
            What::Number(Number { value: NumberValue::Unsigned(value), .. }) => value.to_string(),
            What::Number(Number { value: NumberValue::Float(value), .. }) => value.to_string(),
            What::Text(Chars::Bytes(bytes)) => format!("{:?}", String::from_utf8_lossy(bytes)),
            What::Text(_) => "this text".to_owned(),
            What::Name => format!("`{}`", last_name(self.expression).unwrap_or_default()),
        }
    }
}

/// Whether two numbers are the same, whatever their types.
fn is_same(one: Number, other: Number) -> bool {
    let negative = |number: Number| matches!(number.value, NumberValue::Signed(..0));
    match (one.value, other.value) {
        (NumberValue::Float(_), _) | (_, NumberValue::Float(_)) => one.float() == other.float(),
        _ => one.bits() == other.bits() && negative(one) == negative(other),
    }
}

/// The text that a value is, or leads to.
fn text_of(content: Content) -> Option<Chars> {
    match content {
        Content::Text { chars, .. } => Some(chars),
        Content::Pointer(pointer) => text_of(pointer.target?.content),
        Content::Holder { value, .. } => text_of(value?.content),
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
