//! Expressions.

use super::Parser;
use crate::{
    node::{Node, NodeId},
    operators::{self, Kind},
};

impl Parser<'_> {
    /// `<expression>`
    pub(super) fn expression(&mut self) -> Option<NodeId> {
        self.deeper(Self::any_expression)
    }

    fn any_expression(&mut self) -> Option<NodeId> {
        let node = match (self.peek(), self.peek_at(1)) {
            (b'L', _) => return self.primary_expression(),
            (b'T', _) => return self.template_parameter(),
            (b'0'..=b'9', _) | (b'o', b'n') | (b'd', b'n') => return self.unresolved_name(),
            (b's', b'r') => return self.qualified_name(),
            (b's', b'p') => {
                self.at += 2;
                Node::Expansion(self.expression()?)
            }
            (b's', b'Z') => {
                self.at += 2;
                Node::PackSize(self.expression()?)
            }
            (b's', b'P') => {
                self.at += 2;
                Node::ArgumentCount(self.list(Self::template_argument)?)
            }
            (b's', b'o') => self.subobject()?,
            (b'f', b'p') => self.function_parameter()?,
            (b'f', b'L') if self.peek_at(2).is_ascii_digit() => self.function_parameter()?,
            (b'f', b'l' | b'r' | b'L' | b'R') => self.fold()?,
            (b't', b'l') => {
                self.at += 2;
                Node::Braced { of: self.type_()?, items: self.list(Self::item)? }
            }
            (b'i', b'l') => {
                self.at += 2;
                Node::Braced { of: NodeId::NONE, items: self.list(Self::item)? }
            }
            (b'g', b's') => {
                self.at += 2;
                Node::Global(self.expression()?)
            }
            (b't', b'r') => {
                self.at += 2;
                Node::Text(&"throw")
            }
            (b'm', b'c') => self.member_pointer_conversion()?,
            (b'r', b'q' | b'Q') => return self.requires(),
            (b'u', _) => {
                self.at += 1;
                let name = self.source_name()?;
                Node::VendorExpression { name, arguments: self.list(Self::template_argument)? }
            }
            (b'v', b'0'..=b'9') => {
                let name = self.operator_name()?;
                let operand = self.expression()?;
                let arguments = self.tree.add_list(&[operand]);
                Node::VendorExpression { name, arguments }
            }
            _ => self.operation()?,
        };
        Some(self.add(node))
    }

    /// An operator and its operands.
    fn operation(&mut self) -> Option<Node> {
        let operator = operators::by_code([self.peek(), self.peek_at(1)])?;
        self.at += 2;
        Some(match operator.get().kind {
            Kind::Prefix if self.peek() == b'T' && operator.get().text == "sizeof " => {
                // `sizeof` of what turns out to be a type.
                Node::OfType { operator, of: self.type_()? }
            }
            Kind::Prefix => Node::Unary { operator, operand: self.expression()? },
            Kind::Step if self.take_byte(b'_') => Node::Unary { operator, operand: self.expression()? },
            Kind::Step => Node::Postfix { operator, operand: self.expression()? },
            Kind::Infix | Kind::Index => {
                Node::Binary { operator, left: self.expression()?, right: self.expression()? }
            }
            Kind::Member => Node::Binary { operator, left: self.expression()?, right: self.member_name()? },
            Kind::Conditional => Node::Conditional {
                condition: self.expression()?,
                then: self.expression()?,
                otherwise: self.expression()?,
            },
            Kind::Call => Node::Call { callee: self.expression()?, arguments: self.list(Self::expression)? },
            Kind::OfType => Node::OfType { operator, of: self.type_()? },
            Kind::NamedCast => Node::NamedCast { operator, to: self.type_()?, operand: self.expression()? },
            Kind::Cast => self.cast()?,
            Kind::New => {
                let placement = self.list_while(|parser| !parser.take_byte(b'_'), Self::expression)?;
                let of = self.type_()?;
                let initializer = self.initializer()?;
                Node::New { placement, of, initializer }
            }
        })
    }

    /// `cv <type> <expression>`, `cv <type> _ <expression>… E`
    fn cast(&mut self) -> Option<Node> {
        let outer = std::mem::replace(&mut self.in_conversion, false);
        let to = self.type_()?;
        self.in_conversion = outer;
        let operand = if self.take_byte(b'_') {
            let items = self.list(Self::expression)?;
            self.add(Node::Parenthesized(items))
        } else {
            self.expression()?
        };
        Some(Node::Cast { to, operand })
    }

    /// What is behind the type of `new`: `E`, `pi <expression>… E`, `il <expression>… E`
    fn initializer(&mut self) -> Option<NodeId> {
        if self.take_byte(b'E') {
            return Some(NodeId::NONE);
        }
        if self.take("pi") {
            let items = self.list(Self::expression)?;
            return Some(self.add(Node::Parenthesized(items)));
        }
        let braced = self.expression()?;
        matches!(self.tree.get(braced), Node::Braced { .. }).then_some(braced)
    }

    /// `<braced-expression>`
    fn item(&mut self) -> Option<NodeId> {
        let node = match (self.peek(), self.peek_at(1)) {
            (b'd', b'i') => {
                self.at += 2;
                Node::DesignatedField { name: self.source_name()?, value: self.deeper(Self::item)? }
            }
            (b'd', b'x') => {
                self.at += 2;
                Node::DesignatedIndex { index: self.expression()?, value: self.deeper(Self::item)? }
            }
            (b'd', b'X') => {
                self.at += 2;
                Node::DesignatedRange {
                    first: self.expression()?,
                    last: self.expression()?,
                    value: self.deeper(Self::item)?,
                }
            }
            _ => return self.expression(),
        };
        Some(self.add(node))
    }

    /// `fp [<CV-qualifiers>] [<number>] _`, `fL <level> p …`, `fpT`
    fn function_parameter(&mut self) -> Option<Node> {
        self.at += 2;
        if self.source.as_bytes()[self.at - 1] == b'L' {
            self.number()?;
            self.expect(b'p')?;
        } else if self.take_byte(b'T') {
            return Some(Node::Text(&"this"));
        }
        self.qualifiers();
        let number = self.number_or_none()?.checked_add(1)?;
        Some(Node::FunctionParameter(number))
    }

    /// `fl <operator> <expression>`, `fr …`, `fL <operator> <expression> <expression>`, `fR …`
    fn fold(&mut self) -> Option<Node> {
        let kind = self.peek_at(1);
        let operator = operators::by_code([self.peek_at(2), self.peek_at(3)])?;
        self.at += 4;
        let first = self.expression()?;
        Some(match kind {
            b'l' => Node::Fold { operator, left: NodeId::NONE, right: first },
            b'r' => Node::Fold { operator, left: first, right: NodeId::NONE },
            _ => Node::Fold { operator, left: first, right: self.expression()? },
        })
    }

    /// `so <type> <expression> [<offset>] [_ <number>]… [p] E`
    fn subobject(&mut self) -> Option<Node> {
        self.at += 2;
        let of = self.type_()?;
        let base = self.expression()?;
        let start = self.at;
        let has_offset = self.peek() == b'n' || self.peek().is_ascii_digit();
        if has_offset {
            self.skip_number()?;
        }
        let offset = if has_offset { self.add(Node::Source(self.span(start))) } else { NodeId::NONE };
        while self.take_byte(b'_') {
            if self.peek().is_ascii_digit() {
                self.number()?;
            }
        }
        self.take_byte(b'p');
        self.expect(b'E')?;
        Some(Node::Subobject { of, base, offset })
    }

    /// `mc <type> <expression> [<offset>] E`
    fn member_pointer_conversion(&mut self) -> Option<Node> {
        self.at += 2;
        let to = self.type_()?;
        let operand = self.expression()?;
        if self.peek() != b'E' {
            self.skip_number()?;
        }
        self.expect(b'E')?;
        Some(Node::Cast { to, operand })
    }

    /// `<expr-primary>`: `L <type> [<value>] E`, `L _Z <encoding> E`, `L Z <encoding> E`
    pub(super) fn primary_expression(&mut self) -> Option<NodeId> {
        self.expect(b'L')?;
        if self.take("_Z") || self.take_byte(b'Z') {
            let entity = self.encoding()?;
            self.expect(b'E')?;
            return Some(entity);
        }
        let of = self.type_()?;
        let is_negative = self.take_byte(b'n');
        let start = self.at;
        while self.peek() != b'E' {
            if self.is_at_end() || !self.peek().is_ascii() {
                return None;
            }
            self.at += 1;
        }
        let value = if self.at == start { NodeId::NONE } else { self.add(Node::Source(self.span(start))) };
        self.expect(b'E')?;
        Some(self.add(Node::Literal { of, value, is_negative }))
    }

    /// What is behind `.` and `->`: the name of a member, as old compilers wrote operators too.
    fn member_name(&mut self) -> Option<NodeId> {
        match (self.peek(), self.peek_at(1)) {
            (b's', b'r') | (b'g', b's') | (b'T' | b'L', _) => self.expression(),
            (b'a'..=b'z', _) if !matches!((self.peek(), self.peek_at(1)), (b'o' | b'd', b'n')) => {
                let name = self.operator_name()?;
                self.with_arguments(name)
            }
            _ => self.unresolved_name(),
        }
    }

    /// `<base-unresolved-name>`: `<source-name>`, `on <operator-name>`, `dn <type or source-name>`, with arguments.
    fn unresolved_name(&mut self) -> Option<NodeId> {
        self.unresolved_in(NodeId::NONE)
    }

    fn unresolved_base(&mut self) -> Option<NodeId> {
        if self.take("dn") {
            let of = if self.peek().is_ascii_digit() { self.simple_id(false)? } else { self.type_()? };
            return Some(self.add(Node::Destructor(of)));
        }
        if self.take("on") && !self.peek().is_ascii_digit() {
            return self.operator_name();
        }
        let name = self.source_name()?;
        self.tagged(name)
    }

    fn with_arguments(&mut self, name: NodeId) -> Option<NodeId> {
        if self.peek() != b'I' {
            return Some(name);
        }
        let arguments = self.template_arguments()?;
        Some(self.add(Node::Template { name, arguments }))
    }

    /// `<simple-id>`: a name with its arguments; `is_tagged` where tags may follow.
    fn simple_id(&mut self, is_tagged: bool) -> Option<NodeId> {
        let mut name = self.source_name()?;
        if is_tagged {
            name = self.tagged(name)?;
        }
        self.with_arguments(name)
    }

    /// `sr …`: a name in a scope that is known only when the template's parameters are.
    fn qualified_name(&mut self) -> Option<NodeId> {
        self.at += 2;
        if self.take_byte(b'N') {
            return self.levels_of_type();
        }
        if self.peek().is_ascii_digit() {
            let start = self.mark();
            if let Some(name) = self.levels() {
                return Some(name);
            }
            // Not so: then it is one type.
            self.back_to(&start);
        }
        let scope = self.type_()?;
        self.unresolved_in(scope)
    }

    /// `<base-unresolved-name>` in a scope. Its arguments are those of the whole name.
    fn unresolved_in(&mut self, scope: NodeId) -> Option<NodeId> {
        let name = self.unresolved_base()?;
        let name = self.within(scope, name);
        self.with_arguments(name)
    }

    /// `sr <simple-id>… E <base-unresolved-name>`
    fn levels(&mut self) -> Option<NodeId> {
        let mut scope = NodeId::NONE;
        while !self.take_byte(b'E') {
            let level = self.simple_id(true)?;
            scope = self.within(scope, level);
        }
        let has_name =
            self.peek().is_ascii_digit() || matches!(self.peek(), b'o' | b'd') && self.peek_at(1) == b'n';
        if has_name { self.unresolved_in(scope) } else { None }
    }

    /// `srN <type> <simple-id>… E <base-unresolved-name>`
    fn levels_of_type(&mut self) -> Option<NodeId> {
        // Where the first level is no type, all is one name: `srN1A1BE1x`.
        let mut scope = if self.peek().is_ascii_digit() { self.simple_id(true)? } else { self.type_()? };
        while !self.take_byte(b'E') {
            let level = self.simple_id(true)?;
            scope = self.within(scope, level);
        }
        self.unresolved_in(scope)
    }
}
