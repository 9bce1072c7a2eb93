//! The machine that DWARF expressions are for (DWARF 5, sections 2.5 and 2.6, and what GNU adds).
//!
//! gimli knows the operations and the arithmetic of typed values. What they need of a frame comes from a
//! [`FrameContext`]; what they need of other entries, from the debug information.

use std::sync::Arc;

use gimli::{
    DieReference, EndianSlice, Operation, Reader as _, Register, RunTimeEndian, UnitOffset, Value as Number,
    ValueType, constants as dw,
};
use prospect_process::Addr;

use super::{FrameContext, ImplicitTarget, Location, Piece, PieceSource, Unavailable, call_site, locate};
use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel, Value},
    type_info::EntryId,
};

/// An evaluation that takes more operations than this, with all that it leads to, is not believed to end.
const MOST_OPERATIONS: u32 = 10_000;
/// So many values may lie on the stack.
const MOST_VALUES: usize = 1024;
/// So many bytes may be in the pieces of one value.
const MOST_PIECE_BYTES: usize = 1 << 20;
/// Expressions that lead to others deeper than this lead in a circle.
const DEEPEST: u32 = 24;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// What may still be done for one question.
#[derive(Debug)]
pub(super) struct Budget {
    operations: u32,
    bytes: usize,
    depth: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { operations: MOST_OPERATIONS, bytes: MOST_PIECE_BYTES, depth: DEEPEST }
    }
}

/// Evaluates expressions in one frame, and in its callers where they lead there.
pub(super) struct Machine<'m, 't> {
    pub(super) debug: &'m Arc<DebugInfo>,
    pub(super) frame: &'m dyn FrameContext,
    /// The function that was really called, whose frame base is meant.
    pub(super) function: Option<EntryId>,
    pub(super) budget: &'m mut Budget,
    pub(super) fuel: &'m mut Fuel<'t>,
    /// The address of the object that the expression is about, for types that depend on it.
    pub(super) object: Option<Addr>,
}

/// What an expression has come to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has said where the value is.
    Location(Location),
    /// It has left a number: the address of the value, or the value, as it is asked for.
    Number(Number),
    /// It says nothing: the value is nowhere.
    Nothing,
}

pub(super) fn broken(what: &str) -> Unavailable {
    Unavailable::NotUnderstood(what.to_owned())
}

fn not_understood(error: gimli::Error) -> Unavailable {
    Unavailable::NotUnderstood(error.to_string())
}

impl<'m, 't> Machine<'m, 't> {
    /// The same for something that the expression leads to.
    pub(super) fn inner<'s>(&'s mut self) -> Result<Machine<'s, 't>, Unavailable>
    where
        'm: 's,
    {
        self.budget.depth = self.budget.depth.checked_sub(1).ok_or_else(|| broken("it leads to itself"))?;
        Ok(Machine {
            debug: self.debug,
            frame: self.frame,
            function: self.function,
            budget: self.budget,
            fuel: self.fuel,
            object: None,
        })
    }

    /// Does what an expression leads to one level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        run: impl FnOnce(&mut Machine<'_, 't>) -> Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        let before = self.budget.depth;
        let result = self.inner().and_then(|mut inner| run(&mut inner));
        self.budget.depth = before;
        result
    }

    fn word_mask(&self) -> u64 {
        self.frame.arch().word_mask()
    }

    /// Where the value is that an expression of `unit` describes. `bytes` is how many it has, where that is known.
    pub(super) fn location(
        &mut self,
        unit: &EntryUnit<'_>,
        expression: &[u8],
        bytes: Option<u64>,
    ) -> Result<Location, Unavailable> {
        Ok(match self.run(unit, expression, bytes)? {
            Outcome::Location(location) => location,
            Outcome::Number(at) => Location::memory(Addr(self.address(at)?)),
            Outcome::Nothing => return Err(Unavailable::OptimisedOut),
        })
    }

    /// The number that an expression of `unit` leaves. One that names a register or a place means what is there.
    pub(super) fn number(&mut self, unit: &EntryUnit<'_>, expression: &[u8]) -> Result<Number, Unavailable> {
        match self.run(unit, expression, None)? {
            Outcome::Number(number) => Ok(number),
            Outcome::Location(location) => {
                let word = self.frame.arch().word_bytes;
                let bytes = match location.pieces.as_slice() {
                    [Piece { source: PieceSource::Bytes(bytes), .. }] => bytes.clone(),
                    _ => location.read(self.frame, word.into())?,
                };
                let number = self.frame.arch().unsigned(&bytes);
                Ok(Number::Generic(number.ok_or_else(|| broken("it is no number"))?))
            }
            Outcome::Nothing => Err(broken("it has no value")),
        }
    }

    /// The word that a number is.
    pub(super) fn address(&self, number: Number) -> Result<u64, Unavailable> {
        Ok(number.to_u64(self.word_mask()).map_err(not_understood)? & self.word_mask())
    }

    /// Runs an expression of `unit`.
    fn run(
        &mut self,
        unit: &EntryUnit<'_>,
        expression: &[u8],
        bytes: Option<u64>,
    ) -> Result<Outcome, Unavailable> {
        let mut run = Run { unit, bytes, stack: Vec::new(), pieces: Vec::new(), done: None };
        run.expression(self, expression)?;
        Ok(match (run.done, run.pieces, run.stack.pop()) {
            (done, pieces, _) if !pieces.is_empty() => {
                if done.is_some() {
                    return Err(broken("a piece without a size"));
                }
                Outcome::Location(Location { pieces })
            }
            (Some(found), ..) => {
                let bits = bytes.map(|bytes| bytes.saturating_mul(8));
                let source = found.source(bits, self.frame.arch().big_endian);
                Outcome::Location(Location { pieces: vec![Piece::whole(source)] })
            }
            (None, _, Some(number)) => Outcome::Number(number),
            (None, _, None) => Outcome::Nothing,
        })
    }

    pub(super) fn register(&self, register: u16) -> Result<u64, Unavailable> {
        self.frame.register(register).ok_or_else(|| unknown_register(self.frame, register))
    }

    fn read(&self, at: u64, bytes: u8) -> Result<Vec<u8>, Unavailable> {
        let mut buffer = vec![0; bytes.into()];
        let at = Addr(at & self.word_mask());
        self.frame.memory().read(at, &mut buffer).map_err(|error| Unavailable::CannotRead(error.at))?;
        Ok(buffer)
    }

    /// The address that the locals of the function are counted from (DWARF 5, section 3.3.5).
    fn frame_base(&mut self) -> Result<u64, Unavailable> {
        let function = self.function.ok_or_else(|| broken("there is no frame to count from"))?;
        self.deeper(|inner| {
            let found =
                locate::with_attribute(inner, function, dw::DW_AT_frame_base, |inner, unit, bytes| {
                    // A register here means what is in it.
                    let number = inner.number(unit, bytes)?;
                    inner.address(number)
                })?;
            found.ok_or_else(|| broken("the function says nothing of its frame"))
        })
    }

    /// A type that numbers may have; 0 is the type of addresses.
    fn value_type(&self, unit: &EntryUnit<'_>, at: UnitOffset<usize>) -> Result<ValueType, Unavailable> {
        if at.0 == 0 {
            return Ok(ValueType::Generic);
        }
        let (mut encoding, mut bytes) = (None, None);
        let entry = unit.entry(at.0).ok_or_else(|| broken("a type that is not there"))?;
        for (name, value) in entry {
            match name {
                dw::DW_AT_encoding => encoding = value.number().and_then(|number| u8::try_from(number).ok()),
                dw::DW_AT_byte_size => bytes = value.number(),
                _ => {}
            }
        }
        let encoding = match gimli::DwAte(encoding.unwrap_or(0)) {
            dw::DW_ATE_signed_char => dw::DW_ATE_signed,
            dw::DW_ATE_boolean | dw::DW_ATE_address | dw::DW_ATE_unsigned_char | dw::DW_ATE_UTF => {
                dw::DW_ATE_unsigned
            }
            other => other,
        };
        bytes
            .and_then(|bytes| ValueType::from_encoding(encoding, bytes))
            .ok_or_else(|| broken("numbers of a type that is not known here"))
    }

    fn parse(&self, ty: ValueType, bytes: &[u8]) -> Result<Number, Unavailable> {
        if ty == ValueType::Generic {
            let number =
                self.frame.arch().unsigned(bytes).ok_or_else(|| broken("a number that is too long"))?;
            return Ok(Number::Generic(number));
        }
        let endian = if self.frame.arch().big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
        Number::parse(ty, EndianSlice::new(bytes, endian)).map_err(not_understood)
    }

    /// What a register holds, as a number of this type.
    fn typed_register(&self, register: u16, ty: ValueType) -> Result<Number, Unavailable> {
        if ty == ValueType::Generic {
            return Ok(Number::Generic(self.register(register)?));
        }
        let bytes = ty.bit_size(self.word_mask()) / 8;
        let location = Location { pieces: vec![Piece::whole(PieceSource::Register(register))] };
        self.parse(ty, &location.read(self.frame, bytes.into())?)
    }

    /// The bytes of a number, in the machine's order.
    fn bytes_of(&self, number: Number) -> Result<Vec<u8>, Unavailable> {
        let mask = self.word_mask();
        let size = number.value_type().bit_size(mask) as usize / 8;
        let bits = match number {
            Number::F32(value) => value.to_bits().into(),
            Number::F64(value) => value.to_bits(),
            other => other.to_u64(mask).map_err(not_understood)?,
        };
        Ok(if self.frame.arch().big_endian {
            bits.to_be_bytes()[8 - size..].to_vec()
        } else {
            bits.to_le_bytes()[..size].to_vec()
        })
    }
}

/// One expression that is being evaluated, with those that it calls.
struct Run<'r, 'a> {
    unit: &'r EntryUnit<'a>,
    /// How many bytes the value has.
    bytes: Option<u64>,
    stack: Vec<Number>,
    pieces: Vec<Piece>,
    /// What was said of where the value, or its next piece, is.
    done: Option<Found>,
}

/// Where something is.
enum Found {
    At(PieceSource),
    /// It is this number, of which the low bytes count.
    Number(Vec<u8>),
}

impl Found {
    /// For something of so many bits.
    fn source(self, bits: Option<u64>, big_endian: bool) -> PieceSource {
        match self {
            Self::At(source) => source,
            Self::Number(mut bytes) => {
                let wanted = bits.and_then(|bits| usize::try_from(bits.div_ceil(8)).ok());
                let spare = wanted.and_then(|wanted| bytes.len().checked_sub(wanted)).unwrap_or(0);
                if big_endian {
                    bytes.drain(..spare);
                }
                PieceSource::Bytes(bytes)
            }
        }
    }
}

impl Run<'_, '_> {
    fn expression(&mut self, machine: &mut Machine<'_, '_>, expression: &[u8]) -> Result<(), Unavailable> {
        let endian = if self.unit.is_big_endian() { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let all = EndianSlice::new(expression, endian);
        let mut rest = all;
        while !rest.is_empty() {
            let operations = &mut machine.budget.operations;
            *operations = operations.checked_sub(1).ok_or_else(|| broken("an expression does not end"))?;
            let operation = Operation::parse(&mut rest, self.unit.encoding()).map_err(not_understood)?;
            if let Operation::Bra { target } | Operation::Skip { target } = operation {
                let jumps = matches!(operation, Operation::Skip { .. }) || machine.address(self.pop()?)? != 0;
                if jumps {
                    let at = rest.offset_from(all).checked_add_signed(target.into());
                    let at = at.filter(|&at| at <= all.len()).ok_or_else(|| broken("a jump to nowhere"))?;
                    rest = all.range_from(at..);
                }
                continue;
            }
            self.operation(machine, operation)?;
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Number, Unavailable> {
        self.stack.pop().ok_or_else(|| broken("it takes more from its stack than there is"))
    }

    fn push(&mut self, number: Number) -> Result<(), Unavailable> {
        if self.stack.len() >= MOST_VALUES {
            return Err(broken("its stack is too deep"));
        }
        self.stack.push(number);
        Ok(())
    }

    fn unary(&mut self, apply: impl FnOnce(Number) -> gimli::Result<Number>) -> Result<(), Unavailable> {
        let number = self.pop()?;
        self.push(apply(number).map_err(not_understood)?)
    }

    fn binary(
        &mut self,
        mask: u64,
        apply: impl FnOnce(Number, Number, u64) -> gimli::Result<Number>,
    ) -> Result<(), Unavailable> {
        let (right, left) = (self.pop()?, self.pop()?);
        self.push(apply(left, right, mask).map_err(not_understood)?)
    }

    fn finish(&mut self, found: Found) -> Result<(), Unavailable> {
        if self.done.replace(found).is_some() {
            return Err(broken("it says twice where the value is"));
        }
        Ok(())
    }

    fn operation(
        &mut self,
        machine: &mut Machine<'_, '_>,
        operation: Operation<Slice<'_>>,
    ) -> Result<(), Unavailable> {
        let mask = machine.word_mask();
        if self.done.is_some() && !matches!(operation, Operation::Piece { .. } | Operation::Uninitialized) {
            return Err(broken("it goes on where the value was found"));
        }
        match operation {
            Operation::UnsignedConstant { value } => self.push(Number::Generic(value & mask)),
            Operation::SignedConstant { value } => self.push(Number::Generic(value.cast_unsigned() & mask)),
            Operation::Drop => self.pop().map(drop),
            Operation::Pick { index } => {
                let at = self.stack.len().checked_sub(1 + usize::from(index));
                let number = at.and_then(|at| self.stack.get(at)).copied();
                self.push(number.ok_or_else(|| broken("it picks what is not on its stack"))?)
            }
            Operation::Swap => {
                let (top, next) = (self.pop()?, self.pop()?);
                self.push(top)?;
                self.push(next)
            }
            Operation::Rot => {
                let (one, two, three) = (self.pop()?, self.pop()?, self.pop()?);
                self.push(one)?;
                self.push(three)?;
                self.push(two)
            }
            Operation::Abs => self.unary(|number| number.abs(mask)),
            Operation::Neg => self.unary(|number| number.neg(mask)),
            Operation::Not => self.unary(|number| number.not(mask)),
            Operation::And => self.binary(mask, Number::and),
            Operation::Or => self.binary(mask, Number::or),
            Operation::Xor => self.binary(mask, Number::xor),
            Operation::Plus => self.binary(mask, Number::add),
            Operation::Minus => self.binary(mask, Number::sub),
            Operation::Mul => self.binary(mask, Number::mul),
            Operation::Div => self.binary(mask, Number::div),
            Operation::Mod => self.binary(mask, Number::rem),
            Operation::Shl => self.binary(mask, Number::shl),
            Operation::Shr => self.binary(mask, Number::shr),
            Operation::Shra => self.binary(mask, Number::shra),
            Operation::Eq => self.binary(mask, Number::eq),
            Operation::Ne => self.binary(mask, Number::ne),
            Operation::Ge => self.binary(mask, Number::ge),
            Operation::Gt => self.binary(mask, Number::gt),
            Operation::Le => self.binary(mask, Number::le),
            Operation::Lt => self.binary(mask, Number::lt),
            Operation::PlusConstant { value } => self.unary(|number| {
                let more = Number::from_u64(number.value_type(), value)?;
                number.add(more, mask)
            }),
            // The values of what it is known to be all the same.
            Operation::Nop | Operation::Uninitialized => Ok(()),
            Operation::Convert { base_type } => {
                let ty = machine.value_type(self.unit, base_type)?;
                self.unary(|number| number.convert(ty, mask))
            }
            Operation::Reinterpret { base_type } => {
                let ty = machine.value_type(self.unit, base_type)?;
                self.unary(|number| number.reinterpret(ty, mask))
            }
            Operation::TypedLiteral { base_type, value } => {
                let ty = machine.value_type(self.unit, base_type)?;
                self.push(machine.parse(ty, value.slice())?)
            }
            Operation::Piece { size_in_bits, bit_offset } => self.piece(machine, size_in_bits, bit_offset),
            other => self.of_the_frame(machine, other),
        }
    }

    /// Operations that need the process, or other entries.
    fn of_the_frame(
        &mut self,
        machine: &mut Machine<'_, '_>,
        operation: Operation<Slice<'_>>,
    ) -> Result<(), Unavailable> {
        let mask = machine.word_mask();
        let generic = |value: u64| Number::Generic(value & mask);
        match operation {
            Operation::Address { address } => self.push(generic(machine.linked(address))),
            Operation::AddressIndex { index } => {
                let address = self.unit.indexed_address(index.0 as u64);
                let address = address.ok_or_else(|| broken("an address that is not in its list"))?;
                self.push(generic(machine.linked(address)))
            }
            Operation::ConstantIndex { index } => {
                let constant = self.unit.indexed_address(index.0 as u64);
                self.push(generic(constant.ok_or_else(|| broken("a constant that is not in its list"))?))
            }
            Operation::Register { register } => self.finish(Found::At(PieceSource::Register(register.0))),
            Operation::RegisterOffset { register: Register(register), offset, base_type } => {
                let ty = machine.value_type(self.unit, base_type)?;
                let number = machine.typed_register(register, ty)?;
                self.push(match number {
                    Number::Generic(value) => generic(value.wrapping_add_signed(offset)),
                    typed => typed,
                })
            }
            Operation::FrameOffset { offset } => {
                let base = machine.frame_base()?;
                self.push(generic(base.wrapping_add_signed(offset)))
            }
            Operation::CallFrameCFA => {
                let cfa = machine.frame.cfa().ok_or_else(|| Unavailable::RegisterUnknown("cfa".into()))?;
                self.push(generic(cfa.0))
            }
            Operation::Deref { space: true, .. } => Err(broken("another address space")),
            Operation::Deref { base_type, size, .. } => {
                let ty = machine.value_type(self.unit, base_type)?;
                let at = machine.address(self.pop()?)?;
                let needed = if ty == ValueType::Generic { size } else { (ty.bit_size(mask) / 8) as u8 };
                if size != needed || size > 8 {
                    return Err(broken("it reads a number of a strange size"));
                }
                let bytes = machine.read(at, size)?;
                self.push(machine.parse(ty, &bytes)?)
            }
            Operation::PushObjectAddress => {
                let object = machine.object.ok_or_else(|| broken("it needs the address of an object"))?;
                self.push(generic(object.0))
            }
            Operation::TLS => {
                let offset = machine.address(self.pop()?)?;
                let at = machine.frame.thread_local(offset).ok_or(Unavailable::ThreadLocalUnknown)?;
                self.push(generic(at.0))
            }
            Operation::ImplicitValue { data } => {
                let bytes = machine.take_bytes(data.slice())?;
                self.finish(Found::At(PieceSource::Bytes(bytes)))
            }
            Operation::StackValue => {
                let number = self.pop()?;
                self.finish(Found::Number(machine.bytes_of(number)?))
            }
            Operation::ImplicitPointer { value, byte_offset } => {
                let location = match value.0 {
                    // No entry is there. GCC 12 writes it into all lists of split units.
                    0 => Err(Unavailable::OptimisedOut),
                    at => {
                        let target = self.info_entry(at)?;
                        machine.deeper(|inner| locate::entry(inner, target, None))
                    }
                };
                let location = match location {
                    Err(error @ Unavailable::NotUnderstood(_)) => return Err(error),
                    // That it is a pointer is known nevertheless.
                    Err(_) => Location { pieces: vec![Piece::whole(PieceSource::Missing)] },
                    Ok(location) => location,
                };
                let target = ImplicitTarget { location, offset: byte_offset };
                self.finish(Found::At(PieceSource::ImplicitPointer(Box::new(target))))
            }
            Operation::EntryValue { expression } => {
                let number = machine.deeper(|inner| call_site::entry_value(inner, self.unit, expression))?;
                self.push(number)
            }
            Operation::ParameterRef { offset } => {
                let parameter = self.unit.id(offset.0);
                let number = machine.deeper(|inner| call_site::parameter_value(inner, parameter))?;
                self.push(number)
            }
            Operation::Call { offset } => {
                let target = match offset {
                    DieReference::UnitRef(offset) => self.unit.id(offset.0),
                    DieReference::DebugInfoRef(offset) => self.info_entry(offset.0)?,
                };
                self.call(machine, target)
            }
            Operation::VariableValue { offset } => {
                let target = self.info_entry(offset.0)?;
                let number = machine.deeper(|inner| locate::value_of(inner, target))?;
                self.push(Number::Generic(number.cast_unsigned() & mask))
            }
            _ => Err(broken("an operation of another kind of machine")),
        }
    }

    /// The entry at a place of `.debug_info`.
    fn info_entry(&self, offset: usize) -> Result<EntryId, Unavailable> {
        self.unit.target(Value::InfoEntry(offset)).ok_or_else(|| broken("an entry that is not there"))
    }

    /// Evaluates the location of another entry on this stack, if it has one.
    fn call(&mut self, machine: &mut Machine<'_, '_>, target: EntryId) -> Result<(), Unavailable> {
        machine.deeper(|inner| {
            let run = |inner: &mut Machine<'_, '_>, unit: &EntryUnit<'_>, expression: &[u8]| {
                let stack = std::mem::take(&mut self.stack);
                let mut called = Run { unit, bytes: self.bytes, stack, pieces: Vec::new(), done: None };
                called.expression(inner, expression)?;
                self.stack = called.stack;
                self.pieces.append(&mut called.pieces);
                self.done = called.done;
                Ok(())
            };
            locate::with_attribute(inner, target, dw::DW_AT_location, run).map(|_| ())
        })
    }

    fn piece(
        &mut self,
        machine: &mut Machine<'_, '_>,
        bits: u64,
        offset: Option<u64>,
    ) -> Result<(), Unavailable> {
        let source = match (self.done.take(), self.stack.pop()) {
            (Some(found), _) => found.source(Some(bits), machine.frame.arch().big_endian),
            (None, Some(at)) => PieceSource::Memory(Addr(machine.address(at)?)),
            (None, None) => PieceSource::Missing,
        };
        self.pieces.push(Piece { bits: Some(bits), skip: offset.unwrap_or(0), source });
        Ok(())
    }
}

impl Machine<'_, '_> {
    /// An address of the file in the process.
    fn linked(&self, address: u64) -> u64 {
        address.wrapping_add(self.frame.bias())
    }

    pub(super) fn take_bytes(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Unavailable> {
        let left = self.budget.bytes.checked_sub(bytes.len());
        self.budget.bytes = left.ok_or_else(|| broken("a value that is too long"))?;
        Ok(bytes.to_vec())
    }
}

/// A register that is not known in a frame, by its name where it has one.
pub(super) fn unknown_register(frame: &dyn FrameContext, number: u16) -> Unavailable {
    let arch = frame.arch();
    let name = match arch.by_dwarf(number) {
        Some(id) => arch.register(id).name.to_owned(),
        None => arch.wide_register(number).map_or_else(|| number.to_string(), |wide| wide.name()),
    };
    Unavailable::RegisterUnknown(name)
}
