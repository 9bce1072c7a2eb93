//! What each operation of an expression does.

use gimli::{DieReference, EndianSlice, Operation, Reader as _, Register, RunTimeEndian, constants as dw};
use prospect_process::Addr;

use super::{
    ImplicitTarget, Location, Piece, PieceSource, Unavailable, call_site, locate,
    machine::{Machine, Outcome, broken, not_understood},
    number::{Binary, Number, NumberType, Unary},
};
use crate::{
    symbol::dwarf::{EntryUnit, Value},
    type_info::EntryId,
};

/// So many values may lie on the stack.
const MOST_VALUES: usize = 1024;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// Runs an expression of `unit`: of a value of so many bytes, with an address on its stack, where either is known.
pub(super) fn run(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'_>,
    expression: &[u8],
    (bytes, start): (Option<u64>, Option<Addr>),
) -> Result<Outcome, Unavailable> {
    let stack = start.into_iter().map(|start| Number::generic(start.0)).collect();
    let mut run = Run { unit, bytes, stack, pieces: Vec::new(), done: None };
    run.expression(machine, expression)?;
    Ok(match (run.done, run.pieces, run.stack.pop()) {
        (done, pieces, _) if !pieces.is_empty() => {
            if done.is_some() {
                return Err(broken("a piece without a size"));
            }
            Outcome::Location(Location { pieces })
        }
        (Some(found), ..) => {
            let bits = bytes.map(|bytes| bytes.saturating_mul(8));
            let source = found.source(bits, machine.frame.arch().big_endian);
            Outcome::Location(Location { pieces: vec![Piece::whole(source)] })
        }
        (None, _, Some(number)) => Outcome::Number(number),
        (None, _, None) => Outcome::Nothing,
    })
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
            machine.step()?;
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

    fn change(&mut self, apply: impl FnOnce(Number) -> gimli::Result<Number>) -> Result<(), Unavailable> {
        let number = self.pop()?;
        self.push(apply(number).map_err(not_understood)?)
    }

    fn unary(&mut self, operation: Unary, mask: u64) -> Result<(), Unavailable> {
        self.change(|number| number.unary(operation, mask))
    }

    fn binary(&mut self, operation: Binary, mask: u64) -> Result<(), Unavailable> {
        let right = self.pop()?;
        self.change(|left| left.binary(operation, right, mask))
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
            Operation::UnsignedConstant { value } => self.push(Number::generic(value & mask)),
            Operation::SignedConstant { value } => self.push(Number::generic(value.cast_unsigned() & mask)),
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
            Operation::Abs => self.unary(Unary::Abs, mask),
            Operation::Neg => self.unary(Unary::Neg, mask),
            Operation::Not => self.unary(Unary::Not, mask),
            Operation::And => self.binary(Binary::And, mask),
            Operation::Or => self.binary(Binary::Or, mask),
            Operation::Xor => self.binary(Binary::Xor, mask),
            Operation::Plus => self.binary(Binary::Plus, mask),
            Operation::Minus => self.binary(Binary::Minus, mask),
            Operation::Mul => self.binary(Binary::Mul, mask),
            Operation::Div => self.binary(Binary::Div, mask),
            Operation::Mod => self.binary(Binary::Mod, mask),
            Operation::Shl => self.binary(Binary::Shl, mask),
            Operation::Shr => self.binary(Binary::Shr, mask),
            Operation::Shra => self.binary(Binary::Shra, mask),
            Operation::Eq => self.binary(Binary::Eq, mask),
            Operation::Ne => self.binary(Binary::Ne, mask),
            Operation::Ge => self.binary(Binary::Ge, mask),
            Operation::Gt => self.binary(Binary::Gt, mask),
            Operation::Le => self.binary(Binary::Le, mask),
            Operation::Lt => self.binary(Binary::Lt, mask),
            Operation::PlusConstant { value } => self.change(|number| number.plus(value, mask)),
            // The values of what it is known to be all the same.
            Operation::Nop | Operation::Uninitialized => Ok(()),
            Operation::Convert { base_type } => {
                let ty = machine.number_type(self.unit, base_type)?;
                self.change(|number| number.convert(ty, mask))
            }
            Operation::Reinterpret { base_type } => {
                let ty = machine.number_type(self.unit, base_type)?;
                let arch = machine.frame.arch();
                self.change(|number| number.reinterpret(ty, arch))
            }
            Operation::TypedLiteral { base_type, value } => {
                let ty = machine.number_type(self.unit, base_type)?;
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
        let generic = |value: u64| Number::generic(value & mask);
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
                let ty = machine.number_type(self.unit, base_type)?;
                let number = machine.typed_register(register, ty)?;
                self.push(if ty == NumberType::ADDRESS {
                    generic(machine.address(number)?.wrapping_add_signed(offset))
                } else {
                    number
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
                let ty = machine.number_type(self.unit, base_type)?;
                let at = machine.address(self.pop()?)?;
                let fits =
                    if ty == NumberType::ADDRESS { size <= 8 } else { ty.bytes(mask) == u64::from(size) };
                if !fits {
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
                self.finish(Found::Number(number.bytes(machine.frame.arch()).map_err(not_understood)?))
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
                self.push(Number::generic(number.cast_unsigned() & mask))
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
