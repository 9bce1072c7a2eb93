//! Names.

use super::{Printer, Written, scopes::Closure};
use crate::node::{ListId, Node, NodeId, Tree};

impl Printer<'_> {
    pub(super) fn name(&mut self, node: Node) -> Written {
        match node {
            Node::Nested { scope, name } => {
                self.node(scope)?;
                self.text("::");
                self.node(name)?;
            }
            Node::Template { name, arguments } => {
                self.node(name)?;
                self.template_arguments(arguments)?;
            }
            Node::Local { function, entity } => {
                // Without its result, which would stand before the whole.
                match self.tree.get(function) {
                    Node::Encoding { name, function } => self.encoding(name, function, false)?,
                    _ => self.node(function)?,
                }
                self.text("::");
                self.node(entity)?;
            }
            Node::DefaultArgument { number, entity } => {
                self.numbered("{default arg#", number);
                self.text("::");
                self.node(entity)?;
            }
            Node::Constructor(name) => self.node(name)?,
            Node::Destructor(name) => {
                self.text("~");
                self.node(name)?;
            }
            Node::Closure { head, parameters, number } => self.lambda(head, parameters, number)?,
            Node::Unnamed { number } => self.numbered("{unnamed type#", number),
            Node::Tagged { name, tag } => {
                self.node(name)?;
                self.text("[abi:");
                self.node(tag)?;
                self.text("]");
            }
            Node::Operator(operator) => {
                let name = operator.get().text.trim_end();
                let is_word = name.starts_with(|letter: char| letter.is_ascii_lowercase());
                self.text(if is_word { "operator " } else { "operator" });
                self.text(name);
            }
            Node::Conversion(to) => {
                self.text("operator ");
                self.node(to)?;
            }
            Node::LiteralOperator(name) => {
                self.text("operator\"\" ");
                self.node(name)?;
            }
            Node::Binding(names) => {
                self.text("[");
                self.list(names)?;
                self.text("]");
            }
            Node::InModule { name, module } => {
                self.node(name)?;
                self.text("@");
                self.node(module)?;
            }
            Node::ModulePart { parent, name, is_partition } => {
                if !parent.is_none() {
                    self.node(parent)?;
                }
                if is_partition {
                    self.text(":");
                } else if !parent.is_none() {
                    self.text(".");
                }
                self.node(name)?;
            }
            Node::MemberQualified { name, qualifiers } => {
                self.node(name)?;
                self.qualifiers(qualifiers);
            }
            Node::ConstructionVtable { part, whole } => {
                self.text("construction vtable for ");
                self.node(part)?;
                self.text("-in-");
                self.node(whole)?;
            }
            Node::ReferenceTemporary { number, name } => {
                self.text("reference temporary #");
                self.number(number);
                self.text(" for ");
                self.node(name)?;
            }
            Node::HeadType => self.text("typename"),
            Node::HeadValue(of) => self.node(of)?,
            Node::HeadTemplate(parameters) => {
                self.text("template<");
                self.list(parameters)?;
                self.text("> class");
            }
            Node::HeadPack(inner) => {
                self.node(inner)?;
                self.text("...");
            }
            _ => {}
        }
        Ok(())
    }

    /// What has no name, counted from 1.
    fn numbered(&mut self, prefix: &str, number: u32) {
        self.text(prefix);
        self.number(number.saturating_add(1));
        self.text("}");
    }

    fn lambda(&mut self, head: ListId, parameters: ListId, number: u32) -> Written {
        self.text("{lambda");
        let outer = self.closure.replace(Closure { head });
        let parameters_used = self.parameters_used;
        if head != Tree::EMPTY {
            self.closure_head(head)?;
        }
        self.text("(");
        self.list(parameters)?;
        self.closure = outer;
        // Its parameters are its own: they are the same wherever it is named.
        self.parameters_used = parameters_used;
        self.numbered(")#", number);
        Ok(())
    }

    /// `<arguments>`, with spaces where the letters would make other signs.
    pub(super) fn template_arguments(&mut self, arguments: ListId) -> Written {
        if self.last() == b'<' {
            self.text(" ");
        }
        self.text("<");
        self.list(arguments)?;
        if self.last() == b'>' {
            self.text(" ");
        }
        self.text(">");
        Ok(())
    }

    /// The template whose arguments a function's type speaks of: the function's own.
    pub(super) fn own_arguments(&self, name: NodeId) -> Option<ListId> {
        match self.tree.get(name) {
            Node::MemberQualified { name, .. } => self.own_arguments(name),
            Node::Local { entity, .. } | Node::DefaultArgument { entity, .. } => self.own_arguments(entity),
            Node::Template { arguments, .. } => Some(arguments),
            _ => None,
        }
    }
}
