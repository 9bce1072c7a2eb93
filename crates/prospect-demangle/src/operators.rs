//! The operators: their two letters, how they are written, and how their operands are.

use crate::node::OperatorId;

/// How an operator's operands are mangled and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// One operand, behind the operator.
    Prefix,
    /// One operand, before the operator; before it where an `_` stands behind its letters.
    Step,
    /// Two operands.
    Infix,
    /// `a[b]`
    Index,
    /// `a.b`: what is behind it is the name of a member.
    Member,
    /// `a?b : c`
    Conditional,
    /// `f(a, b)`
    Call,
    /// `(type)a`
    Cast,
    /// `static_cast<type>(a)`
    NamedCast,
    /// A type in parentheses.
    OfType,
    /// `new (a) type(b)`
    New,
}

/// An operator.
pub(crate) struct Operator {
    pub(crate) code: [u8; 2],
    /// As it stands before an operand. In the name of a function, without the space at its end.
    pub(crate) text: &'static str,
    pub(crate) kind: Kind,
}

const fn operator(code: &[u8; 2], text: &'static str, kind: Kind) -> Operator {
    Operator { code: *code, text, kind }
}

use Kind::{Call, Cast, Conditional, Index, Infix, Member, NamedCast, New, OfType, Prefix, Step};

/// By their codes, in the order of bytes.
pub(crate) static OPERATORS: [Operator; 65] = [
    operator(b"aN", "&=", Infix),
    operator(b"aS", "=", Infix),
    operator(b"aa", "&&", Infix),
    operator(b"ad", "&", Prefix),
    operator(b"an", "&", Infix),
    operator(b"at", "alignof ", OfType),
    operator(b"aw", "co_await ", Prefix),
    operator(b"az", "alignof ", Prefix),
    operator(b"cc", "const_cast", NamedCast),
    operator(b"cl", "()", Call),
    operator(b"cm", ",", Infix),
    operator(b"co", "~", Prefix),
    operator(b"cp", "()", Call),
    operator(b"cv", "", Cast),
    operator(b"dV", "/=", Infix),
    operator(b"da", "delete[] ", Prefix),
    operator(b"dc", "dynamic_cast", NamedCast),
    operator(b"de", "*", Prefix),
    operator(b"dl", "delete ", Prefix),
    operator(b"ds", ".*", Infix),
    operator(b"dt", ".", Member),
    operator(b"dv", "/", Infix),
    operator(b"eO", "^=", Infix),
    operator(b"eo", "^", Infix),
    operator(b"eq", "==", Infix),
    operator(b"ge", ">=", Infix),
    operator(b"gt", ">", Infix),
    operator(b"ix", "[]", Index),
    operator(b"lS", "<<=", Infix),
    operator(b"le", "<=", Infix),
    operator(b"ls", "<<", Infix),
    operator(b"lt", "<", Infix),
    operator(b"mI", "-=", Infix),
    operator(b"mL", "*=", Infix),
    operator(b"mi", "-", Infix),
    operator(b"ml", "*", Infix),
    operator(b"mm", "--", Step),
    operator(b"na", "new[]", New),
    operator(b"ne", "!=", Infix),
    operator(b"ng", "-", Prefix),
    operator(b"nt", "!", Prefix),
    operator(b"nw", "new", New),
    operator(b"nx", "noexcept ", Prefix),
    operator(b"oR", "|=", Infix),
    operator(b"oo", "||", Infix),
    operator(b"or", "|", Infix),
    operator(b"pL", "+=", Infix),
    operator(b"pl", "+", Infix),
    operator(b"pm", "->*", Infix),
    operator(b"pp", "++", Step),
    operator(b"ps", "+", Prefix),
    operator(b"pt", "->", Member),
    operator(b"qu", "?", Conditional),
    operator(b"rM", "%=", Infix),
    operator(b"rS", ">>=", Infix),
    operator(b"rc", "reinterpret_cast", NamedCast),
    operator(b"rm", "%", Infix),
    operator(b"rs", ">>", Infix),
    operator(b"sc", "static_cast", NamedCast),
    operator(b"ss", "<=>", Infix),
    operator(b"st", "sizeof ", OfType),
    operator(b"sz", "sizeof ", Prefix),
    operator(b"te", "typeid ", Prefix),
    operator(b"ti", "typeid ", OfType),
    operator(b"tw", "throw ", Prefix),
];

/// The operator with these two letters.
pub(crate) fn by_code(code: [u8; 2]) -> Option<OperatorId> {
    OPERATORS.binary_search_by(|operator| operator.code.cmp(&code)).ok().map(|at| OperatorId(at as u8))
}

impl OperatorId {
    pub(crate) fn get(self) -> &'static Operator {
        &OPERATORS[usize::from(self.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_found() {
        for (at, operator) in OPERATORS.iter().enumerate() {
            assert_eq!(by_code(operator.code), Some(OperatorId(at as u8)), "{}", operator.text);
        }
        assert_eq!(by_code(*b"xx"), None);
    }
}
