//! Which function was called: the one whose frame is there, and the one that a call site names.

use std::sync::Arc;

use gimli::constants as dw;
use prospect_process::Addr;

use super::{
    Unavailable,
    locate::LONGEST_CHAIN,
    machine::{Machine, broken},
};
use crate::{
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel, Value},
    type_info::EntryId,
};

/// The function that was called.
pub(super) struct Callee {
    pub(super) debug: Arc<DebugInfo>,
    pub(super) entry: EntryId,
    /// What its module's addresses in the process are more than those that it was linked for.
    bias: u64,
}

/// What a function is called in the source and in the object file.
#[derive(Default, Debug)]
pub(super) struct Names {
    pub(super) name: Option<Vec<u8>>,
    pub(super) linkage_name: Option<Vec<u8>>,
}

impl Names {
    pub(super) fn of(debug: &DebugInfo, mut id: EntryId, fuel: &mut Fuel<'_>) -> Self {
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

    pub(super) fn are_same(&self, other: &Self) -> bool {
        match (&self.linkage_name, &other.linkage_name) {
            (Some(one), Some(other)) => one == other,
            _ => self.name.is_some() && self.name == other.name,
        }
    }
}

impl Callee {
    pub(super) fn of(machine: &Machine<'_, '_>) -> Result<Self, Unavailable> {
        let entry = machine.function.ok_or(Unavailable::EntryValueUnknown)?;
        Ok(Self { debug: machine.debug.clone(), entry, bias: machine.frame.bias() })
    }

    /// Where it begins in the process.
    fn start(&self, fuel: &mut Fuel<'_>) -> Option<Addr> {
        let start = |unit: &EntryUnit<'_>, at: usize, _: &mut Fuel<'_>| unit.start_of(at);
        let start = self.debug.with_entry(self.entry, fuel, start).flatten()?;
        Some(start.to_addr(self.bias))
    }

    /// Whether it is the one that a call site of the machine's frame names.
    pub(super) fn is(&self, called: &Called, machine: &mut Machine<'_, '_>) -> bool {
        match *called {
            Called::At(at) => self.start(machine.fuel) == Some(at),
            Called::Function(id) if Arc::ptr_eq(machine.debug, &self.debug) && id == self.entry => true,
            Called::Function(id) => {
                let own = Names::of(&self.debug, self.entry, machine.fuel);
                Names::of(machine.debug, id, machine.fuel).are_same(&own)
            }
        }
    }
}

/// What a call site names as called.
pub(super) enum Called {
    /// A function, by an entry of the same debug information.
    Function(EntryId),
    /// What begins there in the process.
    At(Addr),
}

/// What the call at `site` calls, which the machine's frame has made.
pub(super) fn called(
    machine: &mut Machine<'_, '_>,
    unit: &EntryUnit<'_>,
    site: usize,
) -> Result<Called, Unavailable> {
    let (mut origin, mut target) = (Value::None, Value::None);
    for (name, value) in unit.entry(site).ok_or_else(|| broken("an entry that is not there"))? {
        match name {
            dw::DW_AT_call_origin | dw::DW_AT_abstract_origin => origin = value,
            dw::DW_AT_call_target | dw::DW_AT_GNU_call_site_target => target = value,
            _ => {}
        }
    }
    if let Some(called) = unit.target(origin) {
        return Ok(Called::Function(called));
    }
    let expression = target.expression().ok_or(Unavailable::EntryValueUnknown)?;
    let number = machine.number(unit, expression)?;
    Ok(Called::At(Addr(machine.address(number)?)))
}
