//! From tokens to an expression: precedence climbing, with C's precedences.

use std::ops::Range;

use super::{
    DEEPEST, ExpressionError, LONGEST,
    syntax::{BinaryOperator as Op, Expression, Layer, Node, TypeName, UnaryOperator},
    token::{Kind, Token, tokens},
};

/// The words that C puts together to the names of its types.
const TYPE_WORDS: [&str; 17] = [
    "unsigned", "signed", "char", "short", "int", "long", "float", "double", "void", "_Bool", "bool",
    "struct", "class", "union", "enum", "const", "volatile",
];

/// Those of them that say nothing of the values.
const IGNORED_WORDS: [&str; 6] = ["struct", "class", "union", "enum", "const", "volatile"];

/// Binary operators, and how tightly they bind.
const OPERATORS: [(&str, Op, u8); 18] = [
    ("*", Op::Multiply, 10),
    ("/", Op::Divide, 10),
    ("%", Op::Remainder, 10),
    ("+", Op::Add, 9),
    ("-", Op::Subtract, 9),
    ("<<", Op::ShiftLeft, 8),
    (">>", Op::ShiftRight, 8),
    ("<", Op::Less, 7),
    ("<=", Op::LessOrEqual, 7),
    (">", Op::Greater, 7),
    (">=", Op::GreaterOrEqual, 7),
    ("==", Op::Equal, 6),
    ("!=", Op::NotEqual, 6),
    ("&", Op::BitAnd, 5),
    ("^", Op::BitXor, 4),
    ("|", Op::BitOr, 3),
    ("&&", Op::And, 2),
    ("||", Op::Or, 1),
];

impl Expression {
    /// Reads an expression. `is_type` says of a name whether it is that of a type: `(size_t) -1` and `(size) - 1` look
    /// the same.
    ///
    /// # Errors
    /// When the text is no expression, with the place.
    pub fn parse(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Self, ExpressionError> {
        if text.len() > LONGEST {
            return Err(ExpressionError::syntax(0..0, format!("an expression has at most {LONGEST} bytes")));
        }
        let mut parser = Parser { tokens: tokens(text)?, next: 0, end: text.len(), depth: 0, is_type };
        let expression = parser.expression()?;
        match parser.peek() {
            None => Ok(expression),
            Some(token) => Err(unexpected(token)),
        }
    }
}

fn unexpected(token: &Token) -> ExpressionError {
    let what = match &token.kind {
        Kind::Sign("=") => "values are not written here; to compare, write `==`".to_owned(),
        Kind::Sign("(") => "functions are not called here".to_owned(),
        Kind::Sign(sign) => format!("`{sign}` is not expected here"),
        Kind::Word(word) => format!("`{word}` is not expected here: is an operator missing before it?"),
        _ => "this is not expected here: is an operator missing before it?".to_owned(),
    };
    ExpressionError::syntax(token.at.clone(), what)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    /// The length of the text.
    end: usize,
    depth: usize,
    is_type: &'a dyn Fn(&str) -> bool,
}

type Parsed = Result<Expression, ExpressionError>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn is_sign(&self, ahead: usize, sign: &str) -> bool {
        matches!(self.tokens.get(self.next + ahead), Some(Token { kind: Kind::Sign(one), .. }) if *one == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is_sign(0, sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), ExpressionError> {
        if self.take(sign) {
            return Ok(());
        }
        let at = self.here();
        Err(ExpressionError::syntax(at, format!("`{sign}` is missing here")))
    }

    /// Where the next token is.
    fn here(&self) -> Range<usize> {
        self.peek().map_or(self.end..self.end, |token| token.at.clone())
    }

    /// Where the last token ended.
    fn behind(&self) -> usize {
        self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |token| token.at.end)
    }

    /// What is nested too deeply is refused: each level takes some of our stack.
    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ExpressionError>,
    ) -> Result<T, ExpressionError> {
        if self.depth == DEEPEST {
            return Err(ExpressionError::syntax(self.here(), "this is nested too deeply"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed {
        self.deeper(|parser| {
            let condition = parser.binary(1)?;
            if !parser.take("?") {
                return Ok(condition);
            }
            let yes = parser.expression()?;
            parser.expect(":")?;
            let no = parser.expression()?;
            let at = condition.at.start..no.at.end;
            let node = Node::Conditional(Box::new(condition), Box::new(yes), Box::new(no));
            Ok(Expression { node, at })
        })
    }

    fn binary(&mut self, least: u8) -> Parsed {
        let mut left = self.unary()?;
        // Binds more tightly than the others: `*argv@argc` are so many of what argv points to.
        if self.take("@") {
            let count = self.unary()?;
            let at = left.at.start..count.at.end;
            left = Expression { node: Node::Repeat(Box::new(left), Box::new(count)), at };
        }
        while let Some((operator, binds)) = self.operator().filter(|(_, binds)| *binds >= least) {
            self.next += 1;
            let right = self.deeper(|parser| parser.binary(binds + 1))?;
            let at = left.at.start..right.at.end;
            left = Expression { node: Node::Binary(operator, Box::new(left), Box::new(right)), at };
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(Op, u8)> {
        let Some(Token { kind: Kind::Sign(sign), .. }) = self.peek() else { return None };
        OPERATORS.iter().find(|one| one.0 == *sign).map(|one| (one.1, one.2))
    }

    fn unary(&mut self) -> Parsed {
        self.deeper(Self::unary_inner)
    }

    fn unary_inner(&mut self) -> Parsed {
        let Some(token) = self.peek() else {
            let at = self.end..self.end;
            return Err(ExpressionError::syntax(at, "something is missing here"));
        };
        let (start, kind) = (token.at.start, token.kind.clone());
        let operator = match kind {
            Kind::Sign("*") => Some(UnaryOperator::Dereference),
            Kind::Sign("&") => Some(UnaryOperator::AddressOf),
            Kind::Sign("-") => Some(UnaryOperator::Negate),
            Kind::Sign("+") => Some(UnaryOperator::Plus),
            Kind::Sign("!") => Some(UnaryOperator::Not),
            Kind::Sign("~") => Some(UnaryOperator::Complement),
            _ => None,
        };
        if let Some(operator) = operator {
            self.next += 1;
            let operand = self.unary()?;
            let at = start..operand.at.end;
            return Ok(Expression { node: Node::Unary(operator, Box::new(operand)), at });
        }
        if kind == Kind::Word("sizeof".into()) {
            return self.size_of(start);
        }
        if kind == Kind::Sign("(") {
            let before = self.next;
            self.next += 1;
            if let Some(ty) = self.type_in_brackets() {
                let operand = self.unary()?;
                let at = start..operand.at.end;
                return Ok(Expression { node: Node::Cast(ty, Box::new(operand)), at });
            }
            self.next = before;
        }
        let mut operand = self.postfix()?;
        while matches!(self.peek(), Some(Token { kind: Kind::Word(word), .. }) if word == "as") {
            self.next += 1;
            let ty = self.rust_type()?;
            let at = start..ty.at.end;
            operand = Expression { node: Node::Cast(ty, Box::new(operand)), at };
        }
        Ok(operand)
    }

    fn size_of(&mut self, start: usize) -> Parsed {
        self.next += 1;
        let before = self.next;
        if self.take("(") {
            let is_value = |parser: &mut Self| parser.type_name().filter(|_| parser.take(")"));
            if let Some(ty) = is_value(self).filter(|ty| !ty.layers.is_empty() || self.names_a_type(ty)) {
                return Ok(Expression { node: Node::SizeOfType(ty), at: start..self.behind() });
            }
            self.next = before;
        }
        let operand = self.unary()?;
        let at = start..operand.at.end;
        Ok(Expression { node: Node::SizeOf(Box::new(operand)), at })
    }

    /// The type of a cast, behind its opening bracket. `None` where this is no cast.
    fn type_in_brackets(&mut self) -> Option<TypeName> {
        let ty = self.type_name()?;
        if !self.take(")") {
            return None;
        }
        let is_sure = ty.layers.contains(&Layer::Pointer) || self.names_a_type(&ty);
        (is_sure && self.starts_an_operand()).then_some(ty)
    }

    fn names_a_type(&self, ty: &TypeName) -> bool {
        let first = ty.name.split(' ').next().unwrap_or(&ty.name);
        ty.is_marked || TYPE_WORDS.contains(&first) || (self.is_type)(&ty.name)
    }

    fn starts_an_operand(&self) -> bool {
        match self.peek().map(|token| &token.kind) {
            Some(Kind::Sign(sign)) => matches!(*sign, "(" | "*" | "&" | "-" | "+" | "!" | "~"),
            other => other.is_some(),
        }
    }

    /// `unsigned long *[3]`, `ns::T<int> *`: a name, then stars and brackets.
    fn type_name(&mut self) -> Option<TypeName> {
        let start = self.here().start;
        let mut words: Vec<String> = Vec::new();
        while let Some(Token { kind: Kind::Word(word), .. }) = self.peek() {
            let word = word.clone();
            let is_keyword = TYPE_WORDS.contains(&word.as_str());
            // Behind a name that is not one of C's own words, no other name follows.
            if !is_keyword && words.iter().any(|one| !IGNORED_WORDS.contains(&one.as_str())) {
                return None;
            }
            if is_keyword {
                self.next += 1;
                words.push(word);
            } else {
                words.push(self.path()?);
            }
        }
        let is_marked = words.iter().any(|word| IGNORED_WORDS.contains(&word.as_str()));
        words.retain(|word| !IGNORED_WORDS.contains(&word.as_str()));
        if words.is_empty() {
            return None;
        }
        let mut layers = Vec::new();
        loop {
            if self.take("*") || self.take("&") {
                layers.push(Layer::Pointer);
            } else if matches!(self.peek(), Some(Token { kind: Kind::Word(word), .. }) if word == "const" || word == "volatile")
            {
                self.next += 1;
            } else {
                break;
            }
        }
        // `(*)[4]`: a pointer to an array.
        let to_array = self.is_sign(0, "(") && self.is_sign(1, "*") && self.is_sign(2, ")");
        if to_array {
            self.next += 3;
        }
        let mut dimensions = Vec::new();
        while self.is_sign(0, "[") && self.is_sign(2, "]") {
            let Some(Token { kind: Kind::Integer(count, _), .. }) = self.tokens.get(self.next + 1) else {
                return None;
            };
            dimensions.push(Layer::Array(u64::try_from(*count).ok()?));
            self.next += 3;
        }
        layers.extend(dimensions.into_iter().rev());
        if to_array {
            layers.push(Layer::Pointer);
        }
        Some(TypeName { name: words.join(" "), is_marked, layers, at: start..self.behind() })
    }

    /// Behind `as`: `u8`, `*const T`, `&mut T`.
    fn rust_type(&mut self) -> Result<TypeName, ExpressionError> {
        let start = self.here().start;
        let mut pointers = 0;
        loop {
            if self.take("*") || self.take("&") {
                pointers += 1;
            } else if matches!(self.peek(), Some(Token { kind: Kind::Word(word), .. }) if pointers > 0 && (word == "const" || word == "mut"))
            {
                self.next += 1;
            } else {
                break;
            }
        }
        let mut ty = self
            .type_name()
            .ok_or_else(|| ExpressionError::syntax(self.here(), "the name of a type is missing here"))?;
        ty.layers.extend(std::iter::repeat_n(Layer::Pointer, pointers));
        ty.at.start = start;
        Ok(ty)
    }

    /// `a::b<c>::d`, with what the angle brackets hold as it is written. `None` where no name follows.
    fn path(&mut self) -> Option<String> {
        let mut path = String::new();
        if self.take("::") {
            path.push_str("::");
        }
        loop {
            let Some(Token { kind: Kind::Word(word), .. }) = self.peek() else { return None };
            path.push_str(word);
            self.next += 1;
            if self.is_sign(0, "<") {
                path.push_str(&self.template_arguments().unwrap_or_default());
            }
            if !(self.is_sign(0, "::")
                && matches!(self.tokens.get(self.next + 1), Some(Token { kind: Kind::Word(_), .. })))
            {
                return Some(path);
            }
            path.push_str("::");
            self.next += 1;
        }
    }

    /// `<int, std::less<int> >` where this is what follows, and not a comparison.
    fn template_arguments(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut depth = 0_usize;
        let mut ahead = 0;
        loop {
            let token = self.tokens.get(self.next + ahead)?;
            match &token.kind {
                Kind::Sign("<") => depth += 1,
                Kind::Sign(">") => depth -= 1,
                Kind::Sign(">>") if depth >= 2 => depth -= 2,
                Kind::Sign("::" | "," | "*" | "&" | "[" | "]" | "(" | ")")
                | Kind::Word(_)
                | Kind::Integer(..) => {}
                _ => return None,
            }
            match &token.kind {
                Kind::Word(word) => {
                    if text.ends_with(|one: char| one.is_alphanumeric() || one == '_') {
                        text.push(' ');
                    }
                    text.push_str(word);
                }
                Kind::Integer(value, suffix) => text.push_str(&format!("{value}{suffix}")),
                Kind::Sign(",") => text.push_str(", "),
                Kind::Sign(sign) => text.push_str(sign),
                _ => {}
            }
            ahead += 1;
            if depth == 0 {
                break;
            }
        }
        // `a < b && c > d` is a comparison: behind arguments stands `::`, a bracket, a star or the end.
        let behind = self.tokens.get(self.next + ahead).map(|token| &token.kind);
        let fits =
            matches!(behind, None | Some(Kind::Sign("::" | ")" | "*" | "&" | "[" | "]" | "," | ">" | ">>")));
        if !fits {
            return None;
        }
        self.next += ahead;
        Some(text)
    }

    fn postfix(&mut self) -> Parsed {
        let mut operand = self.primary()?;
        // A chain is no nesting here, but whoever walks through it goes as deep.
        for _ in 0..DEEPEST {
            let start = operand.at.start;
            let node = if self.take("[") {
                self.subscript(operand)?
            } else if self.take(".") || self.take("->") {
                Node::Member(Box::new(operand), self.member()?)
            } else {
                return Ok(operand);
            };
            operand = Expression { node, at: start..self.behind() };
        }
        Err(ExpressionError::syntax(operand.at, "this goes on for too long"))
    }

    fn subscript(&mut self, operand: Expression) -> Result<Node, ExpressionError> {
        let operand = Box::new(operand);
        let end = |parser: &mut Self, from| {
            let to = if parser.is_sign(0, "]") { None } else { Some(Box::new(parser.expression()?)) };
            parser.expect("]")?;
            Ok((from, to))
        };
        if self.take("..") {
            let (from, to) = end(self, None)?;
            return Ok(Node::Slice(operand, from, to));
        }
        let first = Box::new(self.expression()?);
        if self.take("..") {
            let (from, to) = end(self, Some(first))?;
            return Ok(Node::Slice(operand, from, to));
        }
        self.expect("]")?;
        Ok(Node::Index(operand, first))
    }

    fn member(&mut self) -> Result<String, ExpressionError> {
        let name = match self.peek().map(|token| &token.kind) {
            // `Base::name`
            Some(Kind::Word(_)) => {
                let here = self.here();
                let missing = || ExpressionError::syntax(here, "the name of a member is missing here");
                return self.path().ok_or_else(missing);
            }
            // A field of a tuple.
            Some(Kind::Integer(number, suffix)) if suffix.is_empty() => number.to_string(),
            _ => return Err(ExpressionError::syntax(self.here(), "the name of a member is missing here")),
        };
        self.next += 1;
        Ok(name)
    }

    fn primary(&mut self) -> Parsed {
        let Some(Token { kind, at }) = self.peek().cloned() else {
            return Err(ExpressionError::syntax(self.end..self.end, "something is missing here"));
        };
        let node = match kind {
            Kind::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(Expression { node: inner.node, at: at.start..self.behind() });
            }
            Kind::Sign("::") => return self.name(None, at.start),
            Kind::Word(word) if word == "true" || word == "false" => Node::Boolean(word == "true"),
            Kind::Word(_) => return self.name(None, at.start),
            Kind::Quoted(within) => {
                self.next += 1;
                if !(self.take("::") || self.take("!")) {
                    let behind = self.behind();
                    return Err(ExpressionError::syntax(
                        behind..behind,
                        "behind the name of a file or module, `::` and a name are missing",
                    ));
                }
                return self.name(Some(within), at.start);
            }
            Kind::Integer(value, suffix) => Node::Integer(value, suffix),
            Kind::Float(value) => Node::Float(value),
            Kind::Character(one) => Node::Character(one),
            Kind::Text(text) => Node::Text(text),
            Kind::Register(name) if name == "len" && self.is_sign(1, "(") => {
                self.next += 2;
                let of = self.expression()?;
                self.expect(")")?;
                return Ok(Expression { node: Node::Length(Box::new(of)), at: at.start..self.behind() });
            }
            Kind::Register(name) => Node::Register(name),
            kind @ Kind::Sign(_) => return Err(unexpected(&Token { kind, at })),
        };
        self.next += 1;
        Ok(Expression { node, at })
    }

    fn name(&mut self, within: Option<String>, start: usize) -> Parsed {
        let path =
            self.path().ok_or_else(|| ExpressionError::syntax(self.here(), "a name is missing here"))?;
        // A module that needs no quotes.
        if within.is_none() && self.is_sign(0, "!") && !path.contains("::") {
            self.next += 1;
            return self.name(Some(path), start);
        }
        if let Some(token) = self.peek().filter(|token| token.kind == Kind::Sign("(")) {
            let what = format!("`{path}` is not called: functions do not run here");
            return Err(ExpressionError::syntax(start..token.at.end, what));
        }
        Ok(Expression { node: Node::Name { within, path }, at: start..self.behind() })
    }
}
