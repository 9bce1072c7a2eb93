//! Types, which are written around what they are the types of.

use super::{Printer, Written, scopes::ScopeId};
use crate::node::{Node, NodeId, Qualifiers};

/// How what points to a type is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// Behind it.
    Plain,
    /// `int (*) [3]`
    Array,
    /// `int (*)(char)`
    Function,
}

impl Printer<'_> {
    pub(super) fn type_left(&mut self, node: Node) -> Written {
        match node {
            Node::Pointer(inner) => self.pointer(inner, "*"),
            Node::LValue(_) | Node::RValue(_) => {
                let (inner, scope, sign) = self.reference(node)?;
                self.in_scope(scope, |printer| printer.pointer(inner, sign))
            }
            Node::MemberPointer { class, member } => {
                self.left(member)?;
                match self.shape(member) {
                    Shape::Function | Shape::Array => self.open_member(),
                    Shape::Plain => self.text(" "),
                }
                self.node(class)?;
                self.text("::*");
                Ok(())
            }
            Node::Qualified { inner, qualifiers } => {
                self.left(inner)?;
                if self.shape(inner) == Shape::Function {
                    self.open_member();
                }
                let known = self.known_qualifiers(inner);
                self.qualifiers(qualifiers.without(known));
                Ok(())
            }
            Node::VendorQualified { inner, name } => {
                self.left(inner)?;
                if self.shape(inner) != Shape::Plain {
                    self.open_member();
                }
                self.text(" ");
                self.node(name)
            }
            Node::Suffixed { inner, suffix } => {
                self.left(inner)?;
                self.text(suffix);
                Ok(())
            }
            Node::Function { result, .. } if result.is_none() => Ok(()),
            Node::Function { result, .. } => self.result(result),
            Node::FunctionExtra { qualifiers, .. } => {
                self.qualifiers(qualifiers);
                Ok(())
            }
            Node::Noexcept(condition) => {
                self.text(" noexcept");
                if condition.is_none() {
                    return Ok(());
                }
                self.text("(");
                self.node(condition)?;
                self.text(")");
                Ok(())
            }
            Node::Throws(types) => {
                self.text(" throw(");
                self.list(types)?;
                self.text(")");
                Ok(())
            }
            Node::Array { element, .. } => self.left(element),
            Node::Vector { element, bound } => {
                self.left(element)?;
                self.text(" __vector(");
                self.node(bound)?;
                self.text(")");
                Ok(())
            }
            Node::Decltype(expression) => {
                self.text("decltype (");
                self.node(expression)?;
                self.text(")");
                Ok(())
            }
            Node::BitInt { size, is_unsigned } => {
                self.text(if is_unsigned { "unsigned _BitInt(" } else { "_BitInt(" });
                self.node(size)?;
                self.text(")");
                Ok(())
            }
            Node::Constrained { constraint, placeholder } => {
                self.node(constraint)?;
                self.text(placeholder);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is behind the name of which this is the type.
    pub(super) fn right(&mut self, id: NodeId) -> Written {
        let node = self.tree.get(id);
        if !may_have_right(node) {
            return Ok(());
        }
        self.enter()?;
        match node {
            Node::Parameter(_) if self.closure.is_some() => {}
            Node::Parameter(number) => self.parameter(number, Self::right)?,
            Node::Pointer(inner) | Node::MemberPointer { member: inner, .. } => self.pointer_right(inner)?,
            Node::LValue(_) | Node::RValue(_) => {
                let (inner, scope, _) = self.reference(node)?;
                self.in_scope(scope, |printer| printer.pointer_right(inner))?;
            }
            Node::Qualified { inner, .. } => {
                if self.shape(inner) == Shape::Function {
                    self.text(")");
                }
                self.right(inner)?;
            }
            Node::VendorQualified { inner, .. } => self.pointer_right(inner)?,
            Node::Suffixed { inner, .. } | Node::Vector { element: inner, .. } => self.right(inner)?,
            Node::Function { result, parameters, extra } => {
                self.parameters(parameters, extra)?;
                if !result.is_none() {
                    self.right(result)?;
                }
            }
            Node::Array { element, bound } => {
                self.text(" ");
                self.bounds(element, bound)?;
            }
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    /// `[2][3]`, and what is behind them.
    fn bounds(&mut self, element: NodeId, bound: NodeId) -> Written {
        let (mut element, mut bound) = (element, bound);
        loop {
            self.text("[");
            if !bound.is_none() {
                self.node(bound)?;
            }
            self.text("]");
            let inner = match self.tree.get(element) {
                Node::Qualified { inner, .. } => inner,
                _ => element,
            };
            let Node::Array { element: next, bound: next_bound } = self.tree.get(inner) else {
                return self.right(element);
            };
            (element, bound) = (next, next_bound);
        }
    }

    /// The parenthesis around words that are said of a function or array: always with a space before it.
    fn open_member(&mut self) {
        self.text(if self.last() == b' ' { "(" } else { " (" });
    }

    fn pointer(&mut self, inner: NodeId, sign: &str) -> Written {
        self.left(inner)?;
        match self.shape(inner) {
            Shape::Function if !matches!(self.last(), b'(' | b'*' | b' ') => self.text(" ("),
            Shape::Function => self.text("("),
            Shape::Array => self.text(" ("),
            Shape::Plain => {}
        }
        self.text(sign);
        Ok(())
    }

    fn pointer_right(&mut self, inner: NodeId) -> Written {
        if self.shape(inner) != Shape::Plain {
            self.text(")");
        }
        self.right(inner)
    }

    /// What a reference is to. That to a parameter which stands for a reference is one reference.
    fn reference(&self, node: Node) -> Result<(NodeId, ScopeId, &'static str), super::Stop> {
        let (inner, sign) = match node {
            Node::RValue(inner) => (inner, "&&"),
            Node::LValue(inner) => (inner, "&"),
            _ => return Err(super::Stop::Invalid),
        };
        let Node::Parameter(number) = self.tree.get(inner) else { return Ok((inner, self.scope, sign)) };
        if self.closure.is_some() {
            return Ok((inner, self.scope, sign));
        }
        let (argument, outer) = self.argument(number)?;
        Ok(match self.tree.get(argument) {
            Node::LValue(target) => (target, outer, "&"),
            Node::RValue(target) => (target, outer, sign),
            _ => (inner, self.scope, sign),
        })
    }

    /// Through what stands for it. Words that are said of a function have parentheses already.
    fn shape(&mut self, id: NodeId) -> Shape {
        let (mut id, mut scope) = (id, self.scope);
        let mut is_qualified = false;
        // Every step leads to an earlier node or an outer scope.
        loop {
            match self.tree.get(id) {
                Node::Function { .. } if is_qualified => return Shape::Plain,
                Node::Function { .. } => return Shape::Function,
                Node::Array { .. } => return Shape::Array,
                Node::Qualified { inner, .. } => {
                    is_qualified = true;
                    id = inner;
                }
                Node::Parameter(number) if self.closure.is_none() => {
                    match self.in_scope(scope, |printer| printer.argument(number)) {
                        Ok(argument) => (id, scope) = argument,
                        Err(_) => return Shape::Plain,
                    }
                }
                _ => return Shape::Plain,
            }
        }
    }

    /// Qualifiers that need not be said again.
    fn known_qualifiers(&mut self, id: NodeId) -> Qualifiers {
        let (mut id, mut scope) = (id, self.scope);
        let mut known = Qualifiers::default();
        loop {
            match self.tree.get(id) {
                Node::Qualified { inner, qualifiers } => {
                    known = known.with(qualifiers);
                    id = inner;
                }
                Node::Array { element, .. } => id = element,
                Node::Parameter(number) if self.closure.is_none() => {
                    match self.in_scope(scope, |printer| printer.argument(number)) {
                        Ok(argument) => (id, scope) = argument,
                        Err(_) => return known,
                    }
                }
                _ => return known,
            }
        }
    }

    /// Whether something of it stands behind the name: then what is before the name ends in a sign, not in a word.
    pub(super) fn has_right(&mut self, id: NodeId) -> bool {
        let (mut id, mut scope) = (id, self.scope);
        loop {
            match self.tree.get(id) {
                Node::Function { .. } | Node::Array { .. } => return true,
                Node::Pointer(inner)
                | Node::LValue(inner)
                | Node::RValue(inner)
                | Node::MemberPointer { member: inner, .. }
                | Node::Qualified { inner, .. }
                | Node::VendorQualified { inner, .. }
                | Node::Suffixed { inner, .. }
                | Node::Vector { element: inner, .. } => id = inner,
                Node::Parameter(number) if self.closure.is_none() => {
                    match self.in_scope(scope, |printer| printer.argument(number)) {
                        Ok(argument) => (id, scope) = argument,
                        Err(_) => return false,
                    }
                }
                _ => return false,
            }
        }
    }
}

/// Whether there are such of which something stands behind a name.
#[inline]
pub(super) fn may_have_right(node: Node) -> bool {
    matches!(
        node,
        Node::Parameter(_)
            | Node::Pointer(_)
            | Node::MemberPointer { .. }
            | Node::LValue(_)
            | Node::RValue(_)
            | Node::Qualified { .. }
            | Node::VendorQualified { .. }
            | Node::Suffixed { .. }
            | Node::Vector { .. }
            | Node::Function { .. }
            | Node::Array { .. }
    )
}
