//! Calls that were made as jumps: the function that made one has no frame any more, and what it gave is said at its jump
//! (DWARF 5, section 3.4, `DW_AT_call_tail_call`).
//!
//! A frame whose caller called another function was reached by jumps. Where they can have gone one way only, that is the way;
//! where any of them leads to what is not known, there is no telling.

use std::{
    cell::OnceCell,
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use gimli::{DwTag, constants as dw};
use prospect_process::{Addr, ArchInfo, LinkAddr, Memory};

use super::{
    FrameContext,
    callee::{Called, Callee, Names},
    locate::LONGEST_CHAIN,
};
use crate::{
    ModuleBinary,
    symbol::dwarf::{DebugInfo, Entry, EntryUnit, Fuel, Value},
    type_info::EntryId,
};

/// The jumps of this many functions are remembered.
const MOST_REMEMBERED: usize = 4096;
/// So many jumps one after the other are followed.
const LONGEST_WAY: usize = 32;
/// So many jumps are looked at for one question.
const MOST_STEPS: usize = 2000;

/// A call of another function that is made as a jump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump {
    /// The function that makes it.
    pub(super) from: EntryId,
    /// The entry that says so.
    pub(super) site: EntryId,
    /// An address in its instruction.
    at: LinkAddr,
    to: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// A function with code in the same debug information.
    Function(EntryId),
    /// One that this debug information does not have.
    Elsewhere,
    /// It is not said, or there are several.
    Unknown,
}

/// The jumps of functions that were asked about.
#[derive(Default, Debug)]
pub(crate) struct TailCalls(Mutex<HashMap<EntryId, Arc<[Jump]>>>);

fn is_call(tag: DwTag) -> bool {
    matches!(tag, dw::DW_TAG_call_site | dw::DW_TAG_GNU_call_site)
}

fn is_block(tag: DwTag) -> bool {
    matches!(tag, dw::DW_TAG_lexical_block | dw::DW_TAG_try_block | dw::DW_TAG_catch_block)
}

/// A block, or a function that was inlined.
fn may_hold_calls(tag: DwTag) -> bool {
    is_block(tag) || tag == dw::DW_TAG_inlined_subroutine
}

/// An address in the instruction of a call: of one that comes back, the last one.
fn address_of(unit: &EntryUnit<'_>, site: Entry<'_, '_>) -> Option<LinkAddr> {
    let (mut own, mut behind) = (Value::None, Value::None);
    for (name, value) in site {
        match name {
            dw::DW_AT_call_pc => own = value,
            dw::DW_AT_call_return_pc | dw::DW_AT_low_pc => behind = value,
            _ => {}
        }
    }
    let behind = unit.address(behind).map(|behind| behind.wrapping_sub(1));
    behind.or_else(|| unit.address(own)).map(LinkAddr)
}

/// The entry of the call with such an address, in the function and what was inlined into it that cover the address (`scopes`,
/// the innermost last). It mostly stands in the innermost: only where none does is all of the function looked through.
pub(super) fn call_at(
    unit: &EntryUnit<'_>,
    scopes: &[usize],
    at: LinkAddr,
    fuel: &mut Fuel<'_>,
) -> Option<usize> {
    let mut within = |scope: usize, holds: fn(DwTag) -> bool| {
        unit.each_below(scope, fuel, is_call, holds, |site| {
            let entry = site.at;
            match address_of(unit, site) {
                Some(address) if address == at => ControlFlow::Break(entry),
                _ => ControlFlow::Continue(()),
            }
        })
    };
    let (function, _) = scopes.split_first()?;
    let near = scopes.iter().rev().find_map(|&scope| within(scope, is_block));
    near.or_else(|| within(*function, may_hold_calls))
}

/// The jumps of a function.
fn of_function(debug: &DebugInfo, function: EntryId, fuel: &mut Fuel<'_>) -> Arc<[Jump]> {
    let lock = || debug.tail_calls.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = lock().get(&function) {
        return known.clone();
    }
    let read = |unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>| {
        let mut jumps = Vec::new();
        let _ = unit.each_below::<()>(at, fuel, is_call, may_hold_calls, |site| {
            let (id, at) = (unit.id(site.at), unit.entry(site.at).and_then(|site| address_of(unit, site)));
            let (mut is_jump, mut origin) = (false, Value::None);
            for (name, value) in site {
                match name {
                    dw::DW_AT_call_tail_call | dw::DW_AT_GNU_tail_call => is_jump = value.is_set(),
                    dw::DW_AT_call_origin | dw::DW_AT_abstract_origin => origin = value,
                    _ => {}
                }
            }
            if let (true, Some(at)) = (is_jump, at) {
                jumps.push((id, at, unit.target(origin)));
            }
            ControlFlow::Continue(())
        });
        jumps
    };
    let jumps = debug.with_entry(function, fuel, read).unwrap_or_default();
    let jumps = jumps.into_iter().map(|(site, at, called)| {
        let to = called.map_or(Target::Unknown, |called| target(debug, called, fuel));
        Jump { from: function, site, at, to }
    });
    let jumps: Arc<[Jump]> = jumps.collect();
    let mut known = lock();
    if known.len() >= MOST_REMEMBERED {
        known.clear();
    }
    known.insert(function, jumps.clone());
    jumps
}

/// The function with code that an entry means: itself, or the one instance or definition of it.
fn target(debug: &DebugInfo, called: EntryId, fuel: &mut Fuel<'_>) -> Target {
    let has_code = |unit: &EntryUnit<'_>, at: usize, _: &mut Fuel<'_>| {
        unit.entry(at).is_some_and(|mut entry| entry.any(|(name, _)| is_code(name)))
    };
    if debug.with_entry(called, fuel, has_code).unwrap_or(false) {
        return Target::Function(called);
    }
    let names = Names::of(debug, called, fuel);
    named(debug, &names, Some(called), fuel)
}

fn is_code(attribute: gimli::DwAt) -> bool {
    matches!(attribute, dw::DW_AT_low_pc | dw::DW_AT_ranges)
}

/// The one function of that name, among those whose entries are instances of `abstract_entry` if any is.
fn named(debug: &DebugInfo, names: &Names, abstract_entry: Option<EntryId>, fuel: &mut Fuel<'_>) -> Target {
    let Some(name) = names.linkage_name.as_ref().or(names.name.as_ref()) else { return Target::Unknown };
    let mut found: Vec<(EntryId, bool)> = Vec::new();
    for at in debug.functions_named(name) {
        let at = debug.with_functions_at(at, fuel, |unit, scopes, _| scopes.first().map(|&one| unit.id(one)));
        let Some(function) = at.flatten().filter(|one| found.iter().all(|(other, _)| other != one)) else {
            continue;
        };
        let is_instance = abstract_entry.is_some_and(|entry| is_instance(debug, function, entry, fuel));
        found.push((function, is_instance));
    }
    if found.iter().any(|(_, is_instance)| *is_instance) {
        found.retain(|(_, is_instance)| *is_instance);
    }
    match found.as_slice() {
        [] => Target::Elsewhere,
        [(only, _)] => Target::Function(*only),
        _ => Target::Unknown,
    }
}

/// Whether one entry is an instance of another, or of what that is an instance of.
fn is_instance(debug: &DebugInfo, mut one: EntryId, of: EntryId, fuel: &mut Fuel<'_>) -> bool {
    for _ in 0..LONGEST_CHAIN {
        if one == of {
            return true;
        }
        let origin = |unit: &EntryUnit<'_>, at: usize, _: &mut Fuel<'_>| {
            let is_origin = |name| matches!(name, dw::DW_AT_abstract_origin | dw::DW_AT_specification);
            let (_, value) = unit.entry(at)?.find(|(name, _)| is_origin(*name))?;
            unit.target(value)
        };
        match debug.with_entry(one, fuel, origin).flatten() {
            Some(origin) => one = origin,
            None => return false,
        }
    }
    false
}

/// Whether a function can be entered again by its own jumps, and what they lead to; also where that is not known.
pub(super) fn lead_back(callee: &Callee, fuel: &mut Fuel<'_>) -> bool {
    let (debug, goal) = (&callee.debug, callee.entry);
    let (mut seen, mut open) = (Vec::new(), vec![goal]);
    while let Some(function) = open.pop() {
        for jump in of_function(debug, function, fuel).iter() {
            match jump.to {
                Target::Unknown => return true,
                Target::Function(next) if next == goal => return true,
                Target::Function(next) if !seen.contains(&next) => {
                    if seen.len() >= MOST_STEPS {
                        return true;
                    }
                    seen.push(next);
                    open.push(next);
                }
                _ => {}
            }
        }
    }
    false
}

/// The jumps that lead from one function to another, the last ones: as far back as all ways have the same.
#[derive(Debug)]
pub(super) struct Chain {
    jumps: Vec<Jump>,
    /// Whether the first of them is one of the function that was called.
    is_whole: bool,
}

/// What leads from a called function, which an entry of `debug` or an address says, to the callee.
pub(super) fn chain(
    debug: &Arc<DebugInfo>,
    called: &Called,
    callee: &Callee,
    bias: u64,
    fuel: &mut Fuel<'_>,
) -> Option<Chain> {
    let first = match *called {
        Called::Function(id) if Arc::ptr_eq(debug, &callee.debug) => target(debug, id, fuel),
        Called::Function(id) => named(&callee.debug, &Names::of(debug, id, fuel), None, fuel),
        Called::At(at) => {
            let at = at.to_link(bias);
            let begins = |unit: &EntryUnit<'_>, scopes: &[usize], _: &mut Fuel<'_>| {
                let function = *scopes.first()?;
                (unit.start_of(function) == Some(at)).then(|| unit.id(function))
            };
            let found = callee.debug.with_functions_at(at, fuel, begins).flatten();
            found.map_or(Target::Unknown, Target::Function)
        }
    };
    let Target::Function(first) = first else { return None };
    let mut search = Search { goal: callee.entry, way: Vec::new(), left: MOST_STEPS, found: None };
    search.from(&callee.debug, first, fuel)?;
    search.found.filter(|chain| !chain.jumps.is_empty())
}

struct Search {
    goal: EntryId,
    way: Vec<Jump>,
    left: usize,
    found: Option<Chain>,
}

impl Search {
    /// Follows every way; `None` where there is no telling.
    fn from(&mut self, debug: &DebugInfo, function: EntryId, fuel: &mut Fuel<'_>) -> Option<()> {
        for jump in of_function(debug, function, fuel).iter() {
            self.left = self.left.checked_sub(1)?;
            let Target::Function(next) = jump.to else {
                if jump.to == Target::Unknown {
                    return None;
                }
                continue;
            };
            let is_circle = self.way.iter().any(|before| before.from == next);
            if self.way.len() >= LONGEST_WAY || is_circle || next == function {
                // What goes round may have gone round any number of times.
                return None;
            }
            self.way.push(*jump);
            if next == self.goal {
                self.note();
            } else {
                self.from(debug, next, fuel)?;
            }
            self.way.pop();
        }
        Some(())
    }

    fn note(&mut self) {
        let Some(found) = &mut self.found else {
            self.found = Some(Chain { jumps: self.way.clone(), is_whole: true });
            return;
        };
        let same = |(one, other): &(&Jump, &Jump)| one.site == other.site;
        let pairs = self.way.iter().rev().zip(found.jumps.iter().rev());
        let common = pairs.take_while(same).count();
        found.jumps.drain(..found.jumps.len() - common);
        found.is_whole = false;
    }
}

/// A function that made a jump, as a frame: what it had in registers that are kept is what its caller has in them, and its
/// frame lay where that of the function lies to which it jumped.
pub(super) struct Jumped<'f> {
    /// The frame that the last jump led to.
    frame: &'f dyn FrameContext,
    /// The one that made the call.
    caller: &'f dyn FrameContext,
    /// The jumps up to the one that it made.
    jumps: &'f [Jump],
    is_whole: bool,
    before: OnceCell<Box<Jumped<'f>>>,
}

impl<'f> Jumped<'f> {
    pub(super) fn new(frame: &'f dyn FrameContext, caller: &'f dyn FrameContext, chain: &'f Chain) -> Self {
        Self { frame, caller, jumps: &chain.jumps, is_whole: chain.is_whole, before: OnceCell::new() }
    }

    /// The jump that it made.
    pub(super) fn last(&self) -> Option<Jump> {
        self.jumps.last().copied()
    }
}

impl FrameContext for Jumped<'_> {
    fn arch(&self) -> &ArchInfo {
        self.frame.arch()
    }

    fn at(&self) -> LinkAddr {
        self.last().map_or(LinkAddr(0), |jump| jump.at)
    }

    fn bias(&self) -> u64 {
        self.frame.bias()
    }

    fn memory(&self) -> &dyn Memory {
        self.frame.memory()
    }

    fn register(&self, number: u16) -> Option<u64> {
        let arch = self.arch();
        let id = arch.by_dwarf(number)?;
        let is_kept = arch.register(id).preserved && id != arch.sp;
        if is_kept { self.caller.register(number) } else { None }
    }

    fn register_bytes(&self, number: u16) -> Option<Vec<u8>> {
        self.register(number)?;
        self.caller.register_bytes(number)
    }

    fn binary(&self) -> Option<&ModuleBinary> {
        self.frame.binary()
    }

    /// It made no call; but what it jumped to was called with what is said at the jump.
    fn return_address(&self) -> Option<LinkAddr> {
        Some(LinkAddr(self.at().0.wrapping_add(1)))
    }

    fn cfa(&self) -> Option<Addr> {
        self.frame.cfa()
    }

    fn caller(&self) -> Option<&dyn FrameContext> {
        let (_, before) = self.jumps.split_last()?;
        if before.is_empty() {
            return self.is_whole.then_some(self.caller);
        }
        let make = || {
            let (frame, caller, is_whole) = (self.frame, self.caller, self.is_whole);
            Box::new(Jumped { frame, caller, jumps: before, is_whole, before: OnceCell::new() })
        };
        Some(&**self.before.get_or_init(make))
    }

    fn thread_local(&self, offset: u64) -> Option<Addr> {
        self.frame.thread_local(offset)
    }
}
