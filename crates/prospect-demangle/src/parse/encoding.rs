//! Whole names: functions, data, and what compilers make for them.

use super::Parser;
use crate::node::{Node, NodeId, Qualifiers, Text};

impl Parser<'_> {
    /// A whole symbol.
    pub(crate) fn symbol(mut self) -> Option<NodeId> {
        let symbol = if self.take("____Z") || self.take("___Z") {
            self.block()?
        } else if self.take("_Z") || self.take("__Z") {
            self.encoding()?
        } else {
            self.global_initializer()?
        };
        let symbol = self.clone_suffixes(symbol)?;
        self.is_at_end().then_some(symbol)
    }

    /// What runs the code of a block: `___Z <encoding> _block_invoke [[_] <number>]`.
    fn block(&mut self) -> Option<NodeId> {
        let function = self.encoding()?;
        if !self.take("_block_invoke") {
            return None;
        }
        let is_numbered = self.take_byte(b'_') || self.peek().is_ascii_digit();
        if is_numbered {
            self.number()?;
        }
        Some(self.add(Node::Prefixed { prefix: &"invocation function for block in ", node: function }))
    }

    /// GCC's functions that run before and after `main`: `_GLOBAL_ [_.$] [ID] _ <name>`.
    fn global_initializer(&mut self) -> Option<NodeId> {
        let is_marked = self.take("_GLOBAL_") && (self.take("_") || self.take(".") || self.take("$"));
        let prefix: Text = match self.peek() {
            b'I' if is_marked => &"global constructors keyed to ",
            b'D' if is_marked => &"global destructors keyed to ",
            _ => return None,
        };
        self.at += 1;
        self.expect(b'_')?;
        let node = if self.take("_Z") {
            self.encoding()?
        } else {
            let start = self.at;
            self.at = self.source.len();
            self.add(Node::Source(self.span(start)))
        };
        Some(self.add(Node::Prefixed { prefix, node }))
    }

    /// GCC's marks of copies of functions: `.isra.0`, `.cold`.
    fn clone_suffixes(&mut self, function: NodeId) -> Option<NodeId> {
        let start = self.at;
        while self.peek() == b'.' {
            let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            let next = self.peek_at(1);
            if !is_word(next) && !next.is_ascii_digit() {
                return None;
            }
            self.at += 1;
            if is_word(next) {
                while is_word(self.peek()) {
                    self.at += 1;
                }
            } else {
                self.skip_number()?;
            }
            while self.peek() == b'.' && self.peek_at(1).is_ascii_digit() {
                self.at += 1;
                self.skip_number()?;
            }
        }
        let suffixes = self.span(start);
        Some(if self.at == start { function } else { self.add(Node::Clone { function, suffixes }) })
    }

    /// `<encoding>`: a function with its type, data, or a special name.
    pub(super) fn encoding(&mut self) -> Option<NodeId> {
        self.deeper(|parser| match parser.peek() {
            b'T' | b'G' => parser.special(),
            _ => parser.function_or_data(),
        })
    }

    fn function_or_data(&mut self) -> Option<NodeId> {
        let has_object = self.peek() == b'N' && self.peek_at(1) == b'H';
        let name = self.name()?;
        if self.is_at_end() || matches!(self.peek(), b'E' | b'_') {
            return Some(name);
        }
        let has_result = self.take_byte(b'J') || self.has_result(name);
        let result = if has_result { self.type_()? } else { NodeId::NONE };
        let extra = if has_object {
            let qualifiers = Qualifiers::default();
            self.add(Node::FunctionExtra { qualifiers, exceptions: NodeId::NONE, has_object })
        } else {
            NodeId::NONE
        };
        let parameters = self.parameters()?;
        let function = self.add(Node::Function { result, parameters, extra });
        let entity = self.add(Node::Encoding { name, function });
        self.constrained(entity)
    }

    /// `[Q <expression>]`
    fn constrained(&mut self, entity: NodeId) -> Option<NodeId> {
        if !self.take_byte(b'Q') {
            return Some(entity);
        }
        let condition = self.expression()?;
        Some(self.add(Node::Constraint { entity, condition }))
    }

    /// Whether a function's type begins with its result: that of templates does, but for those that have no result to
    /// be named.
    fn has_result(&self, name: NodeId) -> bool {
        match self.tree.get(name) {
            Node::MemberQualified { name, .. } => self.has_result(name),
            Node::Local { entity, .. } | Node::DefaultArgument { entity, .. } => self.has_result(entity),
            Node::Template { name, .. } => !self.has_no_result(name),
            _ => false,
        }
    }

    fn has_no_result(&self, name: NodeId) -> bool {
        match self.tree.get(name) {
            Node::Constructor(_) | Node::Destructor(_) | Node::Conversion(_) => true,
            Node::Nested { name, .. }
            | Node::Local { entity: name, .. }
            | Node::Tagged { name, .. }
            | Node::InModule { name, .. } => self.has_no_result(name),
            _ => false,
        }
    }

    /// `<special-name>`
    fn special(&mut self) -> Option<NodeId> {
        let code = [self.peek(), self.peek_at(1)];
        self.at += 2;
        let prefix: Text = match &code {
            b"TV" => &"vtable for ",
            b"TT" => &"VTT for ",
            b"TI" => &"typeinfo for ",
            b"TS" => &"typeinfo name for ",
            b"TF" => &"typeinfo fn for ",
            b"TJ" => &"java Class for ",
            b"TA" => &"template parameter object for ",
            b"TH" => &"TLS init function for ",
            b"TW" => &"TLS wrapper function for ",
            b"Th" => &"non-virtual thunk to ",
            b"Tv" => &"virtual thunk to ",
            b"Tc" => &"covariant return thunk to ",
            b"TC" => return self.construction_vtable(),
            b"GV" => &"guard variable for ",
            b"GA" => &"hidden alias for ",
            b"GI" => &"initializer for module ",
            b"GR" => return self.reference_temporary(),
            b"GT" if self.take_byte(b't') => &"transaction clone for ",
            b"GT" if self.take_byte(b'n') => &"non-transaction clone for ",
            _ => return None,
        };
        let node = match &code {
            b"TV" | b"TT" | b"TI" | b"TS" | b"TF" | b"TJ" => self.type_()?,
            b"TA" => self.template_argument()?,
            b"TH" | b"TW" | b"GV" => self.name()?,
            b"GI" => self.module()?,
            b"Th" | b"Tv" => {
                self.call_offset(code[1])?;
                self.encoding()?
            }
            b"Tc" => {
                for _ in 0..2 {
                    let kind = self.peek();
                    self.at += 1;
                    self.call_offset(kind)?;
                }
                self.encoding()?
            }
            _ => self.encoding()?,
        };
        Some(self.add(Node::Prefixed { prefix, node }))
    }

    /// `h <number> _` or `v <number> _ <number> _`, behind its letter.
    fn call_offset(&mut self, kind: u8) -> Option<()> {
        match kind {
            b'h' => self.skip_number()?,
            b'v' => {
                self.skip_number()?;
                self.expect(b'_')?;
                self.skip_number()?;
            }
            _ => return None,
        }
        self.expect(b'_')
    }

    /// `TC <type> <offset> _ <type>`
    fn construction_vtable(&mut self) -> Option<NodeId> {
        let whole = self.type_()?;
        self.skip_number()?;
        self.expect(b'_')?;
        let part = self.type_()?;
        Some(self.add(Node::ConstructionVtable { part, whole }))
    }

    /// `GR <name> [<seq-id>] _`; old compilers wrote a number and no `_`.
    fn reference_temporary(&mut self) -> Option<NodeId> {
        let name = self.name()?;
        let number = if self.take_byte(b'_') {
            0
        } else {
            let number = self.sequence_number()?;
            if self.take_byte(b'_') { number.checked_add(1)? } else { number }
        };
        Some(self.add(Node::ReferenceTemporary { number, name }))
    }
}
