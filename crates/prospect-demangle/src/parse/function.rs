//! The types of functions.

use super::Parser;
use crate::{
    builtins::VOID,
    node::{ListId, Node, NodeId, Qualifiers, Tree},
};

impl Parser<'_> {
    /// `[<CV-qualifiers>] [<exception-spec>] [Dx] F [Y] <result> <parameters> [<ref-qualifier>] E`, behind its CV-qualifiers.
    pub(super) fn function_type(&mut self, qualifiers: Qualifiers) -> Option<NodeId> {
        let mut qualifiers = qualifiers;
        let exceptions = match (self.peek(), self.peek_at(1)) {
            (b'D', b'o') => {
                self.at += 2;
                self.add(Node::Noexcept(NodeId::NONE))
            }
            (b'D', b'O') => {
                self.at += 2;
                let condition = self.expression()?;
                self.expect(b'E')?;
                self.add(Node::Noexcept(condition))
            }
            (b'D', b'w') => {
                self.at += 2;
                let types = self.list(Self::type_)?;
                self.add(Node::Throws(types))
            }
            _ => NodeId::NONE,
        };
        if self.take("Dx") {
            qualifiers = qualifiers.with(Qualifiers::TRANSACTION_SAFE);
        }
        self.expect(b'F')?;
        // `extern "C"`
        self.take_byte(b'Y');
        let in_conversion = std::mem::replace(&mut self.in_conversion, false);
        let result = self.type_()?;
        let parameters = self.parameters()?;
        self.in_conversion = in_conversion;
        qualifiers = qualifiers.with(self.reference_qualifier());
        self.expect(b'E')?;
        let has_extra = !qualifiers.is_empty() || !exceptions.is_none();
        let extra = if has_extra {
            self.add(Node::FunctionExtra { qualifiers, exceptions, has_object: false })
        } else {
            NodeId::NONE
        };
        Some(self.add(Node::Function { result, parameters, extra }))
    }

    /// The parameters' types, at least one; `v` alone is none.
    pub(super) fn parameters(&mut self) -> Option<ListId> {
        if self.is_at_end_of_parameters() {
            return None;
        }
        let parameters = self.list_while(|parser| !parser.is_at_end_of_parameters(), Self::type_)?;
        let first = self.tree.item(parameters, 0).map(|first| self.tree.get(first));
        let is_void = self.tree.list_len(parameters) == 1 && matches!(first, Some(Node::Builtin(VOID)));
        Some(if is_void { Tree::EMPTY } else { parameters })
    }

    /// Symbols go on behind their type with `.`, `_` and `Q`.
    fn is_at_end_of_parameters(&self) -> bool {
        match self.peek() {
            0 => self.is_at_end(),
            b'E' | b'.' | b'_' | b'Q' => true,
            b'R' | b'O' => self.peek_at(1) == b'E',
            _ => false,
        }
    }
}
