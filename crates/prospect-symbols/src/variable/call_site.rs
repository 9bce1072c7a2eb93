//! What a register held, or a parameter was, when a function was called: its caller says so where it made the call
//! (DWARF 5, sections 2.5.1.7 and 3.4).

use std::sync::Arc;

use gimli::{EndianSlice, Operation, Register, RunTimeEndian, Value as Number, constants as dw};
use prospect_process::{Addr, LinkAddr};

use super::{
    Unavailable,
    expression::{Machine, broken},
    locate::LONGEST_CHAIN,
};
use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel, Value},
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
        (Some(Operation::RegisterOffset { register: Register(register), offset, .. }), None, None) => {
            let number = at_call(machine, Wanted::Register(register))?;
            match number {
                Number::Generic(value) => Ok(Number::Generic(value.wrapping_add_signed(offset))),
                typed => Ok(typed),
            }
        }
        (
            Some(Operation::RegisterOffset { register: Register(register), offset: 0, .. }),
            Some(Operation::Deref { space: false, .. }),
            None,
        ) => at_call(machine, Wanted::Pointed(register)),
        _ => Err(Unavailable::EntryValueUnknown),
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
    let unknown = Unavailable::EntryValueUnknown;
    let caller = machine.frame.caller().ok_or(unknown.clone())?;
    let returns = caller.return_address().ok_or(unknown.clone())?;
    let debug = caller.binary().and_then(|binary| binary.debug_info()).ok_or(unknown.clone())?;
    let callee = Callee::of(machine)?;
    let budget = &mut *machine.budget;
    let inside = LinkAddr(returns.0.wrapping_sub(1));
    let found = debug.with_functions_at(inside, machine.fuel, |unit, scopes, fuel| {
        let function = *scopes.first()?;
        let site = debug.call_site(returns, || find_site(unit, function, returns, fuel))?;
        let function = Some(unit.id(function));
        let mut machine = Machine { debug, frame: caller, function, budget, fuel, object: None };
        Some(value_at(&mut machine, unit, site, &callee, wanted))
    });
    match found.flatten() {
        Some(Err(Unavailable::OptimisedOut | Unavailable::RegisterUnknown(_))) | None => Err(unknown),
        Some(result) => result,
    }
}

/// The function that was called.
struct Callee {
    debug: Arc<DebugInfo>,
    entry: EntryId,
    names: Names,
    /// Where it begins in the process.
    start: Option<Addr>,
}

/// What a function is called in the source and in the object file.
#[derive(Default, Debug)]
struct Names {
    name: Option<Vec<u8>>,
    linkage_name: Option<Vec<u8>>,
}

impl Names {
    fn of(debug: &DebugInfo, mut id: EntryId, fuel: &mut Fuel<'_>) -> Self {
        let mut names = Self::default();
        for _ in 0..LONGEST_CHAIN {
            let next = debug.with_entry(id, fuel, |unit: &EntryUnit<'_>, at: usize, _: &mut Fuel<'_>| {
                let mut origin = Value::None;
                let own = |value| unit.text(value).map(<[u8]>::to_vec);
                for (attribute, value) in unit.entry(at)? {
                    match attribute {
                        dw::DW_AT_name if names.name.is_none() => names.name = own(value),
                        dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name
                            if names.linkage_name.is_none() =>
                        {
                            names.linkage_name = own(value);
                        }
                        dw::DW_AT_abstract_origin | dw::DW_AT_specification => origin = value,
                        _ => {}
                    }
                }
                unit.target(origin)
            });
            match next.flatten() {
                Some(next) => id = next,
                None => break,
            }
        }
        names
    }

    fn are_same(&self, other: &Self) -> bool {
        match (&self.linkage_name, &other.linkage_name) {
            (Some(one), Some(other)) => one == other,
            _ => self.name.is_some() && self.name == other.name,
        }
    }
}

impl Callee {
    fn of(machine: &mut Machine<'_, '_>) -> Result<Self, Unavailable> {
        let entry = machine.function.ok_or(Unavailable::EntryValueUnknown)?;
        let bias = machine.frame.bias();
        let start = machine.with_entry(entry, |_, unit, at| {
            let mut attributes = unit.entry(at).ok_or_else(|| broken("an entry that is not there"))?;
            let low_pc = attributes.find(|(name, _)| *name == dw::DW_AT_low_pc);
            Ok(low_pc.and_then(|(_, value)| unit.address(value)))
        })?;
        let names = Names::of(machine.debug, entry, machine.fuel);
        let start = start.map(|start| LinkAddr(start).to_addr(bias));
        Ok(Self { debug: machine.debug.clone(), entry, names, start })
    }
}

/// The entry of the call that returns to an address, somewhere in a function.
fn find_site(unit: &EntryUnit<'_>, function: usize, returns: LinkAddr, fuel: &mut Fuel<'_>) -> Option<usize> {
    let mut open = vec![unit.children(function)];
    while let Some(children) = open.last_mut() {
        let Some(entry) = children.next(fuel) else {
            open.pop();
            continue;
        };
        let (tag, at) = (entry.tag, entry.at);
        match tag {
            dw::DW_TAG_call_site | dw::DW_TAG_GNU_call_site => {
                let is_it = |(name, value): (gimli::DwAt, Value<'_>)| {
                    matches!(name, dw::DW_AT_call_return_pc | dw::DW_AT_low_pc)
                        && unit.address(value) == Some(returns.0)
                };
                let mut entry = entry;
                if entry.any(is_it) {
                    return Some(at);
                }
            }
            dw::DW_TAG_lexical_block
            | dw::DW_TAG_inlined_subroutine
            | dw::DW_TAG_try_block
            | dw::DW_TAG_catch_block
                if entry.has_children =>
            {
                open.push(unit.children(at));
            }
            _ => {}
        }
    }
    None
}

/// What the call at `site` says, in the caller's frame.
fn value_at(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'_>,
    site: usize,
    callee: &Callee,
    wanted: Wanted,
) -> Result<Number, Unavailable> {
    if !leads_to(machine, unit, site, callee)? {
        // The called function has left its frame to another one: what that one was given is not said here.
        return Err(Unavailable::EntryValueUnknown);
    }
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
            return machine.register(number).map(Number::Generic);
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

/// Whether a call goes to the function whose frame is there, and not to one that ended by jumping to it.
fn leads_to(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'_>,
    site: usize,
    callee: &Callee,
) -> Result<bool, Unavailable> {
    let (mut origin, mut target) = (Value::None, Value::None);
    for (name, value) in unit.entry(site).ok_or_else(|| broken("an entry that is not there"))? {
        match name {
            dw::DW_AT_call_origin | dw::DW_AT_abstract_origin => origin = value,
            dw::DW_AT_call_target | dw::DW_AT_GNU_call_site_target => target = value,
            _ => {}
        }
    }
    if let Some(called) = unit.target(origin) {
        if Arc::ptr_eq(machine.debug, &callee.debug) && called == callee.entry {
            return Ok(true);
        }
        return Ok(Names::of(machine.debug, called, machine.fuel).are_same(&callee.names));
    }
    let Some(expression) = target.expression() else { return Ok(false) };
    let number = machine.number(unit, expression)?;
    Ok(callee.start == Some(Addr(machine.address(number)?)))
}
