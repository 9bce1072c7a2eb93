//! Types.

use super::Parser;
use crate::{
    builtins,
    node::{Node, NodeId},
};

impl Parser<'_> {
    /// `<type>`
    pub(super) fn type_(&mut self) -> Option<NodeId> {
        let letter = self.peek();
        if let Some(number) = builtins::by_letter(letter) {
            self.at += 1;
            return Some(self.add(Node::Builtin(number)));
        }
        self.deeper(|parser| parser.compound_type(letter))
    }

    fn compound_type(&mut self, letter: u8) -> Option<NodeId> {
        let node = match letter {
            b'r' | b'V' | b'K' => return self.qualified_type(),
            b'P' => Node::Pointer(self.behind_letter()?),
            b'R' => Node::LValue(self.behind_letter()?),
            b'O' => Node::RValue(self.behind_letter()?),
            b'C' => Node::Suffixed { inner: self.behind_letter()?, suffix: &" _Complex" },
            b'G' => Node::Suffixed { inner: self.behind_letter()?, suffix: &" _Imaginary" },
            b'F' => return self.substitutable(|parser| parser.function_type(<_>::default())),
            b'A' => self.array()?,
            b'M' => {
                self.at += 1;
                Node::MemberPointer { class: self.type_()?, member: self.type_()? }
            }
            b'T' => return self.parameter_type(),
            b'S' => return self.substituted_type(),
            b'D' => return self.extended_type(),
            b'u' => {
                self.at += 1;
                let name = self.source_name()?;
                if self.peek() != b'I' {
                    self.substitutions.push(name);
                    return Some(name);
                }
                let arguments = self.template_arguments()?;
                Node::Template { name, arguments }
            }
            b'U' if !matches!(self.peek_at(1), b'l' | b't' | b'b') => self.vendor_qualified()?,
            _ => return self.substitutable(Self::name),
        };
        Some(self.add_substitutable(node))
    }

    fn behind_letter(&mut self) -> Option<NodeId> {
        self.at += 1;
        self.type_()
    }

    fn substitutable(&mut self, read: impl FnOnce(&mut Self) -> Option<NodeId>) -> Option<NodeId> {
        let id = read(self)?;
        self.substitutions.push(id);
        Some(id)
    }

    /// `<CV-qualifiers> <type>`. Those of a function are a part of its type.
    fn qualified_type(&mut self) -> Option<NodeId> {
        let qualifiers = self.qualifiers();
        let is_function = match self.peek() {
            b'F' => true,
            b'D' => matches!(self.peek_at(1), b'o' | b'O' | b'w' | b'x'),
            _ => false,
        };
        if is_function {
            return self.substitutable(|parser| parser.function_type(qualifiers));
        }
        let inner = self.type_()?;
        Some(self.add_substitutable(Node::Qualified { inner, qualifiers }))
    }

    /// `A [<number> | <expression>] _ <type>`
    fn array(&mut self) -> Option<Node> {
        self.expect(b'A')?;
        let bound = match self.peek() {
            b'_' => NodeId::NONE,
            b'0'..=b'9' => self.digits()?,
            _ => self.expression()?,
        };
        self.expect(b'_')?;
        Some(Node::Array { element: self.type_()?, bound })
    }

    /// A template parameter, with arguments where it is a template; or a class that is said to be one: `Ts`, `Tu`, `Te`.
    fn parameter_type(&mut self) -> Option<NodeId> {
        let prefix = match self.peek_at(1) {
            b's' => Some(&"struct "),
            b'u' => Some(&"union "),
            b'e' => Some(&"enum "),
            _ => None,
        };
        if let Some(prefix) = prefix {
            self.at += 2;
            let node = self.name()?;
            return Some(self.add_substitutable(Node::Prefixed { prefix, node }));
        }
        let name = self.substitutable(Self::template_parameter)?;
        if self.peek() != b'I' {
            return Some(name);
        }
        let start = self.mark();
        let arguments = self.template_arguments()?;
        if self.in_conversion && self.peek() != b'I' {
            // They are the arguments of the conversion operator.
            self.back_to(&start);
            return Some(name);
        }
        Some(self.add_substitutable(Node::Template { name, arguments }))
    }

    fn substituted_type(&mut self) -> Option<NodeId> {
        let next = self.peek_at(1);
        if next == b't' {
            return self.substitutable(Self::name);
        }
        let known = self.substitution(false)?;
        if matches!(self.tree.get(known), Node::ModulePart { .. }) {
            let name = self.unqualified_name(known)?;
            self.substitutions.push(name);
            if self.peek() != b'I' {
                return Some(name);
            }
            let arguments = self.template_arguments()?;
            return Some(self.add_substitutable(Node::Template { name, arguments }));
        }
        if self.peek() != b'I' {
            return Some(known);
        }
        let start = self.mark();
        let arguments = self.template_arguments()?;
        let is_of_conversion = self.in_conversion && self.peek() != b'I';
        if is_of_conversion && matches!(self.tree.get(known), Node::Parameter(_)) {
            self.back_to(&start);
            return Some(known);
        }
        Some(self.add_substitutable(Node::Template { name: known, arguments }))
    }

    /// Types whose first letter is `D`.
    fn extended_type(&mut self) -> Option<NodeId> {
        let letter = self.peek_at(1);
        if let Some(number) = builtins::by_extended_letter(letter) {
            self.at += 2;
            return Some(self.add(Node::Builtin(number)));
        }
        match letter {
            b't' | b'T' => self.substitutable(Self::decltype),
            b'p' => {
                self.at += 2;
                let inner = self.type_()?;
                Some(self.add_substitutable(Node::Expansion(inner)))
            }
            b'v' => {
                self.at += 2;
                let node = self.vector()?;
                Some(self.add_substitutable(node))
            }
            b'F' => self.float(),
            b'B' | b'U' => {
                self.at += 2;
                let size = if self.peek().is_ascii_digit() { self.digits()? } else { self.expression()? };
                self.expect(b'_')?;
                Some(self.add(Node::BitInt { size, is_unsigned: letter == b'U' }))
            }
            b'o' | b'O' | b'w' | b'x' => self.substitutable(|parser| parser.function_type(<_>::default())),
            b'k' | b'K' => {
                self.at += 2;
                let constraint = self.name()?;
                let placeholder = if letter == b'k' { &" auto" } else { &" decltype(auto)" };
                Some(self.add_substitutable(Node::Constrained { constraint, placeholder }))
            }
            b'A' | b'R' | b'S' => self.fixed_point(),
            _ => None,
        }
    }

    /// `Dt <expression> E`, `DT <expression> E`
    pub(super) fn decltype(&mut self) -> Option<NodeId> {
        self.at += 2;
        let expression = self.expression()?;
        self.expect(b'E')?;
        Some(self.add(Node::Decltype(expression)))
    }

    /// `Dv (<number> | [_] <expression>) _ (<type> | p)`
    fn vector(&mut self) -> Option<Node> {
        let bound = if self.peek().is_ascii_digit() {
            self.digits()?
        } else {
            self.take_byte(b'_');
            self.expression()?
        };
        self.expect(b'_')?;
        let element = if self.take_byte(b'p') { self.add(Node::Text(&"pixel")) } else { self.type_()? };
        Some(Node::Vector { element, bound })
    }

    /// `DF <number> _`, `DF <number> x`, `DF16b`
    fn float(&mut self) -> Option<NodeId> {
        self.at += 2;
        let start = self.at;
        self.number()?;
        if self.take_byte(b'b') {
            return Some(self.add(Node::Text(&"std::bfloat16_t")));
        }
        let is_extended = self.take_byte(b'x');
        let node = self.add(Node::Source(self.span(start)));
        if !is_extended {
            self.expect(b'_')?;
        }
        Some(self.add(Node::Prefixed { prefix: &"_Float", node }))
    }

    /// `[DS] (DA | DR) <integer type>`
    fn fixed_point(&mut self) -> Option<NodeId> {
        let is_saturating = self.take("DS");
        let is_fraction = self.take("DR");
        if !is_fraction && !self.take("DA") {
            return None;
        }
        let integer = self.peek();
        self.at += 1;
        let mut node = self.add(Node::Text(if is_fraction { &"_Fract" } else { &"_Accum" }));
        let size = match integer {
            b's' | b't' => Some(&"short "),
            b'l' | b'm' => Some(&"long "),
            b'i' | b'j' => None,
            _ => return None,
        };
        let sign = matches!(integer, b't' | b'm' | b'j').then_some(&"unsigned ");
        let saturating = is_saturating.then_some(&"_Sat ");
        for prefix in [size, sign, saturating].into_iter().flatten() {
            node = self.add(Node::Prefixed { prefix, node });
        }
        Some(node)
    }

    /// `U <source-name> [<template-args>] <type>`
    fn vendor_qualified(&mut self) -> Option<Node> {
        self.at += 1;
        let mut name = self.source_name()?;
        if self.peek() == b'I' {
            let arguments = self.template_arguments()?;
            name = self.add(Node::Template { name, arguments });
        }
        Some(Node::VendorQualified { inner: self.type_()?, name })
    }
}
