//! Packs: what is written once for each of their elements.

use super::{Printer, Stop, Written};
use crate::node::{ListId, Node, NodeId};

impl Printer<'_> {
    /// `inner` for each element of the pack in it; `inner...` where there is none.
    pub(super) fn expansion(&mut self, inner: NodeId) -> Written {
        self.parameters_used += 1;
        let Some(elements) = self.pack_in(inner)? else {
            self.operand(inner)?;
            self.text("...");
            return Ok(());
        };
        let outer = self.element;
        for element in 0..self.tree.list_len(elements) {
            if element > 0 {
                self.text(", ");
            }
            self.element = element;
            self.node(inner)?;
        }
        self.element = outer;
        Ok(())
    }

    /// `sizeof...`: the number.
    pub(super) fn pack_size(&mut self, inner: NodeId) -> Written {
        self.parameters_used += 1;
        let size = self.pack_in(inner)?.map_or(0, |elements| self.tree.list_len(elements));
        self.number(size as u32);
        Ok(())
    }

    /// `sizeof...` of arguments, some of which may be packs.
    pub(super) fn argument_count(&mut self, list: ListId) -> Written {
        self.parameters_used += 1;
        let mut count = 0;
        for item in self.tree.items(list) {
            count += match self.tree.get(item) {
                Node::Pack(elements) => self.tree.list_len(elements),
                Node::Expansion(inner) => {
                    self.pack_in(inner)?.map_or(0, |elements| self.tree.list_len(elements))
                }
                _ => 1,
            };
        }
        self.number(count as u32);
        Ok(())
    }

    /// The elements of the first pack that `id` names.
    fn pack_in(&mut self, id: NodeId) -> Result<Option<ListId>, Stop> {
        if self.closure.is_some() {
            return Ok(None);
        }
        let node = self.tree.get(id);
        match node {
            Node::Parameter(number) => {
                let Ok((argument, _)) = self.whole_argument(number) else { return Ok(None) };
                return Ok(match self.tree.get(argument) {
                    Node::Pack(elements) => Some(elements),
                    _ => None,
                });
            }
            Node::Expansion(_)
            | Node::Closure { .. }
            | Node::Source(_)
            | Node::Text(_)
            | Node::Builtin(_) => {
                return Ok(None);
            }
            _ => {}
        }
        self.enter()?;
        let tree = self.tree;
        let mut found = Ok(None);
        tree.each_child(node, |child| {
            if matches!(found, Ok(None)) {
                found = self.pack_in(child);
            }
        });
        self.depth -= 1;
        found
    }
}
