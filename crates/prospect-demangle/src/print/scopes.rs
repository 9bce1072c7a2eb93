//! What template parameters stand for where one is.
//!
//! A parameter means an argument of the template of the innermost function around it, and the argument was written
//! outside that function. So the same node says different things in different places.

use super::{Printer, Stop, Written};
use crate::node::{ListId, Node, NodeId};

/// The arguments of a function's template, and what is around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    arguments: ListId,
    outer: ScopeId,
}

/// One of the scopes of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ScopeId(u32);

impl ScopeId {
    /// Where there are no templates.
    pub(super) const OUTERMOST: Self = Self(u32::MAX);
}

/// The head of the lambda whose parameters are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closure {
    pub(super) head: ListId,
}

impl Printer<'_> {
    /// Writes something in another scope.
    pub(super) fn in_scope<T>(&mut self, scope: ScopeId, write: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.scope, scope);
        let result = write(self);
        self.scope = outer;
        result
    }

    /// Writes something with these arguments.
    pub(super) fn with_arguments(
        &mut self,
        arguments: ListId,
        write: impl FnOnce(&mut Self) -> Written,
    ) -> Written {
        let scope = ScopeId(self.buffers.scopes.len() as u32);
        self.buffers.scopes.push(Scope { arguments, outer: self.scope });
        self.in_scope(scope, write)
    }

    /// The argument for a parameter, whole packs too, and the scope that it was written in.
    pub(super) fn whole_argument(&self, number: u32) -> Result<(NodeId, ScopeId), Stop> {
        let scope = self.buffers.scopes.get(self.scope.0 as usize).ok_or(Stop::Invalid)?;
        let argument = self.tree.item(scope.arguments, number as usize).ok_or(Stop::Invalid)?;
        Ok((argument, scope.outer))
    }

    /// The argument for a parameter; of packs, the element that is written now.
    pub(super) fn argument(&self, number: u32) -> Result<(NodeId, ScopeId), Stop> {
        let (argument, outer) = self.whole_argument(number)?;
        let Node::Pack(elements) = self.tree.get(argument) else { return Ok((argument, outer)) };
        Ok((self.tree.item(elements, self.element).ok_or(Stop::Invalid)?, outer))
    }

    /// Writes a side of what a template parameter stands for.
    pub(super) fn parameter(
        &mut self,
        number: u32,
        write: impl FnOnce(&mut Self, NodeId) -> Written,
    ) -> Written {
        self.parameters_used += 1;
        if let Some(closure) = self.closure {
            return self.closure_parameter(closure, number);
        }
        let (argument, outer) = self.argument(number)?;
        self.in_scope(outer, |printer| write(printer, argument))
    }

    /// The parameters of a lambda's template; those that it has because of `auto`.
    fn closure_parameter(&mut self, closure: Closure, number: u32) -> Written {
        match self.tree.item(closure.head, number as usize) {
            Some(declared) => self.text(head_name(self.tree.get(declared), &|inner| self.tree.get(inner))),
            None => {
                self.text("auto:");
                self.number(number.saturating_add(1));
                return Ok(());
            }
        }
        self.number(number);
        Ok(())
    }

    /// `<typename $T0, int $N1>`
    pub(super) fn closure_head(&mut self, head: ListId) -> Written {
        self.text("<");
        for (index, declared) in self.tree.items(head).enumerate() {
            if index > 0 {
                self.text(", ");
            }
            self.node(declared)?;
            self.text(" ");
            self.text(head_name(self.tree.get(declared), &|inner| self.tree.get(inner)));
            self.number(index as u32);
        }
        self.text(">");
        Ok(())
    }
}

fn head_name(declared: Node, get: &dyn Fn(NodeId) -> Node) -> &'static str {
    match declared {
        Node::HeadPack(inner) => head_name(get(inner), get),
        Node::HeadValue(_) => "$N",
        Node::HeadTemplate(_) => "$TT",
        _ => "$T",
    }
}
