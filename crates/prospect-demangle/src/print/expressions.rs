//! Expressions.

use super::{Printer, Written};
use crate::{
    builtins::{BUILTINS, LiteralStyle},
    node::{ListId, Node, NodeId, OperatorId, Tree},
};

impl Printer<'_> {
    pub(super) fn expression(&mut self, node: Node) -> Written {
        match node {
            Node::Literal { of, value, is_negative } => self.literal(of, value, is_negative)?,
            Node::Unary { operator, operand } => self.unary(operator, operand)?,
            Node::Postfix { operator, operand } => {
                self.operand(operand)?;
                self.text(operator.get().text);
            }
            Node::Binary { operator, left, right } => self.binary(operator, left, right)?,
            Node::Conditional { condition, then, otherwise } => {
                self.operand(condition)?;
                self.text("?");
                self.operand(then)?;
                self.text(" : ");
                self.operand(otherwise)?;
            }
            Node::OfType { operator, of } => {
                self.text(operator.get().text);
                self.in_parentheses(of)?;
            }
            Node::NamedCast { operator, to, operand } => {
                self.text(operator.get().text);
                self.text("<");
                self.node(to)?;
                self.text(">");
                self.in_parentheses(operand)?;
            }
            Node::Cast { to, operand } => {
                self.in_parentheses(to)?;
                self.operand(operand)?;
            }
            Node::Parenthesized(items) => self.list_in("(", items, ")")?,
            Node::Braced { of, items } => {
                if !of.is_none() {
                    self.node(of)?;
                }
                self.list_in("{", items, "}")?;
            }
            Node::Call { callee, arguments } => {
                self.callee(callee)?;
                self.list_in("(", arguments, ")")?;
            }
            Node::New { placement, of, initializer } => {
                self.text("new ");
                if placement != Tree::EMPTY {
                    self.list_in("(", placement, ") ")?;
                }
                self.node(of)?;
                if !initializer.is_none() {
                    self.node(initializer)?;
                }
            }
            Node::Global(inner) => {
                self.text("::");
                self.node(inner)?;
            }
            Node::Fold { operator, left, right } => self.fold(operator, left, right)?,
            Node::DesignatedField { name, value } => {
                self.text(".");
                self.node(name)?;
                self.designated(value)?;
            }
            Node::DesignatedIndex { index, value } => {
                self.text("[");
                self.node(index)?;
                self.text("]");
                self.designated(value)?;
            }
            Node::DesignatedRange { first, last, value } => {
                self.text("[");
                self.node(first)?;
                self.text(" ... ");
                self.node(last)?;
                self.text("]");
                self.designated(value)?;
            }
            Node::FunctionParameter(number) => {
                self.text("{parm#");
                self.number(number);
                self.text("}");
            }
            Node::VendorExpression { name, arguments } => {
                self.node(name)?;
                self.list_in("(", arguments, ")")?;
            }
            Node::Subobject { of, base, offset } => {
                self.operand(base)?;
                self.text(".<");
                self.node(of)?;
                self.text(" at offset ");
                if offset.is_none() {
                    self.text("0")
                } else {
                    self.signed(offset)?
                }
                self.text(">");
            }
            Node::Requires { parameters, requirements } => {
                self.text("requires ");
                if parameters != Tree::EMPTY {
                    self.list_in("(", parameters, ") ")?;
                }
                self.text("{");
                for requirement in self.tree.items(requirements) {
                    self.node(requirement)?;
                    self.text(";");
                }
                self.text("}");
            }
            Node::Requirement { expression, constraint, is_noexcept } => {
                if !is_noexcept && constraint.is_none() {
                    return self.node(expression);
                }
                self.text("{");
                self.node(expression)?;
                self.text(if is_noexcept { "} noexcept" } else { "}" });
                if !constraint.is_none() {
                    self.text(" -> ");
                    self.node(constraint)?;
                }
            }
            Node::Constraint { entity, condition } => {
                self.node(entity)?;
                self.text(" requires ");
                self.node(condition)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// An expression within another: in parentheses, but for the simplest.
    pub(super) fn operand(&mut self, id: NodeId) -> Written {
        let is_simple = matches!(
            self.tree.get(id),
            Node::Source(_)
                | Node::Text(_)
                | Node::Nested { .. }
                | Node::FunctionParameter(_)
                | Node::Parenthesized(_)
                | Node::Braced { .. }
        );
        if is_simple { self.node(id) } else { self.in_parentheses(id) }
    }

    fn in_parentheses(&mut self, id: NodeId) -> Written {
        self.text("(");
        self.node(id)?;
        self.text(")");
        Ok(())
    }

    fn list_in(&mut self, open: &str, items: ListId, close: &str) -> Written {
        self.text(open);
        self.list(items)?;
        self.text(close);
        Ok(())
    }

    fn unary(&mut self, operator: OperatorId, operand: NodeId) -> Written {
        let text = operator.get().text;
        self.text(text);
        let member = match self.tree.get(operand) {
            Node::Encoding { name, .. } if text == "&" => Some(name),
            _ => None,
        };
        match member {
            // A member function's address is taken by its name alone.
            Some(name) if matches!(self.tree.get(name), Node::Nested { .. }) => self.node(name),
            _ => self.operand(operand),
        }
    }

    fn binary(&mut self, operator: OperatorId, left: NodeId, right: NodeId) -> Written {
        let text = operator.get().text;
        if text == "[]" {
            self.operand(left)?;
            self.text("[");
            self.node(right)?;
            self.text("]");
            return Ok(());
        }
        // Where it could be taken for the end of a template's arguments.
        let is_ambiguous = text == ">";
        if is_ambiguous {
            self.text("(");
        }
        self.operand(left)?;
        self.text(text);
        self.operand(right)?;
        if is_ambiguous {
            self.text(")");
        }
        Ok(())
    }

    /// A function that is called: its name, not its parameters.
    fn callee(&mut self, callee: NodeId) -> Written {
        match self.tree.get(callee) {
            Node::Encoding { name, .. } => self.operand(name),
            _ => self.operand(callee),
        }
    }

    fn fold(&mut self, operator: OperatorId, left: NodeId, right: NodeId) -> Written {
        let text = operator.get().text;
        self.text("(");
        if !left.is_none() {
            self.operand(left)?;
            self.text(text);
        }
        self.text("...");
        if !right.is_none() {
            self.text(text);
            self.operand(right)?;
        }
        self.text(")");
        Ok(())
    }

    /// `=value`; further designators come without the sign.
    fn designated(&mut self, value: NodeId) -> Written {
        let is_designator = matches!(
            self.tree.get(value),
            Node::DesignatedField { .. } | Node::DesignatedIndex { .. } | Node::DesignatedRange { .. }
        );
        if is_designator {
            return self.node(value);
        }
        self.text("=");
        self.operand(value)
    }

    fn literal(&mut self, of: NodeId, value: NodeId, is_negative: bool) -> Written {
        if value.is_none() {
            return self.node(of);
        }
        let style = match self.tree.get(of) {
            Node::Builtin(number) => BUILTINS[usize::from(number)].literal,
            _ => LiteralStyle::Cast,
        };
        let text = match self.tree.get(value) {
            Node::Source(span) => &self.source[span.start as usize..span.end as usize],
            _ => "",
        };
        let sign = if is_negative { "-" } else { "" };
        match style {
            LiteralStyle::Suffix(suffix) => {
                self.text(sign);
                self.text(text);
                self.text(suffix);
            }
            LiteralStyle::Boolean if !is_negative && text == "0" => self.text("false"),
            LiteralStyle::Boolean if !is_negative && text == "1" => self.text("true"),
            LiteralStyle::Boolean | LiteralStyle::Cast | LiteralStyle::Float => {
                self.in_parentheses(of)?;
                let is_float = style == LiteralStyle::Float;
                self.text(sign);
                self.text(if is_float { "[" } else { "" });
                self.text(text);
                self.text(if is_float { "]" } else { "" });
            }
        }
        Ok(())
    }

    /// A number whose `n` is a minus.
    fn signed(&mut self, number: NodeId) -> Written {
        if let Node::Source(span) = self.tree.get(number) {
            let text = &self.source[span.start as usize..span.end as usize];
            match text.strip_prefix('n') {
                Some(digits) => {
                    self.text("-");
                    self.text(digits);
                }
                None => self.text(text),
            }
        }
        Ok(())
    }
}
