//! Functions and their types.

use super::{Printer, Written};
use crate::node::{ListId, Node, NodeId, Qualifiers};

impl Printer<'_> {
    /// A function: its result where it is known and wanted, its name, its parameters.
    pub(super) fn encoding(&mut self, name: NodeId, function: NodeId, has_result: bool) -> Written {
        self.enter()?;
        match self.own_arguments(name) {
            Some(arguments) => self
                .with_arguments(arguments, |printer| printer.encoding_in_scope(name, function, has_result))?,
            None => self.encoding_in_scope(name, function, has_result)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn encoding_in_scope(&mut self, name: NodeId, function: NodeId, has_result: bool) -> Written {
        let Node::Function { result, parameters, extra } = self.tree.get(function) else { return Ok(()) };
        let has_result = has_result && !result.is_none();
        if has_result {
            self.result(result)?;
        }
        let (name, qualifiers) = match self.tree.get(name) {
            Node::MemberQualified { name, qualifiers } => (name, qualifiers),
            _ => (name, Qualifiers::default()),
        };
        self.node(name)?;
        self.parameters(parameters, extra)?;
        self.qualifiers(qualifiers);
        if has_result { self.right(result) } else { Ok(()) }
    }

    /// What is before the name of a function that has this result.
    pub(super) fn result(&mut self, result: NodeId) -> Written {
        self.left(result)?;
        if !self.has_right(result) {
            self.text(" ");
        }
        Ok(())
    }

    /// `(parameters)` and what is behind them.
    pub(super) fn parameters(&mut self, parameters: ListId, extra: NodeId) -> Written {
        let extra = if extra.is_none() { None } else { Some(self.tree.get(extra)) };
        self.text("(");
        if matches!(extra, Some(Node::FunctionExtra { has_object: true, .. })) {
            self.text("this ");
        }
        self.list(parameters)?;
        self.text(")");
        let Some(Node::FunctionExtra { qualifiers, exceptions, .. }) = extra else { return Ok(()) };
        if !exceptions.is_none() {
            self.node(exceptions)?;
        }
        self.qualifiers(qualifiers);
        Ok(())
    }

    /// Each with a space before it.
    pub(super) fn qualifiers(&mut self, qualifiers: Qualifiers) {
        for (qualifier, text) in [
            (Qualifiers::TRANSACTION_SAFE, " transaction_safe"),
            (Qualifiers::CONST, " const"),
            (Qualifiers::VOLATILE, " volatile"),
            (Qualifiers::RESTRICT, " restrict"),
            (Qualifiers::LVALUE, " &"),
            (Qualifiers::RVALUE, " &&"),
        ] {
            if qualifiers.contains(qualifier) {
                self.text(text);
            }
        }
    }
}
