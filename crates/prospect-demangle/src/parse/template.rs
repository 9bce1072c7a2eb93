//! Template parameters and their arguments.

use super::Parser;
use crate::node::{ListId, Node, NodeId};

impl Parser<'_> {
    /// `<template-param>`: `T [<number>] _`, `TL <level> _ [<number>] _`. Levels are of lambdas in templates, whose own
    /// parameters are counted alone.
    pub(super) fn template_parameter(&mut self) -> Option<NodeId> {
        self.expect(b'T')?;
        if self.take_byte(b'L') {
            self.number_or_none()?;
        }
        let number = self.number_or_none()?;
        Some(self.add(Node::Parameter(number)))
    }

    /// `<template-args>`: `I <template-arg>… [Q <expression>] E`
    pub(super) fn template_arguments(&mut self) -> Option<ListId> {
        if !self.take_byte(b'I') && !self.take_byte(b'J') {
            return None;
        }
        // Arguments do not name the class whose constructor comes.
        let last_name = self.last_name;
        let in_conversion = std::mem::replace(&mut self.in_conversion, false);
        let arguments = self.list_while(
            |parser| parser.peek() != b'Q' && !parser.take_byte(b'E'),
            |parser| parser.deeper(Self::template_argument),
        )?;
        if self.take_byte(b'Q') {
            self.expression()?;
            self.expect(b'E')?;
        }
        self.in_conversion = in_conversion;
        self.last_name = last_name;
        Some(arguments)
    }

    /// `<template-arg>`
    pub(super) fn template_argument(&mut self) -> Option<NodeId> {
        match self.peek() {
            b'X' => {
                self.at += 1;
                let expression = self.expression()?;
                self.expect(b'E')?;
                Some(expression)
            }
            b'L' => self.primary_expression(),
            b'I' | b'J' => {
                let arguments = self.template_arguments()?;
                Some(self.add(Node::Pack(arguments)))
            }
            b'T' if matches!(self.peek_at(1), b'y' | b'n' | b't' | b'p' | b'k') => {
                // What was declared does not matter where the argument is.
                self.template_parameter_declaration()?;
                self.deeper(Self::template_argument)
            }
            _ => self.type_(),
        }
    }

    /// `<template-param-decl>`
    pub(super) fn template_parameter_declaration(&mut self) -> Option<NodeId> {
        self.deeper(|parser| {
            parser.expect(b'T')?;
            let kind = parser.peek();
            parser.at += 1;
            let node = match kind {
                b'y' => Node::HeadType,
                b'k' => {
                    parser.name()?;
                    Node::HeadType
                }
                b'n' => Node::HeadValue(parser.type_()?),
                b't' => {
                    let declarations = parser.list_while(
                        |parser| parser.peek() != b'Q' && !parser.take_byte(b'E'),
                        Self::template_parameter_declaration,
                    )?;
                    if parser.take_byte(b'Q') {
                        parser.expression()?;
                        parser.expect(b'E')?;
                    }
                    Node::HeadTemplate(declarations)
                }
                b'p' => Node::HeadPack(parser.template_parameter_declaration()?),
                _ => return None,
            };
            Some(parser.add(node))
        })
    }
}
