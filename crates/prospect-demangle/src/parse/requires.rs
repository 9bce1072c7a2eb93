//! `requires` expressions.

use super::Parser;
use crate::node::{Node, NodeId, Tree};

impl Parser<'_> {
    /// `rq <requirement>… E`, `rQ <parameters> _ <requirement>… E`
    pub(super) fn requires(&mut self) -> Option<NodeId> {
        let has_parameters = self.peek_at(1) == b'Q';
        self.at += 2;
        let mut parameters = Tree::EMPTY;
        if has_parameters {
            parameters = self.parameters()?;
            self.expect(b'_')?;
        }
        let requirements = self.list(Self::requirement)?;
        Some(self.add(Node::Requires { parameters, requirements }))
    }

    /// `X <expression> [N] [R <type-constraint>]`, `T <type>`, `Q <expression>`
    fn requirement(&mut self) -> Option<NodeId> {
        let kind = self.peek();
        self.at += 1;
        match kind {
            b'X' => {
                let expression = self.expression()?;
                let is_noexcept = self.take_byte(b'N');
                let constraint = if self.take_byte(b'R') { self.name()? } else { NodeId::NONE };
                Some(self.add(Node::Requirement { expression, constraint, is_noexcept }))
            }
            b'T' => {
                let node = self.type_()?;
                Some(self.add(Node::Prefixed { prefix: &"typename ", node }))
            }
            b'Q' => {
                let node = self.expression()?;
                Some(self.add(Node::Prefixed { prefix: &"requires ", node }))
            }
            _ => None,
        }
    }
}
