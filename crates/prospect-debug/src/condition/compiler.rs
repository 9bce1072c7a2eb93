//! Expressions to programs.

use std::cell::{Cell, RefCell};

use prospect_process::{
    Addr, RegisterId,
    agent::{AgentExpression, Opcode},
    control::Collection,
};
use prospect_symbols::{
    type_info::{Language, TypeRef},
    variable::{Piece, PieceSource},
};
use prospect_value::{
    Object,
    expression::{BinaryOperator as Op, Expression, Node, Scope},
};

use super::{
    MadeUp,
    assembly::{Code, Item, assemble},
    made_up::TIMES,
    number::Kind,
    operators::{is_letter, literal},
    places::{from, is_reference_type},
    template::{Format, Part, Template},
};

/// So many bytes of one variable are collected.
const MOST_BYTES: u64 = 4096;

/// So many bytes of a text are collected.
const MOST_TEXT: u64 = 200;

/// What came of an attempt to compile a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compiled {
    /// It is evaluated next to the stop.
    Yes(AgentExpression),
    /// It must be evaluated by those who have names and types, at a stop, which is slower; and why.
    No(String),
}

/// Compiles expressions for one place of the code.
#[derive(Clone, Copy)]
pub struct Compiler<'a> {
    made_up: &'a MadeUp,
    scopes: [&'a dyn Scope; TIMES],
}

impl std::fmt::Debug for Compiler<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("made_up", self.made_up).finish_non_exhaustive()
    }
}

impl<'a> Compiler<'a> {
    /// For a place, with what names mean in each of the [frames](MadeUp::frames) there.
    #[must_use]
    pub fn new(made_up: &'a MadeUp, scopes: [&'a dyn Scope; TIMES]) -> Self {
        Self { made_up, scopes }
    }

    /// Whether an expression is true: not 0.
    #[must_use]
    pub fn condition(&self, expression: &Expression) -> Compiled {
        let work = Work::new(self, false);
        let truth = work.truth(expression);
        let assembled =
            truth.and_then(|code| assemble(&code, work.labels.get()).map_err(|why| why.to_string()));
        assembled.map_or_else(Compiled::No, Compiled::Yes)
    }

    /// What is to be collected so that a template can be [written](Template::write) later.
    ///
    /// # Errors
    /// When an expression of it cannot be compiled: why, a sentence.
    pub fn collection(&self, template: &Template) -> Result<Collection, String> {
        let work = Work::new(self, true);
        let mut code = Code::new();
        for part in template.parts() {
            if let Part::Expression { expression, format, .. } = part {
                code.extend(work.collected(expression, *format)?);
            }
        }
        let info = self.made_up.arch().info();
        let mut registers = work.registers.take();
        registers.extend(code.iter().filter_map(|item| match item {
            Item::Register(register) => Some(*register),
            _ => None,
        }));
        // What frames are found by.
        registers.extend([info.pc, info.sp, info.fp]);
        registers.sort_unstable_by_key(|register| register.0);
        registers.dedup();
        let memory = assemble(&code, work.labels.get()).map_err(|why| why.to_string())?;
        Ok(Collection { registers, memory: Some(memory) })
    }
}

/// A number or pointer.
pub(super) struct Operand {
    pub(super) code: Code,
    pub(super) kind: Kind,
}

/// What an expression is.
pub(super) enum Thing {
    /// Something in memory: the address of where it begins, and what lies there, as if that were address 0.
    Place(Code, Object),
    Value(Operand),
}

pub(super) struct Work<'a> {
    pub(super) scopes: [&'a dyn Scope; TIMES],
    pub(super) made_up: &'a MadeUp,
    pub(super) rules_of_c: bool,
    /// Whether memory that is read is collected.
    pub(super) collects: bool,
    pub(super) labels: Cell<usize>,
    /// Registers that hold variables.
    pub(super) registers: RefCell<Vec<RegisterId>>,
}
impl<'a> Work<'a> {
    pub(super) fn new(compiler: &Compiler<'a>, collects: bool) -> Self {
        Self {
            scopes: compiler.scopes,
            made_up: compiler.made_up,
            rules_of_c: compiler.scopes[0].language() != Language::Rust,
            collects,
            labels: Cell::new(0),
            registers: RefCell::default(),
        }
    }

    pub(super) fn label(&self) -> usize {
        self.labels.replace(self.labels.get() + 1)
    }

    pub(super) fn thing(&self, expression: &Expression) -> Result<Thing, String> {
        match &expression.node {
            Node::Integer(value, suffix) if suffix.is_empty() => literal(*value),
            Node::Name { .. }
            | Node::Register(_)
            | Node::Integer(..)
            | Node::Character(_)
            | Node::Boolean(_)
            | Node::SizeOf(_)
            | Node::SizeOfType(_) => self.leaf(expression),
            Node::Member(of, name) => self.member(of, name),
            Node::Index(of, index) => self.element(of, index),
            Node::Unary(operator, operand) => self.unary(*operator, operand),
            Node::Binary(operator @ (Op::And | Op::Or), left, right) => self.either(*operator, left, right),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right),
            Node::Cast(_, operand) => self.cast(expression, operand),
            Node::Float(_) => Err("numbers with a fraction are not evaluated next to a stop".into()),
            Node::Text(_) => Err("texts are not compared next to a stop".into()),
            _ => Err("slices, lengths and choices are not evaluated next to a stop".into()),
        }
    }

    /// What is found by its name: where it is, is asked for in each of the frames.
    pub(super) fn leaf(&self, expression: &Expression) -> Result<Thing, String> {
        let mut objects = Vec::with_capacity(TIMES);
        for scope in self.scopes {
            objects.push(expression.evaluate(scope).map_err(|error| error.to_string())?);
        }
        let ty = objects[0].ty.clone();
        let piece = |object: &Object| -> Option<PieceSource> {
            let [Piece { bits, skip: 0, source }] = &object.location.pieces[..] else { return None };
            let is_all = bits.is_none_or(|bits| ty.size().is_some_and(|size| size * 8 == bits));
            is_all.then(|| source.clone())
        };
        let scattered = || "it is not in one place".to_owned();
        let pieces = objects.iter().map(piece).collect::<Option<Vec<_>>>().ok_or_else(scattered)?;
        let complicated = || "where it is depends on more than one register".to_owned();
        match &pieces[..] {
            [PieceSource::Memory(one), PieceSource::Memory(two), PieceSource::Memory(three)] => {
                let origin = self.made_up.origin([one.0, two.0, three.0]).ok_or_else(complicated)?;
                Ok(Thing::Place(from(origin), Object::at(Addr(0), ty)))
            }
            [PieceSource::Register(one), PieceSource::Register(two), _] if one == two => {
                let register = self.made_up.arch().info().by_dwarf(*one);
                let register = register.ok_or("it is in a register of vectors")?;
                self.registers.borrow_mut().push(register);
                self.typed(vec![Item::Register(register)], &ty)
            }
            [PieceSource::Bytes(one), PieceSource::Bytes(two), PieceSource::Bytes(three)] => {
                let number =
                    |bytes: &Vec<u8>| (bytes.len() <= 8).then(|| self.scopes[0].arch().unsigned(bytes))?;
                let numbers = [number(one), number(two), number(three)];
                let [Some(one), Some(two), Some(three)] = numbers else {
                    return Err("it is no number".into());
                };
                self.typed(from(self.made_up.origin([one, two, three]).ok_or_else(complicated)?), &ty)
            }
            _ => Err("it has no place that is known".into()),
        }
    }

    /// Collects what an expression is, and what leads there.
    pub(super) fn collected(&self, expression: &Expression, format: Format) -> Result<Code, String> {
        let thing = self.thing(expression)?;
        let mut all = Code::new();
        if let Thing::Place(code, object) = &thing
            && object.address().is_some()
            && !is_reference_type(&*self.bare(&object.ty)?)
        {
            let size = object.ty.size().filter(|size| *size <= MOST_BYTES);
            let size = size.ok_or("it is too large to be collected")?;
            all.extend(self.address(code.clone(), object)?);
            all.extend([Item::Constant(size), Item::Op(Opcode::Trace)]);
        }
        let bare = |target: &TypeRef| self.bare(target).ok();
        match self.operand(thing) {
            Ok(Operand { code, kind: Kind::Pointer(target) })
                if format == Format::Text || bare(&target).is_some_and(|bare| is_letter(&bare)) =>
            {
                let (null, end) = (self.label(), self.label());
                all.extend(code);
                all.extend([Item::Op(Opcode::Dup), Item::Op(Opcode::LogNot), Item::IfGoto(null)]);
                all.extend([Item::Constant(MOST_TEXT), Item::Op(Opcode::TraceString), Item::Goto(end)]);
                all.extend([Item::Place(null), Item::Op(Opcode::Pop), Item::Place(end)]);
                // A label is where an instruction begins.
                all.extend([Item::Constant(0), Item::Op(Opcode::Pop)]);
            }
            Ok(Operand { code, .. }) => {
                all.extend(code);
                all.push(Item::Op(Opcode::Pop));
            }
            // All of something was collected.
            Err(_) if !all.is_empty() => {}
            Err(why) => return Err(why),
        }
        Ok(all)
    }
}
