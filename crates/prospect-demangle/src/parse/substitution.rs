//! What stands for what was said before, or for well-known names.

use super::Parser;
use crate::node::{Node, NodeId, Text};

/// A name of the standard library that has an abbreviation.
struct Abbreviation {
    letter: u8,
    short: Text,
    /// What the class really is: said where its constructors are named.
    long: Text,
    plain: Text,
}

static ABBREVIATIONS: [Abbreviation; 6] = [
    Abbreviation { letter: b'a', short: &"std::allocator", long: &"std::allocator", plain: &"allocator" },
    Abbreviation {
        letter: b'b',
        short: &"std::basic_string",
        long: &"std::basic_string",
        plain: &"basic_string",
    },
    Abbreviation {
        letter: b's',
        short: &"std::string",
        long: &"std::basic_string<char, std::char_traits<char>, std::allocator<char> >",
        plain: &"basic_string",
    },
    Abbreviation {
        letter: b'i',
        short: &"std::istream",
        long: &"std::basic_istream<char, std::char_traits<char> >",
        plain: &"basic_istream",
    },
    Abbreviation {
        letter: b'o',
        short: &"std::ostream",
        long: &"std::basic_ostream<char, std::char_traits<char> >",
        plain: &"basic_ostream",
    },
    Abbreviation {
        letter: b'd',
        short: &"std::iostream",
        long: &"std::basic_iostream<char, std::char_traits<char> >",
        plain: &"basic_iostream",
    },
];

impl Parser<'_> {
    /// `<substitution>`; `is_prefix` where names may follow.
    pub(super) fn substitution(&mut self, is_prefix: bool) -> Option<NodeId> {
        self.expect(b'S')?;
        let letter = self.peek();
        if letter == b'_' {
            self.at += 1;
            return self.substitutions.first().copied();
        }
        if letter.is_ascii_digit() || letter.is_ascii_uppercase() {
            let number = self.sequence_number()?;
            self.expect(b'_')?;
            return self.substitutions.get(number as usize + 1).copied();
        }
        let abbreviation = ABBREVIATIONS.iter().find(|known| known.letter == letter)?;
        self.at += 1;
        self.last_name = self.add(Node::Text(abbreviation.plain));
        let is_whole = is_prefix && matches!(self.peek(), b'C' | b'D');
        let name = self.add(Node::Text(if is_whole { abbreviation.long } else { abbreviation.short }));
        if self.peek() != b'B' {
            return Some(name);
        }
        let name = self.tagged(name)?;
        self.substitutions.push(name);
        Some(name)
    }

    /// `<seq-id>`: a number of base 36.
    pub(super) fn sequence_number(&mut self) -> Option<u32> {
        let start = self.at;
        let mut number = 0_u32;
        loop {
            let digit = match self.peek() {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'A'..=b'Z' => digit - b'A' + 10,
                _ => break,
            };
            number = number.checked_mul(36)?.checked_add(u32::from(digit))?;
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }
}
