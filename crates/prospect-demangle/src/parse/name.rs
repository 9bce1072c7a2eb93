//! Names with their scopes.

use super::Parser;
use crate::node::{Node, NodeId, Qualifiers};

impl Parser<'_> {
    /// `<name>`
    pub(super) fn name(&mut self) -> Option<NodeId> {
        let is_std = self.peek_at(1) == b't';
        let mut is_new = true;
        let name = match self.peek() {
            b'N' => return self.nested_name(),
            b'Z' => return self.local_name(),
            b'S' if is_std => {
                self.at += 2;
                let scope = self.add(Node::Text(&"std"));
                let name = self.unqualified_name(NodeId::NONE)?;
                self.add(Node::Nested { scope, name })
            }
            b'S' => {
                let known = self.substitution(false)?;
                if matches!(self.tree.get(known), Node::ModulePart { .. }) {
                    self.unqualified_name(known)?
                } else {
                    is_new = false;
                    known
                }
            }
            _ => self.unqualified_name(NodeId::NONE)?,
        };
        if self.peek() != b'I' {
            return Some(name);
        }
        if is_new {
            self.substitutions.push(name);
        }
        let arguments = self.template_arguments()?;
        Some(self.add(Node::Template { name, arguments }))
    }

    /// `N [<CV-qualifiers>] [<ref-qualifier>] <prefix> <unqualified-name> E`, or `NH …`: a member function whose
    /// object is a parameter.
    fn nested_name(&mut self) -> Option<NodeId> {
        self.expect(b'N')?;
        let mut qualifiers = Qualifiers::default();
        if !self.take_byte(b'H') {
            qualifiers = self.qualifiers().with(self.reference_qualifier());
        }
        let name = self.prefix()?;
        Some(if qualifiers.is_empty() { name } else { self.add(Node::MemberQualified { name, qualifiers }) })
    }

    /// `[r] [V] [K]`
    pub(super) fn qualifiers(&mut self) -> Qualifiers {
        let mut qualifiers = Qualifiers::default();
        loop {
            let one = match self.peek() {
                b'r' => Qualifiers::RESTRICT,
                b'V' => Qualifiers::VOLATILE,
                b'K' => Qualifiers::CONST,
                _ => return qualifiers,
            };
            self.at += 1;
            qualifiers = qualifiers.with(one);
        }
    }

    /// `[R | O]`
    pub(super) fn reference_qualifier(&mut self) -> Qualifiers {
        if self.take_byte(b'R') {
            Qualifiers::LVALUE
        } else if self.take_byte(b'O') {
            Qualifiers::RVALUE
        } else {
            Qualifiers::default()
        }
    }

    /// The parts of a nested name, until `E`, which is taken. Each but the last can be stood for.
    fn prefix(&mut self) -> Option<NodeId> {
        let mut current = NodeId::NONE;
        while !self.take_byte(b'E') {
            let is_first = current.is_none();
            let mut is_new = true;
            current = match self.peek() {
                b'S' if is_first && self.peek_at(1) == b't' => {
                    self.at += 2;
                    is_new = false;
                    self.add(Node::Text(&"std"))
                }
                b'S' => {
                    let known = self.substitution(true)?;
                    if matches!(self.tree.get(known), Node::ModulePart { .. }) {
                        let name = self.unqualified_name(known)?;
                        self.within(current, name)
                    } else if is_first {
                        is_new = false;
                        known
                    } else {
                        return None;
                    }
                }
                b'I' if !is_first => {
                    let arguments = self.template_arguments()?;
                    self.add(Node::Template { name: current, arguments })
                }
                b'T' if is_first => self.template_parameter()?,
                b'D' if is_first && matches!(self.peek_at(1), b't' | b'T') => self.decltype()?,
                // The initializer of a data member or variable, which closures are in.
                b'M' if !is_first => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    let name = self.unqualified_name(NodeId::NONE)?;
                    self.within(current, name)
                }
            };
            if is_new && self.peek() != b'E' {
                self.substitutions.push(current);
            }
        }
        (!current.is_none()).then_some(current)
    }

    /// `scope::name`, where there is a scope.
    pub(super) fn within(&mut self, scope: NodeId, name: NodeId) -> NodeId {
        if scope.is_none() { name } else { self.add(Node::Nested { scope, name }) }
    }

    /// `Z <function encoding> E <entity name> [<discriminator>]`, `Z … Es [<discriminator>]`, and
    /// `Z … Ed [<number>] _ <entity name>`.
    fn local_name(&mut self) -> Option<NodeId> {
        self.expect(b'Z')?;
        let function = self.encoding()?;
        self.expect(b'E')?;
        if self.take_byte(b's') {
            self.skip_discriminator()?;
            let entity = self.add(Node::Text(&"string literal"));
            return Some(self.add(Node::Local { function, entity }));
        }
        let mut default_argument = None;
        if self.take_byte(b'd') {
            default_argument = Some(self.number_or_none()?);
        }
        let entity = self.deeper(Self::name)?;
        if default_argument.is_none() {
            self.skip_discriminator()?;
        }
        // What is behind the parameters belongs to the whole.
        let (mut entity, qualifiers) = match self.tree.get(entity) {
            Node::MemberQualified { name, qualifiers } => (name, qualifiers),
            _ => (entity, Qualifiers::default()),
        };
        if let Some(number) = default_argument {
            entity = self.add(Node::DefaultArgument { number, entity });
        }
        let name = self.add(Node::Local { function, entity });
        Some(if qualifiers.is_empty() { name } else { self.add(Node::MemberQualified { name, qualifiers }) })
    }
}
