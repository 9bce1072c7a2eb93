//! The machine that DWARF expressions are for (DWARF 5, sections 2.5 and 2.6, and what GNU adds).
//!
//! Here is what an evaluation knows and what comes of it; [`operations`] are what it does. What they need of a frame comes
//! from a [`FrameContext`]; what they need of other entries, from the debug information.

use std::sync::Arc;

use gimli::{UnitOffset, constants as dw};
use prospect_process::Addr;

use super::{
    FrameContext, Location, Piece, PieceSource, Unavailable, locate,
    number::{Number, NumberType},
    operations,
};
use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel},
    type_info::EntryId,
};

/// An evaluation that takes more operations than this, with all that it leads to, is not believed to end.
const MOST_OPERATIONS: u32 = 10_000;
/// So many bytes may be in the pieces of one value.
const MOST_PIECE_BYTES: usize = 1 << 20;
/// Expressions that lead to others deeper than this lead in a circle.
const DEEPEST: u32 = 24;

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

/// It leads further than is followed.
pub(super) fn too_deep() -> Unavailable {
    broken("it leads to itself")
}

pub(super) fn not_understood(error: gimli::Error) -> Unavailable {
    Unavailable::NotUnderstood(error.to_string())
}

impl<'m, 't> Machine<'m, 't> {
    /// The same for something that the expression leads to.
    pub(super) fn inner<'s>(&'s mut self) -> Result<Machine<'s, 't>, Unavailable>
    where
        'm: 's,
    {
        self.budget.depth = self.budget.depth.checked_sub(1).ok_or_else(too_deep)?;
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

    /// The same in another frame, of another function.
    pub(super) fn in_frame<T>(
        &mut self,
        frame: &dyn FrameContext,
        (debug, function): (&Arc<DebugInfo>, EntryId),
        run: impl FnOnce(&mut Machine<'_, '_>) -> T,
    ) -> T {
        let (budget, fuel) = (&mut *self.budget, &mut *self.fuel);
        run(&mut Machine { debug, frame, function: Some(function), budget, fuel, object: None })
    }

    pub(super) fn word_mask(&self) -> u64 {
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
        let arch = self.frame.arch();
        match self.run(unit, expression, None)? {
            Outcome::Number(number) => Ok(number),
            Outcome::Location(location) => {
                let bytes = match location.pieces.as_slice() {
                    [Piece { source: PieceSource::Bytes(bytes), .. }] => bytes.clone(),
                    _ => location.read(self.frame, arch.word_bytes.into())?,
                };
                let ty = match bytes.len() {
                    0..=8 => NumberType::ADDRESS,
                    16 => NumberType::Wide { signed: false },
                    other => NumberType::Opaque(u8::try_from(other).map_err(|_| broken("it is no number"))?),
                };
                Number::parse(ty, &bytes, arch).map_err(|_| broken("it is no number"))
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
        operations::run(self, unit, expression, (bytes, None))
    }

    /// The address that an expression of `unit` makes of that of the object, which is on its stack.
    pub(super) fn address_from(
        &mut self,
        unit: &EntryUnit<'_>,
        expression: &[u8],
    ) -> Result<Addr, Unavailable> {
        match operations::run(self, unit, expression, (None, self.object))? {
            Outcome::Number(number) => Ok(Addr(self.address(number)?)),
            _ => Err(broken("it leaves no address")),
        }
    }

    /// Takes one operation of what is granted.
    pub(super) fn step(&mut self) -> Result<(), Unavailable> {
        let left = self.budget.operations.checked_sub(1);
        self.budget.operations = left.ok_or_else(|| broken("an expression does not end"))?;
        Ok(())
    }

    pub(super) fn register(&self, register: u16) -> Result<u64, Unavailable> {
        self.frame.register(register).ok_or_else(|| unknown_register(self.frame, register))
    }

    pub(super) fn read(&self, at: u64, bytes: u8) -> Result<Vec<u8>, Unavailable> {
        let mut buffer = vec![0; bytes.into()];
        let at = Addr(at & self.word_mask());
        self.frame.memory().read(at, &mut buffer).map_err(|error| Unavailable::CannotRead(error.at))?;
        Ok(buffer)
    }

    /// The address that the locals of the function are counted from (DWARF 5, section 3.3.5).
    pub(super) fn frame_base(&mut self) -> Result<u64, Unavailable> {
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
    pub(super) fn number_type(
        &self,
        unit: &EntryUnit<'_>,
        at: UnitOffset<usize>,
    ) -> Result<NumberType, Unavailable> {
        if at.0 == 0 {
            return Ok(NumberType::ADDRESS);
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
        bytes
            .and_then(|bytes| NumberType::of(encoding.unwrap_or(0), bytes))
            .ok_or_else(|| broken("numbers of a type that is not known here"))
    }

    pub(super) fn parse(&self, ty: NumberType, bytes: &[u8]) -> Result<Number, Unavailable> {
        Number::parse(ty, bytes, self.frame.arch()).map_err(not_understood)
    }

    /// What a register holds, as a number of this type.
    pub(super) fn typed_register(&self, register: u16, ty: NumberType) -> Result<Number, Unavailable> {
        if ty == NumberType::ADDRESS {
            return Ok(Number::generic(self.register(register)?));
        }
        let location = Location { pieces: vec![Piece::whole(PieceSource::Register(register))] };
        self.parse(ty, &location.read(self.frame, ty.bytes(self.word_mask()))?)
    }
}

impl Machine<'_, '_> {
    /// An address of the file in the process.
    pub(super) fn linked(&self, address: u64) -> u64 {
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
