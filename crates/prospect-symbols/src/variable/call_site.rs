//! What a register held, or a parameter was, when a function was called: its caller says so where it made the call
//! (DWARF 5, sections 2.5.1.7 and 3.4).

use std::{collections::HashMap, sync::Arc};

use gimli::{EndianSlice, Operation, Register, RunTimeEndian, constants as dw};

use super::{
    FrameContext, Unavailable,
    callee::{Called, Callee, called},
    entry_frame::{EntryFrame, registers_of},
    machine::{Machine, broken, too_deep},
    number::Number,
    tail_calls::{self, Jumped, call_at},
};
use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Value},
    type_info::EntryId,
};

/// What is asked of a call.
#[derive(Clone, Copy)]
enum Wanted {
    /// The value in a register.
    Register(u16),
    /// What the register pointed to.
    Pointed(u16),
    /// The value of a parameter, by its entry.
    Parameter(EntryId),
}

/// The value that an expression of `unit` had when the function was called.
pub(super) fn entry_value(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'_>,
    expression: EndianSlice<'_, RunTimeEndian>,
) -> Result<Number, Unavailable> {
    let mut operations = gimli::Expression(expression).operations(unit.encoding());
    let mut next = || operations.next().ok().flatten();
    match (next(), next(), next()) {
        (Some(Operation::Register { register }), None, None) => {
            at_call(machine, Wanted::Register(register.0))
        }
        (
            Some(Operation::RegisterOffset { register: Register(register), offset: 0, .. }),
            Some(Operation::Deref { space: false, size, base_type }),
            None,
        ) if base_type.0 == 0 => {
            let number = at_call(machine, Wanted::Pointed(register))?;
            let low = u64::MAX >> 64_u32.saturating_sub(8 * u32::from(size)).min(63);
            Ok(Number::generic(machine.address(number)? & low))
        }
        _ => computed(machine, unit, expression),
    }
}

/// What an expression made of registers as they were.
fn computed(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'_>,
    expression: EndianSlice<'_, RunTimeEndian>,
) -> Result<Number, Unavailable> {
    let function = machine.function.ok_or(Unavailable::EntryValueUnknown)?;
    let mut registers = HashMap::new();
    for register in registers_of(unit, expression)? {
        let number = at_call(machine, Wanted::Register(register))?;
        let bytes = number.bytes(machine.frame.arch()).map_err(|_| broken("it is no number"))?;
        registers.insert(register, bytes);
    }
    let (frame, debug) = (EntryFrame { frame: machine.frame, registers }, machine.debug);
    match machine.in_frame(&frame, (debug, function), |inner| inner.number(unit, expression.slice())) {
        Err(Unavailable::CannotRead(_) | Unavailable::RegisterUnknown(_)) => {
            Err(Unavailable::EntryValueUnknown)
        }
        found => found,
    }
}

/// The value that a parameter had when the function was called.
pub(super) fn parameter_value(
    machine: &mut Machine<'_, '_>,
    parameter: EntryId,
) -> Result<Number, Unavailable> {
    at_call(machine, Wanted::Parameter(parameter))
}

fn at_call(machine: &mut Machine<'_, '_>, wanted: Wanted) -> Result<Number, Unavailable> {
    let unknown = || Unavailable::EntryValueUnknown;
    let caller = machine.frame.caller().filter(|caller| caller.return_address().is_some());
    let caller = caller.ok_or_else(unknown)?;
    let debug = caller.binary().and_then(|binary| binary.debug_info()).ok_or_else(unknown)?;
    let callee = Callee::of(machine)?;
    let budget = &mut *machine.budget;
    let found = debug.with_functions_at(caller.at(), machine.fuel, |unit, scopes, fuel| {
        let function = *scopes.first()?;
        let site = debug.call_site(caller.at(), || call_at(unit, scopes, caller.at(), fuel))?;
        let function = Some(unit.id(function));
        let mut machine = Machine { debug, frame: caller, function, budget, fuel, object: None };
        Some(match called(&mut machine, unit, site) {
            Ok(called) if callee.is(&called, &mut machine) => {
                value_at(&mut machine, unit, site, &callee, wanted).map(Said::Value)
            }
            other => other.map(Said::Another),
        })
    });
    let found = match found.flatten().ok_or_else(unknown)? {
        Ok(Said::Another(called)) => after_jumps(machine, (caller, debug), &callee, &called, wanted),
        Ok(Said::Value(number)) => Ok(number),
        Err(error) => Err(error),
    };
    match found {
        // It may have been entered again by a jump, with other values.
        Ok(_) if tail_calls::lead_back(&callee, machine.fuel) => Err(unknown()),
        Err(Unavailable::OptimisedOut | Unavailable::RegisterUnknown(_)) => Err(unknown()),
        // In a deep recursion, what one call gave may be what every call before it did.
        Err(error) if error == too_deep() => Err(unknown()),
        found => found,
    }
}

/// What a call says.
enum Said {
    Value(Number),
    /// It is a call of another function, which left its frame by a jump.
    Another(Called),
}

/// What the last jump says, where the call goes to another function, and one way of jumps leads from that to the callee.
fn after_jumps(
    machine: &mut Machine<'_, '_>,
    (caller, debug): (&dyn FrameContext, &Arc<DebugInfo>),
    callee: &Callee,
    called: &Called,
    wanted: Wanted,
) -> Result<Number, Unavailable> {
    let unknown = Unavailable::EntryValueUnknown;
    let chain = tail_calls::chain(debug, called, callee, machine.frame.bias(), machine.fuel);
    let chain = chain.ok_or(unknown.clone())?;
    let jumped = Jumped::new(machine.frame, caller, &chain);
    let last = jumped.last().ok_or(unknown)?;
    machine.deeper(|inner| {
        inner.in_frame(&jumped, (&callee.debug, last.from), |inner| {
            inner.with_entry(last.site, |inner, unit, site| value_at(inner, unit, site, callee, wanted))
        })
    })
}

/// What the call or jump at `site` says, in the frame that made it.
fn value_at(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'_>,
    site: usize,
    callee: &Callee,
    wanted: Wanted,
) -> Result<Number, Unavailable> {
    let mut parameters = unit.children(site);
    while let Some(parameter) = parameters.next(machine.fuel) {
        let (mut place, mut value, mut pointed, mut entry) =
            (Value::None, Value::None, Value::None, Value::None);
        for (name, one) in parameter {
            match name {
                dw::DW_AT_location => place = one,
                dw::DW_AT_call_value | dw::DW_AT_GNU_call_site_value => value = one,
                dw::DW_AT_call_data_value | dw::DW_AT_GNU_call_site_data_value => pointed = one,
                dw::DW_AT_call_parameter | dw::DW_AT_abstract_origin => entry = one,
                _ => {}
            }
        }
        let register = place.expression().and_then(|bytes| register_of(unit, bytes));
        let found = match wanted {
            Wanted::Register(wanted) if register == Some(wanted) => value,
            Wanted::Pointed(wanted) if register == Some(wanted) => pointed,
            Wanted::Parameter(wanted) if is_entry(callee, unit, entry, wanted, machine) => value,
            _ => continue,
        };
        let expression = found.expression().ok_or(Unavailable::EntryValueUnknown)?;
        return machine.number(unit, expression);
    }
    // Nothing is said of a register that the caller did not change for the call.
    if let Wanted::Register(number) = wanted {
        let arch = machine.frame.arch();
        let is_kept = arch.by_dwarf(number).is_some_and(|id| arch.register(id).preserved && id != arch.sp);
        if is_kept {
            return machine.register(number).map(Number::generic);
        }
    }
    Err(Unavailable::EntryValueUnknown)
}

/// The register that a place is, if it is one.
fn register_of(unit: &EntryUnit<'_>, place: &[u8]) -> Option<u16> {
    let endian = if unit.is_big_endian() { RunTimeEndian::Big } else { RunTimeEndian::Little };
    let mut operations = gimli::Expression(EndianSlice::new(place, endian)).operations(unit.encoding());
    match (operations.next().ok().flatten()?, operations.next().ok().flatten()) {
        (Operation::Register { register }, None) => Some(register.0),
        _ => None,
    }
}

/// Whether an attribute of the caller refers to a parameter of the called function.
fn is_entry(
    callee: &Callee,
    unit: &EntryUnit<'_>,
    value: Value<'_>,
    wanted: EntryId,
    machine: &Machine<'_, '_>,
) -> bool {
    Arc::ptr_eq(machine.debug, &callee.debug) && unit.target(value) == Some(wanted)
}
