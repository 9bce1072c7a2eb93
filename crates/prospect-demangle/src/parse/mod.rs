//! From mangled names to [`Tree`]s: the grammar of the Itanium C++ ABI, section 5.1, with the productions that GCC and
//! Clang add to it.
//!
//! Every function stands at the first byte of what it is called after, and leaves the parser behind it; `None` is a
//! name that is not of the grammar.

mod encoding;
mod expression;
mod function;
mod name;
mod requires;
mod substitution;
mod template;
mod type_;
mod unqualified;

use crate::node::{ListId, Node, NodeId, Span, Tree};

/// Deeper names would need more stack than a small thread has.
const DEEPEST: u32 = 256;
/// A name has fewer nodes than this many for each of its bytes. More come of names that have to be read twice, within
/// others that have to be.
const MOST_NODES_PER_BYTE: usize = 16;

/// Where a parser stood, to go back to when what was read proves to be something else.
struct Mark {
    at: usize,
    substitutions: usize,
    open_lists: usize,
    last_name: NodeId,
    in_conversion: bool,
}

/// Reads one name.
pub(crate) struct Parser<'a> {
    source: &'a str,
    at: usize,
    tree: &'a mut Tree,
    /// What `S_`, `S0_`, … stand for.
    substitutions: &'a mut Vec<NodeId>,
    /// Items of lists that are not at their end.
    open_lists: &'a mut Vec<NodeId>,
    /// The name that constructors take.
    last_name: NodeId,
    depth: u32,
    /// Arguments behind a template parameter may be those of the conversion operator that is read.
    in_conversion: bool,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(
        source: &'a str,
        tree: &'a mut Tree,
        substitutions: &'a mut Vec<NodeId>,
        open_lists: &'a mut Vec<NodeId>,
    ) -> Self {
        tree.clear();
        substitutions.clear();
        open_lists.clear();
        Self {
            source,
            at: 0,
            tree,
            substitutions,
            open_lists,
            last_name: NodeId::NONE,
            depth: 0,
            in_conversion: false,
        }
    }

    fn peek(&self) -> u8 {
        self.peek_at(0)
    }

    /// The byte `ahead`; 0 at the end, which no name has.
    fn peek_at(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.source.len()
    }

    fn take(&mut self, text: &str) -> bool {
        let is_there = self.source.as_bytes()[self.at..].starts_with(text.as_bytes());
        if is_there {
            self.at += text.len();
        }
        is_there
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == byte;
        if is_there {
            self.at += 1;
        }
        is_there
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take_byte(byte).then_some(())
    }

    /// Reads what may hold itself.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let most_nodes = MOST_NODES_PER_BYTE * self.source.len();
        if self.depth >= DEEPEST || self.tree.len() > most_nodes {
            return None;
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            substitutions: self.substitutions.len(),
            open_lists: self.open_lists.len(),
            last_name: self.last_name,
            in_conversion: self.in_conversion,
        }
    }

    fn back_to(&mut self, mark: &Mark) {
        self.at = mark.at;
        self.substitutions.truncate(mark.substitutions);
        self.open_lists.truncate(mark.open_lists);
        self.last_name = mark.last_name;
        self.in_conversion = mark.in_conversion;
    }

    /// Items until `E`, which is taken.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<NodeId>) -> Option<ListId> {
        self.list_while(|parser| !parser.take_byte(b'E'), &mut item)
    }

    fn list_while(
        &mut self,
        mut goes_on: impl FnMut(&mut Self) -> bool,
        mut item: impl FnMut(&mut Self) -> Option<NodeId>,
    ) -> Option<ListId> {
        let start = self.open_lists.len();
        while goes_on(self) {
            let item = item(self)?;
            self.open_lists.push(item);
        }
        let list = self.tree.add_list(&self.open_lists[start..]);
        self.open_lists.truncate(start);
        Some(list)
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.tree.add(node)
    }

    /// A node that a later `S…_` can stand for.
    fn add_substitutable(&mut self, node: Node) -> NodeId {
        let id = self.add(node);
        self.substitutions.push(id);
        id
    }

    fn span(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.at as u32 }
    }

    /// `<number>` without sign.
    fn number(&mut self) -> Option<u32> {
        let start = self.at;
        let mut number = 0_u32;
        while self.peek().is_ascii_digit() {
            number = number.checked_mul(10)?.checked_add(u32::from(self.peek() - b'0'))?;
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }

    /// `[<number>] _`: `_` is 0, `0_` is 1.
    fn number_or_none(&mut self) -> Option<u32> {
        let number = if self.peek() == b'_' { 0 } else { self.number()?.checked_add(1)? };
        self.expect(b'_')?;
        Some(number)
    }

    /// Digits with a sign, as text.
    fn digits(&mut self) -> Option<NodeId> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then(|| self.add(Node::Source(self.span(start))))
    }

    /// A number that does not matter: `[n] <digits>`.
    fn skip_number(&mut self) -> Option<()> {
        self.take_byte(b'n');
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// `_ <digits>` or `__ <digits> _`, where there is one.
    fn skip_discriminator(&mut self) -> Option<()> {
        if self.peek() == b'_' && self.peek_at(1).is_ascii_digit() {
            self.at += 1;
            self.skip_number()?;
        } else if self.peek() == b'_' && self.peek_at(1) == b'_' && self.peek_at(2).is_ascii_digit() {
            self.at += 2;
            self.skip_number()?;
            self.expect(b'_')?;
        }
        Some(())
    }
}
