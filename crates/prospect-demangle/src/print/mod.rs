//! From [`Tree`]s to text, spelled as GNU's tools do.
//!
//! A type is written around the name that it is the type of: `left` writes what is before it, `right` what is behind
//! it. `void (*` … `)(int)`.

mod declarator;
mod expressions;
mod functions;
mod names;
mod packs;
mod scopes;

use crate::{
    Options,
    builtins::BUILTINS,
    node::{ListId, Node, NodeId, Span, Text, Tree},
};
use scopes::{Closure, Scope, ScopeId};

/// Deeper names would need more stack than a small thread has.
const DEEPEST: u32 = 512;
/// More nodes are not written for one name: the text may be short while its making is long.
const MOST_STEPS: u32 = 1 << 18;

/// The name cannot be written: it says what there is not, or grows beyond its limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    Invalid,
    TooLong,
}

type Written = Result<(), Stop>;

/// What is kept between names.
#[derive(Default)]
pub(crate) struct Buffers {
    scopes: Vec<Scope>,
    /// Where in the text a node was written before, so that it is copied and not made again; nothing when empty.
    written: Vec<(u32, u32)>,
}

/// Writes one name.
pub(crate) struct Printer<'a> {
    source: &'a str,
    tree: &'a Tree,
    buffers: &'a mut Buffers,
    out: &'a mut String,
    /// Where this name begins in `out`.
    start: usize,
    /// Where in `out` a separator was taken back: what came before it is not seen as the last letter.
    cut: usize,
    options: Options,
    scope: ScopeId,
    /// The lambda whose parameters are written.
    closure: Option<Closure>,
    /// Which element of packs is written.
    element: usize,
    /// How often template parameters were looked at: what was written without is the same wherever it stands.
    parameters_used: u32,
    depth: u32,
    steps: u32,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(
        source: &'a str,
        tree: &'a Tree,
        buffers: &'a mut Buffers,
        options: Options,
        out: &'a mut String,
    ) -> Self {
        buffers.scopes.clear();
        buffers.written.clear();
        buffers.written.resize(tree.len(), (0, 0));
        let start = out.len();
        Self {
            source,
            tree,
            buffers,
            out,
            start,
            cut: usize::MAX,
            options,
            scope: ScopeId::OUTERMOST,
            closure: None,
            element: 0,
            parameters_used: 0,
            depth: 0,
            steps: 0,
        }
    }

    /// Writes the whole name.
    pub(crate) fn symbol(&mut self, id: NodeId) -> Written {
        match self.tree.get(id) {
            Node::Prefixed { prefix, node } => {
                self.text(prefix);
                self.symbol(node)
            }
            Node::Clone { function, suffixes } => {
                self.symbol(function)?;
                self.clone_suffixes(suffixes);
                Ok(())
            }
            Node::Encoding { name, function } => self.encoding(name, function, self.options.return_types),
            _ => self.node(id),
        }?;
        if self.out.len() - self.start > self.options.longest { Err(Stop::TooLong) } else { Ok(()) }
    }

    /// Writes a node, both sides.
    fn node(&mut self, id: NodeId) -> Written {
        self.left(id)?;
        if declarator::may_have_right(self.tree.get(id)) { self.right(id) } else { Ok(()) }
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn source(&mut self, span: Span) {
        self.out.push_str(&self.source[span.start as usize..span.end as usize]);
    }

    fn number(&mut self, number: u32) {
        let mut digits = [0; 10];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
    }

    /// The last letter that was written of this name; 0 at its beginning.
    fn last(&self) -> u8 {
        match self.out.len() {
            len if len == self.start => 0,
            len if len == self.cut => b' ',
            len => self.out.as_bytes()[len - 1],
        }
    }

    /// Before everything that may hold itself.
    fn enter(&mut self) -> Written {
        self.steps += 1;
        self.depth += 1;
        if self.out.len() - self.start > self.options.longest || self.steps > MOST_STEPS {
            return Err(Stop::TooLong);
        }
        if self.depth > DEEPEST { Err(Stop::Invalid) } else { Ok(()) }
    }

    /// The nodes with `, ` between them. Empty packs at the end leave no separator behind; others do, as GNU's tools
    /// have it.
    fn list(&mut self, list: ListId) -> Written {
        let mut end = self.out.len();
        for (index, item) in self.tree.items(list).enumerate() {
            if index > 0 {
                self.text(", ");
            }
            let start = self.out.len();
            self.node(item)?;
            if self.out.len() > start {
                end = self.out.len();
            }
        }
        if self.out.len() > end {
            self.out.truncate(end);
            self.cut = end;
        }
        Ok(())
    }

    /// What is before the name of which this is the type; of anything else, all of it.
    fn left(&mut self, id: NodeId) -> Written {
        let node = self.tree.get(id);
        match node {
            Node::Source(span) => self.source(span),
            Node::Text(text) => self.text(text),
            Node::Builtin(number) => self.text(BUILTINS[usize::from(number)].name),
            _ => {
                self.enter()?;
                self.left_once(id, node)?;
                self.depth -= 1;
            }
        }
        Ok(())
    }

    /// The text of names is made once, and copied from there on, where it is the same.
    fn left_once(&mut self, id: NodeId, node: Node) -> Written {
        if !matches!(node, Node::Nested { .. } | Node::Template { .. } | Node::Local { .. }) {
            return self.left_of(node);
        }
        let (start, end) = self.buffers.written[id.index()];
        if end > 0 {
            self.out.extend_from_within(self.start + start as usize..self.start + end as usize);
            return Ok(());
        }
        let start = self.out.len() - self.start;
        let parameters_used = self.parameters_used;
        self.name(node)?;
        if self.parameters_used == parameters_used {
            let end = self.out.len() - self.start;
            self.buffers.written[id.index()] = (start as u32, end as u32);
        }
        Ok(())
    }

    fn left_of(&mut self, node: Node) -> Written {
        match node {
            Node::Prefixed { prefix, node } => return self.prefixed(prefix, node),
            Node::Parameter(number) => return self.parameter(number, Self::left),
            Node::Pack(list) => return self.list(list),
            Node::Expansion(inner) => return self.expansion(inner),
            Node::PackSize(inner) => return self.pack_size(inner),
            Node::ArgumentCount(list) => return self.argument_count(list),
            Node::Nested { .. }
            | Node::Template { .. }
            | Node::Local { .. }
            | Node::DefaultArgument { .. }
            | Node::Constructor(_)
            | Node::Destructor(_)
            | Node::Closure { .. }
            | Node::Unnamed { .. }
            | Node::Tagged { .. }
            | Node::Operator(_)
            | Node::Conversion(_)
            | Node::LiteralOperator(_)
            | Node::Binding(_)
            | Node::InModule { .. }
            | Node::ModulePart { .. }
            | Node::MemberQualified { .. }
            | Node::ConstructionVtable { .. }
            | Node::ReferenceTemporary { .. }
            | Node::HeadType
            | Node::HeadValue(_)
            | Node::HeadTemplate(_)
            | Node::HeadPack(_) => return self.name(node),
            Node::Encoding { name, function } => return self.encoding(name, function, true),
            Node::Clone { function, suffixes } => {
                self.node(function)?;
                self.clone_suffixes(suffixes);
            }
            Node::Pointer(_)
            | Node::LValue(_)
            | Node::RValue(_)
            | Node::Qualified { .. }
            | Node::VendorQualified { .. }
            | Node::Suffixed { .. }
            | Node::Function { .. }
            | Node::FunctionExtra { .. }
            | Node::Noexcept(_)
            | Node::Throws(_)
            | Node::Array { .. }
            | Node::Vector { .. }
            | Node::MemberPointer { .. }
            | Node::Decltype(_)
            | Node::BitInt { .. }
            | Node::Constrained { .. } => return self.type_left(node),
            _ => return self.expression(node),
        }
        Ok(())
    }

    fn prefixed(&mut self, prefix: Text, node: NodeId) -> Written {
        self.text(prefix);
        self.node(node)
    }

    /// ` [clone .suffix]` for each.
    fn clone_suffixes(&mut self, suffixes: Span) {
        let text = &self.source[suffixes.start as usize..suffixes.end as usize];
        let mut rest = text;
        while !rest.is_empty() {
            // Numbers belong to the word before them.
            let is_start = |(at, _): &(usize, &str)| {
                *at > 0 && !(rest.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit))
            };
            let end = rest.match_indices('.').find(is_start).map_or(rest.len(), |(at, _)| at);
            self.text(" [clone ");
            self.text(&rest[..end]);
            self.text("]");
            rest = &rest[end..];
        }
    }
}
