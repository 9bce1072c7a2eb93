//! Names without their scopes.

use super::Parser;
use crate::{
    node::{Node, NodeId},
    operators::{self, Kind},
};

/// How names of unnamed namespaces begin; the rest tells them apart.
const ANONYMOUS: &str = "_GLOBAL_";

impl Parser<'_> {
    /// `<unqualified-name>`, of this module where it is of one.
    pub(super) fn unqualified_name(&mut self, module: NodeId) -> Option<NodeId> {
        let mut module = module;
        if self.peek() == b'W' {
            module = self.module_parts(module)?;
        }
        let is_friend = self.take_byte(b'F');
        let is_internal = self.take_byte(b'L');
        let mut name = match self.peek() {
            b'0'..=b'9' => self.source_name()?,
            b'a'..=b'z' => self.operator_name()?,
            b'C' => self.constructor()?,
            b'D' if self.peek_at(1) == b'C' => self.structured_binding()?,
            b'D' => self.destructor()?,
            b'U' => self.unnamed()?,
            _ => return None,
        };
        if is_internal {
            self.skip_discriminator()?;
        }
        name = self.tagged(name)?;
        if is_friend {
            name = self.add(Node::Prefixed { prefix: &"friend ", node: name });
        }
        Some(if module.is_none() { name } else { self.add(Node::InModule { name, module }) })
    }

    /// `<source-name>`: a length and as many bytes.
    pub(super) fn source_name(&mut self) -> Option<NodeId> {
        let length = self.number()? as usize;
        let start = self.at;
        let text = self.source.get(start..start.checked_add(length)?).filter(|text| !text.is_empty())?;
        self.at += length;
        let is_anonymous = text
            .strip_prefix(ANONYMOUS)
            .is_some_and(|rest| matches!(rest.as_bytes(), [b'_' | b'.' | b'$', b'N', ..]));
        let name = if is_anonymous {
            self.add(Node::Text(&"(anonymous namespace)"))
        } else {
            self.add(Node::Source(self.span(start)))
        };
        self.last_name = name;
        Some(name)
    }

    /// `[B <source-name>]…`
    pub(super) fn tagged(&mut self, name: NodeId) -> Option<NodeId> {
        let mut name = name;
        let last_name = self.last_name;
        while self.take_byte(b'B') {
            let tag = self.source_name()?;
            name = self.add(Node::Tagged { name, tag });
        }
        self.last_name = last_name;
        Some(name)
    }

    /// `<operator-name>`
    pub(super) fn operator_name(&mut self) -> Option<NodeId> {
        if self.peek() == b'v' && self.peek_at(1).is_ascii_digit() {
            self.at += 2;
            let node = self.source_name()?;
            return Some(self.add(Node::Prefixed { prefix: &"operator ", node }));
        }
        if self.take("li") {
            let name = self.source_name()?;
            return Some(self.add(Node::LiteralOperator(name)));
        }
        let operator = operators::by_code([self.peek(), self.peek_at(1)])?;
        self.at += 2;
        if operator.get().kind != Kind::Cast {
            return Some(self.add(Node::Operator(operator)));
        }
        let outer = std::mem::replace(&mut self.in_conversion, true);
        let to = self.type_()?;
        self.in_conversion = outer;
        Some(self.add(Node::Conversion(to)))
    }

    /// `C <kind>`, or `CI <kind> <base class>`: one that is inherited.
    fn constructor(&mut self) -> Option<NodeId> {
        self.expect(b'C')?;
        let is_inherited = self.take_byte(b'I');
        if !self.peek().is_ascii_digit() || self.last_name.is_none() {
            return None;
        }
        self.at += 1;
        if is_inherited {
            self.type_()?;
        }
        Some(self.add(Node::Constructor(self.last_name)))
    }

    /// `D <kind>`
    fn destructor(&mut self) -> Option<NodeId> {
        self.expect(b'D')?;
        if !self.peek().is_ascii_digit() || self.last_name.is_none() {
            return None;
        }
        self.at += 1;
        Some(self.add(Node::Destructor(self.last_name)))
    }

    /// `DC <source-name>… E`
    fn structured_binding(&mut self) -> Option<NodeId> {
        self.at += 2;
        let names = self.list(Self::source_name)?;
        Some(self.add(Node::Binding(names)))
    }

    /// `Ut [<number>] _`, `Ul <lambda-sig> E [<number>] _`, `Ub [<number>] _`
    fn unnamed(&mut self) -> Option<NodeId> {
        let kind = self.peek_at(1);
        self.at += 2;
        match kind {
            b't' => {
                let number = self.number_or_none()?;
                Some(self.add(Node::Unnamed { number }))
            }
            b'l' => {
                let is_head = |parser: &mut Self| {
                    parser.peek() == b'T' && matches!(parser.peek_at(1), b'y' | b'n' | b't' | b'p' | b'k')
                };
                let head = self.list_while(is_head, Self::template_parameter_declaration)?;
                let parameters = self.parameters()?;
                self.expect(b'E')?;
                let number = self.number_or_none()?;
                Some(self.add(Node::Closure { head, parameters, number }))
            }
            b'b' => {
                self.number_or_none()?;
                Some(self.add(Node::Text(&"'block-literal'")))
            }
            _ => None,
        }
    }

    /// The name of a module: `<module-name>`.
    pub(super) fn module(&mut self) -> Option<NodeId> {
        let mut parent = NodeId::NONE;
        if self.peek() == b'S' {
            parent = self.substitution(false)?;
        }
        self.module_parts(parent).filter(|module| !module.is_none())
    }

    /// `[W [P] <source-name>]…`; without any, the parent.
    fn module_parts(&mut self, parent: NodeId) -> Option<NodeId> {
        let mut parent = parent;
        let last_name = self.last_name;
        while self.take_byte(b'W') {
            let is_partition = self.take_byte(b'P');
            let name = self.source_name()?;
            parent = self.add_substitutable(Node::ModulePart { parent, name, is_partition });
        }
        self.last_name = last_name;
        Some(parent)
    }
}
