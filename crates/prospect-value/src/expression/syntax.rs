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
    /// `x.name`, `x->name`, `x.0`, `x.Base::name`
    Member(Box<Expression>, String),
    /// `x[i]`, `x["key"]`
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
    /// `$len(x)`: how many elements it has.
    Length(Box<Expression>),
}

impl Expression {
    /// The names in it that are of no file or module: what a frame must know for it to be evaluated there.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.add_names(&mut names);
        names
    }

    fn add_names<'e>(&'e self, names: &mut Vec<&'e str>) {
        let operands: [Option<&Self>; 3] = match &self.node {
            Node::Name { within: None, path } => {
                names.push(path);
                return;
            }
            Node::Member(of, _)
            | Node::Unary(_, of)
            | Node::Cast(_, of)
            | Node::SizeOf(of)
            | Node::Length(of) => [Some(of), None, None],
            Node::Index(one, other) | Node::Repeat(one, other) | Node::Binary(_, one, other) => {
                [Some(one), Some(other), None]
            }
            Node::Slice(of, from, to) => [Some(of), from.as_deref(), to.as_deref()],
            Node::Conditional(condition, yes, no) => [Some(condition), Some(yes), Some(no)],
            _ => return,
        };
        operands.into_iter().flatten().for_each(|operand| operand.add_names(names));
    }
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
    /// Whether a word stands before it that only types have: `struct`, `const`.
    pub is_marked: bool,
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
