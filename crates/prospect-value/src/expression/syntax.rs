//! What an expression says.

use std::ops::Range;

/// An expression, and the part of the text that it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// What it says.
    pub node: Node,
    /// In bytes of the text.
    pub at: Range<usize>,
}

/// What an expression says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Node {
    /// A number, with what is written behind its digits.
    Integer(u128, String),
    /// A number with a fraction.
    Float(f64),
    /// `'a'`
    Character(char),
    /// `"text"`
    Text(String),
    /// `true`, `false`
    Boolean(bool),
    /// A variable: `count`, `net::peers`, `'file.c'::count`, `'libssl.so.3'!count`.
    Name {
        /// The file or module that it is of.
        within: Option<String>,
        /// With the names around it.
        path: String,
    },
    /// `$rsp`, without the `$`.
    Register(String),
    /// `x.name`, `x->name`, `x.0`
    Member(Box<Expression>, String),
    /// `x[i]`
    Index(Box<Expression>, Box<Expression>),
    /// `x[from..to]`; the one behind the last.
    Slice(Box<Expression>, Option<Box<Expression>>, Option<Box<Expression>>),
    /// `x@count`: so many, from x on.
    Repeat(Box<Expression>, Box<Expression>),
    /// `-x` and the like.
    Unary(UnaryOperator, Box<Expression>),
    /// `x + y` and the like.
    Binary(BinaryOperator, Box<Expression>, Box<Expression>),
    /// `x ? y : z`
    Conditional(Box<Expression>, Box<Expression>, Box<Expression>),
    /// `(T)x`, `x as T`
    Cast(TypeName, Box<Expression>),
    /// `sizeof x`
    SizeOf(Box<Expression>),
    /// `sizeof(T)`
    SizeOfType(TypeName),
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `*`
    Dereference,
    /// `&`
    AddressOf,
    /// `-`
    Negate,
    /// `+`
    Plus,
    /// `!`
    Not,
    /// `~`
    Complement,
}

/// An operator between its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum BinaryOperator {
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    BitAnd,
    BitXor,
    BitOr,
    And,
    Or,
}

impl BinaryOperator {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::BitAnd => "&",
            Self::BitXor => "^",
            Self::BitOr => "|",
            Self::And => "&&",
            Self::Or => "||",
        }
    }
}

/// A type as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    /// Its name, words with one space between: `unsigned long`, `std::vector<int>`. Without `struct` and the like.
    pub name: String,
    /// What is around it, from the name outwards.
    pub layers: Vec<Layer>,
    /// In bytes of the text.
    pub at: Range<usize>,
}

/// What is around a type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A pointer or reference to it.
    Pointer,
    /// So many of it.
    Array(u64),
}
