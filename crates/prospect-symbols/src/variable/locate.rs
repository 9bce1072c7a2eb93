//! Where the value of a variable is in a frame: by its entry, or by those that the entry is an instance of.

use std::sync::Arc;

use gimli::{DwAt, constants as dw};

use super::{
    FrameContext, Located, Location, Piece, PieceSource, Unavailable, Variable, bounds, globals,
    machine::{Budget, Machine, broken},
};
use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel, Listed, Value},
    type_info::{BaseEncoding, EntryId, TypeKind, TypeRef},
};

/// An entry refers to an abstract one, that to a declaration: longer chains are broken.
pub(super) const LONGEST_CHAIN: usize = 16;

/// What leads from a variable to its debug information.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) debug: Arc<DebugInfo>,
    pub(super) entry: EntryId,
    /// The function that was really called; none for what is outside of functions.
    pub(super) function: Option<EntryId>,
    /// It is only declared there: it is the global variable of that name.
    pub(super) is_declaration: bool,
}

/// Where a variable is, and what.
pub(super) fn variable(variable: &Variable, frame: &dyn FrameContext) -> Result<Located, Unavailable> {
    if !variable.in_scope {
        return Err(Unavailable::NotInScope);
    }
    let handle = &variable.handle;
    let (tank, mut budget) = (handle.debug.tank(), Budget::new());
    let mut machine = Machine {
        debug: &handle.debug,
        frame,
        function: handle.function,
        budget: &mut budget,
        fuel: &mut tank.fuel(),
        object: None,
    };
    let mut entry_id = handle.entry;
    let mut ty = variable.ty.clone();
    if handle.is_declaration {
        let found = globals::find(&handle.debug, &variable.name, machine.fuel).into_iter().next();
        let found = found.ok_or(Unavailable::OptimisedOut)?;
        (entry_id, ty) = (found.handle.entry, found.ty);
    }
    let ty = bounds::fixed(&mut machine, &ty)?;
    let mut location = entry(&mut machine, entry_id, ty.size())?;
    if let Some(bytes) = ty.size() {
        location = location.completed(bytes);
    }
    Ok(Located { location, ty })
}

/// What an entry says of where its value is.
#[derive(Default)]
struct Said<'a> {
    location: Value<'a>,
    constant: Value<'a>,
    origin: Value<'a>,
}

/// What came of one entry of a chain.
enum Step<T> {
    Found(T),
    /// It says nothing; this one may.
    Next(EntryId),
    End,
}

/// Where the value of an entry is, which has so many bytes, where that is known.
pub(super) fn entry(
    machine: &mut Machine<'_, '_>,
    mut id: EntryId,
    bytes: Option<u64>,
) -> Result<Location, Unavailable> {
    for _ in 0..LONGEST_CHAIN {
        let step = machine.with_entry(id, |machine, unit, at| {
            let mut said = Said::default();
            for (name, value) in unit.entry(at).ok_or_else(|| broken("an entry that is not there"))? {
                match name {
                    dw::DW_AT_location => said.location = value,
                    dw::DW_AT_const_value => said.constant = value,
                    dw::DW_AT_abstract_origin | dw::DW_AT_specification => said.origin = value,
                    _ => {}
                }
            }
            if said.location != Value::None {
                let Some(expression) = expression(machine, unit, said.location)? else {
                    return Err(Unavailable::OptimisedOut);
                };
                return machine.location(unit, expression, bytes).map(Step::Found);
            }
            if said.constant != Value::None {
                return constant(machine, unit, said.constant, bytes).map(Step::Found);
            }
            Ok(unit.target(said.origin).map_or(Step::End, Step::Next))
        })?;
        match step {
            Step::Found(location) => return Ok(location),
            Step::Next(next) => id = next,
            Step::End => break,
        }
    }
    Err(Unavailable::OptimisedOut)
}

impl<'t> Machine<'_, 't> {
    /// Opens the unit with an entry.
    pub(super) fn with_entry<T>(
        &mut self,
        id: EntryId,
        read: impl FnOnce(&mut Machine<'_, '_>, &EntryUnit<'_>, usize) -> Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        let Self { debug, frame, function, budget, fuel, object } = self;
        let opened = debug.with_entry(id, fuel, |unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>| {
            let mut inner =
                Machine { debug, frame: *frame, function: *function, budget, fuel, object: *object };
            read(&mut inner, unit, at)
        });
        opened.unwrap_or_else(|| Err(broken("an entry that is not there")))
    }
}

/// The expression that an attribute has for the frame's address; `None` where there is none for it.
fn expression<'a>(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'a>,
    value: Value<'a>,
) -> Result<Option<&'a [u8]>, Unavailable> {
    if let Some(expression) = value.expression() {
        return Ok(Some(expression));
    }
    match unit.listed(value, machine.frame.at().0, machine.fuel) {
        Listed::At(expression) => Ok(Some(expression)),
        Listed::Nowhere => Ok(None),
        Listed::Broken => Err(broken("a broken location list")),
    }
}

/// Hands the expression of an attribute of an entry, or of one that it is an instance of, to `run`; `None` where there is none.
pub(super) fn with_attribute<T>(
    machine: &mut Machine<'_, '_>,
    mut id: EntryId,
    attribute: DwAt,
    run: impl FnOnce(&mut Machine<'_, '_>, &EntryUnit<'_>, &[u8]) -> Result<T, Unavailable>,
) -> Result<Option<T>, Unavailable> {
    let mut run = Some(run);
    for _ in 0..LONGEST_CHAIN {
        let step = machine.with_entry(id, |machine, unit, at| {
            let (mut found, mut origin) = (Value::None, Value::None);
            for (name, value) in unit.entry(at).ok_or_else(|| broken("an entry that is not there"))? {
                match name {
                    dw::DW_AT_abstract_origin | dw::DW_AT_specification => origin = value,
                    name if name == attribute => found = value,
                    _ => {}
                }
            }
            if found == Value::None {
                return Ok(unit.target(origin).map_or(Step::End, Step::Next));
            }
            match (expression(machine, unit, found)?, run.take()) {
                (Some(expression), Some(run)) => run(machine, unit, expression).map(Step::Found),
                _ => Ok(Step::End),
            }
        })?;
        match step {
            Step::Found(found) => return Ok(Some(found)),
            Step::Next(next) => id = next,
            Step::End => break,
        }
    }
    Ok(None)
}

/// The bytes of a constant (DWARF 5, section 4.1, `DW_AT_const_value`).
fn constant<'a>(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'a>,
    value: Value<'a>,
    bytes: Option<u64>,
) -> Result<Location, Unavailable> {
    let number = match value {
        Value::Block(bytes) | Value::Expression(bytes) => {
            return Ok(Location::bytes(machine.take_bytes(bytes)?));
        }
        Value::Address(address) => machine.frame.bias().wrapping_add(address).into(),
        Value::Number(number) => number.into(),
        Value::Signed(number) => i128::from(number),
        Value::Flag(flag) => flag.into(),
        value => {
            let text = unit.text(value).ok_or_else(|| broken("a constant of a strange form"))?;
            let mut text = machine.take_bytes(text)?;
            text.push(0);
            return Ok(Location::bytes(text));
        }
    };
    let size = bytes.map_or(8, |bytes| bytes.min(16)) as usize;
    Ok(Location::bytes(if machine.frame.arch().big_endian {
        number.to_be_bytes()[16 - size..].to_vec()
    } else {
        number.to_le_bytes()[..size].to_vec()
    }))
}

/// The number that a variable holds.
pub(super) fn value_of(machine: &mut Machine<'_, '_>, id: EntryId) -> Result<i64, Unavailable> {
    let ty = type_of(machine, id)?;
    let size = ty.size().filter(|size| (1..=8).contains(size)).ok_or_else(|| broken("it is no number"))?;
    let location = entry(machine, id, Some(size))?;
    let bytes = location.read(machine.frame, size)?;
    let number = machine.frame.arch().unsigned(&bytes).unwrap_or(0);
    let is_signed =
        matches!(&ty.bare()?.1.kind, TypeKind::Base(base) if base.encoding == BaseEncoding::Signed);
    let spare = 64 - 8 * size;
    Ok(if is_signed { (number << spare).cast_signed() >> spare } else { number.cast_signed() })
}

/// The type of an entry, or of one that it is an instance of.
fn type_of(machine: &mut Machine<'_, '_>, mut id: EntryId) -> Result<TypeRef, Unavailable> {
    for _ in 0..LONGEST_CHAIN {
        let (ty, origin) = machine.with_entry(id, |_, unit, at| {
            let (mut ty, mut origin) = (Value::None, Value::None);
            for (name, value) in unit.entry(at).ok_or_else(|| broken("an entry that is not there"))? {
                match name {
                    dw::DW_AT_type => ty = value,
                    dw::DW_AT_abstract_origin | dw::DW_AT_specification => origin = value,
                    _ => {}
                }
            }
            Ok((unit.target(ty), unit.target(origin)))
        })?;
        match (ty, origin) {
            (Some(ty), _) => return Ok(TypeRef::at(machine.debug.clone(), ty)),
            (None, Some(origin)) => id = origin,
            (None, None) => break,
        }
    }
    Err(broken("it has no type"))
}

impl Piece {
    /// All of something.
    pub(crate) fn whole(source: PieceSource) -> Self {
        Self { bits: None, skip: 0, source }
    }
}
