//! Expressions to programs.

use std::cell::{Cell, RefCell};

use prospect_process::{
    Addr, RegisterId,
    agent::{AgentExpression, Opcode},
    control::Collection,
};
use prospect_symbols::{
    type_info::{Language, PointerKind, Type, TypeKind, TypeRef},
    variable::{Piece, PieceSource},
};
use prospect_value::{
    Object,
    expression::{BinaryOperator as Op, Expression, Node, Scope, UnaryOperator},
};

use super::{
    MadeUp,
    assembly::{Code, Item, assemble},
    made_up::TIMES,
    number::{Kind, Width, kind_of},
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
struct Operand {
    code: Code,
    kind: Kind,
}

/// What an expression is.
enum Thing {
    /// Something in memory: the address of where it begins, and what lies there, as if that were address 0.
    Place(Code, Object),
    Value(Operand),
}

struct Work<'a> {
    scopes: [&'a dyn Scope; TIMES],
    made_up: &'a MadeUp,
    rules_of_c: bool,
    /// Whether memory that is read is collected.
    collects: bool,
    labels: Cell<usize>,
    /// Registers that hold variables.
    registers: RefCell<Vec<RegisterId>>,
}

impl<'a> Work<'a> {
    fn new(compiler: &Compiler<'a>, collects: bool) -> Self {
        Self {
            scopes: compiler.scopes,
            made_up: compiler.made_up,
            rules_of_c: compiler.scopes[0].language() != Language::Rust,
            collects,
            labels: Cell::new(0),
            registers: RefCell::default(),
        }
    }

    fn label(&self) -> usize {
        self.labels.replace(self.labels.get() + 1)
    }

    fn thing(&self, expression: &Expression) -> Result<Thing, String> {
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
    fn leaf(&self, expression: &Expression) -> Result<Thing, String> {
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

    /// A number on the stack as a value of a type.
    fn typed(&self, mut code: Code, ty: &TypeRef) -> Result<Thing, String> {
        let kind = kind_of(ty, &*self.bare(ty)?, self.rules_of_c)?;
        if let Kind::Number(width) = &kind {
            width.cut(&mut code);
        }
        Ok(Thing::Value(Operand { code, kind }))
    }

    fn bare(&self, ty: &TypeRef) -> Result<std::sync::Arc<Type>, String> {
        let object = Object::at(Addr(0), ty.clone());
        Ok(object.bare_type(self.scopes[0]).map_err(|error| error.to_string())?.1)
    }

    /// Reads `bytes` bytes at the address on the stack.
    fn read(&self, code: &mut Code, bytes: u8) {
        if self.collects {
            code.push(Item::With(Opcode::TraceQuick, bytes.into()));
        }
        code.push(Item::Op(match bytes {
            1 => Opcode::Ref8,
            2 => Opcode::Ref16,
            4 => Opcode::Ref32,
            _ => Opcode::Ref64,
        }));
    }

    /// What operators work on.
    fn operand(&self, thing: Thing) -> Result<Operand, String> {
        let (code, object) = match thing {
            Thing::Value(operand) => return Ok(operand),
            Thing::Place(code, object) => (code, object),
        };
        let bare = self.bare(&object.ty)?;
        match &bare.kind {
            TypeKind::Pointer(pointer) if is_reference(&pointer.kind) => {
                self.operand(self.referent(code, &object, &pointer.target)?)
            }
            TypeKind::Array(array) if array.dimensions.len() == 1 => {
                Ok(Operand { code: self.address(code, &object)?, kind: Kind::Pointer(array.element.clone()) })
            }
            _ => {
                let kind = kind_of(&object.ty, &bare, self.rules_of_c)?;
                if object.address().is_none() {
                    return self.bits(code, &object, kind);
                }
                let mut code = self.address(code, &object)?;
                match kind {
                    Kind::Number(width) => {
                        self.read(&mut code, width.bytes);
                        width.cut(&mut code);
                    }
                    Kind::Pointer(_) => self.read(&mut code, 8),
                }
                Ok(Operand { code, kind })
            }
        }
    }

    /// A bit-field.
    fn bits(&self, mut code: Code, object: &Object, kind: Kind) -> Result<Operand, String> {
        let no = || "it is not in one place".to_owned();
        let [Piece { bits: Some(bits @ 1..=64), skip, source: PieceSource::Memory(at) }] =
            object.location.pieces[..]
        else {
            return Err(no());
        };
        let Kind::Number(width) = kind else { return Err(no()) };
        let (start, shift) = (at.0 + skip / 8, skip % 8);
        let bytes = (shift + bits).div_ceil(8).next_power_of_two();
        add(&mut code, start);
        self.read(&mut code, u8::try_from(bytes).ok().filter(|bytes| *bytes <= 8).ok_or_else(no)?);
        code.extend([Item::Constant(shift), Item::Op(Opcode::RshUnsigned)]);
        code.push(Item::With(if width.signed { Opcode::Ext } else { Opcode::ZeroExt }, bits));
        // `int` has all values of one that is smaller (C17, section 6.3.1.1).
        let width = if self.rules_of_c && bits < 32 { Width::new(true, 4) } else { width };
        Ok(Operand { code, kind: Kind::Number(width) })
    }

    /// The address of something that begins at a byte.
    fn address(&self, mut code: Code, object: &Object) -> Result<Code, String> {
        let offset = object.address().ok_or("it does not begin at a byte")?;
        add(&mut code, offset.0);
        Ok(code)
    }

    /// What a reference in memory refers to.
    fn referent(&self, code: Code, object: &Object, target: &TypeRef) -> Result<Thing, String> {
        let mut code = self.address(code, object)?;
        self.read(&mut code, 8);
        Ok(Thing::Place(code, Object::at(Addr(0), target.clone())))
    }

    /// What something stands for to those who want its members: pointers and references are followed.
    fn pointee(&self, thing: Thing) -> Result<(Code, Object), String> {
        let (code, object) = match thing {
            Thing::Value(operand) => return pointed(operand),
            Thing::Place(code, object) => (code, object),
        };
        match &self.bare(&object.ty)?.kind {
            TypeKind::Pointer(pointer)
                if pointer.kind == PointerKind::Pointer || is_reference(&pointer.kind) =>
            {
                self.pointee_of(code, &object, &pointer.target)
            }
            _ => Ok((code, object)),
        }
    }

    fn pointee_of(&self, code: Code, object: &Object, target: &TypeRef) -> Result<(Code, Object), String> {
        let Thing::Place(code, object) = self.referent(code, object, target)? else {
            return Err("it refers to nothing".into());
        };
        Ok((code, object))
    }

    fn member(&self, of: &Expression, name: &str) -> Result<Thing, String> {
        if name.contains("::") {
            return Err("members of classes that are named are not found next to a stop".into());
        }
        let (code, object) = self.pointee(self.thing(of)?)?;
        let found = object.member(name, self.scopes[0]).map_err(|error| error.to_string())?;
        // Only where it is within its object may be known: it lies near the address 0 that stands for that.
        let is_inside = |piece: &Piece| matches!(piece.source, PieceSource::Memory(at) if at.0 < 1 << 31);
        if !found.location.pieces.iter().all(is_inside) {
            return Err(format!("where `{name}` is depends on the object"));
        }
        Ok(Thing::Place(code, found))
    }

    fn element(&self, of: &Expression, index: &Expression) -> Result<Thing, String> {
        let thing = self.thing(of)?;
        if let Thing::Place(_, object) = &thing
            && let TypeKind::Array(array) = &self.bare(&object.ty)?.kind
            && (array.dimensions.iter().any(|one| one.lower != 0) || array.stride.is_some())
        {
            return Err("elements of such an array are not found next to a stop".into());
        }
        if let (Thing::Place(..), Node::Integer(number, _)) = (&thing, &index.node)
            && let Thing::Place(code, object) = &thing
            && matches!(self.bare(&object.ty)?.kind, TypeKind::Array(_))
        {
            let index = i64::try_from(*number).map_err(|_| "the index is too large")?;
            let found = object.element(index, self.scopes[0]).map_err(|error| error.to_string())?;
            return Ok(Thing::Place(code.clone(), found));
        }
        let base = self.operand(thing)?;
        let index = self.operand(self.thing(index)?)?;
        let Kind::Number(_) = index.kind else { return Err("an index is a number".into()) };
        let (code, object) = pointed(base)?;
        let code = moved(code, index.code, object.ty.size(), Opcode::Add)?;
        Ok(Thing::Place(code, object))
    }

    fn unary(&self, operator: UnaryOperator, operand: &Expression) -> Result<Thing, String> {
        if operator == UnaryOperator::Not {
            let mut code = self.truth(operand)?;
            code.push(Item::Op(Opcode::LogNot));
            return Ok(truth_value(code));
        }
        let thing = self.thing(operand)?;
        match operator {
            UnaryOperator::Dereference => {
                let (code, object) = pointed(self.operand(thing)?)?;
                return Ok(Thing::Place(code, object));
            }
            UnaryOperator::AddressOf => {
                let Thing::Place(code, object) = thing else { return Err("it has no address".into()) };
                let code = self.address(code, &object)?;
                return Ok(Thing::Value(Operand { code, kind: Kind::Pointer(object.ty) }));
            }
            _ => {}
        }
        let Operand { mut code, kind: Kind::Number(width) } = self.operand(thing)? else {
            return Err("pointers have no such operator".into());
        };
        let width = match operator {
            UnaryOperator::Plus => width,
            UnaryOperator::Negate => {
                code.insert(0, Item::Constant(0));
                code.push(Item::Op(Opcode::Sub));
                width.promoted(self.rules_of_c)
            }
            _ => {
                code.push(Item::Op(Opcode::BitNot));
                width.promoted(self.rules_of_c)
            }
        };
        width.cut(&mut code);
        Ok(number(code, width))
    }

    fn either(&self, operator: Op, left: &Expression, right: &Expression) -> Result<Thing, String> {
        let (decided, end) = (self.label(), self.label());
        let mut code = self.truth(left)?;
        if operator == Op::And {
            code.push(Item::Op(Opcode::LogNot));
        }
        code.push(Item::IfGoto(decided));
        code.extend(self.truth(right)?);
        code.extend([
            Item::Op(Opcode::LogNot),
            Item::Op(Opcode::LogNot),
            Item::Goto(end),
            Item::Place(decided),
        ]);
        code.extend([Item::Constant(u64::from(operator == Op::Or)), Item::Place(end)]);
        Ok(truth_value(code))
    }

    fn truth(&self, expression: &Expression) -> Result<Code, String> {
        Ok(self.operand(self.thing(expression)?)?.code)
    }

    /// The value that a name stands for in the enumeration that the `other` operand is of.
    fn enumerator(&self, named: &Expression, other: &Expression) -> Option<Operand> {
        let Node::Name { within: None, path } = &named.node else { return None };
        let (Node::Name { .. } | Node::Member(..) | Node::Index(..) | Node::Unary(..)) = &other.node else {
            return None;
        };
        let ty = match self.thing(other).ok()? {
            Thing::Place(_, object) => object.ty,
            Thing::Value(_) => self.leaf_type(other)?,
        };
        let bare = self.bare(&ty).ok()?;
        let TypeKind::Enumeration(enumeration) = &bare.kind else { return None };
        let last = path.rsplit("::").next()?;
        let value = enumeration.enumerators.iter().find(|one| &*one.name == last)?.value;
        let kind = kind_of(&ty, &bare, self.rules_of_c).ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "it has at most eight bytes")]
        Some(Operand { code: vec![Item::Constant(value as u64)], kind })
    }

    fn leaf_type(&self, expression: &Expression) -> Option<TypeRef> {
        Some(expression.evaluate(self.scopes[0]).ok()?.ty)
    }

    fn binary(&self, operator: Op, left: &Expression, right: &Expression) -> Result<Thing, String> {
        let of = |named: &Expression, other: &Expression| match self.enumerator(named, other) {
            Some(value) => Ok(value),
            None => self.operand(self.thing(named)?),
        };
        let (left, right) = (of(left, right)?, (of(right, left)?, right));
        let (right, written) = right;
        match (&left.kind, &right.kind) {
            (Kind::Number(one), Kind::Number(other)) => {
                let (one, other) = (*one, *other);
                self.numbers(operator, (left.code, one), (right.code, other), written)
            }
            (Kind::Pointer(target), Kind::Number(_)) if matches!(operator, Op::Add | Op::Subtract) => {
                let opcode = if operator == Op::Add { Opcode::Add } else { Opcode::Sub };
                let target = target.clone();
                let code = moved(left.code, right.code, element_size(&target), opcode)?;
                Ok(Thing::Value(Operand { code, kind: Kind::Pointer(target) }))
            }
            (Kind::Number(_), Kind::Pointer(target)) if operator == Op::Add => {
                let target = target.clone();
                let code = moved(right.code, left.code, element_size(&target), Opcode::Add)?;
                Ok(Thing::Value(Operand { code, kind: Kind::Pointer(target) }))
            }
            (Kind::Pointer(target), Kind::Pointer(_)) if operator == Op::Subtract => {
                let size = target.size().filter(|size| *size > 0).unwrap_or(1);
                let mut code = [left.code, right.code].concat();
                code.extend([Item::Op(Opcode::Sub), Item::Constant(size), Item::Op(Opcode::DivSigned)]);
                Ok(number(code, Width::new(true, 8)))
            }
            _ if comparison(operator).is_some() => {
                let address = Width::new(false, 8);
                self.numbers(operator, (left.code, address), (right.code, address), written)
            }
            _ => Err(format!("pointers have no `{}`", operator.as_str())),
        }
    }

    fn numbers(
        &self,
        operator: Op,
        (left, one): (Code, Width),
        (right, other): (Code, Width),
        written: &Expression,
    ) -> Result<Thing, String> {
        if matches!(operator, Op::ShiftLeft | Op::ShiftRight) {
            let width = one.promoted(self.rules_of_c);
            // One that is too far is an error, which the program would not notice.
            let fits = matches!(written.node, Node::Integer(by, _) if by < u128::from(width.bytes) * 8);
            if !fits {
                return Err("only a shift by a number that is written is evaluated next to a stop".into());
            }
            let opcode = match (operator, width.signed) {
                (Op::ShiftLeft, _) => Opcode::Lsh,
                (_, true) => Opcode::RshSigned,
                (_, false) => Opcode::RshUnsigned,
            };
            let mut code = [left, right].concat();
            code.push(Item::Op(opcode));
            width.cut(&mut code);
            return Ok(number(code, Width { is_untyped: false, ..width }));
        }
        let width = one.together(other, self.rules_of_c);
        let cut = |mut code: Code| {
            width.cut(&mut code);
            code
        };
        if let Some((swapped, negated)) = comparison(operator) {
            let (left, right) = if swapped { (cut(right), cut(left)) } else { (cut(left), cut(right)) };
            let mut code = [left, right].concat();
            code.push(Item::Op(match (operator, width.signed) {
                (Op::Equal | Op::NotEqual, _) => Opcode::Equal,
                (_, true) => Opcode::LessSigned,
                (_, false) => Opcode::LessUnsigned,
            }));
            if negated {
                code.push(Item::Op(Opcode::LogNot));
            }
            return Ok(truth_value(code));
        }
        let opcode = match (operator, width.signed) {
            (Op::Add, _) => Opcode::Add,
            (Op::Subtract, _) => Opcode::Sub,
            (Op::Multiply, _) => Opcode::Mul,
            (Op::Divide, true) => Opcode::DivSigned,
            (Op::Divide, false) => Opcode::DivUnsigned,
            (Op::Remainder, true) => Opcode::RemSigned,
            (Op::Remainder, false) => Opcode::RemUnsigned,
            (Op::BitAnd, _) => Opcode::BitAnd,
            (Op::BitXor, _) => Opcode::BitXor,
            _ => Opcode::BitOr,
        };
        let mut code = [cut(left), cut(right)].concat();
        code.push(Item::Op(opcode));
        Ok(number(cut(code), Width { is_untyped: false, ..width }))
    }

    fn cast(&self, whole: &Expression, operand: &Expression) -> Result<Thing, String> {
        let Node::Cast(ty, _) = &whole.node else { return Err("it is no cast".into()) };
        // The type alone: of 0.
        let zero = Expression { node: Node::Integer(0, String::new()), at: operand.at.clone() };
        let cast = Expression { node: Node::Cast(ty.clone(), Box::new(zero)), at: whole.at.clone() };
        let ty = cast.evaluate(self.scopes[0]).map_err(|error| error.to_string())?.ty;
        let Operand { code, .. } = self.operand(self.thing(operand)?)?;
        let bare = self.bare(&ty)?;
        if matches!(&bare.kind, TypeKind::Base(base) if base.encoding == prospect_symbols::type_info::BaseEncoding::Boolean)
        {
            return Err("casts to truth values are not evaluated next to a stop".into());
        }
        self.typed(code, &ty)
    }

    /// Collects what an expression is, and what leads there.
    fn collected(&self, expression: &Expression, format: Format) -> Result<Code, String> {
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

fn is_reference(kind: &PointerKind) -> bool {
    matches!(kind, PointerKind::Reference | PointerKind::RvalueReference)
}

fn is_reference_type(bare: &Type) -> bool {
    matches!(&bare.kind, TypeKind::Pointer(pointer) if is_reference(&pointer.kind))
}

fn is_letter(bare: &Type) -> bool {
    use prospect_symbols::type_info::BaseEncoding as Encoding;
    bare.size == Some(1)
        && matches!(&bare.kind, TypeKind::Base(base) if matches!(base.encoding, Encoding::SignedChar | Encoding::UnsignedChar | Encoding::Utf))
}

/// A number as it is written.
fn literal(value: u128) -> Result<Thing, String> {
    let number_of = u64::try_from(value).map_err(|_| "the number has more than 64 bits")?;
    let bytes = if value <= i32::MAX as u128 { 4 } else { 8 };
    let is_signed = i64::try_from(value).is_ok();
    let width = Width { signed: is_signed, bytes, is_untyped: is_signed };
    Ok(number(vec![Item::Constant(number_of)], width))
}

fn number(code: Code, width: Width) -> Thing {
    Thing::Value(Operand { code, kind: Kind::Number(width) })
}

fn truth_value(code: Code) -> Thing {
    number(code, Width::new(false, 1))
}

/// A register plus an offset, or a number.
fn from((register, offset): (Option<RegisterId>, u64)) -> Code {
    let Some(register) = register else { return vec![Item::Constant(offset)] };
    let mut code = vec![Item::Register(register)];
    add(&mut code, offset);
    code
}

fn add(code: &mut Code, offset: u64) {
    let signed = offset.cast_signed();
    match signed {
        0 => {}
        1.. => code.extend([Item::Constant(offset), Item::Op(Opcode::Add)]),
        _ => code.extend([Item::Constant(signed.unsigned_abs()), Item::Op(Opcode::Sub)]),
    }
}

fn pointed(operand: Operand) -> Result<(Code, Object), String> {
    match operand.kind {
        Kind::Pointer(target) => Ok((operand.code, Object::at(Addr(0), target))),
        Kind::Number(_) => Err("a number leads nowhere".into()),
    }
}

/// As compilers do it, `void *` is moved by bytes.
fn element_size(target: &TypeRef) -> Option<u64> {
    if target.is_void() { Some(1) } else { target.size() }
}

/// An address, so many elements further.
fn moved(address: Code, by: Code, size: Option<u64>, opcode: Opcode) -> Result<Code, String> {
    let size = size.ok_or("how large an element is is not known")?;
    let mut code = [address, by].concat();
    code.extend([Item::Constant(size), Item::Op(Opcode::Mul), Item::Op(opcode)]);
    Ok(code)
}

/// Whether an operator compares; how it is made of less and equal: with its operands swapped, and its result negated.
fn comparison(operator: Op) -> Option<(bool, bool)> {
    Some(match operator {
        Op::Less | Op::Equal => (false, false),
        Op::Greater => (true, false),
        Op::LessOrEqual => (true, true),
        Op::GreaterOrEqual | Op::NotEqual => (false, true),
        _ => return None,
    })
}
